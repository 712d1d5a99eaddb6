//! A strict Binance, which counts every question and bans who insists: much history is fetched beside live repairs, in a time
//! that runs sixty times as fast.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use model::time::MINUTE;
use model::{Channel, Gap, GapCause, GapState, Instrument, Nanos, Time, VenueId, Wish};
use runtime::{Clock, Stopper, SystemClock, Tasks};
use serde_json::Value;
use simulate::{Limits, Sim, SimSettings};

use super::{HistoryAsk, HistoryReport, HistoryWish};
use crate::journal::Journal;
use crate::settings::Wanted;
use crate::testing::{Plan, Server, World};

/// A clock that runs sixty times as fast.
struct Fast(Nanos);

impl Clock for Fast {
    fn now(&self) -> Nanos {
        Nanos(self.0.0 + (SystemClock.now().0 - self.0.0) * 60)
    }
}

struct Strict {
    sim: Sim,
    world: World,
    clock: Arc<dyn Clock>,
    _tasks: Tasks,
}

impl Strict {
    /// A collection of two contracts; the venue allows so much of what it says it does.
    async fn start(allowance: f64) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Fast(SystemClock.now()));
        let venue = VenueId::known("binance-futures").unwrap();
        let settings = SimSettings {
            world: simulate::World::with_past(vec![venue], 2, 40_000.0),
            history: Duration::from_hours(50),
            limits: Limits { allowance, ..Limits::default() },
            ..SimSettings::default()
        };
        let tasks = Tasks::new();
        let sim = simulate::start(settings, Arc::clone(&clock), &tasks).await.unwrap();
        let address = sim.endpoints()[0].1.trim_start_matches("http://").parse().unwrap();
        let plan = Plan {
            venue: venues::venue(venue).unwrap(),
            wanted: Wanted::All,
            channels: vec![Channel::Trades],
            change: |settings| settings.bounds.retry_wait = Duration::from_millis(20),
            ..Plan::default()
        };
        let (nobody, _) = Server::start(&[]).await;
        let world = World::start_on(plan, (nobody, address), Journal::in_memory(Arc::clone(&clock)));
        world.wait_line("carries#").await;
        Self { sim, world, clock, _tasks: tasks }
    }

    async fn fetch(&self, base: &str, range: Range<Time>) -> HistoryReport {
        let ask = HistoryAsk { instrument: instrument(base), wish: HistoryWish::TradesByTime { range } };
        let mut take = |_| std::future::ready(Ok(())).boxed();
        let desk = self.world.collector.history();
        desk.fetch(ask, &mut take, &Stopper::default().watch()).await.unwrap()
    }

    /// What the venue counted: questions and weight of each endpoint, refusals, most weight of a minute, weight now.
    async fn usage(&self) -> (BTreeMap<String, (u64, u64)>, Value, u64, u64) {
        let body = reqwest::get(format!("{}/usage", self.sim.admin_address())).await.unwrap();
        let told: Value = serde_json::from_slice(&body.bytes().await.unwrap()).unwrap();
        let told = &told["binance-futures"];
        let number = |value: &Value| value.as_u64().unwrap();
        let endpoints = told["endpoints"].as_object().unwrap().iter();
        let endpoints = endpoints
            .map(|(path, count)| (path.clone(), (number(&count["asked"]), number(&count["weight"]))));
        (
            endpoints.collect(),
            told["refused"].clone(),
            number(&told["weight_most"]),
            number(&told["weight_now"]),
        )
    }

    /// The newest ids of today.
    fn newest(&self) -> i64 {
        let venue = VenueId::known("binance-futures").unwrap();
        self.sim.days(venue, "BTCUSDT").unwrap().iter().filter_map(|day| day.last_id).max().unwrap()
    }
}

fn instrument(base: &str) -> Instrument {
    let id = format!("binance-futures:{base}-USDT-PERP").parse().unwrap();
    Instrument::named(id, &format!("{base}USDT"))
}

fn gap(first_id: i64, last_id: i64) -> Gap {
    Gap {
        instrument: instrument("BTC").id,
        channel: Channel::Trades,
        first_id: Some(first_id),
        last_id: Some(last_id),
        first_time: Time(1),
        last_time: Time(2),
        state: GapState::Open,
        cause: GapCause::Dropped,
        source: None,
        found_time: Time(3),
        closed_time: None,
    }
}

#[tokio::test]
async fn much_history_beside_repairs_never_hears_stop_and_both_count_alike() {
    let strict = Strict::start(1.0).await;
    let now = strict.clock.time();
    let range = now.plus_micros(-40 * 60 * MINUTE)..now.plus_micros(-MINUTE);
    let newest = strict.newest();
    let repairs = async {
        for number in 0..20 {
            let first = newest - 20_000 + number * 900;
            assert!(strict.world.wishes.offer(Wish::Fill(gap(first, first + 499))));
            runtime::sleep(Duration::from_millis(100)).await;
        }
        strict.world.wait("repairs", |world| world.lines_with(" done").len() == 20).await;
    };
    let (bitcoin, ether, ()) =
        tokio::join!(strict.fetch("BTC", range.clone()), strict.fetch("ETH", range.clone()), repairs);
    assert!(bitcoin.is_whole() && ether.is_whole(), "{bitcoin:?} {ether:?}");
    assert_eq!((bitcoin.refusals, ether.refusals), (0, 0));
    // More than a minute's share of history, so that it had to wait for the next.
    assert!(bitcoin.weight + ether.weight > 1_500, "{bitcoin:?} {ether:?}");
    let agrees = async {
        loop {
            let (told, refused, most, weight_now) = strict.usage().await;
            let rest = strict.world.status().rest;
            let ours: BTreeMap<String, (u64, u64)> = rest
                .endpoints
                .iter()
                .map(|known| (known.path.to_string(), (known.questions_total, known.weight_total)))
                .collect();
            assert_eq!(refused, serde_json::json!({}), "the venue never says stop");
            assert!(most <= 2_400 * 92 / 100, "{most}");
            if told == ours && u64::from(rest.weight_used) == weight_now {
                assert!(rest.weight_told.is_none_or(|told| told <= rest.weight_used));
                assert!(rest.endpoints.iter().all(|known| known.bans_total == 0));
                return;
            }
            // A question was just on its way, or the minute turned.
            runtime::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = runtime::clock::within(Duration::from_secs(10), agrees).await;
    let (told, ..) = strict.usage().await;
    assert!(waited.is_some(), "{told:?} {:?}", strict.world.status().rest);
}

#[tokio::test]
async fn a_venue_that_allows_less_than_it_says_is_obeyed_at_once() {
    let strict = Strict::start(0.2).await;
    let now = strict.clock.time();
    let range = now.plus_micros(-40 * 60 * MINUTE)..now.plus_micros(-MINUTE);
    let (bitcoin, ether) =
        tokio::join!(strict.fetch("BTC", range.clone()), strict.fetch("ETH", range.clone()));
    assert!(bitcoin.is_whole() && ether.is_whole(), "{bitcoin:?} {ether:?}");
    assert!(bitcoin.refusals + ether.refusals > 0 && bitcoin.banned > Duration::ZERO);
    let (_, refused, ..) = strict.usage().await;
    assert!(refused["429"].as_u64().is_some() && refused.get("418").is_none(), "{refused}");
    let bans: u64 = strict.world.status().rest.endpoints.iter().map(|known| known.bans_total).sum();
    assert_eq!(Some(bans), refused["429"].as_u64());
}
