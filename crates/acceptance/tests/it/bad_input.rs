//! Bad input gets one clear message with the remedy, and nothing already recorded is lost or changed.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, binary, eventually, get, post, sql, talk, tickhouse, tickhouse_with};

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_configuration_with_five_mistakes_names_them_all() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let text = "[serve]\naddress = \"nowhere\"\nreaders = 5\n[rawlog]\nsegment_mib = 0\n[venues.kraken]\nenabled = true\n\
                [refine]\nflush_s = \"soon\"\n";
    std::fs::write(place.path().join("tickhouse.toml"), text).expect("writes");
    for command in [&["run"][..], &["config", "check"], &["doctor", "--offline"], &["status"]] {
        let output = tickhouse(place.path(), command);
        let said = words(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        for part in ["5 mistakes", "toml:2", "toml:3", "toml:5", "toml:7", "toml:9", "did you mean"] {
            assert!(said.contains(part), "{command:?}: {part} is not in: {said}");
        }
    }
    assert!(!place.path().join("tickhouse-data").exists(), "nothing starts before all is good");
}

#[test]
fn wrong_use_ends_with_2_and_a_remedy() {
    let place = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(place.path().join("exists.toml"), "# mine\n").expect("writes");
    std::fs::write(place.path().join(".env"), "TICKHOUSE__SERVE__ADDRESS=0.0.0.0:8080\n").expect("writes");
    for (variables, arguments, parts) in [
        (
            &[][..],
            &["config", "check"][..],
            &["serve.address", ".env TICKHOUSE__SERVE__ADDRESS", "allow_remote"][..],
        ),
        (
            &[("TICKHOUSE__SERVE__ALLOW_REMOTE", "maybe")],
            &["config", "check"],
            &["true or false", "environment"],
        ),
        (
            &[
                ("TICKHOUSE__SERVE__ALLOW_REMOTE", "true"),
                ("TICKHOUSE__PRICE__PLACES", "kraken=http://127.0.0.1:1"),
            ],
            &["config", "check"],
            &["price.places", "kraken", "bitstamp"],
        ),
        (
            &[("TICKHOUSE__SERVE__ALLOW_REMOTE", "true"), ("TICKHOUSE__BTC__URL", "127.0.0.1:1")],
            &["config", "check"],
            &["btc.url", "http://host:port"],
        ),
        (&[("TICKHOUSE__SERVE__ALLOW_REMOTE", "true")], &["run"], &["no venue is enabled", "tickhouse init"]),
        (&[("TICKHOUSE__SERVE__ADDRESS", "127.0.0.1:1")], &["init", "exists.toml"], &["exists", "--force"]),
        (&[], &["demo", "--faults", "quake=1"], &["quake", "drop"]),
        (&[], &["demo", "--for", "soon"], &["20s"]),
        (&[], &["demo", "--log", "loud"], &["loud", "info"]),
        (&[], &["sim", "--venues", "nyse"], &["nyse", "bybit"]),
        (&[], &["log", "cat", "--kind", "gossip"], &["gossip", "answer"]),
        (&[], &["sql"], &["QUERY"]),
    ] {
        let (code, said) = tickhouse_with(place.path(), variables, arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: {part} is not in: {said}");
        }
    }
    let kept = std::fs::read_to_string(place.path().join("exists.toml")).expect("is there");
    assert_eq!(kept, "# mine\n");
}

#[test]
fn a_busy_port_and_a_folder_that_is_a_file_are_named() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = tickhouse(place.path(), &["demo", "--port", &port, "--for", "2s"]);
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&port) && said.contains("busy") && said.contains("--port"), "{said}");
    let made: Vec<_> = std::fs::read_dir(place.path()).expect("a folder").collect();
    assert!(!said.contains("panicked") && made.is_empty(), "nothing is begun: {made:?} {said}");
    std::fs::write(place.path().join("file"), "not a folder").expect("writes");
    let output = tickhouse(place.path(), &["demo", "--port", "0", "--data", "file", "--for", "2s"]);
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("file") && said.contains("--data"), "{said}");
}

/// The binary where everybody may run it, to be run as somebody who may not write everywhere.
fn as_nobody(place: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let copy = place.join("tickhouse");
    if !copy.exists() && std::fs::hard_link(binary(), &copy).is_err() {
        std::fs::copy(binary(), &copy).expect("the binary can be copied");
    }
    let mut command = Command::new(copy);
    command.args(arguments).current_dir(place);
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        // Root may write anywhere, whatever the folder says.
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().expect("runs");
    (output.status.code(), words(&[output.stdout, output.stderr].concat()))
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("the mode can be set");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named_and_can_still_be_read() {
    let place = tempfile::tempdir().expect("a temporary folder");
    allow(place.path(), 0o755);
    let output = tickhouse(place.path(), &["demo", "--port", "0", "--data", "data", "--for", "4s"]);
    assert!(output.status.success(), "{}", words(&output.stderr));
    let query = "select count(*), sum(cast(quantity as decimal(38, 8))) from trades";
    let before = sql(place.path(), "data", query);
    let data = place.path().join("data");
    let modes = |folder: u32, file: u32| {
        for path in walk(&data) {
            allow(&path, file);
        }
        for path in folders(&data) {
            allow(&path, folder);
        }
    };
    modes(0o555, 0o444);
    let files = walk(&data);
    let (code, said) = as_nobody(place.path(), &["demo", "--port", "0", "--data", "data", "--for", "2s"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("data") && said.contains("writable") && !said.contains("panicked"), "{said}");
    for arguments in [
        &["log", "verify", "--data", "data"][..],
        &["log", "inspect", "--data", "data"],
        &["sql", "--data", "data", "--format", "csv", query],
    ] {
        let (code, said) = as_nobody(place.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    let (code, said) = as_nobody(place.path(), &["doctor", "--offline", "--data", "data"]);
    assert!(code == Some(3) && said.contains("look  data folder") && said.contains("writable"), "{said}");
    assert_eq!(walk(&data), files, "nothing was added or taken away");
    modes(0o755, 0o644);
    assert_eq!(sql(place.path(), "data", query), before);
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
        "/data/klines/BTCUSDT?timeframe=1&colour=red",
        "/data/trades/BTCUSDT?start_time=yesterday",
        "/data/trades/BTCUSDT?start_time=2000000000000&end_time=1000000000000",
        "/data/books/BTCUSDT?venue=nyse",
        "/data/quotes/NOSUCHCOIN",
        "/data/nothing/BTCUSDT",
        "/coverage/NOSUCHCOIN",
    ] {
        let (status, body) = get(&format!("{api}{path}"));
        assert!((400..500).contains(&status), "{path}: {status} {body}");
        let told = body["error"]["message"].is_string() && body["error"]["remedy"].is_string();
        assert!(told, "{path}: {body}");
    }
    let (status, text) = post(&format!("{api}/sql"), &json!({ "query": "select 1" }).to_string());
    assert_eq!(status, 200, "{text}");
    for query in [
        "drop table trades",
        "insert into trades values (1)",
        "delete from trades",
        "update trades set price = 1",
        "copy trades to 'x.csv'",
        "create external table t stored as csv location '/etc/passwd'",
        "set datafusion.execution.batch_size = 1",
        "select 1; select 2",
        "selec 1",
        "select * from nowhere",
        "",
    ] {
        let (status, text) = post(&format!("{api}/sql"), &json!({ "query": query }).to_string());
        assert!((400..500).contains(&status), "{query}: {status} {text}");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert!(body["error"]["message"].is_string(), "{query}: {text}");
    }
    let (status, text) = post(&format!("{api}/sql"), &"select 1 ".repeat(1 << 20));
    assert_eq!(status, 413, "{text}");
    listeners_mistakes(&address);
    assert_eq!(get(&format!("{api}/data/klines/BTCUSDT?timeframe=1")).0, 200, "the house goes on");
    process.end();
}

/// On the live stream: each mistake is answered, and only a message beyond all size ends the connection.
fn listeners_mistakes(address: &str) {
    let subscribe =
        |subscription: Value| json!({ "action": "subscribe", "subscriptions": [subscription] }).to_string();
    let said = [
        ("this is no JSON".to_owned(), "bad_json"),
        ("{\"action\": \"subscribe\", \"subscriptions\": [".to_owned(), "bad_json"),
        (json!({ "action": "dance" }).to_string(), "unknown_action"),
        (subscribe(json!({ "symbol": "NOSUCHCOIN", "timeframes": [1] })), "unknown_symbol"),
        (subscribe(json!({ "symbol": "BTCUSDT", "venue": "nyse", "timeframes": [1] })), "unknown_venue"),
        (subscribe(json!({ "symbol": "BTCUSDT", "channels": ["gossip"] })), "unknown_channel"),
        (subscribe(json!({ "symbol": "BTCUSDT", "timeframes": [0] })), "bad_timeframe"),
        (subscribe(json!({ "symbol": "BTCUSDT", "timeframes": [43_201] })), "bad_timeframe"),
    ];
    let texts: Vec<String> = said.iter().map(|(text, _)| text.clone()).collect();
    // A refused subscription brings its error, then an answer that holds none: each text on a line of its own.
    for (text, (_, code)) in texts.iter().zip(&said) {
        let answer = &talk(address, std::slice::from_ref(text))[0];
        assert_eq!(answer["type"], "error", "{text}: {answer}");
        assert_eq!(answer["code"], *code, "{text}: {answer}");
        assert!(answer["message"].is_string() && answer["remedy"].is_string(), "{text}: {answer}");
    }
    let answers = talk(address, &["not JSON".to_owned(), json!({ "action": "ping" }).to_string()]);
    assert_eq!((&answers[0]["type"], &answers[1]["type"]), (&json!("error"), &json!("pong")));
    let answer = &talk(address, &["x".repeat(1 << 20)])[0];
    assert_eq!(answer["code"], "message_too_large", "{answer}");
}

#[test]
fn damaged_files_are_named_and_the_rest_stays_readable() {
    let world = World::start(&["--seed", "5", "--instruments", "2", "--rate", "300"]);
    let sections =
        "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 10\n[rawlog]\narchive = false\n";
    world.configure("books = [\"all\"]", sections);
    let (mut process, _) = world.run();
    let count = |query: &str| world.sql(query)[0][0].parse::<u64>().expect("a number");
    eventually(Duration::from_mins(1), "trades and quotes are recorded", || {
        (count("select count(*) from trades") > 500 && count("select count(*) from quotes") > 500)
            .then_some(())
    });
    process.end();
    let query =
        "select trade_id, venue_trade_id, price, quantity from trades order by instrument, venue_time, 1, 2";
    let before = world.sql(query);

    let data = world.place.path().join("data");
    let segment = walk(&data.join("log"))
        .into_iter()
        .max_by_key(|path| path.metadata().map(|data| data.len()).unwrap_or_default())
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    std::fs::write(&segment, bytes).expect("writes");
    let output = tickhouse(world.place.path(), &["log", "verify", "--data", "data"]);
    let said = words(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&name(&segment)) && said.contains("the tables keep"), "{said}");
    let output = tickhouse(world.place.path(), &["log", "cat", "--data", "data"]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output.stderr));
    assert!(words(&output.stderr).contains("log verify") && words(&output.stdout).lines().count() > 500);

    let (mut process, address) = world.run();
    eventually(Duration::from_secs(30), "recording goes on", || {
        (count("select count(*) from trades") > before.len() as u64 + 50).then_some(())
    });
    let after = world.sql(query);
    let rows: std::collections::BTreeSet<&Vec<String>> = after.iter().collect();
    let lost = before.iter().filter(|row| !rows.contains(row)).count();
    assert_eq!(lost, 0, "a damaged log must not cost or change stored rows");
    truncate_quotes(&world, &address);
    process.end();
    assert!(count("select count(*) from trades") >= after.len() as u64);
}

/// A Parquet file of quotes loses its second half: asked for, it is named, by the process and without one.
fn truncate_quotes(world: &World, address: &str) {
    let quotes = walk(&world.place.path().join("data/lake/quotes"));
    let files = quotes.into_iter().filter(|path| path.extension().is_some_and(|end| end == "parquet"));
    let quotes = files.min().expect("a data file of quotes");
    let whole = std::fs::read(&quotes).expect("reads");
    std::fs::write(&quotes, &whole[..whole.len() / 2]).expect("writes");
    let query = "select sum(bid_price) from quotes";
    let (status, text) =
        post(&format!("http://{address}/api/v1/sql"), &json!({ "query": query }).to_string());
    let body: Value = serde_json::from_str(&text).expect("JSON");
    assert!((400..500).contains(&status) && text.contains(&name(&quotes)), "{status} {text}");
    assert!(body["error"]["remedy"].is_string(), "{text}");
    let output = tickhouse(world.place.path(), &["sql", "--data", "data", query]);
    let said = words(&output.stderr);
    assert!(!output.status.success() && said.contains(&name(&quotes)), "{said}");
    assert!(!world.sql("select count(*) from trades").is_empty(), "other tables are still read");
    std::fs::write(&quotes, whole).expect("writes");
    assert!(!world.sql(query).is_empty(), "restored, it is read again");
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// Every file below a folder, sorted.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// A folder and every folder below it.
fn folders(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(folders(&path));
        }
    }
    found
}
