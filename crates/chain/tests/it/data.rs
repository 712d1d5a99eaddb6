//! Reads the fixtures.

use std::path::PathBuf;

use chain::{Spent, SpentForm, SpentWriter};
use serde_json::Value;

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/fixtures", std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")))
        .join(name)
}

/// The bytes of a fixture, unpacked if it is packed.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let raw = std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    if name.rsplit('.').next() == Some("zst") { zstd::decode_all(raw.as_slice()).unwrap() } else { raw }
}

pub(crate) fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// One value a line.
pub(crate) fn lines(name: &str) -> Vec<Value> {
    text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn sat(btc: &Value) -> i64 {
    let btc = match btc {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    };
    (btc * 1e8).round() as i64
}

/// All blocks of the private network, by height.
pub(crate) fn regtest_blocks() -> Vec<Vec<u8>> {
    text("regtest/raw_blocks.hex.zst").lines().map(hex).collect()
}

/// Spent outputs as `getblock 3` tells them.
pub(crate) fn spent_of_verbose(block: &Value) -> Spent {
    let mut writer = SpentWriter::new();
    for transaction in &block["tx"].as_array().unwrap()[1..] {
        writer.transaction();
        for input in transaction["vin"].as_array().unwrap() {
            let coin = &input["prevout"];
            let script = hex(coin["scriptPubKey"]["hex"].as_str().unwrap());
            let height = coin["height"].as_u64().unwrap() as u32;
            writer.coin(height, coin["generated"].as_bool().unwrap(), sat(&coin["value"]), &script);
        }
    }
    writer.finish()
}

/// Spent outputs in the bytes in which REST answers, made of lists of amounts and scripts.
pub(crate) fn spent_of_lists(lists: &[Vec<(i64, Vec<u8>)>]) -> Spent {
    let mut bytes = Vec::new();
    compact(&mut bytes, lists.len());
    for list in lists {
        compact(&mut bytes, list.len());
        for (sat, script) in list {
            bytes.extend(sat.to_le_bytes());
            compact(&mut bytes, script.len());
            bytes.extend(script);
        }
    }
    Spent { form: SpentForm::Rest, bytes }
}

/// Those of the REST answer in JSON.
pub(crate) fn spent_of_rest_json(lists: &Value) -> Spent {
    let coin = |coin: &Value| (sat(&coin["value"]), hex(coin["scriptPubKey"]["hex"].as_str().unwrap()));
    let list = |list: &Value| list.as_array().unwrap().iter().map(coin).collect();
    spent_of_lists(&lists.as_array().unwrap().iter().map(list).collect::<Vec<_>>())
}

/// Those of `mainnet/spent/*.prevouts.json`: lists of all transactions but the coinbase.
pub(crate) fn spent_of_prevouts(lists: &Value) -> Spent {
    let coin = |coin: &Value| (coin[0].as_i64().unwrap(), hex(coin[1].as_str().unwrap()));
    let list = |list: &Value| list.as_array().unwrap().iter().map(coin).collect();
    let others = lists.as_array().unwrap().iter().map(list);
    spent_of_lists(&std::iter::once(Vec::new()).chain(others).collect::<Vec<_>>())
}

pub(crate) fn compact(bytes: &mut Vec<u8>, value: usize) {
    match value {
        0..=0xfc => bytes.push(value as u8),
        0xfd..=0xffff => bytes.extend([0xfd, value as u8, (value >> 8) as u8]),
        _ => bytes.extend([0xfe, value as u8, (value >> 8) as u8, (value >> 16) as u8, 0]),
    }
}
