//! The regtest chain of the fixtures, as tests want it.

use model::{BlockFacts, BlockHeader, BlockPlace, BlockSums, Network, Work};
use serde_json::Value;

/// Lines of one of the chain's files.
pub(super) fn lines(name: &str) -> Vec<String> {
    let path = format!("{}/../chain/fixtures/regtest/{name}", env!("CARGO_MANIFEST_DIR"));
    let packed = std::fs::read(&path).unwrap_or_else(|error| panic!("read {path}: {error}"));
    let text = zstd::decode_all(packed.as_slice()).expect("the fixture unpacks");
    let text = String::from_utf8(text).expect("the fixture is text");
    text.lines().map(str::to_owned).collect()
}

/// A whole number of a row.
pub(super) fn int(row: &Value, field: &str) -> i64 {
    row[field].as_i64().unwrap_or_else(|| panic!("{field} is a whole number in {row}"))
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} is a text in {row}"))
}

/// All blocks of the chain, the first one included, by height. Ages of spent coins are not in this file.
pub(super) fn chain() -> Vec<BlockFacts> {
    let rows = lines("ref_primitives.jsonl.zst");
    rows.iter().map(|line| facts(&serde_json::from_str(line).expect("each line is one value"))).collect()
}

fn facts(row: &Value) -> BlockFacts {
    let header = BlockHeader {
        hash: text(row, "hash").parse().expect("a hash"),
        previous: text(row, "prev_hash").parse().expect("a hash"),
        version: 0,
        merkle_root: model::BlockHash::default(),
        time: int(row, "time") as u32,
        bits: u32::from_str_radix(text(row, "bits"), 16).expect("eight digits"),
        nonce: 0,
    };
    let sums = BlockSums {
        size_bytes: int(row, "size_bytes"),
        stripped_size_bytes: int(row, "stripped_size_bytes"),
        weight_wu: int(row, "weight_wu"),
        tx_count: int(row, "tx_count"),
        input_count: int(row, "input_count"),
        output_count: int(row, "output_count"),
        segwit_tx_count: int(row, "segwit_tx_count"),
        coinbase_sat: int(row, "coinbase_out_sat"),
        total_out_sat: int(row, "total_out_sat"),
        total_out_spendable_sat: int(row, "total_out_spendable_sat"),
        transferred_sat: int(row, "transferred_ex_own_script_sat"),
        unspendable_sat: int(row, "unspendable_out_sat"),
        tx_size_total_bytes: int(row, "noncb_size_bytes"),
        tx_weight_total_wu: int(row, "noncb_weight_wu"),
        fees: row["fees"].as_array().expect("a list").iter().filter_map(Value::as_i64).collect(),
        spent: None,
    };
    BlockFacts {
        place: BlockPlace {
            header,
            height: int(row, "height") as u32,
            median_time: int(row, "mediantime") as u32,
            chainwork: Work::parse(text(row, "chainwork")).expect("64 digits"),
        },
        network: Network::Regtest,
        sums,
        supply_total_sat: Some(int(row, "supply_total_sat")),
        interval_sec: row["interval_sec"].as_i64(),
    }
}
