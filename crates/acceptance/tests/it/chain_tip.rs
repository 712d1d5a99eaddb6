//! From a block that the node has to the row that readers get.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chain_world::{section, tell, told};
use crate::world::{World, get, until};

/// The newest ten minutes as readers get them.
fn newest(address: &str) -> Result<Value, String> {
    let (status, body) = get(&format!("http://{address}/api/v1/btc/primitive?limit=1"));
    let row = body["data"].get(0).cloned();
    row.filter(|_| status == 200).ok_or_else(|| format!("{status}: {body}"))
}

/// Waits until the last block of the newest ten minutes is this one.
fn wait_for_block(address: &str, hash: &str) -> Value {
    until(Duration::from_mins(1), "the block is in the newest bucket", || {
        let row = newest(address)?;
        if row["best_block_hash_last"] == hash { Ok(row) } else { Err(row.to_string()) }
    })
}

#[test]
fn a_mined_block_is_served_with_its_bucket() {
    let world = World::start(&["--venues", "binance", "--instruments", "1", "--rate", "2", "--blocks", "40"]);
    world.configure("", &section(&world, ""));
    let (mut process, address) = world.run();
    wait_for_block(&address, told(&world)["tip"].as_str().expect("a hash"));
    for _ in 0..3 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let before = newest(&address).expect("a row");
        let started = Instant::now();
        let moved = tell(&world, &format!("mine=1@{}", now.as_secs()));
        let hash = moved["joined"][0].as_str().unwrap_or_else(|| panic!("{moved}")).to_owned();
        let row = wait_for_block(&address, &hash);
        eprintln!("from the order to mine a block to its row: {:?}", started.elapsed());
        let number = |row: &Value, name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name}: {row}"));
        let (height, last) = (number(&row, "best_block_height_last"), told(&world));
        assert_eq!(Some(height), last["height"].as_i64(), "{last}");
        if row["bucket"] == before["bucket"] {
            assert_eq!(number(&row, "block_count"), number(&before, "block_count") + 1, "{row}");
            let (after, before) = (number(&row, "issued_sat_10m"), number(&before, "issued_sat_10m"));
            assert!(after > before, "{row}");
        }
    }
    process.end();
}
