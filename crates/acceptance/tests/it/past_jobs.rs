//! Work on the past that is asked for while a process holds the folder: that process does it, the command shows it.

use std::time::Duration;

use serde_json::Value;

use crate::world::{Process, World, eventually, get, tickhouse};

const PATIENCE: Duration = Duration::from_mins(2);

/// A world with a past, and its first day.
fn world(seed: &str) -> (World, String) {
    let world = World::start(&[
        "--seed",
        seed,
        "--instruments",
        "2",
        "--venues",
        "binance",
        "--history",
        "6d",
        "--trades-per-day",
        "15000",
        "--days-only",
    ]);
    let sections = "[refine]\nflush_s = 1\n[history]\ncheck = false\n";
    world.configure(&format!("instruments = \"all\"\narchive = \"{}\"", world.archive), sections);
    let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol=BTCUSDT", world.admin));
    (world, days[1]["day"].as_str().expect("a day").to_owned())
}

fn words<'a>(from: &'a str, symbols: &'a str) -> Vec<&'a str> {
    let venue = ["backfill", "--venue", "binance", "--source", "archive", "-c", "tickhouse.toml"];
    [&venue[..], &["--instruments", symbols, "--from", from]].concat()
}

fn run(world: &World, words: &[&str]) -> (Option<i32>, String) {
    let output = tickhouse(world.place.path(), words);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Trades of the days that are over, as the exchange counts them.
fn truth(world: &World, symbol: &str, from: &str) -> u64 {
    let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol={symbol}", world.admin));
    let mut days = days.as_array().expect("days").clone();
    let _today = days.pop().expect("a day");
    days.iter().filter(|day| day["day"].as_str() >= Some(from)).filter_map(|day| day["trades"].as_u64()).sum()
}

/// Trades from the archive, and how many of them differ.
fn stored(world: &World, base: &str) -> (u64, u64) {
    let rows = world.sql(&format!(
        "select count(*), count(distinct trade_id) from trades where source = 'archive' and instrument = 'binance:{base}-USDT'"
    ));
    (rows[0][0].parse().expect("a count"), rows[0][1].parse().expect("a count"))
}

#[test]
fn a_running_process_fills_the_past_that_a_command_asks_for() {
    let (world, from) = world("51");
    let (mut process, _address) = world.run();
    eventually(PATIENCE, "the listing is known", || {
        (!world.sql("select 1 from v_instruments where status = 'trading'").is_empty()).then_some(())
    });
    let (code, said) = run(&world, &[&words(&from, "BTCUSDT")[..], &["--dry-run"]].concat());
    assert!(code == Some(0) && said.contains("5 files") && said.contains(".zip"), "{said}");
    assert_eq!(stored(&world, "BTC"), (0, 0), "nothing is taken in by looking");
    // Two at once, for the same range: one after the other, and nothing twice.
    let mut first = Process::start("first", &words(&from, "BTCUSDT"), world.place.path());
    let told = first.line(|line| line.contains(" as job "));
    assert!(told.contains("records into"), "{told}");
    let (code, said) = run(&world, &words(&from, "BTCUSDT,ETHUSDT"));
    assert!(code == Some(0) && said.contains("ETH-USDT"), "{said}");
    let (code, said) = first.ended();
    assert!(code == Some(0) && said.contains("5 files imported"), "{said}");
    for (symbol, base) in [("BTCUSDT", "BTC"), ("ETHUSDT", "ETH")] {
        let count = truth(&world, symbol, &from);
        assert_eq!(stored(&world, base), (count, count), "{symbol}");
    }
    let (code, said) = run(&world, &["verify", "-c", "tickhouse.toml", "--to", &yesterday(&world)]);
    assert!(code == Some(0) && said.contains("2 instruments: ") && said.contains(" 0 twice"), "{said}");
    let (code, said) = run(&world, &words(&from, "NOSUCH"));
    assert!(code == Some(2) && said.contains("does not list NOSUCH"), "{said}");
    let wrong = ["backfill", "--venue", "bybit", "--instruments", "BTCUSDT", "--from", &from];
    let (code, said) = run(&world, &[&wrong[..], &["-c", "tickhouse.toml"]].concat());
    assert!(code == Some(2) && said.contains("[venues.bybit]"), "{said}");
    process.end();
}

fn yesterday(world: &World) -> String {
    let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol=BTCUSDT", world.admin));
    let days = days.as_array().expect("days").clone();
    days[days.len() - 2]["day"].as_str().expect("a day").to_owned()
}

#[test]
fn a_job_outlives_the_command_and_the_process() {
    let (world, from) = world("52");
    let (mut process, _address) = world.run();
    eventually(PATIENCE, "the listing is known", || {
        (!world.sql("select 1 from v_instruments where status = 'trading'").is_empty()).then_some(())
    });
    let mut command = Process::start("command", &words(&from, "BTCUSDT"), world.place.path());
    command.line(|line| line.contains(" as job 1"));
    process.kill();
    let (code, said) = command.ended();
    // It may have been done before the end came.
    assert!(matches!(code, Some(0 | 3)), "{said}");
    assert!(code == Some(0) || said.contains("begins anew when tickhouse runs here again"), "{said}");
    let (mut process, _address) = world.run();
    let count = truth(&world, "BTCUSDT", &from);
    eventually(PATIENCE, "the next process goes on", || {
        (stored(&world, "BTC") == (count, count)).then_some(())
    });
    // A command that is asked to end leaves its job to the process.
    let mut command = Process::start("command", &words(&from, "ETHUSDT"), world.place.path());
    command.line(|line| line.contains(" as job 2"));
    command.signal("INT");
    let (code, said) = command.ended();
    assert!(matches!(code, Some(0 | 3)), "{said}");
    assert!(code == Some(0) || said.contains("goes on in process"), "{said}");
    let count = truth(&world, "ETHUSDT", &from);
    eventually(PATIENCE, "the job goes on", || (stored(&world, "ETH") == (count, count)).then_some(()));
    eventually(PATIENCE, "no job is left", || {
        let (_, said) = run(&world, &["status", "--json", "-c", "tickhouse.toml"]);
        let status: Value = serde_json::from_str(&said).ok()?;
        (status["jobs"].as_array()?.is_empty()).then_some(())
    });
    process.end();
}
