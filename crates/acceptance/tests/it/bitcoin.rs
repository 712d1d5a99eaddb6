//! The chain of a node in the tables: the recorded chain against what the node and an independent program say of it, a
//! reorganisation while it is followed, and kills in the middle.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::world::{Process, World, get, post, until};

const REGTEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../chain/fixtures/regtest");
/// Blocks arrive in the order of the node's files; so many have come when the losing branch is the active one.
const ARRIVED_BRANCH_A: usize = 318;

fn rows(name: &str) -> Vec<Value> {
    let bytes = std::fs::read(PathBuf::from(REGTEST).join(name)).expect("the fixture is there");
    let text = zstd::decode_all(&bytes[..]).expect("the fixture unpacks");
    let text = String::from_utf8(text).expect("the fixture is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn world(arguments: &[&str]) -> World {
    let all = ["--venues", "binance", "--instruments", "1", "--rate", "2", "--chain", REGTEST];
    let world = World::start(&[&all[..], arguments].concat());
    let text = |name: &str| world.node[name].as_str().unwrap_or_else(|| panic!("{name}: {}", world.node));
    let section = format!(
        "[btc]\nenabled = true\nnetwork = \"regtest\"\nurl = \"{}\"\ncookie = \"{}\"\nstep_blocks = 100\n",
        text("url"),
        text("cookie"),
    );
    world.configure("", &section);
    world
}

/// Rows of a query, asked of the running process.
fn ask(address: &str, query: &str) -> Result<Vec<Value>, String> {
    let body = serde_json::json!({ "query": query }).to_string();
    let (status, text) = post(&format!("http://{address}/api/v1/sql"), &body);
    let answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
    if status == 200 { Ok(answer["data"].as_array().cloned().unwrap_or_default()) } else { Err(text) }
}

/// Waits until the last bucket ends with the block of this hash, and metrics are computed up to it.
fn wait_for(address: &str, hash: &str) {
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
}

/// Everything that a chain amounts to, as text, for comparison.
fn state(world: &World) -> Vec<Vec<String>> {
    let mut all = world.sql("select * from btc_primitive_block order by height");
    all.extend(world.sql("select * from btc_buckets order by bucket"));
    all.extend(
        world.sql("select height, block_hash, chainwork, tx_count from btc_blocks_raw order by height"),
    );
    all.extend(world.sql("select metric, timeframe, bucket, value, reason from metrics order by 1, 2, 3"));
    all
}

fn last_hash() -> String {
    rows("getblockheader.jsonl.zst").last().expect("a block")["hash"].as_str().expect("a hash").to_owned()
}

fn same(found: &Value, expected: &Value, what: &str) {
    let is_same = match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= expected.abs() * 1e-12,
        _ => found == expected,
    };
    assert!(is_same, "{what}: {found} is not {expected}");
}

#[test]
fn the_recorded_chain_is_what_node_and_reference_say() {
    let world = world(&[]);
    let (mut process, address) = world.run();
    wait_for(&address, &last_hash());
    compare_blocks(&address);
    compare_buckets(&address);
    let registry = ask(&address, "select count(*) as n from metric_registry where enabled").expect("rows");
    assert!(registry[0]["n"].as_i64().expect("a count") > 20, "{registry:?}");
    process.end();
}

fn compare_blocks(address: &str) {
    let blocks = ask(address, "select * from btc_primitive_block order by height").expect("rows");
    assert_eq!(blocks.len(), 335);
    let (stats, sets, references) = (
        rows("getblockstats.jsonl.zst"),
        rows("gettxoutsetinfo_muhash.jsonl.zst"),
        rows("ref_primitives.jsonl.zst"),
    );
    for (height, block) in blocks.iter().enumerate() {
        let (stats, reference) = (&stats[height], &references[height]);
        for (own, theirs) in [
            ("hash", "blockhash"),
            ("tx_count", "txs"),
            ("input_count", "ins"),
            ("output_count", "outs"),
            ("total_out_sat", "total_out"),
            ("fees_sat", "totalfee"),
            ("issued_sat", "subsidy"),
            ("segwit_tx_count", "swtxs"),
            ("tx_size_total_bytes", "total_size"),
            ("tx_weight_total_wu", "total_weight"),
        ] {
            same(&block[own], &stats[theirs], &format!("block {height}, {own}"));
        }
        for (own, theirs) in [
            ("difficulty", "difficulty"),
            ("chainwork", "chainwork"),
            ("block_size_bytes", "size_bytes"),
            ("block_weight_wu", "weight_wu"),
            ("block_vsize_vb", "vsize_vb"),
            ("miner_revenue_sat", "miner_revenue_sat"),
            ("unclaimed_sat", "unclaimed_sat"),
            ("transferred_sat", "transferred_ex_own_script_sat"),
            ("supply_total_sat", "supply_total_sat"),
            ("halving_epoch", "halving_epoch"),
        ] {
            same(&block[own], &reference[theirs], &format!("block {height}, {own}"));
        }
        let supply = block["supply_total_sat"].as_i64().expect("a supply") as f64 / 1e8;
        same(&supply.into(), &sets[height]["total_amount"], &format!("supply at {height}"));
    }
}

fn compare_buckets(address: &str) {
    let buckets = ask(
        address,
        "select *, arrow_cast(bucket, 'Int64') / 1000000 as start from btc_primitive_10m order by bucket",
    );
    let buckets = buckets.expect("rows");
    let references = rows("ref_buckets_10m_by_time.jsonl.zst");
    assert_eq!(buckets.len(), references.len());
    for (bucket, reference) in buckets.iter().zip(&references) {
        for (own, theirs) in [
            ("start", "bucket_start"),
            ("block_count", "block_count"),
            ("fees_sat_10m", "fees_sat"),
            ("miner_revenue_sat_10m", "miner_revenue_sat"),
            ("total_out_sat_10m", "total_out_sat"),
            ("tx_count_10m", "tx_count"),
            ("tx_count_ex_coinbase_10m", "tx_count_ex_coinbase"),
            ("input_count_10m", "input_count"),
            ("output_count_10m", "output_count"),
            ("block_size_total_bytes_10m", "block_size_total_bytes"),
            ("supply_total_sat", "supply_total_sat"),
            ("difficulty_last", "difficulty_last"),
            ("chainwork_last", "chainwork_last"),
            ("best_block_height_last", "best_block_height_last"),
            ("halving_epoch", "halving_epoch"),
            ("block_interval_mean_sec_10m", "block_interval_mean_sec"),
            ("block_interval_median_sec_10m", "block_interval_median_sec"),
            ("avg_fee_sat_10m", "avg_fee_sat"),
            ("median_fee_sat_10m", "median_fee_sat"),
            ("avg_feerate_sat_vb_10m", "avg_feerate_sat_vb"),
            ("segwit_share_10m", "segwit_share_ex_coinbase"),
            ("tx_size_mean_bytes_10m", "tx_size_mean_bytes"),
            ("block_size_mean_bytes_10m", "block_size_mean_bytes"),
        ] {
            same(&bucket[own], &reference[theirs], &format!("bucket {}, {own}", reference["bucket_start"]));
        }
        assert!(bucket["price_close_usd"].is_null(), "no venue told a price: {bucket}");
    }
}

#[test]
fn a_reorganisation_and_kills_leave_what_a_clean_start_gives() {
    let clean = world(&[]);
    let (mut process, address) = clean.run();
    wait_for(&address, &last_hash());
    process.end();
    let clean_state = state(&clean);

    let forked = world(&["--arrived", &ARRIVED_BRANCH_A.to_string()]);
    let tell = |order: &str| {
        let (status, said) = post(&format!("{}/node", forked.admin), order);
        assert_eq!(status, 200, "{order}: {said}");
    };
    let tip = || {
        let (_, told) = get(&format!("{}/node", forked.admin));
        told["tip"].as_str().or(told["hash"].as_str()).unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    let run = |forked: &World| -> (Process, String) { forked.run() };
    // Killed while it catches up, with the losing branch active, and in the middle of the reorganisation.
    let (mut process, address) = run(&forked);
    until(Duration::from_mins(1), "some blocks are there", || {
        let count = ask(&address, "select count(*) as n from btc_primitive_block")?[0]["n"].as_i64();
        if count > Some(0) { Ok(()) } else { Err(format!("{count:?}")) }
    });
    process.kill();
    let (mut process, address) = run(&forked);
    wait_for(&address, &tip());
    process.kill();
    tell("feed=4");
    let (mut process, address) = run(&forked);
    until(Duration::from_mins(1), "the losing branch is told stale", || {
        let query = "select count(*) as n from btc_blocks where state = 'stale'";
        let count = ask(&address, query)?[0]["n"].as_i64();
        if count >= Some(3) { Ok(()) } else { Err(format!("{count:?} stale blocks")) }
    });
    process.kill();
    tell("feed");
    let (mut process, address) = run(&forked);
    wait_for(&address, &last_hash());
    process.end();
    assert_eq!(state(&forked), clean_state);
    let stale = forked.sql("select height from btc_blocks where state = 'stale' order by height");
    let heights: Vec<&str> = stale.iter().map(|row| row[0].as_str()).collect();
    assert!(heights.ends_with(&["315", "316", "317"]), "{heights:?}");
}

/// Start of a ten minutes so many of them ago, seconds since 1970.
fn buckets_ago(count: u64) -> u64 {
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    now / 600 * 600 - count * 600
}

#[test]
fn six_venues_give_one_price_that_a_faulty_one_does_not_move() {
    let world = World::start(&[
        "--venues",
        "binance,bybit",
        "--instruments",
        "1",
        "--rate",
        "2",
        "--history",
        "2d",
        "--blocks",
        "60",
    ]);
    let (from, until) = (buckets_ago(18), buckets_ago(12));
    let fault = format!("bitstamp:skew=-0.2@{from}+1h");
    let (status, said) = post(&format!("{}/prices/faults", world.admin), &fault);
    assert_eq!(status, 200, "{said}");
    let places = world.prices.as_object().unwrap_or_else(|| panic!("no price sources: {}", world.prices));
    let places: Vec<String> = places
        .iter()
        .map(|(name, origin)| format!("{name}={}", origin.as_str().expect("an origin")))
        .collect();
    assert_eq!(places.len(), 6, "{places:?}");
    let node = |name: &str| world.node[name].as_str().expect("a node").to_owned();
    let sections = format!(
        "[price]\nenabled = true\nplaces = {places:?}\n[btc]\nenabled = true\nnetwork = \"regtest\"\nurl = \"{}\"\ncookie = \"{}\"\n",
        node("url"),
        node("cookie"),
    );
    world.configure("", &sections);
    let (mut process, address) = world.run();
    let span = format!("bucket >= to_timestamp({from}) and bucket < to_timestamp({until})");
    let medians = until_composed(&address, &span);
    for row in &medians {
        let told = row["venues_rejected"].as_str().expect("a text");
        assert!(told.lines().any(|line| line.starts_with("bitstamp: ") && line.contains("below")), "{row}");
        assert_eq!(row["venues_used"], "bitfinex,coinbase", "{row}");
    }
    // What the two others say, without the faulty one.
    let query = format!(
        "select c.close as close, min(v.close) as low, max(v.close) as high from composed_prices_10m c \
         join venue_prices_10m v on v.bucket = c.bucket and v.source in ('bitfinex', 'coinbase') \
         where c.method = 'median' and c.{span} group by c.bucket, c.close"
    );
    for row in ask(&address, &query.replace(" and bucket <", " and c.bucket <")).expect("rows") {
        let cell = |name: &str| row[name].as_f64().expect("a number");
        assert!(cell("low") <= cell("close") && cell("close") <= cell("high"), "{row}");
    }
    let query = "select c.close as close, sum(v.close * v.volume) / sum(v.volume) as formula, c.volume as volume, \
                 sum(v.volume) as volumes, c.source_count as used, count(*) as venues from composed_prices_10m c \
                 join venue_prices_10m v on v.bucket = c.bucket where c.method = 'volume_weighted' \
                 group by c.bucket, c.close, c.volume, c.source_count having sum(v.volume) > 0";
    let rows = ask(&address, query).expect("rows");
    assert!(rows.len() > 30, "{}", rows.len());
    for row in &rows {
        same(&row["close"], &row["formula"], "close by volume");
        same(&row["volume"], &row["volumes"], "volume");
        assert_eq!(row["used"], row["venues"], "{row}");
    }
    let priced = ask(
        &address,
        "select count(*) as n from btc_primitive_10m b join btc_nvt_10m m on m.bucket_start_utc = b.bucket \
         where b.price_close_usd is not null and (m.nvt_raw is not null or m.reason = 'no_transfers')",
    );
    assert!(priced.expect("rows")[0]["n"].as_i64() > Some(10));
    process.end();
}

/// The composed prices of a span, once every venue was heard.
fn until_composed(address: &str, span: &str) -> Vec<Value> {
    until(Duration::from_secs(90), "every venue was heard and composed", || {
        let query =
            format!("select count(*) as n, count(distinct source) as m from venue_prices_10m where {span}");
        let heard = ask(address, &query)?;
        if heard[0]["m"].as_i64() != Some(6) || heard[0]["n"].as_i64() < Some(36) {
            return Err(format!("{heard:?}"));
        }
        let query = format!(
            "select * from composed_prices_10m where method = 'median' and source_count > 0 and {span} order by bucket"
        );
        let rows = ask(address, &query)?;
        // Rows composed before the last venue was heard come again.
        let judged = |row: &Value| {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            text("venues_used").split(',').count() + text("venues_rejected").lines().count()
        };
        if rows.len() == 6 && rows.iter().all(|row| judged(row) == 6) {
            Ok(rows)
        } else {
            Err(format!("{rows:?}"))
        }
    })
}
