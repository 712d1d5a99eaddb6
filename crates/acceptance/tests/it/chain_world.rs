//! A node with the recorded chain and a house that follows it: what the journeys of the chain share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use control::Control;
use serde_json::Value;

use crate::world::{World, get, post, sql, until};

/// Folder of the recorded chain.
pub(crate) fn regtest() -> String {
    format!("{}/../chain/fixtures/regtest", std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"))
}

/// Blocks arrive in the order of the node's files; so many have come when the losing branch is the active one.
pub(crate) const ARRIVED_BRANCH_A: usize = 318;

/// What follows blocks in its own time, as the house notes it.
const PARTS: [&str; 3] = ["composed_prices_10m", "btc_coin_blocks", "metrics"];

/// Start of a ten minutes so many of them ago, seconds since 1970.
pub(crate) fn buckets_ago(count: u64) -> u64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    now / 600 * 600 - count * 600
}

/// A young chain, and prices of two days.
pub(crate) const PRICED: [&str; 10] =
    ["--venues", "binance,bybit", "--instruments", "1", "--rate", "2", "--history", "2d", "--blocks", "60"];

/// Lines of a file of the fixture.
pub(crate) fn rows(name: &str) -> Vec<Value> {
    let bytes = std::fs::read(PathBuf::from(regtest()).join(name)).expect("the fixture is there");
    let text = zstd::decode_all(&bytes[..]).expect("the fixture unpacks");
    let text = String::from_utf8(text).expect("the fixture is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A world whose node has the recorded chain, and a house that is to follow it.
pub(crate) fn world(arguments: &[&str]) -> World {
    let all = ["--venues", "binance", "--instruments", "1", "--rate", "2", "--chain", &regtest()];
    let world = World::start(&[&all[..], arguments].concat());
    world.configure("", &section(&world, "step_blocks = 100"));
    world
}

/// The section of settings that follows the world's node; `extra` is added.
pub(crate) fn section(world: &World, extra: &str) -> String {
    let text = |name: &str| world.node[name].as_str().unwrap_or_else(|| panic!("{name}: {}", world.node));
    format!(
        "[btc]\nenabled = true\nnetwork = \"regtest\"\nurl = \"{}\"\ncookie = \"{}\"\n{extra}\n",
        text("url"),
        text("cookie"),
    )
}

/// Tells the node what to do; what it answers.
pub(crate) fn tell(world: &World, order: &str) -> Value {
    let (status, said) = post(&format!("{}/node", world.admin), order);
    assert_eq!(status, 200, "{order}: {said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{order}: {error}: {said}"))
}

/// How the node stands, and what it was asked.
pub(crate) fn told(world: &World) -> Value {
    get(&format!("{}/node", world.admin)).1
}

/// Rows of a query, asked of the running process.
pub(crate) fn ask(address: &str, query: &str) -> Result<Vec<Value>, String> {
    let body = serde_json::json!({ "query": query }).to_string();
    let (status, text) = post(&format!("http://{address}/api/v1/sql"), &body);
    let answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
    if status == 200 { Ok(answer["data"].as_array().cloned().unwrap_or_default()) } else { Err(text) }
}

/// Waits until the last bucket ends with the block of this hash, and metrics are computed up to it.
pub(crate) fn wait_for(address: &str, hash: &str) {
    until(Duration::from_mins(1), "the last bucket ends with the last block", || {
        let query = "select best_block_hash_last as hash from btc_primitive_10m order by bucket desc limit 1";
        let rows = ask(address, query)?;
        let found = rows.first().map(|row| row["hash"].to_string()).unwrap_or_default();
        if found.contains(hash) { Ok(()) } else { Err(format!("{found} is not {hash}")) }
    });
    until(Duration::from_mins(1), "metrics are computed up to the last bucket", || {
        let (_, health) = get(&format!("http://{address}/api/v1/btc/health"));
        let (metrics, buckets) = (&health["last_metrics_bucket_time"], &health["last_primitive_bucket_time"]);
        if metrics.is_i64() && metrics == buckets { Ok(()) } else { Err(health.to_string()) }
    });
    until(Duration::from_mins(1), "coins and what is made of them stand at the last block", || {
        let query = "select last_hash from checkpoints where component = 'btc_coin_store'";
        let coins = ask(address, query)?;
        let query = "select count(*) as n from metrics where reason = 'coins_behind'";
        let behind = ask(address, query)?;
        let is_there = coins.first().is_some_and(|row| row["last_hash"] == hash) && behind[0]["n"] == 0;
        if is_there { Ok(()) } else { Err(format!("{coins:?} {behind:?}")) }
    });
}

/// Waits until a running process has computed everything that was noted to be computed again.
pub(crate) fn settle(world: &World) {
    let control =
        Control::open(world.place.path().join("data/control.sqlite")).expect("the control state opens");
    until(Duration::from_mins(1), "nothing is to be computed again", || {
        for part in PARTS {
            if let Some(dirty) = control.dirty(part).map_err(|error| error.to_string())? {
                return Err(format!("{part}: {dirty:?}"));
            }
        }
        Ok(())
    });
}

/// Everything that a chain amounts to, as text, for comparison.
pub(crate) fn state(folder: &Path, data: &str) -> Vec<Vec<String>> {
    let queries = [
        "select * from btc_primitive_block order by height",
        "select * from btc_buckets order by bucket",
        // In which step a block came, when, and where its bytes lie depends on the moment and the way.
        "select * except (sequence, received_time, stored_file, stored_offset, node_file, node_offset, \
         node_undo_file, node_undo_offset) from btc_blocks \
         where state = 'active' order by height",
        "select * from btc_coin_blocks order by height",
        "select * from metrics order by metric, timeframe, bucket",
    ];
    let mut all = Vec::new();
    for query in queries {
        let rows = sql(folder, data, query);
        assert!(rows.len() > 100, "{query}: {} rows", rows.len());
        all.extend(rows);
    }
    all
}

/// The first row in which two states differ, if they do.
pub(crate) fn compare(found: &[Vec<String>], expected: &[Vec<String>], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: rows");
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "{what}: row {row}");
    }
}

/// Hash of the last block of the recorded chain.
pub(crate) fn last_hash() -> String {
    rows("getblockheader.jsonl.zst").last().expect("a block")["hash"].as_str().expect("a hash").to_owned()
}
