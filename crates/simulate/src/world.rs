//! What stands while a simulation runs: venues, their sources of news, and the world's time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use model::{Nanos, VenueId};
use runtime::clock::within;
use runtime::{Clock, Stopper};

use crate::archive::Site;
use crate::faults::FaultPlan;
use crate::hub::Hub;
use crate::listed::Listed;
use crate::market::{Market, Protocol, listing};
use crate::prices::Prices;
use crate::recording::Recorded;
use crate::rest::quota::Quota;
use crate::settings::Limits;
use crate::trouble::Trouble;
use crate::truth::Truth;

/// Everything that runs.
pub(crate) struct House {
    pub(crate) venues: Vec<Arc<Venue>>,
    pub(crate) time: Arc<WorldTime>,
    pub(crate) limits: Limits,
    pub(crate) truth: Arc<Truth>,
    pub(crate) archive: Site,
    /// Candles of Bitcoin.
    pub(crate) prices: Prices,
    /// Ends connections.
    pub(crate) stopper: Stopper,
    pub(crate) connections: AtomicU64,
}

impl House {
    /// A venue by its protocol: Bybit answers for spot and linear on one host.
    pub(crate) fn speaking(&self, protocol: Protocol) -> Option<&Arc<Venue>> {
        self.venues.iter().find(|venue| venue.protocol == protocol)
    }

    /// The generated markets of a protocol.
    pub(crate) fn markets(&self, protocol: Protocol) -> Option<Arc<Generated>> {
        match &self.speaking(protocol)?.source {
            Source::Generated(listed) => Some(listed.now()),
            Source::Recorded(_) => None,
        }
    }
}

impl House {
    /// Lets something go wrong from now on.
    pub(crate) fn plan(&self, plan: &FaultPlan) {
        let now = self.time.real_ms();
        for venue in &self.venues {
            venue.trouble.plan(plan, now);
        }
    }

    /// Lets generated markets stand still; returns when all that happened before was sent and written down, or says which
    /// venue lacks how much.
    pub(crate) async fn quiet(&self) -> Result<(), String> {
        let since = self.time.quiet();
        for venue in self.venues.iter().filter(|venue| matches!(venue.source, Source::Generated(_))) {
            self.told(venue, |done_ms| done_ms >= since, since).await?;
        }
        Ok(())
    }

    /// Waits until a venue told enough of what happened.
    async fn told(
        &self,
        venue: &Venue,
        is_enough: impl Fn(i64) -> bool,
        wanted_ms: i64,
    ) -> Result<(), String> {
        let done = || venue.done_ms.load(Ordering::Acquire);
        let wait = async {
            while !is_enough(done()) {
                runtime::sleep(Duration::from_millis(2)).await;
            }
        };
        let most = self.limits.standstill;
        within(most, wait).await.ok_or_else(|| {
            format!(
                "{} lags behind: after {} s of waiting, the last {} ms of its markets were neither sent nor written down; the \
                 machine is too busy, ask again or for fewer events",
                venue.id,
                most.as_secs_f64(),
                (wanted_ms - done()).max(0)
            )
        })
    }
}

impl House {
    /// Lists a symbol on a venue while it runs; its trades begin when this has returned.
    pub(crate) async fn list(&self, venue: VenueId, symbol: &str) -> Result<(), String> {
        let (venue, listed) = self.generated(venue)?;
        let from_ms = self.time.soon_ms();
        listed.list(symbol, from_ms)?;
        self.reach(venue, from_ms).await
    }

    /// Delists a symbol of a venue while it runs; nothing of it happens when this has returned. `is_gone` if the venue
    /// does not even name it any more.
    pub(crate) async fn delist(&self, venue: VenueId, symbol: &str, is_gone: bool) -> Result<(), String> {
        let (venue, listed) = self.generated(venue)?;
        let from_ms = self.time.soon_ms();
        listed.delist(symbol, from_ms, is_gone)?;
        self.reach(venue, from_ms).await
    }

    fn generated(&self, id: VenueId) -> Result<(&Venue, &Listed), String> {
        let Some(venue) = self.venues.iter().find(|venue| venue.id == id) else {
            return Err(format!("venue {id} does not run here"));
        };
        match &venue.source {
            Source::Generated(listed) => Ok((venue, listed)),
            Source::Recorded(_) => Err(format!("venue {id} plays a recording, which lists what it lists")),
        }
    }

    /// Waits until a venue told everything up to a moment, or the markets stand still.
    async fn reach(&self, venue: &Venue, at_ms: i64) -> Result<(), String> {
        self.told(venue, |done_ms| done_ms > at_ms || self.time.quiet_since().is_some(), at_ms).await
    }
}

/// One simulated venue.
pub(crate) struct Venue {
    pub(crate) id: VenueId,
    pub(crate) protocol: Protocol,
    pub(crate) hub: Hub,
    pub(crate) trouble: Trouble,
    pub(crate) quota: Quota,
    pub(crate) source: Source,
    /// World time up to which everything was sent and written down.
    pub(crate) done_ms: AtomicI64,
}

/// Where a venue's news comes from.
pub(crate) enum Source {
    /// Markets made from the seed.
    Generated(Listed),
    /// A recording.
    Recorded(Recorded),
}

/// The generated markets of a venue.
#[derive(Clone)]
pub(crate) struct Generated {
    pub(crate) markets: Vec<Arc<Market>>,
    pub(crate) by_symbol: HashMap<String, usize>,
    pub(crate) with_books: bool,
}

impl Generated {
    /// A venue's markets. `per_second` counts trades over all of them.
    pub(crate) fn new(
        (venue, protocol): (VenueId, Protocol),
        seed: u64,
        (count, per_second): (usize, f64),
        first_minute: i64,
        with_books: bool,
    ) -> Self {
        let markets: Vec<Arc<Market>> = listing(venue, protocol, count, per_second)
            .into_iter()
            .map(|spec| Arc::new(Market::new(protocol, spec, seed, first_minute)))
            .collect();
        let by_symbol =
            markets.iter().enumerate().map(|(at, market)| (market.spec.symbol.clone(), at)).collect();
        Self { markets, by_symbol, with_books }
    }

    /// A market by its symbol, upper case.
    pub(crate) fn market(&self, symbol: &str) -> Option<&Market> {
        self.by_symbol.get(symbol).map(|at| &*self.markets[*at])
    }

    /// Markets that are not delisted at a moment.
    pub(crate) fn trading(&self, now_ms: i64) -> impl Iterator<Item = &Market> {
        self.markets.iter().map(|market| &**market).filter(move |market| !market.is_over(now_ms))
    }
}

/// Markets are told what happens every few milliseconds; this is safely later.
const SOON_MS: f64 = 50.0;

/// The world's time: the clock's, perhaps faster, and markets may stand still.
pub(crate) struct WorldTime {
    clock: Arc<dyn Clock>,
    origin: Nanos,
    speed: f64,
    quiet_ms: AtomicI64,
}

impl WorldTime {
    /// Time that starts now.
    pub(crate) fn new(clock: Arc<dyn Clock>, speed: f64) -> Self {
        Self { origin: clock.now(), clock, speed, quiet_ms: AtomicI64::new(i64::MAX) }
    }

    /// When the world started, in milliseconds.
    pub(crate) const fn start_ms(&self) -> i64 {
        self.origin.0.div_euclid(1_000_000)
    }

    /// The world's time in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        let passed = (self.clock.now().0 - self.origin.0) as f64 * self.speed;
        (self.origin.0 + passed as i64).div_euclid(1_000_000)
    }

    /// The same, but no later than when markets were told to stand still.
    pub(crate) fn market_ms(&self) -> i64 {
        self.now_ms().min(self.quiet_ms.load(Ordering::Acquire))
    }

    /// A moment so little ahead that no market was told of it yet.
    pub(crate) fn soon_ms(&self) -> i64 {
        self.market_ms() + (SOON_MS * self.speed).ceil() as i64
    }

    /// The machine's time in milliseconds: for pings, limits and faults.
    pub(crate) fn real_ms(&self) -> i64 {
        self.clock.now().0.div_euclid(1_000_000)
    }

    /// Lets markets stand still from now on; returns from when.
    pub(crate) fn quiet(&self) -> i64 {
        let now = self.now_ms();
        self.quiet_ms.fetch_min(now, Ordering::AcqRel).min(now)
    }

    /// When markets stood still.
    pub(crate) fn quiet_since(&self) -> Option<i64> {
        Some(self.quiet_ms.load(Ordering::Acquire)).filter(|at| *at != i64::MAX)
    }
}
