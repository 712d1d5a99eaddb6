//! The regtest chain of the fixtures, as tests want it.

use std::collections::BTreeMap;

use model::{BlockFacts, BlockHeader, BlockPlace, BlockSums, Network, SpentAge, Work};
use serde_json::Value;

/// Lines of one of the chain's files.
pub(super) fn lines(name: &str) -> Vec<String> {
    let path = format!(
        "{}/../chain/fixtures/regtest/{name}",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    );
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

/// An output: the transaction that made it, and its place there.
pub(super) type Outpoint = (String, i64);

/// What a block does to coins, read from verbose answers.
pub(super) struct VerboseBlock {
    /// Outputs that can be spent, with satoshi. The first block's is none.
    pub(super) made: Vec<(Outpoint, i64)>,
    /// Outputs that it spends.
    pub(super) spent: Vec<Outpoint>,
    /// The same by the height that made them, ascending.
    pub(super) ages: Vec<SpentAge>,
}

/// All blocks of the chain with what they do to coins, by height.
pub(super) fn verbose_chain() -> Vec<VerboseBlock> {
    let blocks = lines("getblock_v3.jsonl.zst");
    blocks.iter().map(|line| verbose(&serde_json::from_str(line).expect("each line is one value"))).collect()
}

/// The chain with ages of coins.
pub(super) fn chain_with_ages() -> Vec<BlockFacts> {
    let mut blocks = chain();
    for (block, verbose) in blocks.iter_mut().zip(verbose_chain()) {
        block.sums.spent = Some(verbose.ages);
    }
    blocks
}

fn verbose(block: &Value) -> VerboseBlock {
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let sat = |value: &Value| (value["value"].as_f64().expect("an amount") * 1e8).round() as i64;
    let mut found = VerboseBlock { made: Vec::new(), spent: Vec::new(), ages: Vec::new() };
    let mut ages = BTreeMap::new();
    for transaction in list(block, "tx") {
        for output in list(&transaction, "vout") {
            let script = text(&output["scriptPubKey"], "hex");
            if int(block, "height") > 0 && !script.starts_with("6a") && script.len() <= 20_000 {
                found.made.push(((text(&transaction, "txid").to_owned(), int(&output, "n")), sat(&output)));
            }
        }
        for input in list(&transaction, "vin").iter().filter(|input| input.get("coinbase").is_none()) {
            found.spent.push((text(input, "txid").to_owned(), int(input, "vout")));
            *ages.entry(int(&input["prevout"], "height") as u32).or_insert(0) += sat(&input["prevout"]);
        }
    }
    found.ages = ages.into_iter().map(|(height, sat)| SpentAge { height, sat }).collect();
    found
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
