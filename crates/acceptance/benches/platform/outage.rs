//! A minute without connections on 700 symbols of one venue: how soon what was missed is there again, and how much of what the
//! venue allows that took.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{World, eventually, get, post};

/// How long nobody gets through.
const OUTAGE: Duration = Duration::from_mins(1);
/// The longest wait for everything.
const WAIT_MAX: Duration = Duration::from_mins(12);
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
    }
}

fn one(venue: &str, weight_per_minute: u64) {
    let world =
        World::start(&["--venues", venue, "--instruments", "700", "--rate", "3000", "--history", "2h"]);
    world.configure("channels = [\"trades\"]", "[collect]\nklines_history_minutes = 0\n");
    let (mut process, address) = world.run();
    eventually(Duration::from_secs(60), "trades arrive", || {
        get(&format!("http://{address}/api/v1/status")).1["trades_total"].as_u64().filter(|count| *count > 0)
    });
    std::thread::sleep(WARM_UP);
    let before = holes(&address);
    let fault = |plan: &str| assert_eq!(post(&format!("{}/faults", world.admin), plan).0, 200);
    fault("refuse=1s+60s,cut=1s");
    std::thread::sleep(OUTAGE);
    fault("none");
    let back = Instant::now();
    let (mut most, mut done) = (0, Duration::ZERO);
    let mut still = Instant::now();
    let mut last = before.weight;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = holes(&address);
        most = most.max(now.open);
        // Repairs come to rest when nothing is open and nothing was asked for some seconds.
        if now.open > 0 || now.weight > last + 5 {
            (still, done) = (Instant::now(), back.elapsed());
        }
        last = now.weight;
        if (still.elapsed() > Duration::from_secs(20) && most > 0) || back.elapsed() > WAIT_MAX {
            break;
        }
    }
    let after = holes(&address);
    let weight = after.weight - before.weight;
    println!(
        "outage of a minute, {venue}, 700 symbols: up to {most} holes open at once; the last closed {:.1} s after; weight {weight}{}; {} stay missing; told to stop {} times",
        done.as_secs_f64(),
        if weight_per_minute > 0 {
            let allowed = weight as f64 * 60.0 / weight_per_minute as f64;
            format!(" (the venue allows it in {allowed:.0} s, {:.2} × that)", done.as_secs_f64() / allowed)
        } else {
            String::new()
        },
        after.missing - before.missing,
        after.bans,
    );
    compare(&world, &address);
    process.end();
}

/// What happened against what is recorded.
fn compare(world: &World, address: &str) {
    let (_, truth) = post(&format!("{}/quiet", world.admin), "");
    let truth: Value = serde_json::from_str(&truth).unwrap_or_default();
    std::thread::sleep(Duration::from_secs(10));
    let (_, body) = get(&format!("http://{address}/api/v1/status"));
    println!("  happened {}, recorded {}", truth["trades"], body["trades_total"]);
    for row in world.sql(
        "SELECT state, cause, count(*), sum(last_id - first_id + 1), \
         round(approx_percentile_cont(date_part('epoch', closed_time) - date_part('epoch', last_time), 0.5), 1), \
         round(max(date_part('epoch', closed_time) - date_part('epoch', last_time)), 1) \
         FROM gaps WHERE channel = 'trades' GROUP BY state, cause",
    ) {
        println!("  {}", row.join(" "));
    }
}
