//! History from archives: the tables hold what the exchanges' past says, but for what was spoilt, and say what that is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::{Process, World, get, sql, tickhouse};

const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
const DAYS: usize = 4;

/// Per day: trades, sum of quantities.
type Days = BTreeMap<String, (u64, String)>;

fn world(defects: &str) -> World {
    let world = World::start(&[
        "--seed",
        "23",
        "--instruments",
        "2",
        "--venues",
        "binance,bybit-linear",
        "--history",
        "6d",
        "--trades-per-day",
        "20000",
        "--days-only",
        "--defects",
        defects,
    ]);
    world.configure(&format!("archive = \"{}\"", world.archive), "");
    world
}

/// The first day that is asked for.
fn first_day(world: &World) -> String {
    let days = truth(world, "binance", "BTCUSDT");
    days[days.len() - DAYS]["day"].as_str().expect("a day").to_owned()
}

/// The days that are over.
fn truth(world: &World, venue: &str, symbol: &str) -> Vec<Value> {
    let (status, days) = get(&format!("{}/truth/days?venue={venue}&symbol={symbol}", world.admin));
    assert_eq!(status, 200, "{days}");
    let mut days = days.as_array().expect("days").clone();
    let _today = days.pop().expect("a day");
    days
}

fn defects(world: &World, venue: &str, symbol: &str, kind: &str) -> Vec<Value> {
    let (_, all) = get(&format!("{}/truth/defects", world.admin));
    let all = all.as_array().expect("defects").clone();
    let is_it = |row: &Value| row["venue"] == venue && row["symbol"] == symbol && row["kind"] == kind;
    all.into_iter().filter(is_it).collect()
}

fn arguments<'a>(venue: &'a str, from: &'a str, data: &'a str) -> Vec<&'a str> {
    vec![
        "backfill",
        "--venue",
        venue,
        "--instruments",
        "BTCUSDT,ETHUSDT",
        "--from",
        from,
        "--data",
        data,
        "-c",
        "tickhouse.toml",
        "--source",
        "archive",
    ]
}

fn backfill(world: &World, venue: &str, from: &str, data: &str) -> (Option<i32>, String) {
    let output = tickhouse(world.place.path(), &arguments(venue, from, data));
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn instrument(venue: &str, symbol: &str) -> String {
    let base = symbol.trim_end_matches("USDT");
    if venue == "binance" { format!("{venue}:{base}-USDT") } else { format!("{venue}:{base}-USDT-PERP") }
}

fn stored(world: &World, data: &str, instrument: &str) -> Days {
    let query = format!(
        "select cast(date_trunc('day', venue_time) as varchar), count(*), \
         count(distinct coalesce(venue_trade_id, cast(trade_id as varchar))), \
         cast(sum(cast(quantity as decimal(38, 10))) as varchar) from trades where instrument = '{instrument}' group by 1"
    );
    let rows = sql(world.place.path(), data, &query);
    let day = |row: &Vec<String>| {
        assert_eq!(row[1], row[2], "{instrument} {}: something is stored twice", row[0]);
        (row[0][..10].to_owned(), (row[1].parse().expect("a count"), plain(&row[3])))
    };
    rows.iter().map(day).collect()
}

/// A decimal without zeros at its end.
fn plain(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[test]
fn history_is_taken_in_whole_and_every_hole_is_told() {
    let world = world("hole=4,duplicate=4,unsorted=1");
    let from = first_day(&world);
    for venue in ["binance", "bybit-linear"] {
        let (code, said) = backfill(&world, venue, &from, "data");
        assert!(matches!(code, Some(0 | 3)) && said.contains("8 files imported"), "{said}");
        for symbol in SYMBOLS {
            let id = instrument(venue, symbol);
            let stored = stored(&world, "data", &id);
            assert_eq!(stored.len(), DAYS, "{id}: {stored:?}");
            let holes = defects(&world, venue, symbol, "hole");
            for day in truth(&world, venue, symbol).iter().filter(|day| day["day"].as_str() >= Some(&from)) {
                let name = day["day"].as_str().expect("a day");
                let lost = holes
                    .iter()
                    .filter(|hole| hole["day"] == name)
                    .filter_map(|hole| hole["trades"].as_u64());
                let lost: u64 = lost.sum();
                let (count, volume) = &stored[name];
                assert_eq!(count + lost, day["trades"].as_u64().expect("a count"), "{id} {name}");
                if lost == 0 {
                    assert_eq!(volume, &plain(day["volume"].as_str().expect("a sum")), "{id} {name}");
                }
            }
            if venue == "binance" {
                let query = format!(
                    "select first_id, last_id, state, cause from gaps where instrument = '{id}' order by 1"
                );
                let told: Vec<String> =
                    sql(world.place.path(), "data", &query).iter().map(|row| row.join(" ")).collect();
                let mut expected: Vec<String> = holes
                    .iter()
                    .filter(|hole| hole["day"].as_str() >= Some(&from))
                    .map(|hole| format!("{} {} missing not_in_archive", hole["first_id"], hole["last_id"]))
                    .collect();
                expected.sort();
                assert_eq!(told, expected, "{id}");
            }
        }
        let (code, said) = backfill(&world, venue, &from, "data");
        assert!(code == Some(0) && said.contains("0 files, 0.0 MB"), "nothing is left to do: {said}");
    }
    let bars = sql(
        world.place.path(),
        "data",
        "select count(*) from (select b.volume, t.volume as own from bars b join \
         (select instrument, date_trunc('minute', venue_time) as minute, sum(cast(quantity as decimal(38, 8))) as volume \
         from trades group by 1, 2) t on b.instrument = t.instrument and b.open_time = t.minute) where cast(volume as decimal(38, 8)) <> own",
    );
    assert_eq!(bars, [["0"]], "bars are the sums of their trades");
}

#[test]
fn a_backfill_that_was_killed_goes_on_to_the_same_end() {
    let world = world("duplicate=2");
    let from = first_day(&world);
    for lines in 1..4 {
        let mut process =
            Process::start("backfill", &arguments("binance", &from, "data"), world.place.path());
        let mut left = lines;
        process.line(|_| {
            left -= 1;
            left == 0
        });
        process.kill();
    }
    let (code, said) = backfill(&world, "binance", &from, "data");
    assert_eq!(code, Some(0), "{said}");
    for symbol in SYMBOLS {
        let stored = stored(&world, "data", &instrument("binance", symbol));
        for day in truth(&world, "binance", symbol).iter().filter(|day| day["day"].as_str() >= Some(&from)) {
            let (count, volume) = &stored[day["day"].as_str().expect("a day")];
            assert_eq!(
                (Some(*count), volume.as_str()),
                (day["trades"].as_u64(), plain(day["volume"].as_str().expect("a sum")).as_str())
            );
        }
    }
}

#[test]
fn wrong_wishes_and_spoilt_files_are_told_with_a_remedy() {
    let world = world("checksum=1,column=1,missing=1,bomb=1");
    let from = first_day(&world);
    let path = world.place.path();
    for (arguments, code, part) in [
        (
            &["--venue", "nyse", "--instruments", "BTCUSDT", "--from", "2024-01-01"][..],
            2,
            "is not known: known are ",
        ),
        (
            &["--venue", "binance", "--instruments", "NOSUCH", "--from", "2024-01-01"],
            2,
            "does not list NOSUCH",
        ),
        (
            &["--venue", "binance", "--instruments", "BTCUSDT", "--from", "2024-02-01", "--to", "2024-01-01"],
            2,
            "swap them",
        ),
        (
            &["--venue", "binance", "--instruments", "BTCUSDT", "--from", "2024-01-01", "--to", "2999-01-01"],
            2,
            "at the latest",
        ),
        (
            &["--venue", "binance", "--instruments", "BTCUSDT", "--from", "yesterday"],
            2,
            "write it as 2024-08-01",
        ),
    ] {
        let all = [&["backfill", "-c", "tickhouse.toml", "--data", "other"][..], arguments].concat();
        let output = tickhouse(path, &all);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains(part)), (Some(code), true), "{arguments:?}: {said}");
    }
    let (code, said) = backfill(&world, "binance", &from, "data");
    assert_eq!(code, Some(3), "{said}");
    let mut spoilt = BTreeMap::new();
    for symbol in SYMBOLS {
        for kind in ["checksum", "column", "bomb", "missing"] {
            for defect in defects(&world, "binance", symbol, kind) {
                if defect["day"].as_str() >= Some(&from) {
                    spoilt.insert((symbol, defect["day"].as_str().expect("a day").to_owned()), kind);
                }
            }
        }
        let stored = stored(&world, "data", &instrument("binance", symbol));
        for day in truth(&world, "binance", symbol).iter().filter(|day| day["day"].as_str() >= Some(&from)) {
            let name = day["day"].as_str().expect("a day").to_owned();
            let kind = spoilt.get(&(symbol, name.clone()));
            let expected = kind.is_none().then(|| day["trades"].as_u64().expect("a count"));
            assert_eq!(
                stored.get(&name).map(|(count, _)| *count),
                expected,
                "{symbol} {name} {kind:?}: {said}"
            );
        }
    }
}
