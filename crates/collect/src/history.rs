//! Fetches the past over REST: trades by id or time, bars, funding, open interest, page after page by the venue's own rules,
//! inside the budget of its host. What is stored of it, and which past is wanted, is left to the caller.
//!
//! At most a page is held at a time. Answers that a running collection asks for this way stand in the raw log under a
//! purpose of their own ([`Purpose::History`](venues::Purpose)), which `refine` leaves out: the caller writes the rows.
//! A desk without a collection has no log, and its answers are written nowhere.

mod grid;
mod questions;
mod settled;
mod trades;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::status::RestStatus;
use model::{Channel, Event, Gap, GapCause, Instrument, Source, Time, Timeframe, VenueId};
use rawlog::{Outcome, RecordKind};
use runtime::{Clock, Stop, Tasks};
use venues::Venue;

use crate::budget::BudgetStore;
use crate::error::Error;
use crate::hosts::{Hosts, check};
use crate::journal::Journal;
use crate::listing;
use crate::patience::LOOK_EVERY;
use crate::rest::Desk;
use crate::settings::{Bounds, CollectSettings};
use questions::{End, Fetching};

/// What is wanted of an instrument's past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryAsk {
    /// The instrument, as its venue lists it.
    pub instrument: Instrument,
    /// What.
    pub wish: HistoryWish,
}

/// Which rows. Ids are inclusive; the end of a range is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryWish {
    /// Trades by id, where the venue numbers them one by one.
    TradeIds {
        /// First id.
        first: i64,
        /// Last id.
        last: i64,
    },
    /// Trades by time.
    TradesByTime {
        /// When they happened.
        range: Range<Time>,
    },
    /// Bars that are over.
    Klines {
        /// Their length.
        timeframe: Timeframe,
        /// When they open.
        range: Range<Time>,
    },
    /// Settled funding rates.
    Funding {
        /// When they were settled.
        range: Range<Time>,
    },
    /// Open interest, sampled.
    OpenInterest {
        /// How far apart the samples are.
        period: Timeframe,
        /// When they were taken.
        range: Range<Time>,
    },
}

/// What the venue does not have, though it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// First and last id, where trades were asked for by id or their ids jump.
    pub ids: Option<(i64, i64)>,
    /// Where ids are named, the times of the trades before and behind, if they were seen. Else the span: its start, and
    /// the first moment behind it.
    pub times: (Option<Time>, Option<Time>),
    /// `NotAtVenue`: it answered without them. `BeyondHistory`: it gives no more of that age. `Refused`: it has no such
    /// question.
    pub cause: GapCause,
}

/// What a fetching brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryReport {
    /// Rows handed over.
    pub rows: u64,
    /// Questions that were answered, refusals among them.
    pub questions: u64,
    /// Weight of these questions.
    pub weight: u64,
    /// Bytes of the answers.
    pub bytes: u64,
    /// Questions that were refused or failed, and were asked again.
    pub refusals: u64,
    /// How long bans were waited out.
    pub banned: Duration,
    /// What the venue does not have, in order.
    pub lacking: Vec<Lacking>,
    /// What was not asked for: everything behind the place where a fetching ended early, or what has not happened yet.
    pub rest: Option<HistoryWish>,
}

impl HistoryReport {
    /// Whether every row that was wanted is there.
    pub fn is_whole(&self) -> bool {
        self.lacking.is_empty() && self.rest.is_none()
    }
}

/// Why a fetching ended early. What was handed over before stands in the report, and what is left in its `rest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryError {
    /// Why.
    pub why: HistoryEnd,
    /// How far it came.
    pub report: HistoryReport,
}

/// How a fetching may end early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryEnd {
    /// It was told to stop.
    Stopped,
    /// The venue is not among those that can be asked here.
    UnknownVenue,
    /// The venue refuses the question for good; its words.
    Refused(String),
    /// All tries failed; the last failure.
    GaveUp(String),
    /// Whoever takes the rows did not; his words.
    NotTaken(String),
}

impl std::fmt::Display for HistoryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.why {
            HistoryEnd::Stopped => f.write_str("told to stop"),
            HistoryEnd::UnknownVenue => f.write_str("its venue is not among those that can be asked"),
            HistoryEnd::Refused(what) => write!(f, "the venue refuses: {what}"),
            HistoryEnd::GaveUp(what) => write!(f, "given up after many tries: {what}"),
            HistoryEnd::NotTaken(what) => write!(f, "the rows were not taken: {what}"),
        }
    }
}

impl std::error::Error for HistoryError {}

/// What taking a page of rows comes to; the next page is asked for when it is done.
pub type Taken = BoxFuture<'static, Result<(), String>>;

/// Where the past is asked for; cheap to clone. Those of one process share the budgets of their hosts.
#[derive(Clone)]
pub struct HistoryDesk {
    posts: Arc<Vec<HistoryPost>>,
    bounds: Arc<Bounds>,
    clock: Arc<dyn Clock>,
}

/// One venue's part.
#[derive(Clone)]
pub(crate) struct HistoryPost {
    pub(crate) venue: &'static dyn Venue,
    pub(crate) desk: Arc<Desk>,
    /// `RawTrades` where those are the canonical trades.
    pub(crate) channel: Channel,
}

impl HistoryPost {
    pub(crate) fn new(venue: &'static dyn Venue, desk: &Arc<Desk>, raw_trades: bool) -> Self {
        let channel = if raw_trades { Channel::RawTrades } else { Channel::Trades };
        Self { venue, desk: Arc::clone(desk), channel }
    }
}

impl HistoryDesk {
    /// A desk of its own, for commands: budgets and bans are those of the store, and are kept there.
    pub fn open(
        settings: &CollectSettings,
        store: Arc<dyn BudgetStore>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        Self::open_with(settings, (store, clock), tasks, venues::venue)
    }

    /// As [`HistoryDesk::open`], with venues looked up elsewhere.
    pub(crate) fn open_with(
        settings: &CollectSettings,
        (store, clock): (Arc<dyn BudgetStore>, Arc<dyn Clock>),
        tasks: &Tasks,
        find: impl Fn(VenueId) -> Option<&'static dyn Venue>,
    ) -> Result<Self, Error> {
        check(settings, &find)?;
        let mut hosts = Hosts::new(settings, Journal::nowhere(Arc::clone(&clock)), store)?;
        let mut posts = Vec::new();
        for one in &settings.venues {
            let Some(venue) = find(one.venue) else { continue };
            let desk = hosts.desk(one, venue, settings, tasks)?;
            posts.push(HistoryPost::new(venue, &desk, one.raw_trades));
        }
        Ok(Self::of(posts, &settings.bounds, clock))
    }

    pub(crate) fn of(posts: Vec<HistoryPost>, bounds: &Bounds, clock: Arc<dyn Clock>) -> Self {
        Self { posts: Arc::new(posts), bounds: Arc::new(bounds.clone()), clock }
    }

    /// Tells the recording that its hole was filled from the archive: rows and bars stand in the tables. False where nothing is
    /// recorded by this process, so that nobody was told.
    pub async fn tell_brought(&self, gap: &Gap) -> Result<bool, String> {
        let venue = gap.instrument.venue();
        let post = self.posts.iter().find(|post| post.venue.facts().id == venue);
        let Some(post) = post.filter(|post| post.desk.records()) else { return Ok(false) };
        let outcome = Outcome::of(gap, Source::Archive.as_str());
        post.desk.write(venue, RecordKind::Outcome, outcome.to_payload()).await?;
        Ok(true)
    }

    /// The desk that asks an origin, if one does.
    pub(crate) fn desk_of(&self, origin: &str) -> Option<Arc<Desk>> {
        self.posts.iter().find(|post| post.desk.origin() == origin).map(|post| Arc::clone(&post.desk))
    }

    /// Whether this process records what the venue sends.
    pub fn records(&self, venue: VenueId) -> bool {
        self.posts.iter().any(|post| post.venue.facts().id == venue && post.desk.records())
    }

    /// How the budgets stand, by venue: for progress shown while a fetching waits.
    pub fn budgets(&self) -> Vec<(VenueId, RestStatus)> {
        self.posts.iter().map(|post| (post.venue.facts().id, post.desk.status())).collect()
    }

    /// Everything the venue lists now, asked for within its host's budget. Waits while the host bans us.
    pub async fn listing(&self, venue: VenueId, stop: &Stop) -> Result<Vec<Instrument>, String> {
        let Some(post) = self.posts.iter().find(|post| post.venue.facts().id == venue) else {
            return Err(format!("{venue} is not among the venues that can be asked"));
        };
        loop {
            if post.desk.banned().is_none() {
                match listing::fetch(post.venue, &post.desk).await {
                    Ok(listing) => return Ok(listing.instruments),
                    Err(error) if post.desk.banned().is_none() => return Err(format!("{venue}: {error}")),
                    Err(error) => tracing::warn!(%venue, error, "waits for the end of the ban"),
                }
            }
            if !stop.sleep(LOOK_EVERY).await {
                return Err(format!("{venue} was not asked for its listing: told to stop"));
            }
        }
    }

    /// Fetches what is wanted and hands it over page by page, in order of id or time; trades are marked as come over REST.
    /// Refusals that pass are waited out, `Bounds::refusals_max` of them in a row; bans until they end.
    ///
    /// Ok if the venue was asked for everything, whatever it lacks: see [`HistoryReport::is_whole`].
    pub async fn fetch(
        &self,
        ask: HistoryAsk,
        take: &mut (dyn FnMut(Vec<Event>) -> Taken + Send),
        stop: &Stop,
    ) -> Result<HistoryReport, HistoryError> {
        let venue = ask.instrument.id.venue();
        let Some(post) = self.posts.iter().find(|post| post.venue.facts().id == venue) else {
            let report = HistoryReport { rest: Some(ask.wish), ..HistoryReport::default() };
            return Err(HistoryError { why: HistoryEnd::UnknownVenue, report });
        };
        let mut fetching = Fetching::new(self, post, &ask, take, stop);
        let ended = fetching.run(ask.wish.clone()).await;
        let report = fetching.into_report();
        match ended {
            Ok(()) => Ok(report),
            Err(End(why)) => Err(HistoryError { why, report }),
        }
    }
}

#[cfg(test)]
mod strict_tests;
#[cfg(test)]
mod tests;
