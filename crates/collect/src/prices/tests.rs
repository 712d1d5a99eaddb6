//! Price sources fetched from simulated venues that know the truth, while things go wrong.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use model::time::{MINUTE, SECOND};
use model::{BUCKET, Candle, Nanos, PriceSource, Time, VenueId};
use runtime::{Clock, Stop, Stopper, Tasks};
use simulate::{PriceFault, PriceTrouble, Sim, SimSettings, World};
use venues::Endpoints;

use super::{
    PriceDesk, PriceEnd, PriceError, PriceMode, PricePage, PriceReport, PriceSourceSettings, PriceTaker,
};
use crate::budget::{BudgetStore, NoBudgetStore};
use crate::history::{HistoryDesk, Taken};
use crate::settings::{CollectSettings, VenueSettings, Wanted};
use crate::testing::lock;

/// 8 August 2024, half a minute past a full ten minutes.
pub(super) const NOW: Time = Time(1_723_075_200_000_000 + 30 * SECOND);
/// The end of the last ten minutes before.
const EDGE: Time = Time(1_723_075_200_000_000);
const HOUR: i64 = 60 * MINUTE;

/// A clock that is set by hand.
pub(super) struct HandClock(AtomicI64);

impl HandClock {
    pub(super) fn at(time: Time) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.0)))
    }

    pub(super) fn forward(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::AcqRel);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Nanos {
        Time(self.0.load(Ordering::Acquire)).to_nanos()
    }
}

/// A clock of ours that may be ahead of the venues'.
pub(super) struct OwnClock {
    venues: Arc<HandClock>,
    ahead: AtomicI64,
}

impl OwnClock {
    pub(super) fn set_ahead(&self, micros: i64) {
        self.ahead.store(micros, Ordering::Release);
    }
}

impl Clock for OwnClock {
    fn now(&self) -> Nanos {
        self.venues.now().to_time().plus_micros(self.ahead.load(Ordering::Acquire)).to_nanos()
    }
}

pub(super) fn source(name: &str) -> PriceSource {
    PriceSource::known(name).unwrap()
}

/// Simulated venues with twelve hours of past, and a desk.
pub(super) struct Prices {
    pub(super) sim: Sim,
    pub(super) clock: Arc<HandClock>,
    pub(super) own: Arc<OwnClock>,
    pub(super) desk: PriceDesk,
    pub(super) stop: Stop,
    pub(super) stopper: Stopper,
    pub(super) tasks: Tasks,
}

/// Keeps pages.
#[derive(Clone, Default)]
struct Keeper {
    pages: Arc<Mutex<Vec<PricePage>>>,
    failures: Arc<Mutex<Vec<String>>>,
    /// Says no to the page after so many.
    full_at: Option<usize>,
}

impl PriceTaker for Keeper {
    fn take(&mut self, page: PricePage) -> Taken {
        let mut pages = lock(&self.pages);
        let result = if self.full_at == Some(pages.len()) {
            Err("the disk is full".to_owned())
        } else {
            pages.push(page);
            Ok(())
        };
        std::future::ready(result).boxed()
    }

    fn failed(&mut self, error: &PriceError) {
        lock(&self.failures).push(error.to_string());
    }
}

impl Keeper {
    fn candles(&self) -> Vec<Candle> {
        lock(&self.pages).iter().flat_map(|page| page.candles.clone()).collect()
    }
}

impl Prices {
    pub(super) async fn start() -> Self {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = HandClock::at(NOW);
        let venues = ["binance", "bybit"].into_iter().filter_map(VenueId::known).collect();
        let settings = SimSettings {
            seed: 5,
            world: World::with_past(venues, 1, 20_000.0),
            history: Duration::from_hours(12),
            ..SimSettings::default()
        };
        let tasks = Tasks::new();
        let shown: Arc<dyn Clock> = clock.clone();
        let sim = simulate::start(settings, Arc::clone(&shown), &tasks).await.unwrap();
        let mut bounds = CollectSettings::default();
        bounds.bounds.retry_wait = Duration::from_millis(2);
        bounds.bounds.refusals_max = 4;
        bounds.bounds.reconnect = (Duration::from_millis(5), Duration::from_millis(50));
        let own = Arc::new(OwnClock { venues: Arc::clone(&clock), ahead: AtomicI64::new(0) });
        let shown: Arc<dyn Clock> = own.clone();
        let desk = PriceDesk::open(&bounds, (Arc::new(NoBudgetStore), shown), None, &tasks).unwrap();
        let stopper = Stopper::default();
        Self { sim, clock, own, desk, stop: stopper.watch(), stopper, tasks }
    }

    pub(super) fn origin(&self, name: &str) -> String {
        let endpoints = self.sim.price_endpoints();
        endpoints.into_iter().find(|(known, _)| *known == source(name)).unwrap().1
    }

    fn settings(&self, name: &str) -> PriceSourceSettings {
        PriceSourceSettings {
            mode: PriceMode::Local,
            api_base: self.origin(name),
            historical_start: EDGE.plus_micros(-10 * HOUR),
            poll_every: Duration::from_millis(5),
            ..PriceSourceSettings::usual(source(name))
        }
    }

    async fn catch_up(
        &self,
        name: &str,
        checkpoint: Option<Time>,
        keeper: &mut Keeper,
    ) -> Result<PriceReport, PriceError> {
        self.fetch(self.settings(name), checkpoint, keeper).await
    }

    async fn fetch(
        &self,
        settings: PriceSourceSettings,
        checkpoint: Option<Time>,
        keeper: &mut Keeper,
    ) -> Result<PriceReport, PriceError> {
        self.desk.fetcher(settings).unwrap().catch_up(checkpoint, keeper, &self.stop).await
    }

    /// What a source truly shows in a span, as it is asked for. Trailing zeros apart, digits agree.
    fn truth(&self, name: &str, span: &Range<Time>) -> Vec<Candle> {
        let minutes = venues::prices::candle_source(source(name)).unwrap().facts().child_minutes;
        self.sim.price_candles(source(name), minutes, span)
    }

    fn fault(&self, name: &str, trouble: PriceTrouble, span: Range<Time>) {
        self.sim.price_fault(PriceFault { source: source(name), trouble, span });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_comes_whole_from_its_beginning_to_the_last_ten_minutes_that_are_over() {
    let prices = Prices::start().await;
    for name in ["binance", "bitfinex", "bitstamp", "bybit", "coinbase", "okx"] {
        let mut keeper = Keeper::default();
        let report = prices.catch_up(name, None, &mut keeper).await.unwrap();
        let span = EDGE.plus_micros(-10 * HOUR)..EDGE;
        assert_eq!(keeper.candles(), prices.truth(name, &span), "{name}");
        assert_eq!((report.through, report.refused, report.refusals), (Some(EDGE), 0, 0), "{name}");
        assert_eq!(report.candles, keeper.candles().len() as u64);
        // 600 minutes of which a question brings a page.
        assert_eq!(report.questions, 1, "{name}");
        assert!(keeper.candles().iter().all(|candle| candle.is_closed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_join_and_each_is_whole_ten_minutes() {
    let prices = Prices::start().await;
    let mut keeper = Keeper::default();
    let settings = PriceSourceSettings {
        // A question to Coinbase brings 149 times ten minutes, so that a day and some hours before the world are two.
        historical_start: EDGE.plus_micros(-40 * HOUR),
        ..prices.settings("coinbase")
    };
    let report = prices.fetch(settings, None, &mut keeper).await.unwrap();
    let ends: Vec<(Time, Time)> = lock(&keeper.pages).iter().map(|page| (page.from, page.through)).collect();
    let middle = EDGE.plus_micros(-40 * HOUR + 149 * BUCKET);
    assert_eq!(ends, [(EDGE.plus_micros(-40 * HOUR), middle), (middle, EDGE)]);
    assert_eq!(report.pages, 2);
    assert_eq!(keeper.candles(), prices.truth("coinbase", &(EDGE.plus_micros(-12 * HOUR)..EDGE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_resumes_ten_minutes_before_its_checkpoint_and_asks_nothing_before_more_is_over() {
    let prices = Prices::start().await;
    let mut keeper = Keeper::default();
    let checkpoint = EDGE.plus_micros(-HOUR);
    let report = prices.catch_up("okx", Some(checkpoint), &mut keeper).await.unwrap();
    assert_eq!((report.through, report.questions), (Some(EDGE), 1));
    assert_eq!(lock(&keeper.pages)[0].from, checkpoint.plus_micros(-BUCKET));
    assert_eq!(keeper.candles(), prices.truth("okx", &(checkpoint.plus_micros(-BUCKET)..EDGE)));
    let again = prices.catch_up("okx", Some(EDGE), &mut keeper).await.unwrap();
    assert_eq!((again.questions, again.through), (0, None));
    prices.clock.forward(BUCKET);
    let next = prices.catch_up("okx", Some(EDGE), &mut keeper).await.unwrap();
    assert_eq!((next.questions, next.through), (1, Some(EDGE.plus_micros(BUCKET))));
    assert_eq!(lock(&keeper.pages).last().unwrap().candles.len(), 4, "the ten minutes before came again");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_that_are_over_since_a_moment_are_not_asked_for_yet() {
    let prices = Prices::start().await;
    // Bitfinex goes on writing for some seconds.
    prices.clock.forward(-20 * SECOND);
    let mut keeper = Keeper::default();
    let report = prices.catch_up("bitfinex", None, &mut keeper).await.unwrap();
    assert_eq!(report.through, Some(EDGE.plus_micros(-BUCKET)));
    prices.clock.forward(10 * SECOND);
    let report = prices.catch_up("bitfinex", report.through, &mut keeper).await.unwrap();
    assert_eq!(report.through, Some(EDGE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_is_silent_now_keeps_its_checkpoint_and_one_that_was_is_sparse() {
    let prices = Prices::start().await;
    let silent = EDGE.plus_micros(-20 * MINUTE)..EDGE;
    prices.fault("bitstamp", PriceTrouble::Silent, silent.clone());
    let mut keeper = Keeper::default();
    let report = prices.catch_up("bitstamp", None, &mut keeper).await.unwrap();
    assert_eq!(report.through, Some(silent.start), "what did not show is asked for again");
    prices.sim.no_price_faults();
    let report = prices.catch_up("bitstamp", report.through, &mut keeper).await.unwrap();
    assert_eq!(report.through, Some(EDGE));
    let hole = EDGE.plus_micros(-3 * HOUR)..EDGE.plus_micros(-2 * HOUR);
    prices.fault("bitstamp", PriceTrouble::Silent, hole.clone());
    let mut keeper = Keeper::default();
    let report = prices.catch_up("bitstamp", None, &mut keeper).await.unwrap();
    assert_eq!((report.through, report.refusals), (Some(EDGE), 0));
    assert!(!keeper.candles().iter().any(|candle| hole.contains(&candle.open_time)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_ten_minutes_wait_for_their_last_candle_but_not_for_ever() {
    let prices = Prices::start().await;
    let last = EDGE.plus_micros(-5 * MINUTE)..EDGE;
    prices.fault("okx", PriceTrouble::Silent, last);
    let mut keeper = Keeper::default();
    let report = prices.catch_up("okx", None, &mut keeper).await.unwrap();
    assert_eq!(report.through, Some(EDGE.plus_micros(-BUCKET)));
    prices.clock.forward(2 * MINUTE);
    let report = prices.catch_up("okx", report.through, &mut keeper).await.unwrap();
    assert_eq!(report.through, Some(EDGE), "then they are taken as they are");
    assert_eq!(lock(&keeper.pages)[1].candles.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_true_are_told_and_the_others_come() {
    let prices = Prices::start().await;
    let bad = EDGE.plus_micros(-2 * HOUR)..EDGE.plus_micros(-HOUR);
    for name in ["binance", "bitfinex", "bitstamp", "bybit", "coinbase", "okx"] {
        for (trouble, reason) in [
            (PriceTrouble::Nulls, "no open"),
            (PriceTrouble::Crossed, "lies below low"),
            (PriceTrouble::Twice, "a second candle"),
        ] {
            prices.fault(name, trouble, bad.clone());
            let mut keeper = Keeper::default();
            let report = prices.catch_up(name, None, &mut keeper).await.unwrap();
            let refused: Vec<_> = lock(&keeper.pages).iter().flat_map(|page| page.refused.clone()).collect();
            assert_eq!(report.refused, refused.len() as u64);
            assert_eq!(refused.len(), prices.truth(name, &bad).len(), "{name} {trouble:?}");
            assert!(refused.iter().all(|row| row.reason.contains(reason)), "{name}: {:?}", refused[0]);
            let mut truth = prices.truth(name, &(EDGE.plus_micros(-10 * HOUR)..EDGE));
            if trouble != PriceTrouble::Twice {
                truth.retain(|candle| !bad.contains(&candle.open_time));
            }
            assert_eq!(keeper.candles(), truth, "{name} {trouble:?}");
            prices.sim.no_price_faults();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_asked_again_and_given_up_with_venue_and_question() {
    let prices = Prices::start().await;
    let now = NOW..NOW.plus_micros(HOUR);
    for (trouble, words) in [(PriceTrouble::Garbage, "Please stand by"), (PriceTrouble::Down, "status 503")] {
        prices.fault("okx", trouble, now.clone());
        let error = prices.catch_up("okx", None, &mut Keeper::default()).await.unwrap_err();
        assert!(matches!(&error.why, PriceEnd::GaveUp(_)), "{error}");
        assert_eq!((error.report.refusals, error.report.questions), (4, 4));
        let text = error.to_string();
        for part in ["prices of okx", "/api/v5/market/candles?instId=BTC-USDT", words] {
            assert!(text.contains(part), "{text}");
        }
        prices.sim.no_price_faults();
        assert!(prices.catch_up("okx", None, &mut Keeper::default()).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_that_is_not_there_is_refused_once_and_for_good() {
    let prices = Prices::start().await;
    for (name, words) in [
        ("binance", "-1121 Invalid symbol."),
        ("bitfinex", "10020 symbol: invalid"),
        ("bitstamp", "404.007 Market not found."),
        ("bybit", "10001 params error: Symbol Invalid"),
        ("coinbase", "NotFound"),
        ("okx", "51001 Instrument ID does not exist"),
    ] {
        let settings = PriceSourceSettings { symbol: "NOSUCH".into(), ..prices.settings(name) };
        let error = prices.fetch(settings, None, &mut Keeper::default()).await.unwrap_err();
        assert!(matches!(&error.why, PriceEnd::Refused(what) if what.contains(words)), "{name}: {error}");
        assert_eq!(error.report.refusals, 0, "it is not asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_is_waited_out_as_long_as_the_venue_says() {
    let prices = Prices::start().await;
    let wait = Duration::from_secs(7);
    prices.fault("coinbase", PriceTrouble::Ban(wait), NOW..NOW.plus_micros(SECOND));
    let fetcher = prices.desk.fetcher(prices.settings("coinbase")).unwrap();
    let (mut keeper, stop) = (Keeper::default(), prices.stop.clone());
    let done = async {
        let report = fetcher.catch_up(None, &mut keeper, &stop).await.unwrap();
        assert_eq!((report.through, report.refusals), (Some(EDGE), 1));
        assert_eq!(report.questions, 2, "nothing was asked before the wait was over");
    };
    let watched = async {
        let banned = |desk: &PriceDesk| desk.budgets().iter().find_map(|(_, status)| status.banned_until);
        while banned(&prices.desk).is_none() {
            runtime::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(banned(&prices.desk), Some(NOW.plus_micros(7 * SECOND)), "Retry-After, no guess");
        // Long enough for many tries, were they made.
        runtime::sleep(Duration::from_millis(50)).await;
        prices.clock.forward(8 * SECOND);
    };
    tokio::join!(done, watched);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fed_from_elsewhere_or_not_enabled_is_not_asked() {
    let prices = Prices::start().await;
    let usual = PriceSourceSettings::usual(source("binance"));
    assert_eq!(usual.mode, PriceMode::Remote, "as it is seeded");
    let remote = PriceSourceSettings { mode: PriceMode::Remote, ..prices.settings("okx") };
    let idle = PriceSourceSettings { enabled: false, ..prices.settings("okx") };
    for settings in [remote, idle] {
        let mut keeper = Keeper::default();
        let report = prices.fetch(settings, None, &mut keeper).await.unwrap();
        assert!(report.skipped.is_some() && report.questions == 0 && report.through.is_none());
        assert!(lock(&keeper.pages).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_backfill_begins_with_what_is_over_now() {
    let prices = Prices::start().await;
    let settings = PriceSourceSettings { auto_historical_backfill: false, ..prices.settings("coinbase") };
    let mut keeper = Keeper::default();
    let report = prices.fetch(settings, None, &mut keeper).await.unwrap();
    assert_eq!((lock(&keeper.pages)[0].from, report.through), (EDGE.plus_micros(-BUCKET), Some(EDGE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn following_goes_on_after_failures_and_ends_when_told_to() {
    let prices = Prices::start().await;
    prices.fault("bybit", PriceTrouble::Down, NOW..NOW.plus_micros(SECOND));
    let fetcher = prices.desk.fetcher(prices.settings("bybit")).unwrap();
    let keeper = Keeper::default();
    let (mut taker, stop) = (keeper.clone(), prices.stop.clone());
    let following = fetcher.follow(None, &mut taker, &stop);
    let watched = async {
        while lock(&keeper.failures).is_empty() {
            runtime::sleep(Duration::from_millis(2)).await;
        }
        prices.clock.forward(2 * SECOND);
        while lock(&keeper.pages).is_empty() {
            runtime::sleep(Duration::from_millis(2)).await;
        }
        prices.clock.forward(BUCKET);
        while lock(&keeper.pages).len() < 2 {
            runtime::sleep(Duration::from_millis(2)).await;
        }
        prices.stopper.stop();
    };
    let (followed, ()) = tokio::join!(following, watched);
    assert_eq!(followed, Ok(()));
    let ends: Vec<Time> = lock(&keeper.pages).iter().map(|page| page.through).collect();
    assert_eq!(ends, [EDGE, EDGE.plus_micros(BUCKET)]);
    assert!(lock(&keeper.failures)[0].contains("status 503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_taken_ends_the_fetching_where_it_was() {
    let prices = Prices::start().await;
    let mut keeper = Keeper { full_at: Some(0), ..Keeper::default() };
    let error = prices.catch_up("okx", None, &mut keeper).await.unwrap_err();
    assert_eq!(error.why, PriceEnd::NotTaken("the disk is full".into()));
    assert_eq!(error.report.through, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_recorded_has_one_budget_for_both() {
    let prices = Prices::start().await;
    let (rest, clock): (String, Arc<dyn Clock>) = (prices.origin("binance"), prices.clock.clone());
    let settings = CollectSettings {
        venues: vec![VenueSettings {
            venue: VenueId::known("binance").unwrap(),
            endpoints: Endpoints { stream: rest.replace("http", "ws"), rest },
            instruments: Wanted::All,
            channels: Vec::new(),
            books: Wanted::None,
            raw_trades: false,
        }],
        ..CollectSettings::default()
    };
    let store: Arc<dyn BudgetStore> = Arc::new(NoBudgetStore);
    let recording =
        HistoryDesk::open(&settings, Arc::clone(&store), Arc::clone(&clock), &prices.tasks).unwrap();
    let desk = PriceDesk::open(&settings, (store, clock), Some(recording.clone()), &prices.tasks).unwrap();
    let used = || recording.budgets()[0].1.weight_used;
    assert_eq!(used(), 0);
    let fetcher = desk.fetcher(prices.settings("binance")).unwrap();
    let report = fetcher.catch_up(None, &mut Keeper::default(), &prices.stop).await.unwrap();
    assert_eq!((report.questions, used()), (1, 2), "two for klines");
    assert!(desk.budgets().is_empty(), "no second budget for the same host");
    desk.fetcher(prices.settings("okx")).unwrap();
    assert_eq!(desk.budgets().len(), 1);
}

#[test]
fn settings_that_cannot_be_carried_out_are_refused_all_at_once() {
    let settings = PriceSourceSettings {
        api_base: "https://a.example/".into(),
        endpoint: "candles?x".into(),
        symbol: String::new(),
        poll_every: Duration::ZERO,
        ..PriceSourceSettings::usual(source("coinbase"))
    };
    let error = settings.check().unwrap_err().to_string();
    for part in ["no origin", "/products/{symbol}/candles", "BTC-USD", "poll interval"] {
        assert!(error.contains(part), "{error}");
    }
    for source in PriceSource::all() {
        assert_eq!(PriceSourceSettings::usual(source).check(), Ok(()));
    }
}
