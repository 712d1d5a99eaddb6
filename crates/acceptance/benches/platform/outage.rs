//! A minute without connections on 700 symbols of one venue: how soon what was missed is there again, and how much of what the
//! venue allows that took.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::world::{World, eventually, get, post};

/// How long nobody gets through.
const OUTAGE: Duration = Duration::from_mins(1);
/// The longest wait for everything.
const WAIT_MAX: Duration = Duration::from_mins(12);
/// So long nothing is open before the end.
const STILL: Duration = Duration::from_secs(40);
/// Before the outage, so that every stream but the quietest has said something.
const WARM_UP: Duration = Duration::from_mins(1);

pub(crate) fn outage() {
    for (venue, weight) in [("binance", 6_000), ("binance-futures", 2_400), ("bybit", 0), ("bybit-linear", 0)]
    {
        one(venue, weight);
    }
}

struct Holes {
    open: u64,
    missing: u64,
    weight: u64,
    bans: u64,
    connections: u64,
}

fn holes(address: &str) -> Holes {
    let (_, body) = get(&format!("http://{address}/api/v1/status"));
    let sum = |list: &Value, name: &str| -> u64 {
        list.as_array().into_iter().flatten().filter_map(|one| one[name].as_u64()).sum()
    };
    let endpoints = &body["venues"][0]["rest_endpoints"];
    Holes {
        open: sum(&body["instruments"], "gaps_open"),
        missing: sum(&body["instruments"], "gaps_missing"),
        weight: sum(endpoints, "weight_total"),
        bans: sum(endpoints, "bans_total"),
        connections: sum(&body["venues"], "connection_count"),
    }
}

fn one(venue: &str, weight_per_minute: u64) {
    let world =
        World::start(&["--venues", venue, "--instruments", "700", "--rate", "3000", "--history", "2h"]);
    world.configure("channels = [\"trades\"]", "[collect]\nklines_history_minutes = 0\n");
    let (mut process, address) = world.run();
    eventually(Duration::from_mins(1), "trades arrive", || {
        get(&format!("http://{address}/api/v1/status")).1["trades_total"].as_u64().filter(|count| *count > 0)
    });
    std::thread::sleep(WARM_UP);
    let before = holes(&address);
    let fault = |plan: &str| assert_eq!(post(&format!("{}/faults", world.admin), plan).0, 200);
    fault("refuse=1s+60s,cut=1s");
    std::thread::sleep(OUTAGE);
    fault("none");
    let back = Instant::now();
    let (mut most, mut carried, mut last_open) = (0, None, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = holes(&address);
        if now.connections > 0 && carried.is_none() {
            carried = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        }
        most = most.max(now.open);
        if now.open > 0 {
            last_open = Instant::now();
        }
        if (most > 0 && last_open.elapsed() > STILL) || back.elapsed() > WAIT_MAX {
            break;
        }
    }
    let after = holes(&address);
    let weight = after.weight - before.weight;
    let allowed = if weight_per_minute > 0 {
        format!(", which the venue allows in {:.0} s", weight as f64 * 60.0 / weight_per_minute as f64)
    } else {
        String::new()
    };
    println!(
        "outage of a minute, {venue}, 700 symbols: up to {most} holes open at once; weight {weight}{allowed}; {} stay \
         missing; told to stop {} times",
        after.missing - before.missing,
        after.bans,
    );
    compare(&world, carried.unwrap_or_default().as_secs_f64());
    process.end();
}

/// How soon after the reconnect the missed trades were there, and what became of the holes.
fn compare(world: &World, carried: f64) {
    let after = |part: &str| format!("round({part} - {carried}, 1)");
    let received = "date_part('epoch', received_time)";
    let rows = world.sql(&format!(
        "SELECT count(*), {}, {}, {} FROM trades WHERE source = 'rest' AND date_part('epoch', venue_time) < {carried}",
        after(&format!("approx_percentile_cont({received}, 0.5)")),
        after(&format!("approx_percentile_cont({received}, 0.99)")),
        after(&format!("max({received})")),
    ));
    println!("  trades fetched; seconds after the reconnect, half, 99 %, all: {}", rows[0].join(" "));
    let lacking = world.sql(
        "SELECT coalesce(sum(lacking), 0) FROM (SELECT max(trade_id) - min(trade_id) + 1 - count(*) AS lacking \
         FROM trades WHERE trade_id IS NOT NULL GROUP BY instrument)",
    );
    println!("  ids that lack (contiguous on Binance only): {}", lacking[0].join(" "));
    let gaps = "SELECT state, cause, count(*), coalesce(sum(last_id - first_id + 1), 0) FROM gaps \
                WHERE channel = 'trades' GROUP BY state, cause";
    for row in world.sql(gaps) {
        println!("  gaps: {}", row.join(" "));
    }
}
