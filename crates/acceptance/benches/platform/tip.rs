//! How long it takes from a block that the node has to the row of its ten minutes that readers get.
//!
//! From the answer to the order to mine, when the node has the block, to the end of the first answer of `/api/v1/btc/primitive` that
//! shows it, asked for every few milliseconds over one connection.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::world::{World, block_on};

const BLOCKS: usize = 20;
/// Pause between two questions.
const EVERY: Duration = Duration::from_millis(5);
/// A block that is not served after this is never.
const LONGEST: Duration = Duration::from_mins(1);

/// Mines blocks one after the other and waits for each.
pub(super) fn tip() {
    for extra in ["", "keep_blocks = false"] {
        let world =
            World::start(&["--venues", "binance", "--instruments", "1", "--rate", "2", "--blocks", "300"]);
        let text = |name: &str| world.node[name].as_str().expect("a node").to_owned();
        let section = format!(
            "[btc]\nenabled = true\nnetwork = \"regtest\"\nurl = \"{}\"\ncookie = \"{}\"\n{extra}\n",
            text("url"),
            text("cookie"),
        );
        world.configure("", &section);
        let (mut process, address) = world.run();
        let mut waits = block_on(measure(&world, &address));
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
        println!(
            "tip, node has a block to row served{}: {} blocks, p50 {:.0} ms, p99 {:.0} ms, fastest {:.0} ms",
            if extra.is_empty() { "" } else { ", bytes not kept" },
            waits.len(),
            at(0.5),
            at(0.99),
            at(0.0),
        );
        process.end();
    }
}

async fn measure(world: &World, address: &str) -> Vec<Duration> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let node = client.get(format!("{}/node", world.admin)).send().await.expect("the node answers");
    let node: Value = node.json().await.expect("JSON");
    served(&client, address, &node["tip"]).await;
    let mut waits = Vec::new();
    for number in 0..BLOCKS {
        // At all moments of the follower's own rhythm.
        tokio::time::sleep(Duration::from_millis(700 + 130 * (number as u64 % 7))).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let order = client.post(format!("{}/node", world.admin)).body(format!("mine=1@{now}"));
        let moved: Value = order.send().await.expect("the node answers").json().await.expect("JSON");
        let started = Instant::now();
        served(&client, address, &moved["joined"][0]).await;
        waits.push(started.elapsed());
    }
    waits
}

/// Asks until the newest row ends with the block.
async fn served(client: &reqwest::Client, address: &str, hash: &Value) {
    let started = Instant::now();
    loop {
        let url = format!("http://{address}/api/v1/btc/primitive?limit=1&fields=best_block_hash_last");
        let answer = client.get(url).send().await.expect("an answer");
        let body: Value = answer.json().await.expect("JSON");
        if hash.is_string() && body["data"][0]["best_block_hash_last"] == *hash {
            return;
        }
        assert!(started.elapsed() < LONGEST, "{hash} is not served: {body}");
        tokio::time::sleep(EVERY).await;
    }
}
