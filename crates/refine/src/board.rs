//! What readers see without asking the refining thread: the newest of everything, copied here after each batch.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::time::MINUTE;
use model::{
    Bar, Channel, Gap, GapState, Instrument, InstrumentId, LogPosition, Nanos, Quote, Time, Timeframe,
    VenueId,
};
use tables::TimeRange;

use crate::behind::{Behind, PastCover};
use crate::books::SharedBook;
use crate::candles::Settled;
use crate::clock::VenueClock;
use crate::ledger::{Ledger, Newest};
use crate::presence::{self, Absence};
use crate::series::Series;
use crate::track::Track;
use crate::{Counts, InstrumentLine};

/// Bars kept at all, when history was asked for.
pub(crate) const BARS_MAX: usize = 3_000_000;

/// What is known of the coverage of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Covered {
    /// From when on it was observed.
    pub(crate) start: Option<Time>,
    /// Up to when; `None` for now.
    pub(crate) until: Option<Time>,
    /// Spans within that lack trades, ascending.
    pub(crate) absent: Vec<TimeRange>,
    /// Holes that are open or missing, ascending.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) open_count: usize,
    pub(crate) missing_count: usize,
    /// Spans observed from end to end, ascending; what goes on now has no end.
    pub(crate) spans: Vec<TimeRange>,
}

impl Covered {
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let (open_count, missing_count) = ledger.hole_counts();
        let mut covered = Self {
            start: ledger.start,
            until: ledger.observed_until(),
            absent: ledger.absent(),
            gaps: ledger.gaps(),
            open_count,
            missing_count,
            spans: Vec::new(),
        };
        covered.spans = covered.observed(Time(i64::MAX));
        covered
    }

    /// What is known of another stream, by its place in `presence::CHANNELS`.
    pub(crate) fn of_other(track: &Track, slot: usize) -> Self {
        let (presence, channel) = (&track.presences[slot], presence::CHANNELS[slot]);
        let instrument = track.instrument();
        let (mut absent, gaps): (Vec<_>, Vec<_>) = if channel == Channel::Klines {
            track.klines.absent(instrument)
        } else {
            let rows = presence.absences.iter().map(|absence| absence.gap(instrument, channel));
            (presence.absences.iter().map(Absence::range).collect(), rows.collect())
        };
        absent.sort_by_key(|range| range.start);
        let open_count = gaps.iter().filter(|gap| gap.state == GapState::Open).count();
        let mut covered = Self {
            start: presence.start,
            until: presence.observed_until(),
            absent,
            missing_count: gaps.len() - open_count,
            gaps,
            open_count,
            spans: Vec::new(),
        };
        covered.spans = covered.observed(Time(i64::MAX));
        covered
    }

    /// Spans observed from end to end, ascending; `now` ends what is still going on.
    pub(crate) fn observed(&self, now: Time) -> Vec<TimeRange> {
        let Some(start) = self.start else { return Vec::new() };
        let end = self.until.map_or(now, |until| until.min(now));
        let mut spans = Vec::new();
        let mut from = start;
        for absent in &self.absent {
            if absent.start > from {
                spans.push(TimeRange { start: from, end: absent.start.min(end) });
            }
            from = from.max(absent.end);
        }
        spans.push(TimeRange { start: from, end });
        spans.retain(|span| span.start < span.end);
        spans
    }
}

/// The changing part of a tile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) quote: Option<Quote>,
    pub(crate) newest: Option<Newest>,
    pub(crate) trades_total: u64,
    pub(crate) is_carried: bool,
    pub(crate) covered: Arc<Covered>,
    pub(crate) covered_version: u64,
    /// Coverage of other streams with its version, in the order of `presence::CHANNELS`.
    pub(crate) others: [(u64, Arc<Covered>); presence::CHANNELS.len()],
    pub(crate) book: Option<SharedBook>,
    /// Open minutes, oldest first.
    pub(crate) open: Vec<Bar>,
}

/// One instrument.
pub(crate) struct Tile {
    pub(crate) instrument: InstrumentId,
    pub(crate) venue: Arc<VenueTile>,
    shown: Mutex<Shown>,
    series: RwLock<Series>,
    /// When history was last asked for, on the venue's clock: bars in use stay in memory.
    asked: AtomicI64,
    /// Newest buckets of long timeframes, folded as far as they are settled.
    settled: Mutex<HashMap<Timeframe, Settled>>,
    /// What is known of the time before the recording.
    pub(crate) behind: Behind,
}

impl Tile {
    pub(crate) fn new(instrument: InstrumentId, venue: Arc<VenueTile>) -> Self {
        Self {
            instrument,
            venue,
            shown: Mutex::default(),
            series: RwLock::default(),
            asked: AtomicI64::new(i64::MIN),
            settled: Mutex::default(),
            behind: Behind::default(),
        }
    }

    /// What is known of the trade stream, the time before the recording included.
    pub(crate) fn covered(&self) -> Arc<Covered> {
        let live = Arc::clone(&self.shown().covered);
        self.behind.join(&live)
    }

    /// Takes newer knowledge of the past, whose bars may be other ones than those in memory.
    pub(crate) fn set_past(&self, past: PastCover) {
        let end = past.spans.last().map(|(span, _)| span.end);
        self.behind.set(past);
        if let Some(end) = end {
            self.series_mut().distrust_before(end.minute_start().plus_micros(MINUTE));
        }
    }

    /// Notes that history is in use now.
    pub(crate) fn ask(&self, now: Time) {
        self.asked.fetch_max(now.0, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> Time {
        Time(self.asked.load(Ordering::Relaxed))
    }

    pub(crate) fn settled(&self) -> MutexGuard<'_, HashMap<Timeframe, Settled>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn series(&self) -> RwLockReadGuard<'_, Series> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn series_mut(&self) -> RwLockWriteGuard<'_, Series> {
        self.series.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One venue.
pub(crate) struct VenueTile {
    pub(crate) id: VenueId,
    pub(crate) clock: Mutex<(VenueClock, Nanos)>,
    pub(crate) instruments: RwLock<Arc<Vec<Instrument>>>,
}

impl VenueTile {
    pub(crate) fn new(id: VenueId) -> Self {
        Self { id, clock: Mutex::default(), instruments: RwLock::default() }
    }

    /// The venue's time now, and up to when its minutes are closed.
    pub(crate) fn time(&self) -> (Option<Time>, Option<Time>) {
        let (clock, now) = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        (clock.at(now), clock.edge)
    }

    pub(crate) fn instruments(&self) -> Arc<Vec<Instrument>> {
        Arc::clone(&self.instruments.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything shown.
#[derive(Default)]
pub(crate) struct Board {
    pub(crate) tiles: RwLock<HashMap<InstrumentId, Arc<Tile>>>,
    pub(crate) venues: RwLock<Vec<Arc<VenueTile>>>,
    refined: AtomicU64,
    committed: AtomicU64,
    /// Why rows cannot be committed, while they cannot.
    pub(crate) commit_trouble: Mutex<Option<String>>,
    pub(crate) counts: Mutex<Counts>,
    /// Bars in memory, all instruments together.
    pub(crate) bar_count: AtomicUsize,
}

impl Board {
    pub(crate) fn tile(&self, instrument: &InstrumentId) -> Option<Arc<Tile>> {
        self.tiles.read().unwrap_or_else(PoisonError::into_inner).get(instrument).cloned()
    }

    pub(crate) fn tiles(&self) -> Vec<Arc<Tile>> {
        let mut tiles: Vec<_> =
            self.tiles.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        tiles.sort_by(|left, right| left.instrument.cmp(&right.instrument));
        tiles
    }

    pub(crate) fn venues(&self) -> Vec<Arc<VenueTile>> {
        self.venues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn venue(&self, id: VenueId) -> Option<Arc<VenueTile>> {
        self.venues().into_iter().find(|venue| venue.id == id)
    }

    pub(crate) fn refined(&self) -> LogPosition {
        LogPosition(self.refined.load(Ordering::Acquire))
    }

    pub(crate) fn set_refined(&self, position: LogPosition) {
        self.refined.store(position.0, Ordering::Release);
    }

    pub(crate) fn committed(&self) -> LogPosition {
        LogPosition(self.committed.load(Ordering::Acquire))
    }

    pub(crate) fn set_committed(&self, position: LogPosition) {
        self.committed.store(position.0, Ordering::Release);
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line per instrument with a trade stream.
    pub(crate) fn lines(&self) -> Vec<InstrumentLine> {
        let venues = self.venues();
        let symbols: HashMap<InstrumentId, Box<str>> = venues
            .iter()
            .flat_map(|venue| venue.instruments().iter().cloned().collect::<Vec<_>>())
            .map(|instrument| (instrument.id, instrument.symbol))
            .collect();
        let line = |tile: Arc<Tile>| {
            let shown = tile.shown();
            (shown.is_carried || shown.newest.is_some()).then(|| InstrumentLine {
                instrument: tile.instrument.clone(),
                symbol: symbols.get(&tile.instrument).cloned().unwrap_or_default(),
                trades_total: shown.trades_total,
                last_trade_id: shown.newest.and_then(|newest| newest.id),
                last_trade_time: shown.newest.map(|newest| newest.venue_time),
                gaps_open: shown.covered.open_count,
                gaps_missing: shown.covered.missing_count,
                is_carried: shown.is_carried,
            })
        };
        self.tiles().into_iter().filter_map(line).collect()
    }
}
