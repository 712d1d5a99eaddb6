//! Complete history: what the archives hold, what they lack, and the recording that goes on meanwhile end in one whole past, and
//! what nobody has is told with its cause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::world::{Process, World, get, post, sql, tickhouse};

/// How large a world is.
struct Scale {
    instruments: usize,
    days: usize,
    trades_per_day: u32,
    defects: &'static str,
}

impl Scale {
    fn now() -> Self {
        if is_soak() {
            return Self {
                instruments: 20,
                days: 61,
                trades_per_day: 16_700,
                defects: "missing=4,hole=250,lost=40,duplicate=250,rewritten=3,checksum=2,truncated=1,bomb=1,column=1,cut=3,unsorted=3,back=3",
            };
        }
        Self {
            instruments: 3,
            days: 9,
            trades_per_day: 12_000,
            defects: "missing=1,hole=8,lost=4,duplicate=8,rewritten=1,checksum=1,truncated=1,bomb=1,cut=1,unsorted=1,back=1",
        }
    }
}

fn is_soak() -> bool {
    std::env::var_os("TICKHOUSE_SOAK").is_some()
}

/// A past, and who asks for it.
struct Past {
    world: World,
    symbols: Vec<String>,
    from: String,
}

impl Past {
    fn start(seed: &str, scale: &Scale, faults: &str) -> Self {
        let [instruments, days, trades] =
            [scale.instruments.to_string(), format!("{}d", scale.days), scale.trades_per_day.to_string()];
        let world = World::start(&[
            "--seed",
            seed,
            "--instruments",
            &instruments,
            "--venues",
            "binance",
            "--history",
            &days,
            "--trades-per-day",
            &trades,
            "--days-only",
            "--defects",
            scale.defects,
            "--faults",
            faults,
        ]);
        world.configure(&format!("archive = \"{}\"", world.archive), "");
        let (_, summary) = get(&format!("{}/truth/days?venue=binance&symbol=BTCUSDT", world.admin));
        let from = summary[1]["day"].as_str().expect("a day").to_owned();
        let (_, defects) = get(&format!("{}/truth/defects", world.admin));
        let mut symbols: BTreeSet<String> = ["BTCUSDT".to_owned()].into();
        symbols.extend(rows(&defects).iter().filter_map(|row| Some(row["symbol"].as_str()?.to_owned())));
        Self { world, symbols: symbols.into_iter().collect(), from }
    }

    /// The words of a command.
    fn words(&self, command: &str) -> Vec<String> {
        let mut words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        words.extend(["--venue", "binance", "--from", &self.from, "-c", "tickhouse.toml"].map(str::to_owned));
        words.extend(["--instruments".to_owned(), self.symbols.join(",")]);
        words
    }

    /// Runs a command to its end: its exit code, what it said, and the most memory it held.
    fn command(&self, command: &str) -> (Option<i32>, String, u64) {
        let words = self.words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut process = Process::start("history", &words, self.world.place.path());
        process.ended_with_peak()
    }

    /// Begins a command and kills it after so long.
    fn killed(&self, command: &str, after: Duration) {
        let words = self.words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut process = Process::start("history", &words, self.world.place.path());
        std::thread::sleep(after);
        process.kill();
    }

    fn defects(&self, kinds: &[&str]) -> Vec<Value> {
        let (_, all) = get(&format!("{}/truth/defects", self.world.admin));
        let is_it = |row: &&Value| {
            kinds.contains(&row["kind"].as_str().unwrap_or_default())
                && row["day"].as_str() >= Some(&self.from)
        };
        rows(&all).iter().filter(is_it).cloned().collect()
    }

    /// Questions and their weight by endpoint, as our budget remembers them over all commands.
    fn counted(&self) -> BTreeMap<String, (u64, u64)> {
        let read = "import json, sqlite3, sys\n\
                    rows = sqlite3.connect(sys.argv[1]).execute('SELECT path, questions, weight FROM budget_endpoints')\n\
                    print(json.dumps({path: [questions, weight] for path, questions, weight in rows}))";
        let file = self.world.place.path().join("data/control.sqlite");
        let output = std::process::Command::new("python3").args(["-c", read]).arg(file).output();
        let output = output.expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("counts by path")
    }

    /// Everything that the venue has is in the tables, once, and what it has not is told.
    fn check(&self) {
        let place = self.world.place.path();
        for symbol in &self.symbols {
            let id = instrument(symbol);
            let query = format!(
                "select cast(date_trunc('day', venue_time) as varchar), count(*), count(distinct trade_id), \
                 cast(sum(cast(quantity as decimal(38, 10))) as varchar) from trades where instrument = '{id}' group by 1"
            );
            let stored: BTreeMap<String, Vec<String>> =
                sql(place, "data", &query).into_iter().map(|row| (row[0][..10].to_owned(), row)).collect();
            let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol={symbol}", self.world.admin));
            let mut days = rows(&days);
            let _today = days.pop().expect("a day");
            for day in days.iter().filter(|day| day["day"].as_str() >= Some(&self.from)) {
                let name = day["day"].as_str().expect("a day");
                let row = stored.get(name).unwrap_or_else(|| panic!("{id} {name} is not there"));
                assert_eq!(row[1], row[2], "{id} {name}: something is stored twice");
                assert_eq!(row[1], day["trades"].to_string(), "{id} {name}: trades");
                assert_eq!(
                    plain(&row[3]),
                    plain(day["volume"].as_str().expect("a sum")),
                    "{id} {name}: volume"
                );
            }
            let query = format!(
                "select first_id, last_id, cause from gaps where instrument = '{id}' and state = 'missing' order by 1"
            );
            let told: BTreeSet<String> = sql(place, "data", &query).iter().map(|row| row.join(" ")).collect();
            let lost = self.defects(&["lost"]);
            let expected: BTreeSet<String> = lost
                .iter()
                .filter(|row| row["symbol"] == symbol.as_str())
                .map(|row| format!("{} {} not_at_venue", row["first_id"], row["last_id"]))
                .collect();
            assert_eq!(told, expected, "{id}: what nobody has");
        }
        for symbol in &self.symbols {
            let id = instrument(symbol);
            let query = format!(
                "select count(*), count(*) filter (where cast(b.volume as decimal(38, 8)) = own) from \
                 (select date_trunc('minute', venue_time) as minute, sum(cast(quantity as decimal(38, 8))) as own \
                 from trades where instrument = '{id}' group by 1) t left join \
                 (select * from bars where instrument = '{id}' and source = 'trades' and timeframe = '1m') b \
                 on b.open_time = t.minute"
            );
            let bars = sql(place, "data", &query);
            assert_eq!(bars[0][0], bars[0][1], "{id}: every minute has a bar that is the sum of its trades");
        }
    }
}

fn rows(value: &Value) -> Vec<Value> {
    value.as_array().expect("a list").clone()
}

fn instrument(symbol: &str) -> String {
    format!("binance:{}-USDT", symbol.trim_end_matches("USDT"))
}

/// A decimal without zeros at its end.
fn plain(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The number before a word in what was said last.
fn said(text: &str, after: &str) -> u64 {
    let line =
        text.lines().rev().find(|line| line.contains(after)).unwrap_or_else(|| panic!("{after}: {text}"));
    let before = &line[..line.find(after).expect("it is there")];
    let digits: String = before.rsplit(' ').next().unwrap_or_default().replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("a number before {after:?}: {line}"))
}

#[test]
fn a_past_full_of_defects_ends_whole_and_every_defect_is_told() {
    let mut past = Past::start("31", &Scale::now(), "none");
    let (code, words, peak) = past.command("backfill --source archive");
    assert_eq!(code, Some(3), "{words}");
    let (status, _) = post(&format!("{}/archive/rewrite", past.world.admin), "");
    assert_eq!(status, 200);
    let (code, words, _) = past.command("verify --repair");
    assert_eq!(code, Some(3), "lost trades stay missing: {words}");
    past.check();
    let (_, words, _) = past.command("verify --deep");
    let spoilt: BTreeSet<(String, String)> =
        past.defects(&["missing", "checksum", "truncated", "bomb", "column"]).iter().map(file).collect();
    let twice = past.defects(&["duplicate"]).iter().filter(|row| !spoilt.contains(&file(row))).count();
    assert_eq!(said(&words, " came twice in their files"), twice as u64, "{words}");
    let lost: u64 = past.defects(&["lost"]).iter().filter_map(|row| row["trades"].as_u64()).sum();
    assert_eq!(said(&words, " missing in "), lost, "{words}");
    assert_eq!(said(&words, " holes"), past.defects(&["lost"]).len() as u64, "{words}");
    // The exchange never had to refuse, and counted no more than it allows.
    let (_, usage) = get(&format!("{}/usage", past.world.admin));
    assert_eq!(usage["binance"]["refused"], serde_json::json!({}), "{usage}");
    assert!(usage["binance"]["weight_most"].as_u64() <= Some(6_000), "{usage}");
    let theirs: BTreeMap<String, (u64, u64)> = usage["binance"]["endpoints"]
        .as_object()
        .expect("counts by path")
        .iter()
        .map(|(path, count)| {
            let number = |name: &str| count[name].as_u64().expect("a count");
            (path.clone(), (number("asked"), number("weight")))
        })
        .collect();
    assert_eq!(past.counted(), theirs, "what we think we asked is what the exchange was asked");
    // To look needs nobody.
    past.world.end_exchanges();
    let (code, alone, _) = past.command("verify");
    assert_eq!((code, said(&alone, " missing in ")), (Some(3), lost), "{alone}");
    eprintln!("backfill held at most {} MiB", peak >> 20);
}

fn file(row: &Value) -> (String, String) {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    (text("symbol"), text("day"))
}

#[test]
fn kills_while_the_past_is_filled_change_nothing() {
    let past = Past::start("32", &Scale::now(), "ban=15s+2s");
    let count: u64 = if is_soak() { 50 } else { 5 };
    let mut peak = 0;
    for kill in 0..count {
        let command = if kill * 2 < count { "backfill --source archive" } else { "verify --repair" };
        // Earlier and later from kill to kill.
        past.killed(command, Duration::from_millis(150 + (kill * 467) % 2_300));
    }
    for command in ["backfill --source archive", "verify --repair"] {
        let (code, words, held) = past.command(command);
        assert!(matches!(code, Some(0 | 3)), "{command}: {words}");
        peak = peak.max(held);
    }
    let (status, _) = post(&format!("{}/archive/rewrite", past.world.admin), "");
    assert_eq!(status, 200);
    let (_, words, _) = past.command("verify --repair");
    assert!(words.contains(" 0 twice"), "{words}");
    past.check();
    eprintln!("{count} kills; at most {} MiB", peak >> 20);
}

#[test]
fn past_and_recording_meet_without_a_seam() {
    let world = World::start(&[
        "--seed",
        "33",
        "--instruments",
        "2",
        "--venues",
        "binance",
        "--history",
        "5d",
        "--trades-per-day",
        "20000",
        "--days-only",
        "--defects",
        "hole=4,duplicate=2,missing=1",
    ]);
    let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol=BTCUSDT", world.admin));
    let from = days[1]["day"].as_str().expect("a day").to_owned();
    let history = format!("[history]\nfill = true\nfrom = \"{from}\"\ncheck_s = 10\n");
    world.configure(&format!("instruments = [\"BTCUSDT\"]\narchive = \"{}\"", world.archive), &history);
    // Killed while it looks after the past, and begun again: live first, each time.
    for seconds in [8, 68] {
        let (mut process, _address) = world.run();
        std::thread::sleep(Duration::from_secs(seconds));
        process.kill();
    }
    let (mut process, address) = world.run();
    let url = format!("http://{address}/api/v1/coverage/BTCUSDT?venue=binance&start_time={from}T00:00:00Z");
    let mut answer = Value::Null;
    for _ in 0..240 {
        answer = get(&url).1;
        if answer["data"]["quality"] == "complete" {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(answer["data"]["quality"], "complete", "{answer}");
    let states: BTreeSet<String> = rows(&answer["data"]["intervals"])
        .iter()
        .map(|part| {
            format!(
                "{} {}",
                part["state"].as_str().unwrap_or_default(),
                part["source"].as_str().unwrap_or("-")
            )
        })
        .collect();
    let expected = ["backfilled archive", "backfilled rest", "observed -"].map(str::to_owned);
    assert_eq!(states, expected.into_iter().collect());
    process.end();
    let id = "binance:BTC-USDT";
    let counted = world.sql(&format!(
        "select count(*), count(distinct trade_id), max(trade_id) - min(trade_id) + 1, \
         cast(date_trunc('day', min(venue_time)) as varchar) from trades where instrument = '{id}'"
    ));
    assert_eq!(
        (&counted[0][0], &counted[0][1]),
        (&counted[0][2], &counted[0][2]),
        "no hole and nothing twice"
    );
    assert_eq!(&counted[0][3][..10], from);
    check_bars(&world, id);
}

/// The exchange folds its own bars from the same trades in one pass.
fn check_bars(world: &World, id: &str) {
    let (rest, _) = &world.venues["binance"];
    let ours: BTreeMap<String, Vec<String>> = world
        .sql(&format!(
            "select cast(cast(open_time as bigint) as varchar), cast(open as varchar), cast(high as varchar), \
             cast(low as varchar), cast(close as varchar), cast(volume as varchar), cast(quote_volume as varchar), \
             cast(taker_buy_volume as varchar) from bars where instrument = '{id}' and source = 'trades' and \
             timeframe = '1m' and open_time < (select date_trunc('minute', max(venue_time)) from trades)"
        ))
        .into_iter()
        .map(|row| (row[0].clone(), row))
        .collect();
    let mut start = 0;
    let mut compared = 0;
    while compared < ours.len() {
        let (_, page) =
            get(&format!("{rest}/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000&startTime={start}"));
        let page = rows(&page);
        if page.is_empty() {
            break;
        }
        for kline in &page {
            let open = kline[0].as_i64().expect("a time");
            start = open + 1;
            let Some(row) = ours.get(&(open * 1_000).to_string()) else { continue };
            for (column, place) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 7), (7, 9)] {
                let theirs = kline[place].as_str().expect("a number");
                assert_eq!(
                    number(&row[column]),
                    number(theirs),
                    "bar at {open}, column {column}: {row:?} {kline}"
                );
            }
            compared += 1;
        }
    }
    assert!(compared >= ours.len() && compared > 2_000, "{compared} of {} bars", ours.len());
}

/// Digits of a decimal, however it was printed.
fn number(text: &str) -> String {
    plain(text).to_owned()
}

#[test]
fn what_cannot_be_done_about_the_past_is_told_with_a_remedy() {
    let world = World::start(&["--seed", "34", "--instruments", "1", "--venues", "binance"]);
    world.configure(&format!("archive = \"{}\"", world.archive), "");
    for (words, code, part) in [
        (&["verify", "--venue", "nyse"][..], 2, "is not known: known are "),
        (&["verify", "--from", "2024-02-01", "--to", "2024-01-01"], 2, "swap them"),
        (&["verify", "--from", "someday"], 2, "write it as 2024-08-01"),
        (&["verify"], 0, "nothing is stored"),
        (&["verify", "--instruments", "NOSUCH"], 0, "nothing is stored"),
    ] {
        let all = [words, &["-c", "tickhouse.toml"]].concat();
        let output = tickhouse(world.place.path(), &all);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!((output.status.code(), said.contains(part)), (Some(code), true), "{words:?}: {said}");
    }
}
