//! What the guide on Bitcoin says in place of the old system's commands, questions and names is run as it stands there.

mod known;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use known::{ANSWERED, OLD, SAID, STAYS};

use crate::chain_world::{section, told};
use crate::world::{Process, World, block_on, tickhouse, until};

const GUIDE: &str = include_str!("../../../../docs/guide/bitcoin.md");
const HEADING: &str = "## From the old system to this one";
const TOKEN: &str = "a-token-for-those-who-post";

/// A row of the guide's tables: what stands in code, left and right.
#[derive(Debug)]
struct Row {
    old: Vec<String>,
    new: Vec<String>,
    has_words_alone: bool,
}

fn guide() -> Vec<Row> {
    let (_, part) = GUIDE.split_once(HEADING).expect("the guide has its heading");
    let cells =
        part.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let rows = cells.filter(|(old, _)| *old != "old");
    rows.map(|(old, new)| Row {
        old: code(old),
        new: code(new),
        has_words_alone: new.starts_with("nothing: ") || new.starts_with("the same "),
    })
    .collect()
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Commands, questions, queries and settings of the right side, in their order.
fn new_ones(begins: &str) -> Vec<String> {
    let all = guide().into_iter().flat_map(|row| row.new);
    all.filter_map(|one| one.strip_prefix(begins).map(str::to_owned)).collect()
}

#[test]
fn every_name_of_the_old_system_is_in_the_guide() {
    let rows = guide();
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| &row.old).map(String::as_str).collect();
    for old in OLD {
        let is_part = |name: &&str| name.starts_with("UPDATE ") && name.contains(old);
        assert!(
            named.contains(old) || named.iter().any(is_part),
            "{old} is not on the left of the guide's tables"
        );
    }
    for row in &rows {
        assert!(row.has_words_alone || !row.new.is_empty(), "nothing stands in place of {:?}", row.old);
    }
    // What the guide tells to type is known here, and the other way round.
    let known = |all: Vec<String>, known: Vec<&str>, what: &str| {
        let all: BTreeSet<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(all, known.into_iter().collect(), "{what} of the guide, and those that are checked here");
    };
    let said = SAID.iter().map(|(command, _)| *command).chain(STAYS.iter().map(|(command, _)| *command));
    known(new_ones("tickhouse "), said.collect(), "commands");
    let paths = new_ones("curl ").iter().map(|line| Question::of(line, "").path.clone()).collect();
    known(paths, ANSWERED.iter().map(|(path, _)| *path).collect(), "questions");
}

/// Node, six venues and a house that knows where they are. Binance is fed from elsewhere, as it always was.
fn whole_world() -> World {
    let world = World::start(&[
        "--venues",
        "binance,bybit",
        "--instruments",
        "1",
        "--rate",
        "2",
        "--history",
        "4d",
        "--blocks",
        "1060",
    ]);
    let sources = world.prices.as_object().expect("price sources").iter();
    let places: Vec<String> = sources
        .filter(|(name, _)| *name != "binance")
        .map(|(name, origin)| format!("{name}={}", origin.as_str().expect("an origin")))
        .collect();
    let prices = format!("[price]\nenabled = true\nplaces = {places:?}\ningest_token = \"{TOKEN}\"\n");
    world.configure("", &format!("{}{prices}", section(&world, "")));
    world
}

#[test]
fn what_the_guide_says_in_place_of_the_old_system_works() {
    let world = whole_world();
    let folder = world.place.path();
    assert_eq!(told(&world)["height"], 1060);
    settings_are_known(folder);
    let mut done = BTreeSet::new();
    let late = ["btc status", "status"];
    for command in new_ones("tickhouse ").into_iter().filter(|command| !late.contains(&command.as_str())) {
        if let Some((_, line)) = STAYS.iter().find(|(name, _)| *name == command) {
            if done.insert(command.clone()) && command != "run" {
                stay(&world, &command, line);
            }
        } else {
            done.insert(command.clone());
            let words = words(&command);
            run(folder, &words.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    let (mut process, address) = world.run();
    until(Duration::from_mins(1), "chain and price stand at the end", || {
        let health = crate::world::get(&format!("http://{address}/api/v1/btc/health")).1;
        let is_ready = health["lag_blocks"] == 0 && health["last_price_bucket_time"].is_number();
        if is_ready { Ok(()) } else { Err(health.to_string()) }
    });
    for line in new_ones("curl ") {
        ask(&Question::of(&line, &address));
    }
    push_to(&world, &address);
    keys_are_known(folder);
    for query in new_ones("select ") {
        // What goes by the clock gives its first sign once the node has been quiet for a moment.
        let rows = until(Duration::from_mins(1), "there are rows", || {
            let rows = crate::chain_world::ask(&address, &format!("select {query}"))?;
            if rows.is_empty() { Err(format!("select {query}: no rows")) } else { Ok(rows) }
        });
        let is_right = rows.iter().all(|row| row["status"].is_null() || row["status"] == "ok");
        assert!(is_right, "select {query}: {rows:?}");
    }
    for command in late {
        run(folder, &words(command).iter().map(String::as_str).collect::<Vec<_>>());
    }
    process.end();
}

/// Runs a command of the guide to its end, and looks at what it says.
fn run(folder: &Path, words: &[&str]) {
    let name = words.join(" ");
    let output = tickhouse(folder, words);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "tickhouse {name}: {said}{error}");
    let (_, parts) = SAID.iter().find(|(command, _)| *command == name).expect("it is known here");
    for part in *parts {
        assert!(said.contains(part), "tickhouse {name}: {part:?} is not in: {said}");
    }
}

/// Starts one that stays, posting to an address where it is `price push`, and waits for its word.
fn start(world: &World, command: &str, line: &str, address: &str) -> Process {
    let (rest, stream) = &world.venues["binance"];
    let ingest = format!("http://{address}/api/v1/internal/price/source/binance/10m");
    let variables = [
        ("PRICE_WS_SOURCE", "binance"),
        ("PRICE_WS_SYMBOL", "BTCUSDT"),
        ("PRICE_WS_CHILD_INTERVAL", "1m"),
        ("PRICE_WS_OUTPUT_MODE", "remote_push"),
        ("PRICE_WS_REMOTE_INGEST_URL", &ingest),
        ("PRICE_WS_REMOTE_INGEST_TOKEN", TOKEN),
        ("PRICE_WS_STREAM_BASE", stream),
        ("PRICE_WS_API_BASE", rest),
    ];
    for (name, _) in &variables[..6] {
        let named = guide().into_iter().flat_map(|row| row.old).any(|old| old == *name);
        assert!(named, "{name} is not in the guide");
    }
    let words = words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut process = Process::start_with("stays", &variables, &words, world.place.path());
    process.line(|said| said.contains(line));
    process
}

/// The old collector's variables bring rows of the last hours into the house that is told by them.
fn push_to(world: &World, address: &str) {
    let (command, line) = STAYS.iter().find(|(name, _)| *name == "price push").expect("it is known here");
    let mut process = start(world, command, line, address);
    let query = "select count(*) as n from binance_price_10m where data_source_mode in ('rest', 'stream') \
                 and quality_status = 'complete' and bucket_start_utc > now() - interval '7 hours'";
    until(Duration::from_mins(1), "six hours of rows are posted", || {
        let rows = crate::chain_world::ask(address, query)?;
        if rows[0]["n"].as_i64() >= Some(36) { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    process.end();
}

/// Each key that the guide names for a source's `config_json` can be set, and no other.
fn keys_are_known(folder: &Path) {
    let row = guide().into_iter().find(|row| row.old.first().is_some_and(|old| old == "config_json"));
    let row = row.expect("the guide says what became of config_json");
    let keys: Vec<String> = row.old.into_iter().skip(1).chain(row.new).collect();
    assert_eq!(keys.len(), 8, "{keys:?}");
    for key in keys {
        let value = match key.as_str() {
            "mode" => "local",
            "api_base" => "https://www.okx.com",
            "endpoint" => "/api/v5/market/history-candles",
            "market_type" => "spot",
            "historical_start_utc" => "2020-01-01T00:00:00Z",
            "auto_historical_backfill" => "true",
            "symbol" => "BTC-USDT",
            "poll_s" => "30",
            other => panic!("{other} is not known here"),
        };
        let output = tickhouse(folder, &["registry", "set", "okx", &format!("{key}={value}")]);
        assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output = tickhouse(folder, &["registry", "set", "okx", "colour=blue"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("colour"), "{error}");
}

/// Starts one that stays, and asks it to end.
fn stay(world: &World, command: &str, line: &str) {
    let mut process = start(world, command, line, "127.0.0.1:9");
    assert!(process.is_running(), "tickhouse {command} ended by itself");
    process.end();
}

/// Each setting that the guide names exists.
fn settings_are_known(folder: &Path) {
    let output = tickhouse(folder, &["config", "show"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut heading, mut known) = (String::new(), BTreeSet::new());
    for line in shown.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            name.clone_into(&mut heading);
        } else if let Some((name, _)) = line.split_once(" = ") {
            known.insert(format!("{heading}.{name}"));
        }
    }
    let is_setting =
        |name: &String| ["btc.", "price.", "serve."].iter().any(|section| name.starts_with(section));
    let named: Vec<String> = guide().into_iter().flat_map(|row| row.new).filter(is_setting).collect();
    assert!(named.len() >= 8, "{named:?}");
    for name in named {
        assert!(known.contains(&name), "{name} is no setting: {known:?}");
    }
}

/// Words of a line as a shell takes them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// A question as `curl` is told to ask it.
#[derive(Debug)]
struct Question {
    line: String,
    method: String,
    path: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Question {
    fn of(line: &str, address: &str) -> Self {
        let mut question = Self {
            line: line.to_owned(),
            method: "GET".to_owned(),
            path: String::new(),
            url: String::new(),
            headers: Vec::new(),
            body: None,
        };
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("curl {line}: {word} wants a word"));
            match word.as_str() {
                "-X" => question.method = value(),
                "-d" => question.body = Some(value()),
                "-H" => {
                    let header = value().replace("$TOKEN", TOKEN);
                    let (name, value) = header.split_once(": ").expect("name and value of a header");
                    question.headers.push((name.to_owned(), value.to_owned()));
                }
                url => {
                    let path = url.strip_prefix("http://localhost:8080");
                    path.unwrap_or_else(|| panic!("curl {line}: {url}")).clone_into(&mut question.path);
                    question.url = format!("http://{address}{}", question.path);
                }
            }
        }
        question
    }
}

/// Asks, and looks at the answer.
fn ask(question: &Question) {
    let (status, body) = block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let method = question.method.parse().expect("a method");
        let mut request = client.request(method, &question.url);
        for (name, value) in &question.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &question.body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body.clone());
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{question:?}: {error}"));
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    });
    assert_eq!(status, 200, "curl {}: {body}", question.line);
    let body: Value =
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{question:?}: {error}: {body}"));
    let (_, found) = ANSWERED.iter().find(|(path, _)| *path == question.path).expect("it is known here");
    for (place, is_right) in *found {
        let value = body.pointer(place);
        assert!(value.is_some_and(is_right), "curl {}: {place} is {value:?} in {body}", question.line);
    }
}
