//! What readers see without asking the refining thread: the newest of everything, copied here after each batch.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::time::MINUTE;
use model::{
    Bar, BarSource, Gap, Instrument, InstrumentId, LogPosition, Nanos, Quote, Time, Timeframe, VenueId,
};
use tables::TimeRange;

use crate::books::SharedBook;
use crate::clock::VenueClock;
use crate::house::House;
use crate::ledger::{Ledger, Newest};
use crate::output::Output;
use crate::series::Series;
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
}

impl Covered {
    fn of(ledger: &Ledger) -> Self {
        let (open_count, missing_count) = ledger.hole_counts();
        Self {
            start: ledger.start,
            until: ledger.observed_until(),
            absent: ledger.absent(),
            gaps: ledger.gaps(),
            open_count,
            missing_count,
        }
    }

    /// Spans observed from end to end, ascending; `now` ends what is still going on.
    pub(crate) fn observed(&self, now: Time) -> Vec<TimeRange> {
        let Some(start) = self.start else { return Vec::new() };
        let end = self.until.unwrap_or(now);
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
    covered_version: u64,
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
}

impl Tile {
    pub(crate) fn new(instrument: InstrumentId, venue: Arc<VenueTile>) -> Self {
        Self { instrument, venue, shown: Mutex::default(), series: RwLock::default() }
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
    clock: Mutex<(VenueClock, Nanos)>,
    instruments: RwLock<Arc<Vec<Instrument>>>,
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
    tiles: RwLock<HashMap<InstrumentId, Arc<Tile>>>,
    venues: RwLock<Vec<Arc<VenueTile>>>,
    refined: AtomicU64,
    committed: AtomicU64,
    counts: Mutex<Counts>,
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

/// Copies what changed from the house to the board. Owned by the refining thread.
pub(crate) struct Shower {
    board: Arc<Board>,
    /// By desk.
    venues: Vec<Arc<VenueTile>>,
    /// By track.
    tiles: Vec<Arc<Tile>>,
    cache_days: u32,
    /// Venue minute of the last clearing, by desk.
    cleared: Vec<Time>,
}

impl Shower {
    pub(crate) fn new(board: Arc<Board>, cache_days: u32) -> Self {
        Self { board, venues: Vec::new(), tiles: Vec::new(), cache_days, cleared: Vec::new() }
    }

    /// Shows everything: to be called once, with the state taken up.
    pub(crate) fn show_all(&mut self, house: &House) {
        self.grow(house);
        for desk in 0..house.desks.len() {
            self.list(house, desk);
        }
        for track in 0..house.tracks.len() {
            self.show_track(house, track);
        }
        self.show_clocks(house);
    }

    /// Shows what a batch changed.
    pub(crate) fn show(&mut self, house: &House, out: &mut Output) {
        self.grow(house);
        for desk in std::mem::take(&mut out.listed) {
            self.list(house, desk);
        }
        for bar in std::mem::take(&mut out.closed) {
            if bar.timeframe == Timeframe::MINUTE
                && let Some(tile) = self.board.tile(&bar.instrument)
            {
                tile.series_mut().insert(&bar);
            }
        }
        for track in out.take_touched() {
            self.show_track(house, track);
        }
        self.show_clocks(house);
        self.clear_old();
    }

    /// A bar folded anew from the store.
    pub(crate) fn show_bar(&self, bar: &Bar) {
        debug_assert_eq!(bar.source, BarSource::Trades, "only our own bars are folded anew");
        if let Some(tile) = self.board.tile(&bar.instrument) {
            tile.series_mut().insert(bar);
        }
    }

    fn grow(&mut self, house: &House) {
        for desk in &house.desks[self.venues.len()..] {
            let venue = Arc::new(VenueTile::new(desk.id()));
            self.venues.push(Arc::clone(&venue));
            self.cleared.push(Time(i64::MIN));
            self.board.venues.write().unwrap_or_else(PoisonError::into_inner).push(venue);
        }
        for track in &house.tracks[self.tiles.len()..] {
            let tile = Arc::new(Tile::new(track.instrument().clone(), Arc::clone(&self.venues[track.desk])));
            self.tiles.push(Arc::clone(&tile));
            let mut tiles = self.board.tiles.write().unwrap_or_else(PoisonError::into_inner);
            tiles.insert(track.instrument().clone(), tile);
        }
    }

    fn list(&self, house: &House, desk: usize) {
        let listed = house.desks[desk].instruments.values().map(|listed| listed.instrument.clone());
        let listed = Arc::new(listed.collect::<Vec<_>>());
        *self.venues[desk].instruments.write().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    fn show_track(&self, house: &House, at: usize) {
        let track = &house.tracks[at];
        let tile = &self.tiles[at];
        let open: Vec<Bar> = track.bars.open(house.now.to_time()).collect();
        let covered = {
            let shown = tile.shown();
            (shown.covered_version != track.ledger.version).then(|| Arc::new(Covered::of(&track.ledger)))
        };
        let mut shown = tile.shown();
        if let Some(covered) = covered {
            shown.covered = covered;
            shown.covered_version = track.ledger.version;
        }
        if shown.quote.as_ref().map(|quote| quote.sequence)
            != track.quote.as_ref().map(|quote| quote.sequence)
        {
            shown.quote.clone_from(&track.quote);
        }
        shown.newest = track.ledger.newest;
        shown.trades_total = track.trades_total;
        shown.is_carried = track.ledger.carriers > 0;
        shown.open = open;
        if shown.book.is_none() {
            shown.book.clone_from(&track.book);
        }
    }

    fn show_clocks(&self, house: &House) {
        for (venue, desk) in self.venues.iter().zip(&house.desks) {
            *venue.clock.lock().unwrap_or_else(PoisonError::into_inner) = (desk.clock, house.now);
        }
        *self.board.counts.lock().unwrap_or_else(PoisonError::into_inner) = house.counts;
    }

    /// Once a minute of the venue: lets go of bars that are old and were not asked for lately.
    fn clear_old(&mut self) {
        for (venue, cleared) in self.venues.iter().zip(&mut self.cleared) {
            let (Some(now), _) = venue.time() else { continue };
            if now.minute_start() <= *cleared {
                continue;
            }
            *cleared = now.minute_start();
            let oldest =
                now.plus_micros(-i64::from(self.cache_days.max(1)) * model::time::DAY).minute_start();
            for tile in self.tiles.iter().filter(|tile| Arc::ptr_eq(&tile.venue, venue)) {
                let is_old = {
                    let series = tile.series();
                    let first = series.ours.first().into_iter().chain(series.venue.first());
                    let has_old = first.map(|slim| slim.open_time).min().is_some_and(|first| first < oldest);
                    has_old && series.asked < now.plus_micros(-10 * MINUTE)
                };
                if is_old {
                    tile.series_mut().forget_before(oldest);
                }
            }
            let count = self.tiles.iter().map(|tile| tile.series().len()).sum();
            self.board.bar_count.store(count, Ordering::Relaxed);
        }
    }
}
