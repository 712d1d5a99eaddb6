//! The past, asked for from a small venue that does as it is told, and from simulated ones that know what happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use model::time::{DAY, MINUTE};
use model::{Date, Event, GapCause, Instrument, Source, Time, Timeframe, VenueId};
use runtime::{Stopper, SystemClock, Tasks};
use simulate::past::PastTrade;
use simulate::{Sim, SimSettings};
use venues::Endpoints;

use super::{HistoryAsk, HistoryDesk, HistoryEnd, HistoryError, HistoryReport, HistoryWish, Lacking};
use crate::budget::{BudgetState, BudgetStore, NoBudgetStore};
use crate::settings::{CollectSettings, VenueSettings, Wanted};
use crate::testing::{MemoryStore, Plan, Server, World, facts, instrument, lock, venue_with};

const HOUR: i64 = 60 * MINUTE;

/// A desk for one venue.
fn settings(venue: &str, rest: String) -> CollectSettings {
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut settings = CollectSettings {
        venues: vec![VenueSettings {
            venue: VenueId::known(venue).unwrap(),
            endpoints: Endpoints { stream: rest.replace("http", "ws"), rest },
            instruments: Wanted::All,
            channels: Vec::new(),
            books: Wanted::None,
            raw_trades: false,
        }],
        ..CollectSettings::default()
    };
    settings.bounds.retry_wait = Duration::from_millis(5);
    settings.bounds.refusals_max = 4;
    settings
}

/// What came of a fetching: the pages, and how it ended.
struct Fetched {
    pages: Vec<Vec<Event>>,
    end: Result<HistoryReport, HistoryError>,
}

impl Fetched {
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.pages.iter().flatten()
    }

    fn ids(&self) -> Vec<i64> {
        let id = |event: &Event| match event {
            Event::Trade(trade) => {
                assert_eq!(trade.source, Source::Rest);
                trade.trade_id
            }
            _ => None,
        };
        self.events().filter_map(id).collect()
    }

    fn report(&self) -> &HistoryReport {
        self.end.as_ref().unwrap_or_else(|error| panic!("{error}: {:?}", error.report))
    }
}

async fn fetch(desk: &HistoryDesk, instrument: Instrument, wish: HistoryWish) -> Fetched {
    let pages: Arc<Mutex<Vec<Vec<Event>>>> = Arc::default();
    let kept = Arc::clone(&pages);
    let mut take = move |page: Vec<Event>| {
        lock(&kept).push(page);
        std::future::ready(Ok(())).boxed()
    };
    let end = desk.fetch(HistoryAsk { instrument, wish }, &mut take, &Stopper::default().watch()).await;
    let pages = std::mem::take(&mut *lock(&pages));
    Fetched { pages, end }
}

/// The small venue with trades from 1 up to the newest, and a desk for it.
async fn scripted(newest: i64) -> (Arc<Server>, HistoryDesk, Tasks) {
    let (server, address) = Server::start(&["BTCUSDT"]).await;
    *lock(&server.newest_trade) = newest;
    let settings = settings("binance", format!("http://{address}"));
    let venue = venue_with(facts());
    let (doors, tasks) = ((no_store(), SystemClock::shared()), Tasks::new());
    let desk = HistoryDesk::open_with(&settings, doors, &tasks, |_| Some(venue)).unwrap();
    (server, desk, tasks)
}

fn ids(first: i64, last: i64) -> HistoryWish {
    HistoryWish::TradeIds { first, last }
}

fn bitcoin() -> Instrument {
    instrument("BTC", "USDT")
}

fn no_store() -> Arc<dyn BudgetStore> {
    Arc::new(NoBudgetStore)
}

#[tokio::test]
async fn a_range_of_ids_comes_page_by_page() {
    let (server, desk, _tasks) = scripted(5_000).await;
    let fetched = fetch(&desk, bitcoin(), ids(7, 4_506)).await;
    assert!(fetched.ids().into_iter().eq(7..=4_506));
    let lengths: Vec<usize> = fetched.pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1_000, 1_000, 1_000, 1_000, 500]);
    let report = fetched.report();
    assert!(report.is_whole());
    // The venue's clock is asked first, once.
    assert_eq!((report.rows, report.questions, report.weight, report.refusals), (4_500, 6, 21, 0));
    assert_eq!(
        server.asked("aggTrades").last().unwrap(),
        "/api/v3/aggTrades?symbol=BTCUSDT&fromId=4007&limit=500"
    );
    assert_eq!(fetch(&desk, bitcoin(), ids(1, 1)).await.report().questions, 1);
}

#[tokio::test]
async fn a_ban_in_the_middle_is_waited_out() {
    let (server, desk, _tasks) = scripted(3_000).await;
    let waits: &[(&str, &str)] = &[("retry-after", "1")];
    *lock(&server.faults) = [("fromId=1001", 429, waits), ("fromId=1001", 418, waits)].into();
    let fetched = fetch(&desk, bitcoin(), ids(1, 3_000)).await;
    assert!(fetched.ids().into_iter().eq(1..=3_000));
    let report = fetched.report();
    assert!(report.is_whole() && report.banned >= Duration::from_millis(1_500), "{report:?}");
    assert_eq!((report.questions, report.refusals), (6, 2));
}

#[tokio::test]
async fn a_ban_of_an_earlier_process_is_waited_out_first() {
    let store = Arc::new(MemoryStore::default());
    let (server, address) = Server::start(&["BTCUSDT"]).await;
    *lock(&server.newest_trade) = 10;
    let now = runtime::Clock::time(&SystemClock);
    let (host, until) = (format!("http://{address}"), now.plus_micros(700_000));
    store.save(&BudgetState {
        host: host.clone(),
        window_start: now,
        weight_used: 5,
        banned_until: Some(until),
        endpoints: Vec::new(),
    });
    let (doors, tasks): ((Arc<dyn BudgetStore>, _), _) = ((store, SystemClock::shared()), Tasks::new());
    let desk =
        HistoryDesk::open_with(&settings("binance", host), doors, &tasks, |_| Some(venue_with(facts())));
    let fetched = fetch(&desk.unwrap(), bitcoin(), ids(1, 10)).await;
    assert!(fetched.report().is_whole() && runtime::Clock::time(&SystemClock) >= until);
    assert_eq!(fetched.report().refusals, 0);
}

#[tokio::test]
async fn a_final_refusal_ends_it_and_says_what_is_left() {
    let (server, desk, _tasks) = scripted(3_000).await;
    *lock(&server.faults) = [("fromId=1001", 400, &[("code", "-1121")] as &[_])].into();
    let fetched = fetch(&desk, bitcoin(), ids(1, 3_000)).await;
    let error = fetched.end.as_ref().unwrap_err();
    assert!(
        error.to_string().contains("the venue refuses: status 400") && error.to_string().contains("-1121")
    );
    assert_eq!((error.report.rows, error.report.rest.clone()), (1_000, Some(ids(1_001, 3_000))));
    assert!(fetched.ids().into_iter().eq(1..=1_000));
}

#[tokio::test]
async fn refusals_that_pass_are_retried_so_many_times() {
    let (server, desk, _tasks) = scripted(3_000).await;
    *lock(&server.faults) = [("fromId=1001", 503, &[] as &[_]); 3].into();
    let fetched = fetch(&desk, bitcoin(), ids(1, 3_000)).await;
    assert_eq!((fetched.report().is_whole(), fetched.report().refusals), (true, 3));
    *lock(&server.faults) = [("fromId=1001", 503, &[] as &[_]); 4].into();
    let fetched = fetch(&desk, bitcoin(), ids(1, 3_000)).await;
    let error = fetched.end.unwrap_err();
    assert!(matches!(&error.why, HistoryEnd::GaveUp(what) if what.contains("503")), "{error}");
    assert_eq!(error.report.rest, Some(ids(1_001, 3_000)));
}

#[tokio::test]
async fn ids_that_the_venue_does_not_have_are_told() {
    let (server, desk, _tasks) = scripted(2_500).await;
    *lock(&server.absent) = vec![1..=3, 500..=509, 990..=1_200];
    let fetched = fetch(&desk, bitcoin(), ids(1, 2_600)).await;
    let report = fetched.report();
    let lacking: Vec<_> =
        report.lacking.iter().map(|lacking| (lacking.ids.unwrap(), lacking.cause)).collect();
    let missing = |first, last| ((first, last), GapCause::NotAtVenue);
    assert_eq!(lacking, [missing(1, 3), missing(500, 509), missing(990, 1_200), missing(2_501, 2_600)]);
    let seen = Some(Time(1_723_161_255_000_000));
    let times: Vec<_> = report.lacking.iter().map(|lacking| lacking.times).collect();
    assert_eq!(times, [(None, seen), (seen, seen), (seen, seen), (seen, None)]);
    assert_eq!((report.rows, report.rest.clone()), (2_600 - 3 - 10 - 211 - 100, None));
    assert!(fetched.ids().is_sorted());
}

#[tokio::test]
async fn what_is_too_old_is_told_as_such() {
    let (server, desk, _tasks) = scripted(10).await;
    *lock(&server.faults) = [("aggTrades", 400, &[("code", "-4166")] as &[_])].into();
    let report = fetch(&desk, bitcoin(), ids(1, 10)).await.end.unwrap();
    let expect = Lacking { ids: Some((1, 10)), times: (None, None), cause: GapCause::BeyondHistory };
    assert_eq!((report.lacking, report.rows), (vec![expect], 0));
}

#[tokio::test]
async fn a_stop_and_a_taker_who_fails_end_it() {
    let (_server, desk, _tasks) = scripted(5_000).await;
    let stopper = Stopper::default();
    let ask = HistoryAsk { instrument: bitcoin(), wish: ids(1, 5_000) };
    let inner = stopper.clone();
    let mut take = move |_| {
        inner.stop();
        std::future::pending().boxed()
    };
    let error = desk.fetch(ask.clone(), &mut take, &stopper.watch()).await.unwrap_err();
    assert_eq!((error.why, error.report.rest), (HistoryEnd::Stopped, Some(ids(1, 5_000))));
    let mut take = |_| std::future::ready(Err("the disk is full".to_owned())).boxed();
    let error = desk.fetch(ask, &mut take, &Stopper::default().watch()).await.unwrap_err();
    assert_eq!(error.why, HistoryEnd::NotTaken("the disk is full".into()));
    let other = Instrument::named("bybit:BTC-USDT".parse().unwrap(), "BTCUSDT");
    let error = fetch(&desk, other, ids(1, 2)).await.end.unwrap_err();
    assert_eq!(error.why, HistoryEnd::UnknownVenue);
}

#[tokio::test]
async fn a_running_collection_keeps_the_answers_under_a_purpose_of_their_own() {
    let world = World::start(Plan::default()).await;
    world.wait_line("carries#").await;
    *lock(&world.server.newest_trade) = 10;
    let fetched = fetch(&world.collector.history(), bitcoin(), ids(1, 10)).await;
    assert!(fetched.ids().into_iter().eq(1..=10));
    let line = "answer#0 history trades BTCUSDT 200 /api/v3/aggTrades?symbol=BTCUSDT&fromId=1&limit=10";
    assert_eq!(world.lines_with("aggTrades?"), [line]);
    assert_eq!(fetched.report().questions, 1, "the clock was asked for before");
    let used = world.collector.history().budgets()[0].1.weight_used;
    assert_eq!(used, world.status().rest.weight_used, "one budget for all");
}

/// A simulated venue with a long past, and a desk for it.
struct Past {
    sim: Sim,
    desk: HistoryDesk,
    venue: VenueId,
    _tasks: Tasks,
}

impl Past {
    async fn start(venue: &str, trades_per_day: f64) -> Self {
        let id = VenueId::known(venue).unwrap();
        let world = SimSettings {
            world: simulate::World::with_past(vec![id], 2, trades_per_day),
            history: Duration::from_hours(10 * 24),
            ..SimSettings::default()
        };
        let tasks = Tasks::new();
        let sim = simulate::start(world, SystemClock::shared(), &tasks).await.unwrap();
        let rest = sim.endpoints()[0].1.clone();
        let desk = HistoryDesk::open(&settings(venue, rest), no_store(), SystemClock::shared(), &tasks);
        Self { sim, desk: desk.unwrap(), venue: id, _tasks: tasks }
    }

    fn instrument(&self) -> Instrument {
        let kind = match self.venue.as_str() {
            "binance-futures" | "bybit-linear" => model::InstrumentKind::Perpetual,
            _ => model::InstrumentKind::Spot,
        };
        Instrument::named(model::InstrumentId::new(self.venue, "BTC", "USDT", kind), "BTCUSDT")
    }

    async fn fetch(&self, wish: HistoryWish) -> Fetched {
        fetch(&self.desk, self.instrument(), wish).await
    }

    /// What happened in a range.
    fn truth(&self, range: &std::ops::Range<Time>) -> Vec<PastTrade> {
        let mut trades = Vec::new();
        for day in range.start.date().0..=range.end.date().0 {
            let mut take = |trade: PastTrade| {
                if range.contains(&trade.time) {
                    trades.push(trade);
                }
            };
            assert!(self.sim.trades_of_day(self.venue, "BTCUSDT", Date(day), &mut take));
        }
        trades
    }
}

fn ago(micros: i64) -> Time {
    runtime::Clock::time(&SystemClock).plus_micros(-micros)
}

#[tokio::test]
async fn trades_by_time_are_those_that_happened() {
    for (venue, back) in [("binance", 5 * DAY), ("binance-futures", 40 * HOUR)] {
        let past = Past::start(venue, 8_000.0).await;
        let range = ago(back)..ago(back - 20 * HOUR);
        let fetched = past.fetch(HistoryWish::TradesByTime { range: range.clone() }).await;
        let truth: Vec<i64> = past.truth(&range).iter().filter_map(|trade| trade.id).collect();
        assert!(truth.len() > 2_000, "{venue}: {}", truth.len());
        assert_eq!(fetched.ids(), truth, "{venue}");
        assert!(fetched.report().is_whole(), "{venue}: {:?}", fetched.report());
        assert!(fetched.report().questions < 12, "{venue}: {:?}", fetched.report());
        // The same by id.
        let fetched = past.fetch(ids(truth[0], truth[truth.len() - 1])).await;
        assert_eq!(fetched.ids(), truth, "{venue}");
    }
}

#[tokio::test]
async fn futures_give_two_days_and_say_so() {
    let past = Past::start("binance-futures", 2_000.0).await;
    let range = ago(50 * HOUR)..ago(45 * HOUR);
    let fetched = past.fetch(HistoryWish::TradesByTime { range: range.clone() }).await;
    let [lacking] = &fetched.report().lacking[..] else { panic!("{:?}", fetched.report()) };
    let (Some(start), Some(end)) = lacking.times else { panic!("{lacking:?}") };
    assert_eq!((lacking.cause, start), (GapCause::BeyondHistory, range.start));
    assert!((end.0 - ago(48 * HOUR).0).abs() < 5 * MINUTE, "{end}");
    let truth: Vec<i64> = past.truth(&(end..range.end)).iter().filter_map(|trade| trade.id).collect();
    assert_eq!(fetched.ids(), truth);
    // By id: the boundary is found, and what lies before it is told.
    let all: Vec<i64> = past.truth(&range).iter().filter_map(|trade| trade.id).collect();
    let (first, last) = (all[0], all[all.len() - 1]);
    let fetched = past.fetch(ids(first, last)).await;
    let [lacking] = &fetched.report().lacking[..] else { panic!("{:?}", fetched.report()) };
    let (from, to) = lacking.ids.unwrap();
    assert_eq!((lacking.cause, from), (GapCause::BeyondHistory, first));
    assert!(to > first && fetched.ids().into_iter().eq(to + 1..=last), "{lacking:?}");
    // Older still, nothing is left.
    let fetched = past.fetch(ids(first - 500, first - 1)).await;
    assert_eq!(fetched.report().lacking[0].ids, Some((first - 500, first - 1)));
    assert_eq!(fetched.report().rows, 0);
}

#[tokio::test]
async fn bybit_gives_its_newest_trades_and_no_others() {
    for (venue, most) in [("bybit", 60), ("bybit-linear", 1_000)] {
        let past = Past::start(venue, 100_000.0).await;
        let range = ago(5 * HOUR)..ago(0);
        let fetched = past.fetch(HistoryWish::TradesByTime { range: range.clone() }).await;
        let [lacking] = &fetched.report().lacking[..] else { panic!("{:?}", fetched.report()) };
        let (Some(start), Some(end)) = lacking.times else { panic!("{lacking:?}") };
        assert_eq!((lacking.cause, start, lacking.ids), (GapCause::BeyondHistory, range.start, None));
        let truth = past.truth(&(end..range.end));
        let rows = fetched.report().rows as usize;
        assert!(
            rows <= most && rows >= truth.len() && truth.len() > most / 2,
            "{venue}: {rows} {}",
            truth.len()
        );
        assert_eq!(fetched.report().questions, 2);
        // By id nothing can be asked for.
        let report = past.fetch(ids(1, 5)).await.end.unwrap();
        assert_eq!((report.lacking[0].ids, report.lacking[0].cause), (Some((1, 5)), GapCause::Refused));
    }
}

/// How many rows come, what is lacking, and whether each moment comes once and in order.
fn summary(fetched: &Fetched) -> (usize, Vec<(i64, GapCause)>) {
    let time = |event: &Event| match event {
        Event::Bar(bar) => bar.open_time,
        Event::Funding(rate) => rate.time,
        Event::OpenInterest(sample) => sample.time,
        other => panic!("{other:?}"),
    };
    let times: Vec<Time> = fetched.events().map(time).collect();
    assert!(times.is_sorted_by(|one, two| one < two));
    let length = |lacking: &Lacking| (lacking.times.1.unwrap().0 - lacking.times.0.unwrap().0) / MINUTE;
    let lacking = fetched.report().lacking.iter();
    (times.len(), lacking.map(|lacking| (length(lacking), lacking.cause)).collect())
}

#[tokio::test]
async fn bars_come_whole_from_every_venue_and_end_with_the_last_that_is_over() {
    for venue in ["binance", "binance-futures", "bybit", "bybit-linear"] {
        let past = Past::start(venue, 500.0).await;
        let now = ago(0).minute_start();
        let range = now.plus_micros(-3_500 * MINUTE)..now.plus_micros(10 * MINUTE);
        let fetched = past.fetch(HistoryWish::Klines { timeframe: Timeframe::MINUTE, range }).await;
        let (rows, lacking) = summary(&fetched);
        // The minute may have turned meanwhile.
        assert!((3_500..=3_501).contains(&rows) && lacking.is_empty(), "{venue}: {rows} {lacking:?}");
        let Some(HistoryWish::Klines { range, .. }) = &fetched.report().rest else { panic!("{venue}") };
        assert!(range.start >= now && range.end == now.plus_micros(10 * MINUTE), "{venue}");
        // Ten days before there was nothing.
        let day = ago(9 * DAY).date().start();
        let range = day.plus_micros(-10 * DAY)..day;
        let fetched = past.fetch(HistoryWish::Klines { timeframe: Timeframe::Minutes(60), range }).await;
        let (rows, lacking) = summary(&fetched);
        let [(minutes, GapCause::NotAtVenue)] = lacking[..] else { panic!("{venue}: {lacking:?}") };
        assert!(rows > 0 && rows as i64 + minutes / 60 == 240, "{venue}: {rows} {minutes}");
        let odd = Timeframe::Minutes(7);
        let range = day..day.plus_micros(HOUR);
        let report = past.fetch(HistoryWish::Klines { timeframe: odd, range }).await.end.unwrap();
        assert_eq!(report.lacking[0].cause, GapCause::Refused, "{venue}");
    }
}

#[tokio::test]
async fn funding_and_open_interest_come_whole() {
    for venue in ["binance-futures", "bybit-linear"] {
        let past = Past::start(venue, 500.0).await;
        let day = ago(DAY).date().start();
        let range = day.plus_micros(-7 * DAY)..day;
        let fetched = past.fetch(HistoryWish::Funding { range: range.clone() }).await;
        assert_eq!(summary(&fetched), (21, Vec::new()), "{venue}");
        let hours = fetched.events().map(|event| match event {
            Event::Funding(rate) => rate.interval_hours,
            other => panic!("{other:?}"),
        });
        assert!(hours.into_iter().all(|hours| hours == Some(8)), "{venue}");
        let period = Timeframe::Minutes(5);
        let fetched = past.fetch(HistoryWish::OpenInterest { period, range: range.clone() }).await;
        assert_eq!(summary(&fetched), (7 * 288, Vec::new()), "{venue}");
    }
    let past = Past::start("binance-futures", 500.0).await;
    let range = ago(40 * DAY)..ago(DAY);
    let fetched = past.fetch(HistoryWish::OpenInterest { period: Timeframe::Minutes(60), range }).await;
    let causes: Vec<GapCause> = fetched.report().lacking.iter().map(|lacking| lacking.cause).collect();
    assert_eq!(causes, [GapCause::BeyondHistory, GapCause::NotAtVenue], "too old, and before the listing");
    let spot = Past::start("binance", 500.0).await;
    let range = ago(DAY)..ago(0);
    let report = spot.fetch(HistoryWish::Funding { range }).await.end.unwrap();
    assert_eq!((report.lacking[0].cause, report.questions), (GapCause::Refused, 1));
}
