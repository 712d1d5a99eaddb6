//! Coins beside the tables over the fixture chain: ages where REST tells none, forks, coins that lag, and what metrics make of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use chain::Spent;
use coins::{CoinBounds, CoinStore};
use collect::bitcoin_node::{NodeClient, NodeSettings};
use model::{BlockFacts, CoinBlock, Network, SpentAge, Time, bucket_of};
use runtime::SystemClock;
use serde_json::Value;
use tables::TableName;

use crate::chain_tests::{main_chain, read, stale_branch};
use crate::coins::Coins;
use crate::metric_tests::{price, venue_row};
use crate::testing::{Memory, doors, lines};
use crate::{Buckets, CoinPlace, Doors, Ledger, Metrics, Prices, metric_seeds};

struct World {
    memory: Arc<Memory>,
    doors: Doors,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
        let mut doors = doors(&memory, folder.path());
        let bounds = CoinBounds { cache_bytes: 1 << 20, undo_blocks: 10 };
        doors.coins = Some(CoinPlace { folder: folder.path().join("coins"), bounds });
        doors.control.seed_metrics(&metric_seeds(Time(0)), Time(0)).unwrap();
        Self { memory, doors, _folder: folder }
    }

    fn without_coins(&self) -> Doors {
        Doors { coins: None, ..self.doors.clone() }
    }

    /// Takes blocks as a fresh process does; cut off before the coins are kept if wanted so.
    async fn take(
        &self,
        doors: &Doors,
        fork: Option<u32>,
        (first, blocks): (u32, &[(Vec<u8>, Spent)]),
        is_cut: bool,
    ) {
        let mut ledger = Ledger::open(doors.clone(), Network::Regtest).await.unwrap();
        let mut coins = Coins::open(doors, Network::Regtest, &ledger.active()).await;
        let read = coins.read(ledger.parent(fork), read(first, blocks), 0).await.unwrap();
        assert_eq!(coins.trouble(), None);
        let taken = ledger.take(fork, read.0).await.unwrap();
        if !is_cut {
            coins.keep(read.1).await;
        }
        let mut buckets = Buckets::open(doors.clone(), ledger.active()).await.unwrap();
        buckets.build(taken.earliest.unwrap(), None, taken.step).await.unwrap();
    }

    /// Brings coins after the tables, with a node that answers nothing.
    async fn catch_up(&self) -> usize {
        let ledger = Ledger::open(self.doors.clone(), Network::Regtest).await.unwrap();
        let mut coins = Coins::open(&self.doors, Network::Regtest, &ledger.active()).await;
        gather(&mut coins, &ledger).await
    }

    fn facts(&self) -> Vec<BlockFacts> {
        tables::btc_primitive_block::from_batch(&self.memory.rows(TableName::BtcPrimitiveBlock))
    }

    fn coin_blocks(&self) -> Vec<CoinBlock> {
        let rows = self.memory.rows(TableName::BtcCoinBlocks);
        tables::btc_coin_blocks::from_batch(&rows, derivations::chain::reasons::known)
    }

    async fn derive(&self) {
        let prices = Prices::new(self.doors.clone());
        let buckets = tables::btc_buckets::from_batch(&self.memory.rows(TableName::BtcBuckets));
        prices.store(buckets.iter().map(|bucket| venue_row(bucket.bucket)).collect()).await.unwrap();
        prices.compose().await.unwrap();
        Metrics::new(self.doors.clone()).compute().await.unwrap().unwrap();
    }

    /// Values of a metric over ten minutes, with the reason where there is none.
    fn values(&self, metric: &str) -> Vec<(Time, Result<f64, String>)> {
        let rows = self.memory.rows(TableName::Metrics);
        let text = |name: &str, row: usize| {
            rows.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
        };
        let times = rows.column_by_name("bucket").unwrap().as_primitive::<TimestampMicrosecondType>();
        let values = rows.column_by_name("value").unwrap().as_primitive::<Float64Type>();
        let value =
            |row: usize| if values.is_valid(row) { Ok(values.value(row)) } else { Err(text("reason", row)) };
        (0..rows.num_rows())
            .filter(|row| text("metric", *row) == metric && text("timeframe", *row) == "10m")
            .map(|row| (Time(times.value(row)), value(row)))
            .collect()
    }
}

/// What the node's verbose answers say of each block: coins spent by age, and what comes of prices by a walk over every output.
struct Truth {
    ages: Vec<Vec<SpentAge>>,
    realized: Vec<f64>,
    days: Vec<f64>,
    cost: Vec<f64>,
    value: Vec<f64>,
}

fn truth() -> Truth {
    let mut truth = Truth { ages: vec![], realized: vec![], days: vec![], cost: vec![], value: vec![] };
    let mut coins: HashMap<(String, u64), (f64, i64, i64)> = HashMap::new();
    for line in lines("getblock_v3.jsonl.zst") {
        let block: Value = serde_json::from_str(&line).unwrap();
        let time = block["time"].as_i64().unwrap();
        let now = price(bucket_of(Time(time * 1_000_000)));
        let sat = |value: &Value| (value.as_f64().unwrap() * 1e8).round() as i64;
        let mut ages = std::collections::BTreeMap::<u32, i64>::new();
        let (mut days, mut cost, mut value) = (0.0, 0.0, 0.0);
        for transaction in block["tx"].as_array().unwrap() {
            let txid = transaction["txid"].as_str().unwrap().to_owned();
            for output in transaction["vout"].as_array().unwrap() {
                let script = output["scriptPubKey"]["hex"].as_str().unwrap();
                let is_coin = !script.starts_with("6a") && script.len() <= 20_000;
                if is_coin && block["height"] != 0 {
                    let key = (txid.clone(), output["n"].as_u64().unwrap());
                    coins.insert(key, (now, sat(&output["value"]), time));
                }
            }
            for input in
                transaction["vin"].as_array().unwrap().iter().filter(|input| input.get("coinbase").is_none())
            {
                let height = input["prevout"]["height"].as_u64().unwrap() as u32;
                *ages.entry(height).or_default() += sat(&input["prevout"]["value"]);
                let key = (input["txid"].as_str().unwrap().to_owned(), input["vout"].as_u64().unwrap());
                let (then, sat, made) = coins.remove(&key).unwrap();
                let btc = sat as f64 / 1e8;
                days += btc * (time - made).max(0) as f64 / 86_400.0;
                cost += btc * then;
                value += btc * now;
            }
        }
        truth.ages.push(ages.into_iter().map(|(height, sat)| SpentAge { height, sat }).collect());
        truth.realized.push(coins.values().map(|(then, sat, _)| *sat as f64 / 1e8 * then).sum());
        truth.days.push(days);
        truth.cost.push(cost);
        truth.value.push(value);
    }
    truth
}

/// Brings coins after the tables, with a node that answers nothing. How often rows got ages by it.
async fn gather(coins: &mut Coins, ledger: &Ledger) -> usize {
    let mut settings = NodeSettings::local(Network::Regtest, std::path::Path::new("nowhere"));
    settings.url = "http://127.0.0.1:1".to_owned();
    // Another test of this process may have been first.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let node = NodeClient::new(settings, SystemClock::shared()).unwrap();
    let mut filled = 0;
    while coins.is_behind(&ledger.active()) {
        filled += usize::from(coins.catch_up(&ledger.active(), &node).await.is_some());
        assert_eq!(coins.trouble(), None);
    }
    filled
}

fn near(one: f64, other: f64, what: &str) {
    assert!((one - other).abs() <= 1e-9 * other.abs().max(1.0), "{what}: {one}, not {other}");
}

impl World {
    /// Every row and every metric of coins is what the truth says.
    fn agrees(&self, truth: &Truth) {
        let facts = self.facts();
        assert_eq!(facts.len(), truth.ages.len());
        for facts in &facts {
            let height = facts.place.height as usize;
            assert_eq!(facts.sums.spent.as_ref(), Some(&truth.ages[height]), "ages at {height}");
        }
        let rows = self.coin_blocks();
        assert_eq!(rows.len(), facts.len());
        for (row, facts) in rows.iter().zip(&facts) {
            let height = row.height as usize;
            assert_eq!((row.height, row.hash), (facts.place.height, facts.place.header.hash));
            near(row.realized_cap_usd.unwrap(), truth.realized[height], "realised cap");
            near(row.coin_days_destroyed.unwrap(), truth.days[height], "days");
            near(row.spent_cost_usd.unwrap(), truth.cost[height], "cost");
            near(row.spent_value_usd.unwrap(), truth.value[height], "value");
        }
        let buckets = tables::btc_buckets::from_batch(&self.memory.rows(TableName::BtcBuckets));
        let all = ["realized_cap", "mvrv", "sopr", "coin_days_destroyed"].map(|name| self.values(name));
        let mut known = 0;
        for (place, bucket) in buckets.iter().enumerate() {
            let [realized, mvrv, sopr, days] = all.each_ref().map(|values| values[place].1.clone());
            let realized = realized.unwrap();
            near(realized, truth.realized[bucket.best_block_height_last as usize], "realised cap");
            let cap = bucket.supply_total_sat.unwrap() as f64 / 1e8 * price(bucket.bucket);
            near(mvrv.unwrap(), cap / realized, "MVRV");
            let within = facts
                .iter()
                .filter(|facts| facts.place.height > 0 && bucket_of(facts.place.time()) == bucket.bucket)
                .map(|facts| facts.place.height as usize);
            let sum = |field: &[f64]| within.clone().map(|height| field[height]).sum::<f64>();
            near(days.unwrap(), sum(&truth.days), "days");
            let cost = sum(&truth.cost);
            match sopr {
                Ok(sopr) => {
                    known += 1;
                    near(sopr, sum(&truth.value) / cost, "SOPR");
                }
                Err(reason) => assert!(reason == "no_cost" && cost == 0.0, "{reason} {cost}"),
            }
        }
        assert!(known > 20, "{known}");
    }
}

#[tokio::test]
async fn ages_that_rest_does_not_tell_come_from_the_coins_and_turn_with_the_chain() {
    let (world, chain, truth) = (World::new(), main_chain(), truth());
    let losing: Vec<_> = chain[..=314].iter().chain(&stale_branch()).cloned().collect();
    world.take(&world.doors, None, (0, &losing[..200]), false).await;
    world.take(&world.doors, None, (200, &losing[200..]), false).await;
    world.derive().await;
    assert!(world.facts().iter().all(|facts| facts.sums.spent.is_some()));
    world.take(&world.doors, Some(314), (315, &chain[315..]), false).await;
    world.derive().await;
    world.agrees(&truth);
}

#[tokio::test]
async fn coins_that_lag_are_caught_up_with_from_kept_blocks() {
    let (world, chain, truth) = (World::new(), main_chain(), truth());
    // A folder from before there were coins, then two starts cut off in between.
    world.take(&world.without_coins(), None, (0, &chain[..300]), false).await;
    assert!(world.facts().iter().any(|facts| facts.sums.spent.is_none()));
    world.derive().await;
    assert!(world.values("realized_cap").iter().any(|(_, value)| *value == Err("ages_unknown".to_owned())));
    assert!(world.catch_up().await > 0);
    world.take(&world.doors, None, (300, &chain[300..320]), true).await;
    // Coins are behind: these blocks are taken without.
    world.take(&world.doors, None, (320, &chain[320..]), false).await;
    assert!(world.facts()[330].sums.spent.is_none());
    assert_eq!(world.catch_up().await, 1);
    world.derive().await;
    world.agrees(&truth);
}

#[tokio::test]
async fn coins_of_a_branch_that_lost_are_taken_back_at_the_next_start() {
    let (world, chain, truth) = (World::new(), main_chain(), truth());
    let losing: Vec<_> = chain[..=314].iter().chain(&stale_branch()).cloned().collect();
    world.take(&world.doors, None, (0, &losing), false).await;
    // Cut off after the tables turned, before the coins did.
    world.take(&world.doors, Some(314), (315, &chain[315..]), true).await;
    world.catch_up().await;
    world.derive().await;
    world.agrees(&truth);
}

#[tokio::test]
async fn coins_that_do_not_fit_are_gathered_anew() {
    let (world, chain, truth) = (World::new(), main_chain(), truth());
    world.take(&world.doors, None, (0, &chain[..320]), false).await;
    let place = world.doors.coins.clone().unwrap();
    // Somebody else's store at the right block, with nothing in it.
    std::fs::remove_dir_all(&place.folder).unwrap();
    let mut store = CoinStore::open(&place.folder, Network::Regtest, place.bounds).unwrap();
    for (height, (bytes, _)) in chain[..320].iter().enumerate() {
        let header = chain::header(&bytes[..80]).unwrap();
        let moves = chain::CoinMoves::default();
        let next =
            coins::NextBlock { height: height as u32, hash: header.hash, previous: header.previous, moves };
        store.apply(&[next], u32::MAX).unwrap();
    }
    drop(store);
    let mut ledger = Ledger::open(world.doors.clone(), Network::Regtest).await.unwrap();
    let mut coins = Coins::open(&world.doors, Network::Regtest, &ledger.active()).await;
    let blocks = read(320, &chain[320..]);
    let (blocks, change) = coins.read(ledger.parent(None), blocks, 0).await.unwrap();
    assert!(change.is_none() && coins.trouble().unwrap().contains("gathered anew"), "{:?}", coins.trouble());
    let taken = ledger.take(None, blocks).await.unwrap();
    let active = ledger.active();
    drop((ledger, coins));
    Buckets::open(world.doors.clone(), active)
        .await
        .unwrap()
        .build(taken.earliest.unwrap(), None, taken.step)
        .await
        .unwrap();
    world.catch_up().await;
    world.derive().await;
    world.agrees(&truth);
}

#[tokio::test]
async fn coins_that_never_fit_a_block_were_gathered_anew_for_ever() {
    let (world, chain) = (World::new(), main_chain());
    world.take(&world.doors, None, (0, &chain[..320]), false).await;
    let ledger = Ledger::open(world.doors.clone(), Network::Regtest).await.unwrap();
    let mut coins = Coins::open(&world.doors, Network::Regtest, &ledger.active()).await;
    let unfit = |height: usize| {
        let mut blocks = read(height as u32, &chain[height..=height]);
        blocks[0].sums.total_out_sat += 1;
        blocks
    };
    coins.read(ledger.parent(None), unfit(320), 0).await.unwrap();
    assert_eq!(coins.tip(), None, "gathered anew");
    gather(&mut coins, &ledger).await;
    assert_eq!(coins.tip().map(|tip| tip.height), Some(319));
    // All the blocks before it went well, and it does not fit again: gathering once more would end here, too.
    coins.read(ledger.parent(None), unfit(320), 0).await.unwrap();
    coins.mend(&ledger.active()).await;
    assert!(coins.tip().is_none() && !coins.is_behind(&ledger.active()), "left alone");
    assert!(coins.trouble().is_some());
    // Beyond that block they may be lost and gathered once more.
    let mut coins = Coins::open(&world.doors, Network::Regtest, &ledger.active()).await;
    coins.read(ledger.parent(None), unfit(320), 0).await.unwrap();
    gather(&mut coins, &ledger).await;
    let (_, change) = coins.read(ledger.parent(None), read(320, &chain[320..321]), 0).await.unwrap();
    coins.keep(change).await;
    let parent = coins.tip();
    assert_eq!(parent.map(|tip| tip.height), Some(320));
    coins.read(parent, unfit(321), 0).await.unwrap();
    assert!(coins.tip().is_none() && coins.is_behind(&ledger.active()), "gathered anew");
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_does_not_keep_the_chain_and_is_tried_again() {
    let (world, chain) = (World::new(), main_chain());
    let place = world.doors.coins.clone().unwrap();
    std::fs::write(&place.folder, b"in the way").unwrap();
    let mut ledger = Ledger::open(world.doors.clone(), Network::Regtest).await.unwrap();
    let active = ledger.active();
    let mut coins = Coins::open(&world.doors, Network::Regtest, &active).await;
    let trouble = coins.trouble().unwrap().to_owned();
    assert!(trouble.contains("delete the folder"), "{trouble}");
    let (blocks, change) = coins.read(None, read(0, &chain[..50]), 0).await.unwrap();
    ledger.take(None, blocks).await.unwrap();
    coins.keep(change).await;
    assert!(!coins.is_due() && !coins.is_behind(&active));
    drop(coins);
    let told = world.doors.control.checkpoints().unwrap();
    assert!(
        told.iter().any(|one| one.key.component == "btc_coin_store" && one.status == "error"),
        "{told:?}"
    );
    std::fs::remove_file(&place.folder).unwrap();
    let coins = Coins::open(&world.doors, Network::Regtest, &active).await;
    assert!(coins.trouble().is_none() && coins.is_behind(&active));
}

#[tokio::test]
async fn a_revised_price_revises_what_coins_were_worth() {
    let (world, chain) = (World::new(), main_chain());
    world.take(&world.doors, None, (0, &chain), false).await;
    world.derive().await;
    let before = world.coin_blocks();
    let bucket = bucket_of(before[200].time);
    let mut row = venue_row(bucket);
    let double = model::Decimal::from_f64(price(bucket) * 2.0).unwrap();
    (row.price.open, row.price.high, row.price.low, row.price.close) = (double, double, double, double);
    let prices = Prices::new(world.doors.clone());
    prices.store(vec![row]).await.unwrap();
    prices.compose().await.unwrap();
    Metrics::new(world.doors.clone()).compute().await.unwrap().unwrap();
    let after = world.coin_blocks();
    let first = (0..before.len()).find(|place| bucket_of(before[*place].time) == bucket).unwrap();
    assert_eq!(before[..first], after[..first]);
    assert!(
        after[first..]
            .iter()
            .zip(&before[first..])
            .all(|(after, before)| { after.realized_cap_usd.unwrap() > before.realized_cap_usd.unwrap() })
    );
    // The same, computed in one go.
    world.doors.control.choose_canonical_method(2).unwrap();
    Prices::new(world.doors.clone()).compose().await.unwrap();
    Metrics::new(world.doors.clone()).compute().await.unwrap().unwrap();
    assert_eq!(world.coin_blocks(), after);
}
