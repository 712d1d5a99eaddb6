//! One month of candles over REST, warm: from the question to the last byte of the answer, over one kept connection.

use std::time::{Duration, Instant};

use crate::world::{World, block_on, eventually, get};

const MONTH_MINUTES: usize = 43_200;
const ASKED: usize = 200;

/// Candles of a month, and more of them than there are; then how soon a restarted platform serves the first one.
pub(super) fn candles() {
    let world = World::start(&["--instruments", "2", "--rate", "200", "--venues", "binance-futures"]);
    world.configure("", "[collect]\nklines_history_minutes = 46080\n");
    let (mut process, address) = world.run();
    for timeframe in ["15", "173"] {
        let wanted = MONTH_MINUTES / timeframe.parse::<usize>().expect("a number");
        let url = |limit| {
            format!("http://{address}/api/v1/data/klines/BTCUSDT?timeframe={timeframe}&limit={limit}")
        };
        eventually(Duration::from_mins(2), "a month of candles", || {
            (get(&url(wanted)).1["data"].as_array().map_or(0, Vec::len) >= wanted).then_some(())
        });
        measure(&format!("one month of {timeframe}m candles"), &url(wanted));
        measure(&format!("50,000 {timeframe}m candles asked, more than there are"), &url(50_000));
    }
    process.end();
    let started = Instant::now();
    let (mut process, address) = world.run();
    let url = format!("http://{address}/api/v1/data/klines/BTCUSDT?timeframe=1&limit=1");
    eventually(Duration::from_mins(1), "the first candle", || {
        get(&url).1["data"].as_array().is_some_and(|data| !data.is_empty()).then_some(())
    });
    println!("restart until the first candle is served: {:?}", started.elapsed());
    process.end();
}

/// Asks again and again over one kept connection, and says how long it took.
pub(super) fn measure(name: &str, url: &str) {
    let (mut times, bytes) = block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (mut times, mut bytes) = (Vec::with_capacity(ASKED), 0);
        for _ in 0..ASKED {
            let started = Instant::now();
            let answer = client.get(url).send().await.expect("an answer comes");
            bytes = answer.bytes().await.expect("the answer is whole").len();
            times.push(started.elapsed());
        }
        (times, bytes)
    });
    times.sort_unstable();
    println!(
        "{name} over REST, {bytes} bytes, {ASKED} times: p50 {:?}, p90 {:?}, p99 {:?}",
        times[ASKED / 2],
        times[ASKED * 9 / 10],
        times[ASKED * 99 / 100]
    );
}
