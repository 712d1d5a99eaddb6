//! The past of single trades, where they are the canonical feed: files of single trades, holes over REST, one numbering.

use serde_json::Value;

use crate::world::{World, get, tickhouse};

fn run(world: &World, words: &str) -> (Option<i32>, String) {
    let words: Vec<&str> = words.split(' ').chain(["-c", "tickhouse.toml"]).collect();
    let output = tickhouse(world.place.path(), &words);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// A decimal without zeros at its end.
fn plain(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[test]
fn single_trades_fill_the_past_of_a_feed_of_single_trades() {
    let world = World::start(&[
        "--seed",
        "71",
        "--instruments",
        "1",
        "--venues",
        "binance",
        "--history",
        "4d",
        "--trades-per-day",
        "3000",
        "--days-only",
        "--defects",
        "hole=2",
    ]);
    world.configure(&format!("trades = \"raw\"\narchive = \"{}\"", world.archive), "");
    let (_, days) = get(&format!("{}/truth/days?venue=binance&symbol=BTCUSDT", world.admin));
    let mut days: Vec<Value> = days.as_array().expect("days").clone();
    let _today = days.pop().expect("a day");
    let (from, to) = (days[1]["day"].as_str().expect("a day"), days[days.len() - 1]["day"].clone());
    let words = format!(
        "backfill --venue binance --instruments BTCUSDT --from {from} --to {} --source archive",
        to.as_str().expect("a day")
    );
    let (code, said) = run(&world, &words);
    assert!(matches!(code, Some(0 | 3)) && said.contains("3 files imported"), "{said}");
    let channels = world.sql("select distinct channel from gaps");
    assert!(channels.iter().all(|row| row[0] == "raw_trades"), "{channels:?}: {said}");
    let (code, said) = run(&world, &format!("verify --repair --venue binance --from {from} --to {from}"));
    assert!(matches!(code, Some(0 | 3)), "{said}");
    let (_, said) = run(&world, "verify --repair --venue binance");
    let rows = world.sql(
        "select cast(date_trunc('day', venue_time) as varchar), count(*), count(distinct trade_id), \
         cast(sum(cast(quantity as decimal(38, 10))) as varchar) from trades group by 1 order by 1",
    );
    for day in &days[1..] {
        let name = day["day"].as_str().expect("a day");
        let row =
            rows.iter().find(|row| row[0].starts_with(name)).unwrap_or_else(|| panic!("{name}: {said}"));
        assert_eq!(row[1], row[2], "{name}: something is stored twice");
        assert!(row[1].parse::<u64>().expect("a count") > day["trades"].as_u64().expect("a count"), "{name}");
        assert_eq!(plain(&row[3]), plain(day["volume"].as_str().expect("a sum")), "{name}: {said}");
    }
    let span = world.sql("select count(*), max(trade_id) - min(trade_id) + 1 from trades");
    assert_eq!(span[0][0], span[0][1], "no id lacks: {said}");
}
