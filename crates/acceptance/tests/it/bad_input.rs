//! Bad input gets one clear message with the remedy, and nothing already recorded is lost or changed.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use crate::world::{World, eventually, get, post, sql, tickhouse};

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_configuration_with_five_mistakes_names_them_all() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let text = "[serve]\naddress = \"nowhere\"\nreaders = 5\n[rawlog]\nsegment_mib = 0\n[venues.kraken]\nenabled = true\n\
                [refine]\nflush_s = \"soon\"\n";
    std::fs::write(place.path().join("tickhouse.toml"), text).expect("writes");
    let output = tickhouse(place.path(), &["run"]);
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["5 mistakes", "toml:2", "toml:3", "toml:5", "toml:7", "toml:9", "did you mean"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn a_busy_port_and_a_folder_that_is_a_file_are_named() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = tickhouse(place.path(), &["demo", "--port", &port, "--for", "2s"]);
    let said = words(&output.stderr);
    assert!(!output.status.success() && said.contains(&port), "{said}");
    std::fs::write(place.path().join("file"), "not a folder").expect("writes");
    let output = tickhouse(place.path(), &["demo", "--port", "0", "--data", "file", "--for", "2s"]);
    let said = words(&output.stderr);
    assert!(!output.status.success() && said.contains("file") && said.contains("--data"), "{said}");
}

#[test]
fn readers_mistakes_are_answered_with_4xx_and_a_remedy() {
    let world = World::start(&["--seed", "3", "--instruments", "2", "--rate", "100"]);
    world.configure("", "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 10\n");
    let (mut process, address) = world.run();
    let api = format!("http://{address}/api/v1");
    eventually(Duration::from_secs(30), "instruments are known", || {
        (get(&format!("{api}/data/klines/BTCUSDT?timeframe=1")).0 == 200).then_some(())
    });
    for path in [
        "/data/klines/NOSUCHCOIN?timeframe=1",
        "/data/klines/BTCUSDT?timeframe=0",
        "/data/klines/BTCUSDT?timeframe=43201",
        "/data/klines/BTCUSDT?timeframe=1&start_time=2000000000000&end_time=1000000000000",
        "/data/klines/BTCUSDT?timeframe=1&limit=many",
        "/data/klines/BTCUSDT?timeframe=1&venue=nyse",
        "/data/trades/BTCUSDT?start_time=yesterday",
        "/data/nothing/BTCUSDT",
    ] {
        let (status, body) = get(&format!("{api}{path}"));
        assert!((400..500).contains(&status), "{path}: {status} {body}");
        assert!(
            body["error"]["message"].is_string() && body["error"]["remedy"].is_string(),
            "{path}: {body}"
        );
    }
    for query in
        ["drop table trades", "insert into trades values (1)", "selec 1", "select * from nowhere", ""]
    {
        let body = serde_json::json!({ "query": query }).to_string();
        let (status, text) = post(&format!("{api}/sql"), &body);
        assert!((400..500).contains(&status), "{query}: {status} {text}");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert!(body["error"]["message"].is_string(), "{query}: {text}");
    }
    process.end();
}

#[test]
fn damaged_files_are_named_and_the_rest_stays_readable() {
    let world = World::start(&["--seed", "5", "--instruments", "2", "--rate", "300"]);
    world.configure(
        "",
        "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 10\n[rawlog]\narchive = false\n",
    );
    let (mut process, _) = world.run();
    std::thread::sleep(Duration::from_secs(6));
    process.end();
    let data = world.place.path().join("data");
    let before = sql(world.place.path(), "data", "select count(*) from trades");

    let log = data.join("log");
    let segment = std::fs::read_dir(&log)
        .expect("the log is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().map(|data| data.len()).unwrap_or_default())
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    std::fs::write(&segment, bytes).expect("writes");
    let output = tickhouse(world.place.path(), &["log", "verify", "--data", "data"]);
    let said = words(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(said.contains(&name), "{said}");

    let (mut process, _) = world.run();
    std::thread::sleep(Duration::from_secs(2));
    process.end();
    let after = sql(world.place.path(), "data", "select count(*) from trades");
    let count = |rows: &[Vec<String>]| rows[0][0].parse::<u64>().expect("a number");
    assert!(count(&after) >= count(&before), "a damaged log must not cost stored rows");

    let quotes = walk(&data.join("lake/quotes"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "parquet"));
    let quotes = quotes.expect("a data file of quotes");
    let whole = std::fs::read(&quotes).expect("reads");
    std::fs::write(&quotes, &whole[..whole.len() / 2]).expect("writes");
    let output =
        tickhouse(world.place.path(), &["sql", "--data", "data", "select sum(bid_price) from quotes"]);
    let said = words(&output.stderr);
    let name = quotes.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(!output.status.success() && said.contains(&name), "{said}");
    assert_eq!(count(&sql(world.place.path(), "data", "select count(*) from trades")), count(&after));
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}
