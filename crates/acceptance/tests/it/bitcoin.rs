//! The chain of a node in the tables: the recorded chain against what the node and an independent program say of it, a
//! reorganisation while it is followed, and a price of six venues beside it.

use std::time::Duration;

use serde_json::Value;

use crate::chain_world::{PRICED, ask, buckets_ago, last_hash, rows, wait_for, world};
use crate::world::{World, post, until};

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
fn six_venues_give_one_price_that_a_faulty_one_does_not_move() {
    let world = World::start(&PRICED);
    let (from, end) = (buckets_ago(18), buckets_ago(12));
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
    let span = format!("bucket >= to_timestamp({from}) and bucket < to_timestamp({end})");
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
    // Rows that came later are composed again.
    until(Duration::from_mins(1), "prices by volume equal their formula", || {
        let rows = ask(&address, query)?;
        let is_formula = |row: &Value| {
            let near = |own: &str, theirs: &str| match (row[own].as_f64(), row[theirs].as_f64()) {
                (Some(own), Some(theirs)) => (own - theirs).abs() <= theirs.abs() * 1e-12,
                _ => false,
            };
            near("close", "formula") && near("volume", "volumes") && row["used"] == row["venues"]
        };
        match rows.iter().find(|row| !is_formula(row)) {
            None if rows.len() > 30 => Ok(()),
            None => Err(format!("{} rows", rows.len())),
            Some(row) => Err(row.to_string()),
        }
    });
    let query = "select count(*) as n from btc_primitive_10m b join btc_nvt_10m m on m.bucket_start_utc = b.bucket \
         where b.price_close_usd is not null and (m.nvt_raw is not null or m.reason = 'no_transfers')";
    until(Duration::from_mins(1), "metrics follow the price", || {
        let count = ask(&address, query)?[0]["n"].as_i64();
        if count > Some(10) { Ok(()) } else { Err(format!("{count:?}")) }
    });
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
