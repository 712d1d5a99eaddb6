//! Where the past comes from: archive or REST, trades and what else the venue keeps, what is listed and what was.

use serde_json::json;

use crate::closing::SmallDisk;
use crate::world::{World, get, post, tickhouse};

fn world(seed: &str) -> World {
    let world = World::start(&[
        "--seed",
        seed,
        "--instruments",
        "2",
        "--venues",
        "binance,binance-futures",
        "--history",
        "4d",
        "--trades-per-day",
        "3000",
        "--days-only",
    ]);
    world.configure(&format!("archive = \"{}\"", world.archive), "");
    world
}

/// Days that are over, with their trades.
fn days(world: &World, venue: &str, symbol: &str) -> Vec<(String, u64)> {
    let (_, days) = get(&format!("{}/truth/days?venue={venue}&symbol={symbol}", world.admin));
    let day = |day: &serde_json::Value| {
        (day["day"].as_str().expect("a day").to_owned(), day["trades"].as_u64().expect("a count"))
    };
    let mut days: Vec<_> = days.as_array().expect("days").iter().map(day).collect();
    let _today = days.pop().expect("a day");
    days
}

fn run(world: &World, words: &str) -> (Option<i32>, String) {
    let words: Vec<&str> = words.split(' ').chain(["-c", "tickhouse.toml"]).collect();
    let output = tickhouse(world.place.path(), &words);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn count(world: &World, query: &str) -> u64 {
    world.sql(query)[0][0].parse().expect("a count")
}

#[test]
fn trades_come_over_rest_as_from_the_archive_and_nothing_comes_twice() {
    let world = world("61");
    let days = days(&world, "binance", "BTCUSDT");
    let (day, trades) = &days[days.len() - 2];
    let words = format!("backfill --venue binance --instruments BTCUSDT --from {day} --to {day}");
    let (code, said) = run(&world, &format!("{words} --source rest"));
    assert!(code == Some(0) && said.contains(&format!("{trades} rows over REST")), "{said}");
    let (code, said) = run(&world, &format!("{words} --source archive"));
    assert!(code == Some(0) && said.contains("0 rows added"), "{said}");
    let of = |source: &str| count(&world, &format!("select count(*) from trades where source = '{source}'"));
    assert_eq!((of("rest"), of("archive")), (*trades, 0));
    // Without a first day it begins where the archive does.
    let (code, said) = run(&world, "backfill --venue binance --instruments BTCUSDT");
    assert_eq!(code, Some(0), "{said}");
    let all: u64 = days.iter().map(|(_, trades)| trades).sum();
    assert_eq!(count(&world, "select count(*) from trades"), all, "{said}");
    assert_eq!(count(&world, "select count(distinct trade_id) from trades"), all);
}

#[test]
fn bars_funding_and_open_interest_come_over_rest() {
    let world = world("62");
    let days = days(&world, "binance-futures", "BTCUSDT");
    let (from, to) = (&days[days.len() - 2].0, &days[days.len() - 1].0);
    let words = format!("backfill --venue binance-futures --instruments BTCUSDT --from {from} --to {to}");
    for (kind, table, rows) in [
        ("klines --timeframe 1h", "bars where timeframe = '60m' and source = 'venue'", Some(48)),
        ("funding", "funding", None),
        ("open-interest", "open_interest", None),
    ] {
        let mut stored = Vec::new();
        for _again in 0..2 {
            let (code, said) = run(&world, &format!("{words} --kind {kind} --source rest"));
            assert_eq!(code, Some(0), "{kind}: {said}");
            stored.push(count(&world, &format!("select count(*) from {table}")));
        }
        assert!(stored[0] > 0 && stored[0] == stored[1], "{kind}: {stored:?}");
        assert!(rows.is_none_or(|rows| rows == stored[0]), "{kind}: {stored:?}");
    }
    let (code, said) = run(&world, &format!("verify --kind klines --timeframe 1h --to {to}"));
    assert!(code == Some(0) && said.contains("complete, 48 rows, 0 missing"), "{said}");
    let (code, said) = run(&world, &format!("verify --kind klines --to {to}"));
    assert!(code == Some(3) && said.contains("2,880 missing"), "minutes were never taken in: {said}");
    let (code, said) = run(&world, &format!("{words} --kind klines"));
    assert!(code == Some(0) && said.contains("2 files imported"), "{said}");
    let (code, said) = run(&world, &format!("verify --kind klines --to {to}"));
    assert!(code == Some(0) && said.contains("complete, 2,880 rows, 0 missing"), "{said}");
    let told =
        world.sql("select count(*) from v_coverage where channel = 'klines' and condition = 'complete'");
    assert_eq!(told, [["2"]]);
    for (wrong, part) in [
        (format!("{words} --kind funding --source archive"), "use --source rest"),
        (format!("verify --kind open-interest --to {to}"), "nobody can say"),
        (format!("verify --repair --kind klines --to {to}"), "backfill --kind klines"),
    ] {
        let (code, said) = run(&world, &wrong);
        assert!(code == Some(2) && said.contains(part), "{wrong}: {said}");
    }
    let spot = format!("backfill --venue binance --instruments BTCUSDT --from {from} --kind funding");
    let (code, said) = run(&world, &spot);
    assert!(code == Some(2) && said.contains("is spot: it has no funding"), "{said}");
}

#[test]
fn what_is_not_listed_any_more_comes_from_its_archive() {
    let world = world("63");
    let days = days(&world, "binance", "ETHUSDT");
    let body = json!({"venue": "binance", "symbol": "ETHUSDT", "gone": true}).to_string();
    let (status, answer) = post(&format!("{}/delist", world.admin), &body);
    assert_eq!(status, 200, "{answer}");
    let (code, said) = run(&world, "backfill --venue binance --instruments ETHUSDT,BTCUSDT");
    assert!(code == Some(0) && said.contains("binance:ETH-USDT is not listed any more"), "{said}");
    let all: u64 = days.iter().map(|(_, trades)| trades).sum();
    assert_eq!(count(&world, "select count(*) from trades_local where symbol = 'ETHUSDT'"), all, "{said}");
    let rows = world.sql("select venue_symbol, status, base, quote from v_instruments order by 1");
    assert_eq!(rows, [["BTCUSDT", "trading", "BTC", "USDT"], ["ETHUSDT", "delisted", "ETH", "USDT"]]);
    let (code, said) = run(&world, "backfill --venue binance --instruments NOSUCHUSDT");
    assert!(
        code == Some(2) && said.contains("does not list NOSUCHUSDT, and its archive has no files"),
        "{said}"
    );
    // What a recording lists later does not touch it.
    let (code, said) = run(&world, "verify --repair --instruments ETHUSDT");
    assert!(code == Some(0) && said.contains("1 instruments: "), "{said}");
}

#[test]
fn a_disk_that_runs_full_on_the_way_is_told_and_what_was_taken_in_stays() {
    let world = World::start(&[
        "--seed",
        "64",
        "--instruments",
        "1",
        "--venues",
        "binance",
        "--history",
        "40d",
        "--trades-per-day",
        "60000",
        "--days-only",
    ]);
    let Some(disk) = SmallDisk::mount(&world.place.path().join("data"), 64) else { return };
    world.configure(&format!("archive = \"{}\"", world.archive), "");
    let days = days(&world, "binance", "BTCUSDT");
    let words = format!("backfill --venue binance --instruments BTCUSDT --parallel 1 --from {}", days[1].0);
    disk.fill(8 << 20);
    let (code, said) = run(&world, &words);
    assert!(code == Some(1) && said.contains("make room and run it again"), "{said}");
    disk.make_room();
    let before = count(&world, "select count(*) from trades");
    let (code, said) = run(&world, &words);
    assert_eq!(code, Some(0), "{said}");
    let all: u64 = days[1..].iter().map(|(_, trades)| trades).sum();
    let after = world.sql("select count(*), count(distinct trade_id) from trades");
    assert!(0 < before && before < all, "{before} of {all}");
    assert_eq!((&after[0][0], &after[0][1]), (&all.to_string(), &all.to_string()), "{said}");
}
