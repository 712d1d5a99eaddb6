//! Killed again and again: at the end, tables and gap rows together equal what the exchanges sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use model::Decimal;
use serde_json::Value;

use crate::world::{Pauses, Process, World, get, number, post, until};

/// Several times the half second for which ids out of order are no hole.
const DISORDER_MAX: Duration = Duration::from_secs(3);

/// One trade as the truth tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct True {
    price: Decimal,
    quantity: Decimal,
    time: i64,
}

/// Venue and symbol.
type Key = (String, String);

/// Trades with their ids as text, in the order in which they happened.
type Truth = BTreeMap<Key, Vec<(String, True)>>;

fn read_truth(world: &World) -> Truth {
    let mut truth = Truth::new();
    let file: &Path = &world.place.path().join("truth.jsonl");
    for line in std::fs::read_to_string(file).expect("the truth was written").lines() {
        // The last line may be cut where the exchanges were stopped.
        let Ok(row) = serde_json::from_str::<Value>(line) else { continue };
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let decimal = |name: &str| text(name).parse::<Decimal>().expect("a decimal");
        let trade = True {
            price: decimal("price"),
            quantity: decimal("quantity"),
            time: row["time_us"].as_i64().expect("a time"),
        };
        let id = row["id"].as_i64().map_or_else(|| text("text_id"), |id| id.to_string());
        truth.entry((text("venue"), text("symbol"))).or_default().push((id, trade));
    }
    truth
}

/// Trades as stored, per (venue, symbol), with their ids as text; fails on a duplicate.
fn read_lake(world: &World) -> BTreeMap<Key, BTreeMap<String, True>> {
    let query = "select t.instrument, i.venue_symbol, coalesce(t.venue_trade_id, cast(t.trade_id as varchar)), \
                 t.price, t.quantity, arrow_cast(t.venue_time, 'Int64') \
                 from trades t join (select distinct instrument, venue_symbol from instruments) i on t.instrument = i.instrument";
    let mut stored: BTreeMap<_, BTreeMap<String, True>> = BTreeMap::new();
    for row in world.sql(query) {
        let venue = row[0].split(':').next().expect("a venue").to_owned();
        let trade = True {
            price: row[3].parse().expect("a decimal"),
            quantity: row[4].parse().expect("a decimal"),
            time: row[5].parse().expect("a time"),
        };
        let before = stored.entry((venue, row[1].clone())).or_default().insert(row[2].clone(), trade);
        assert_eq!(before, None, "{} {} is stored twice", row[0], row[2]);
    }
    stored
}

/// One gap row.
#[derive(Debug)]
struct Hole {
    has_ids: bool,
    times: (i64, i64),
    state: String,
}

fn read_gaps(world: &World) -> BTreeMap<Key, Vec<Hole>> {
    let query = "select g.instrument, i.venue_symbol, g.first_id, arrow_cast(g.first_time, 'Int64'), \
                 arrow_cast(g.last_time, 'Int64'), g.state from gaps g join (select distinct instrument, venue_symbol \
                 from instruments) i on g.instrument = i.instrument where g.channel = 'trades'";
    let mut gaps: BTreeMap<_, Vec<Hole>> = BTreeMap::new();
    for row in world.sql(query) {
        let venue = row[0].split(':').next().expect("a venue").to_owned();
        let times = (row[3].parse().expect("a time"), row[4].parse().expect("a time"));
        let hole = Hole { has_ids: !row[2].is_empty(), times, state: row[5].clone() };
        gaps.entry((venue, row[1].clone())).or_default().push(hole);
    }
    gaps
}

fn killed(count: u32, seed: u64, faults: &str) {
    let (started, seed_text) = (Instant::now(), seed.to_string());
    let mut world = World::start(&[
        "--seed",
        &seed_text,
        "--instruments",
        "4",
        "--rate",
        "600",
        "--faults",
        faults,
        "--truth",
        "truth.jsonl",
    ]);
    let sections = "[refine]\nflush_s = 1\n[rawlog]\nsegment_mib = 1\n[lake]\ncompact_s = 2\n\
                    [collect]\nklines_history_minutes = 0\n";
    world.configure("channels = [\"trades\", \"quotes\", \"klines\"]", sections);
    let mut pauses = Pauses(seed);
    let mut begun = BTreeMap::new();
    for round in 0..count {
        let (mut process, address) = world.run();
        if round == 0 {
            begun = first_trades(&world, &address);
        }
        std::thread::sleep(pauses.next(300, 4_000));
        assert!(process.is_running(), "the platform ended by itself in round {round}, seed {seed}");
        process.kill();
        std::thread::sleep(pauses.next(0, 600));
    }
    let (mut process, address) = world.run();
    // Without numbers, a stream that is mute for a second or two cannot be told from a quiet one: the silence that is
    // planned from 20 to 32 s has to last long enough to be noticed.
    let age = started.elapsed();
    let is_silence_due = faults.contains("mute=") || faults == "all";
    let is_silence_due = is_silence_due && (17..36).contains(&age.as_secs());
    let end = if is_silence_due { Duration::from_secs(36) } else { age + Duration::from_secs(3) };
    std::thread::sleep(end.saturating_sub(age));
    assert_eq!(post(&format!("{}/faults", world.admin), "none").0, 200);
    trade_on(&world, &address);
    assert_eq!(post(&format!("{}/quiet", world.admin), "").0, 200);
    settle(&world, &mut process, &address);
    // A jump of ids is taken for mere disorder at first, and only then for a hole.
    std::thread::sleep(DISORDER_MAX);
    settle(&world, &mut process, &address);
    process.end();
    world.end_exchanges();
    compare(&world, &begun, seed);
}

/// How many trades each instrument had so far.
fn counts(world: &World) -> BTreeMap<Key, u64> {
    let (_, summary) = get(&format!("{}/truth/summary", world.admin));
    let rows = summary["instruments"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let count = |row: &Value| row["trades"].as_u64().unwrap_or_default();
    rows.iter().map(|row| ((text(row, "venue"), text(row, "symbol")), count(row))).collect()
}

/// The instruments of the status as the platform shows them.
fn shown(address: &str) -> BTreeMap<Key, Value> {
    let (_, body) = get(&format!("http://{address}/api/v1/status"));
    let lines = body["instruments"].as_array().cloned().unwrap_or_default();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines.into_iter().map(|line| ((text(&line, "venue"), text(&line, "symbol")), line)).collect()
}

/// Waits for the first trade of every instrument. Whatever happens from then on has to be accounted for; what happened
/// by then is told by its count.
fn first_trades(world: &World, address: &str) -> BTreeMap<Key, u64> {
    until(Duration::from_mins(1), "every instrument has a trade", || {
        let shown = shown(address);
        let counts = counts(world);
        let lacks = |key: &&Key| shown.get(*key).is_none_or(|line| line["last_trade_time"].is_null());
        let lacking: Vec<_> = counts.keys().filter(lacks).collect();
        if counts.len() == 16 && lacking.is_empty() {
            Ok(counts)
        } else {
            Err(format!("none of {lacking:?}"))
        }
    })
}

/// The markets go on without faults until every instrument was seen to trade again, so that whatever was dropped last
/// shows as a jump of ids.
fn trade_on(world: &World, address: &str) {
    let before = read_truth(world);
    until(Duration::from_mins(2), "every instrument trades on", || {
        let (now, shown) = (read_truth(world), shown(address));
        for (key, trades) in &before {
            let since = now[key].get(trades.len() + 2).ok_or_else(|| format!("{key:?} does not trade"))?;
            let line = shown.get(key).ok_or_else(|| format!("{key:?} is not shown"))?;
            if line["last_trade_time"].as_i64() < Some(since.1.time / 1_000) {
                return Err(format!("nothing since {since:?}: {line}"));
            }
        }
        Ok(())
    });
}

/// Waits until the last trade of every instrument is seen and every hole is filled or given up.
fn settle(world: &World, process: &mut Process, address: &str) {
    let truth = read_truth(world);
    // A venue that bans us asks us to keep away for up to ten minutes, and holes wait for as long.
    until(Duration::from_mins(12), "all trades are seen and all holes settled", || {
        assert!(process.is_running(), "the platform ended by itself");
        let shown = shown(address);
        for (key, trades) in &truth {
            let (id, last) = trades.last().expect("a trade");
            let line = shown.get(key).ok_or_else(|| format!("{key:?} is not shown"))?;
            let is_last = line["last_trade_time"].as_i64() == Some(last.time / 1_000)
                && (!is_numbered(key) || line["last_aggregate_id"].as_i64() == id.parse().ok());
            if !is_last || line["gaps_open"].as_u64() != Some(0) {
                return Err(format!("the last is {id} at {last:?}; {line}"));
            }
        }
        Ok(())
    });
}

/// Whether the venue numbers its trades, so that none can be absent unnoticed.
fn is_numbered(key: &Key) -> bool {
    key.0.starts_with("binance")
}

fn compare(world: &World, begun: &BTreeMap<Key, u64>, seed: u64) {
    let (truth, stored, gaps) = (read_truth(world), read_lake(world), read_gaps(world));
    for (key, all) in &truth {
        let rows = stored.get(key).unwrap_or_else(|| panic!("{key:?} has no rows, seed {seed}"));
        let holes = gaps.get(key).map_or(&[][..], Vec::as_slice);
        // A kline that came last may have opened a hole in trades without numbers at the last moment.
        let hopeless: Vec<_> = holes.iter().filter(|hole| hole.state != "filled").collect();
        if is_numbered(key) {
            assert!(hopeless.is_empty(), "{key:?}: REST could have filled {hopeless:?}, seed {seed}");
        }
        let sent: BTreeMap<&str, &True> = all.iter().map(|(id, trade)| (id.as_str(), trade)).collect();
        assert_eq!(sent.len(), all.len(), "{key:?}: the truth has an id twice");
        for (id, row) in rows {
            assert_eq!(Some(&row), sent.get(id.as_str()), "{key:?} {id}, seed {seed}");
        }
        let first = all.iter().position(|(id, _)| rows.contains_key(id)).expect("a row");
        assert!((first as u64) < begun[key], "{key:?}: the first is {:?}, seed {seed}", all[first]);
        for (id, trade) in &all[first..] {
            let is_known_hole = || {
                let within = |hole: &&Hole| (hole.times.0..=hole.times.1).contains(&trade.time);
                hopeless.iter().any(|hole| !hole.has_ids && within(hole))
            };
            assert!(
                rows.contains_key(id) || is_known_hole(),
                "{key:?}: {id} at {} is neither stored nor within a gap row {holes:?}, seed {seed}",
                trade.time
            );
        }
        let (last, _) = all.last().expect("a trade");
        assert!(rows.contains_key(last), "{key:?}: the last trade {last} is not stored, seed {seed}");
    }
    assert_eq!(stored.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "seed {seed}");
}

/// How often, unless `make soak` says more; ten kills altogether.
fn rounds() -> u32 {
    number("TICKHOUSE_KILLS", 5) as u32
}

#[test]
fn kills_lose_and_double_nothing() {
    // Bybit does not number its trades, so a frame it never sent cannot be noticed there by anyone.
    let faults = "binance:drop=0.002,binance-futures:drop=0.002,repeat=0.002,cut=7s";
    killed(rounds(), number("TICKHOUSE_SEED", 11), faults);
}

#[test]
fn kills_amid_all_faults_lose_and_double_nothing() {
    killed(rounds(), number("TICKHOUSE_SEED", 12), "all");
}
