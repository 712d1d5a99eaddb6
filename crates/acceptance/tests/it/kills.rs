//! Killed again and again: at the end, tables and gap rows together equal what the exchanges sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use model::Decimal;
use serde_json::Value;

use crate::world::{Process, World, eventually, get, post};

/// One trade as the truth tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct True {
    price: Decimal,
    quantity: Decimal,
    time: i64,
}

/// Truth per (venue, symbol): by numeric id, or by text id.
#[derive(Default)]
struct Truth {
    numbered: BTreeMap<(String, String), BTreeMap<i64, True>>,
    named: BTreeMap<(String, String), BTreeMap<String, True>>,
}

fn read_truth(file: &Path) -> Truth {
    let mut truth = Truth::default();
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
        let key = (text("venue"), text("symbol"));
        let is_numbered = key.0.starts_with("binance");
        match row["id"].as_i64() {
            Some(id) if is_numbered => drop(truth.numbered.entry(key).or_default().insert(id, trade)),
            Some(id) => drop(truth.named.entry(key).or_default().insert(id.to_string(), trade)),
            None => drop(truth.named.entry(key).or_default().insert(text("text_id"), trade)),
        }
    }
    truth
}

/// Trades as stored, per (venue, symbol), with their ids as text; fails on a duplicate.
fn read_lake(world: &World) -> BTreeMap<(String, String), BTreeMap<String, True>> {
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
    ids: Option<(i64, i64)>,
    times: (i64, i64),
    state: String,
}

fn read_gaps(world: &World) -> BTreeMap<(String, String), Vec<Hole>> {
    let query = "select g.instrument, i.venue_symbol, g.first_id, g.last_id, arrow_cast(g.first_time, 'Int64'), \
                 arrow_cast(g.last_time, 'Int64'), g.state from gaps g join (select distinct instrument, venue_symbol \
                 from instruments) i on g.instrument = i.instrument where g.channel = 'trades'";
    let mut gaps: BTreeMap<_, Vec<Hole>> = BTreeMap::new();
    for row in world.sql(query) {
        let venue = row[0].split(':').next().expect("a venue").to_owned();
        let ids = row[2].parse().ok().zip(row[3].parse().ok());
        let times = (row[4].parse().expect("a time"), row[5].parse().expect("a time"));
        gaps.entry((venue, row[1].clone())).or_default().push(Hole { ids, times, state: row[6].clone() });
    }
    gaps
}

/// A small generator of pauses, so that a failure can be repeated from its seed.
struct Pauses(u64);

impl Pauses {
    fn next(&mut self, low: u64, high: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(low + (self.0 >> 33) % (high - low))
    }
}

fn killed(count: u32, seed: u64, faults: &str) {
    let seed_text = seed.to_string();
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
    for round in 0..count {
        let (mut process, _) = world.run();
        std::thread::sleep(pauses.next(300, 4_000));
        assert!(process.is_running(), "the platform ended by itself in round {round}, seed {seed}");
        process.kill();
        std::thread::sleep(pauses.next(0, 600));
    }
    let (mut process, address) = world.run();
    // The markets go on without faults for a moment, so that whatever was dropped last shows as a jump; then they rest.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(post(&format!("{}/faults", world.admin), "none").0, 200);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(post(&format!("{}/quiet", world.admin), "").0, 200);
    settle(&mut process, &address);
    process.end();
    world.end_exchanges();
    compare(&world, seed);
}

/// Waits until every hole is filled or given up, and new trades were seen since.
fn settle(process: &mut Process, address: &str) {
    std::thread::sleep(Duration::from_secs(2));
    eventually(Duration::from_secs(90), "all holes are settled", || {
        assert!(process.is_running(), "the platform ended by itself");
        let (_, body) = get(&format!("http://{address}/api/v1/status"));
        let data = &body;
        let instruments = data["instruments"].as_array()?;
        let open: u64 = instruments.iter().filter_map(|line| line["gaps_open"].as_u64()).sum();
        (!instruments.is_empty() && open == 0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
}

fn compare(world: &World, seed: u64) {
    let truth = read_truth(&world.place.path().join("truth.jsonl"));
    let stored = read_lake(world);
    let gaps = read_gaps(world);
    assert!(!stored.is_empty(), "nothing was stored, seed {seed}");
    for (key, all) in &truth.numbered {
        let Some(rows) = stored.get(key) else { continue };
        let ids: BTreeSet<i64> = rows.keys().map(|id| id.parse().expect("a number")).collect();
        let (first, last) = (*ids.first().expect("a row"), *ids.last().expect("a row"));
        let holes = gaps.get(key).map_or(&[][..], Vec::as_slice);
        let hopeless: Vec<_> = holes.iter().filter(|hole| hole.state == "missing").collect();
        assert!(hopeless.is_empty(), "{key:?}: REST could have filled {hopeless:?}, seed {seed}");
        for (id, trade) in all.range(first..=last) {
            match rows.get(&id.to_string()) {
                Some(row) => assert_eq!(row, trade, "{key:?} {id}, seed {seed}"),
                None => panic!("{key:?}: {id} is neither stored nor a gap row, seed {seed}"),
            }
        }
        let extra: Vec<_> = ids.iter().filter(|id| !all.contains_key(id)).collect();
        assert!(extra.is_empty(), "{key:?}: stored but never sent: {extra:?}, seed {seed}");
    }
    for (key, all) in &truth.named {
        let Some(rows) = stored.get(key) else { continue };
        for (id, row) in rows {
            assert_eq!(Some(row), all.get(id), "{key:?} {id}, seed {seed}");
        }
        let holes = gaps.get(key).map_or(&[][..], Vec::as_slice);
        let first = rows.values().map(|row| row.time).min().expect("a row");
        let last = rows.values().map(|row| row.time).max().expect("a row");
        for (id, trade) in all.iter().filter(|(_, trade)| (first..=last).contains(&trade.time)) {
            let is_known_hole = holes.iter().any(|hole| {
                hole.ids.is_none()
                    && hole.state == "missing"
                    && (hole.times.0..=hole.times.1).contains(&trade.time)
            });
            assert!(
                rows.contains_key(id) || is_known_hole,
                "{key:?}: {id} at {} is neither stored nor within a gap row {holes:?}, seed {seed}",
                trade.time
            );
        }
    }
}

/// How often, unless `make soak` says more.
fn rounds() -> u32 {
    std::env::var("TICKHOUSE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

#[test]
fn ten_kills_lose_and_double_nothing() {
    // Bybit does not number its trades, so a frame it never sent cannot be noticed there by anyone.
    killed(rounds(), 11, "binance:drop=0.002,binance-futures:drop=0.002,repeat=0.002,cut=7s");
    killed(rounds(), 12, "all");
}
