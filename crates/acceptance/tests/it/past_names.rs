//! What was only backfilled is found under the venue's own names, and a recording that begins later lists nothing twice.

use std::time::Duration;

use crate::world::{World, eventually, get, tickhouse};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn what_was_only_backfilled_has_its_symbol_and_is_listed_once() {
    let world = World::start(&[
        "--seed",
        "41",
        "--instruments",
        "2",
        "--venues",
        "binance",
        "--history",
        "3d",
        "--trades-per-day",
        "40000",
        "--days-only",
    ]);
    world.configure(
        &format!("instruments = \"all\"\narchive = \"{}\"", world.archive),
        "[refine]\nflush_s = 1\n[history]\ncheck = false\n",
    );
    let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol=BTCUSDT", world.admin));
    let from = days[1]["day"].as_str().expect("a day").to_owned();
    let words = ["backfill", "--venue", "binance", "--instruments", "BTCUSDT", "--from", &from];
    for _again in 0..2 {
        let output = tickhouse(world.place.path(), &[&words[..], &["-c", "tickhouse.toml"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let trades =
        |symbol: &str| world.sql(&format!("select count(*) from trades_local where symbol = '{symbol}'"));
    let before: u64 = trades("BTCUSDT")[0][0].parse().expect("a count");
    assert!(before > 2_000, "{before} trades under their symbol");
    let current =
        "select venue_symbol, count(*) from v_instruments where status = 'trading' group by 1 order by 1";
    assert_eq!(world.sql(current), [["BTCUSDT", "1"]]);
    // Twice: the second start takes up a state of its own.
    for _start in 0..2 {
        let (mut process, _address) = world.run();
        eventually(PATIENCE, "trades come live beside the past", || {
            let live = world.sql(
                "select count(*) from trades where source = 'stream' and instrument = 'binance:BTC-USDT'",
            );
            (live[0][0] != "0" && world.sql(current).len() == 2).then_some(())
        });
        process.end();
        assert_eq!(world.sql(current), [["BTCUSDT", "1"], ["ETHUSDT", "1"]]);
    }
    let after: u64 = trades("BTCUSDT")[0][0].parse().expect("a count");
    assert!(after > before, "{after} trades under their symbol, {before} before");
}
