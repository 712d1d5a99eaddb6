//! A node, venues and posters that are wrong: each is named with what to do about it and counted, nothing is lost, and the house
//! goes on by itself once it is put right.

use std::collections::BTreeSet;
use std::time::Duration;

use control::Control;
use model::Time;
use serde_json::{Value, json};

use crate::chain_world::{PRICED, ask, buckets_ago, section, tell, told, world};
use crate::world::{World, block_on, get, get_text, post, tickhouse, tickhouse_with, until};

fn health(address: &str) -> Value {
    get(&format!("http://{address}/api/v1/btc/health")).1
}

/// Waits until a reason of the health says all of this; the health then.
fn degraded(address: &str, parts: &[&str]) -> Value {
    until(Duration::from_mins(1), "the trouble is told", || {
        let health = health(address);
        let reasons = health["reasons"].as_array().cloned().unwrap_or_default();
        let is_told = reasons.iter().any(|reason| {
            let reason = reason.as_str().unwrap_or_default();
            parts.iter().all(|part| reason.contains(part))
        });
        if is_told && health["status"] == "degraded" {
            Ok(health)
        } else {
            Err(format!("{parts:?}: {health}"))
        }
    })
}

/// Waits until nothing is wrong and all of the node's blocks are there.
fn healthy(world: &World, address: &str) -> Value {
    until(Duration::from_mins(1), "it goes on by itself", || {
        let (health, node) = (health(address), told(world));
        let is_right = health["status"] == "healthy" && health["last_primitive_height"] == node["height"];
        if is_right { Ok(health) } else { Err(format!("{node}: {health}")) }
    })
}

/// How often something was counted, over all lines of a metric whose labels hold this text.
fn counted(address: &str, name: &str, label: &str) -> f64 {
    let text = get_text(&format!("http://{address}/metrics"));
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn failures(address: &str, kind: &str) -> f64 {
    counted(address, "tickhouse_btc_node_failures_total", kind)
}

/// Every stored block, to see that none is lost or changed.
fn blocks(address: &str) -> BTreeSet<String> {
    let rows = ask(address, "select height, hash, fees_sat, supply_total_sat from btc_primitive_block");
    rows.expect("rows").iter().map(Value::to_string).collect()
}

#[test]
fn a_node_in_trouble_is_named_and_followed_on_when_it_is_right_again() {
    let world = world(&["--arrived", "300"]);
    let folder = world.place.path();
    tell(&world, "network=main");
    let (code, said) =
        tickhouse_with(folder, &[], &["btc", "sync", "-c", "tickhouse.toml", "--data", "other"]);
    assert!(code == Some(1) && said.contains("\"main\"") && said.contains("regtest"), "{code:?}: {said}");
    let (code, said) = tickhouse_with(folder, &[], &["doctor", "-c", "tickhouse.toml"]);
    assert!(code == Some(3) && said.contains("look  bitcoin node: ") && said.contains("\"main\""), "{said}");
    let (mut process, address) = world.run();
    let known = degraded(&address, &["\"main\"", "regtest", "name another node or network"]);
    assert!(known["last_raw_height"].is_null(), "blocks of another network were taken: {known}");
    assert!(failures(&address, "wrong_network") > 0.0);
    tell(&world, "none");
    healthy(&world, &address);
    let (before, height) = (blocks(&address), height(&world));
    assert_eq!(before.len() as u64, height + 1);

    // Gone, and back with more.
    tell(&world, "gone");
    let known = degraded(&address, &["the node does not answer", "cannot be reached"]);
    assert_eq!(known["last_raw_height"], height, "{known}");
    assert!(failures(&address, "unreachable") > 0.0);
    for command in [&["status"][..], &["btc", "status"]] {
        let (code, said) = tickhouse_with(folder, &[], command);
        assert!(
            code == Some(3) && said.contains("btc: the node does not answer"),
            "{command:?} {code:?}: {said}"
        );
    }
    tell(&world, "feed=5");
    tell(&world, "none");
    let known = healthy(&world, &address);
    assert_eq!(known["last_raw_height"], height + 5, "{known}");
    assert!(before.is_subset(&blocks(&address)), "blocks were lost or changed while the node was gone");
    process.end();
    wrong_cookie(&world);
    pruned(&world);
}

/// Height of the node's last block.
fn height(world: &World) -> u64 {
    told(world)["height"].as_u64().expect("a height")
}

/// The cookie of another node: named, and it goes on when the right one lies there, without a new block.
fn wrong_cookie(world: &World) {
    let right = std::fs::read_to_string(world.node["cookie"].as_str().expect("a path")).expect("a cookie");
    let file = world.place.path().join("wrong.cookie");
    std::fs::write(&file, "__cookie__:of-another-node").expect("writes");
    let theirs = section(world, "")
        .lines()
        .filter(|line| !line.starts_with("cookie"))
        .fold(String::new(), |all, line| all + line + "\n");
    world.configure("", &format!("{theirs}cookie = \"wrong.cookie\"\n"));
    let arguments = ["btc", "sync", "-c", "tickhouse.toml"];
    let output = tickhouse(world.place.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("wrong.cookie"), "{said}");
    assert!(!said.contains("of-another-node"), "a cookie is shown: {said}");
    let (mut process, address) = world.run();
    let known = degraded(&address, &["btc_raw_block_ingestion", "wrong.cookie", "name its own cookie file"]);
    assert_eq!(known["checkpoint_errors"][0]["height"], height(world), "{known}");
    assert!(failures(&address, "unauthorised") > 0.0);
    std::fs::write(&file, right).expect("writes");
    healthy(world, &address);
    process.end();
    world.configure("", &section(world, ""));
}

/// Blocks that are wanted next are there no more: it stays at its last safe block with the error, and answers all the same.
fn pruned(world: &World) {
    let last = height(world);
    tell(world, "feed=9");
    tell(world, &format!("prune={}", last + 6));
    let (mut process, address) = world.run();
    let (wanted, from) = (format!("let go of block {}", last + 1), format!("from height {} on", last + 6));
    let known = degraded(&address, &["btc_raw_block_ingestion", &wanted, &from, "not pruned"]);
    let error = &known["checkpoint_errors"][0];
    assert_eq!(error["component"], "btc_raw_block_ingestion", "{known}");
    assert_eq!((&error["height"], &known["last_raw_height"]), (&json!(last), &json!(last)), "{known}");
    assert!(failures(&address, "pruned") > 0.0);
    let row = ask(
        &address,
        "select best_block_height_last as n from btc_primitive_10m order by bucket desc limit 1",
    );
    assert_eq!(row.expect("rows")[0]["n"], last);
    process.end();
    // The message stays for those who look when nothing runs.
    let (code, said) = tickhouse_with(world.place.path(), &[], &["btc", "status", "-c", "tickhouse.toml"]);
    assert!(code == Some(3) && said.contains(&wanted), "{code:?}: {said}");
    // Beginning anew is refused while it cannot be done to the end, and nothing is let go of.
    let count = "select count(*), max(height) from btc_primitive_block";
    let stored = world.sql(count);
    for (more, part) in [
        (&[][..], format!("the node is pruned: it has blocks from {} on", last + 6)),
        (&["--end-height", "100000"], "wanted is 100000".to_owned()),
    ] {
        let arguments = [&["btc", "sync", "--mode", "full", "-c", "tickhouse.toml"], more].concat();
        let (code, said) = tickhouse_with(world.place.path(), &[], &arguments);
        assert!(code == Some(1) && said.contains(&part), "{code:?}: {said}");
        assert_eq!(world.sql(count), stored, "{said}");
    }
}

const TOKEN: &str = "the-token-of-this-house";

#[test]
fn wrong_candles_and_posts_are_refused_counted_and_do_no_harm() {
    let world = World::start(&PRICED);
    let (from, until_time) = (buckets_ago(18), buckets_ago(12));
    let faults = ["okx:nulls", "bitstamp:crossed", "coinbase:negative", "bitfinex:twice"];
    let faults: Vec<String> = faults.iter().map(|fault| format!("{fault}@{from}+1h")).collect();
    let (status, said) = post(&format!("{}/prices/faults", world.admin), &faults.join(","));
    assert_eq!(status, 200, "{said}");
    let sources = world.prices.as_object().expect("price sources").iter();
    let places: Vec<String> = sources
        .filter(|(name, _)| *name != "binance")
        .map(|(name, origin)| format!("{name}={}", origin.as_str().expect("an origin")))
        .collect();
    let prices = format!("[price]\nenabled = true\nplaces = {places:?}\ningest_token = \"{TOKEN}\"\n");
    looked_at(&world, &prices);
    world.configure("", &format!("{}{prices}", section(&world, "")));
    let (mut process, address) = world.run();
    let span = format!("bucket >= to_timestamp({from}) and bucket < to_timestamp({until_time})");
    wrong_candles(&address, &span);
    wrong_posts(&address, from);
    wrong_metrics(&world, &address);
    process.end();
}

/// A doctor names the source that cannot be reached and the folder that is not there, and says of the others that all is well.
fn looked_at(world: &World, prices: &str) {
    let okx = world.prices["okx"].as_str().expect("an origin");
    let closed = prices.replace(okx, "http://127.0.0.1:9");
    world.configure("", &format!("{}{closed}", section(world, "blocks_folder = \"nowhere\"")));
    let (code, said) = tickhouse_with(world.place.path(), &[], &["doctor", "-c", "tickhouse.toml"]);
    for part in [
        "look  block files: nowhere: ",
        "btc.blocks_folder",
        "look  price source okx: http://127.0.0.1:9: ",
        "tickhouse registry disable okx",
        "ok    price source coinbase: http",
        "ok    price source binance: it is remote",
        "ok    bitcoin node: ",
    ] {
        assert!(code == Some(3) && said.contains(part), "{part:?} is not said, {code:?}: {said}");
    }
}

/// Rows that cannot be true are left out, the others stand, and a price is composed of them.
fn wrong_candles(address: &str, span: &str) {
    until(Duration::from_secs(90), "every venue was heard, and a price composed of what is left", || {
        let heard = "select component from checkpoints where component like 'btc_price_source_%'";
        let composed = format!(
            "select close from composed_prices_10m where method = 'median' and source_count = 1 and {span}"
        );
        let (heard, composed) = (ask(address, heard)?, ask(address, &composed)?);
        if heard.len() == 5 && composed.len() == 6 { Ok(()) } else { Err(format!("{heard:?} {composed:?}")) }
    });
    let query = format!(
        "select source, count(*) as n from venue_prices_10m where {span} group by source order by source"
    );
    let rows = ask(address, &query).expect("rows");
    let expected = json!([{"source": "bitfinex", "n": 6}, {"source": "bybit", "n": 6}]);
    assert_eq!(Value::from(rows), expected, "rows of an hour in which three venues were wrong");
    let refused = |source: &str| {
        counted(address, "tickhouse_price_candles_refused_total", &format!("source=\"{source}\""))
    };
    // What comes twice is taken once, and counted the second time.
    for source in ["okx", "bitstamp", "coinbase", "bitfinex"] {
        assert!(refused(source) >= 12.0, "{source}: {} candles refused", refused(source));
    }
    assert!(refused("bybit") < 1.0, "bybit: {} candles refused", refused("bybit"));
    let outside = "select count(distinct source) as n from venue_prices_10m";
    assert_eq!(ask(address, outside).expect("rows")[0]["n"], 5, "other hours of the three are there");
}

/// POST of a row of Binance: the status, and the code of a refusal or what was taken.
fn post_row(address: &str, source: &str, token: Option<&str>, body: String) -> (u16, Value) {
    let url = format!("http://{address}/api/v1/internal/price/source/{source}/10m");
    block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut request = client.post(&url).header("content-type", "application/json").body(body);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_else(|error| panic!("{url}: {status}: {error}")))
    })
}

fn row(changes: Value) -> String {
    let mut row = json!({"bucket_start_utc": "2024-08-08T12:00:00Z", "open": "61837.63", "high": "61840",
                         "low": "61830.5", "close": "61839.1", "volume": "12.5"});
    let fields = row.as_object_mut().expect("an object");
    let Value::Object(changes) = changes else { panic!("{changes}") };
    fields.extend(changes);
    row.to_string()
}

fn wrong_posts(address: &str, now: u64) {
    let later = format!("{}", (now + 30 * 86_400) * 1_000);
    for (source, token, body, status, parts) in [
        ("binance", None, row(json!({})), 401, &["token_missing", "Authorization"][..]),
        ("binance", Some("a-guess"), row(json!({})), 403, &["bad_token", "settings"]),
        ("binance", Some("a-guess"), "x".repeat(10 << 20), 403, &["bad_token"]),
        ("binance", Some(TOKEN), "x".repeat(10 << 20), 413, &["body_too_large"]),
        ("mtgox", Some(TOKEN), row(json!({})), 404, &["unknown_source", "binance"]),
        ("binance", Some(TOKEN), "{\"bucket".to_owned(), 422, &["bad_row", "JSON object"]),
        ("binance", Some(TOKEN), row(json!({"volume": "-1"})), 422, &["volume -1 is negative", "BTC"]),
        ("binance", Some(TOKEN), row(json!({"high": "61000"})), 422, &["high 61000 is below open"]),
        ("binance", Some(TOKEN), row(json!({"close": null})), 422, &["close is missing"]),
        ("binance", Some(TOKEN), row(json!({"close": "NaN"})), 422, &["close is no decimal number"]),
        ("binance", Some(TOKEN), row(json!({"colour": "red"})), 422, &["unknown field", "colour"]),
        ("binance", Some(TOKEN), row(json!({"source": "okx"})), 422, &["okx", "binance"]),
        ("binance", Some(TOKEN), row(json!({"bucket_start_utc": "2024-08-08T12:05:00Z"})), 422, &["grid"]),
        ("binance", Some(TOKEN), row(json!({"bucket_start_utc": later})), 422, &["in the future", "clocks"]),
    ] {
        let what: String = body.chars().take(200).collect();
        let (found, answer) = post_row(address, source, token, body);
        assert_eq!(found, status, "{what}: {answer}");
        let text = answer.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{what}: {parts:?} are not all in {text}");
        assert!(answer["error"]["remedy"].is_string(), "{what}: {answer}");
        assert!(!text.contains(TOKEN), "the token is shown: {text}");
    }
    let refusals =
        |code: &str| counted(address, "tickhouse_serve_refusals_total", &format!("code=\"{code}\""));
    for (code, count) in
        [("token_missing", 1.0), ("bad_token", 2.0), ("body_too_large", 1.0), ("bad_row", 9.0)]
    {
        assert!((refusals(code) - count).abs() < 0.5, "{code}: {} counted, {count} made", refusals(code));
    }
    let stored = "select close, volume from binance_price_10m";
    assert_eq!(ask(address, stored).expect("rows"), Vec::<Value>::new(), "nothing refused was stored");
    // Twice in one post, then once more: one row, the last one.
    let twice = format!("[{},{}]", row(json!({"volume": "1"})), row(json!({"volume": "2"})));
    let (status, answer) = post_row(address, "binance", Some(TOKEN), twice);
    assert_eq!(
        (status, &answer["data"]["accepted"], &answer["data"]["duplicates"]),
        (200, &json!(1), &json!(1)),
        "{answer}"
    );
    for _ in 0..2 {
        let (status, answer) = post_row(address, "binance", Some(TOKEN), row(json!({"volume": "3"})));
        assert_eq!(status, 200, "{answer}");
    }
    let rows = ask(address, stored).expect("rows");
    assert_eq!(Value::from(rows), json!([{"close": 61839.1, "volume": 3.0}]));
    let posted = counted(address, "tickhouse_price_rows_posted_total", "source=\"binance\"");
    assert!((posted - 3.0).abs() < 0.5, "{posted} rows counted");
    // The local checkpoint of a source that is fed from elsewhere stays where it was: nowhere.
    let query = "select component from checkpoints where component = 'btc_price_source_binance'";
    assert_eq!(ask(address, query).expect("rows"), Vec::<Value>::new());
}

/// Metrics that are not there, or depend on each other in a circle, are named; the others are computed.
fn wrong_metrics(world: &World, address: &str) {
    let (status, answer) = get(&format!("http://{address}/api/v1/btc/metrics/astrology"));
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("unknown_metric")), "{answer}");
    assert!(answer["error"]["remedy"].is_string(), "{answer}");
    let url = format!("http://{address}/api/v1/btc/registry/metrics/astrology/enable");
    assert_eq!(post(&url, "").0, 404);
    let arguments = ["registry", "enable", "astrology", "-c", "tickhouse.toml"];
    let (code, said) = tickhouse_with(world.place.path(), &[], &arguments);
    assert!(code == Some(2) && said.contains("astrology") && said.contains("nvt"), "{code:?}: {said}");
    // Two that need each other, as somebody might write them into the registry.
    let control =
        Control::open(world.place.path().join("data/control.sqlite")).expect("the control state opens");
    let mut rows = control.metrics().expect("metrics");
    let before = rows.clone();
    rows.retain(|row| row.metric_name == "nvt" || row.metric_name == "market_cap");
    assert!(rows.len() >= 2, "{before:?}");
    for row in &mut rows {
        let other = if row.metric_name == "nvt" { "market_cap" } else { "nvt" };
        other.clone_into(&mut row.dependencies);
    }
    control.seed_metrics(&rows, Time(0)).expect("the registry takes it");
    let switch = |name: &str, word: &str| {
        let (status, said) = post(&format!("http://{address}/api/v1/btc/registry/metrics/{name}/{word}"), "");
        assert_eq!(status, 200, "{said}");
    };
    switch("hash_rate", "disable");
    switch("hash_rate", "enable");
    let known = degraded(address, &["btc_metric_nvt_10m", "cycle", "market_cap"]);
    let failed = known["checkpoint_errors"].as_array().expect("a list").iter();
    let failed: BTreeSet<&str> = failed.map(|error| error["component"].as_str().expect("a name")).collect();
    assert!(failed.contains("btc_metric_market_cap_10m"), "{failed:?}");
    assert!(!failed.contains("btc_metric_hash_rate_10m"), "{failed:?}");
    // Put right, it computes them again.
    control.seed_metrics(&before, Time(0)).expect("the registry takes it");
    switch("hash_rate", "enable");
    healthy(world, address);
}
