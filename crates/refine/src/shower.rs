//! Shows readers what the refining thread did: copies what a batch changed to the board.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use model::time::MINUTE;
use model::{Bar, BarSource, Time, Timeframe};

use crate::board::{Board, Covered, Tile, VenueTile};
use crate::house::House;
use crate::output::Output;

/// Copies what changed from the house to the board. Owned by the refining thread.
pub(crate) struct Shower {
    board: Arc<Board>,
    /// By desk.
    venues: Vec<Arc<VenueTile>>,
    /// By track.
    tiles: Vec<Arc<Tile>>,
    /// By track: whether its series knows from when on it is complete.
    is_anchored: Vec<bool>,
    cache_days: u32,
    /// Venue minute of the last clearing, by desk.
    cleared: Vec<Time>,
}

impl Shower {
    pub(crate) fn new(board: Arc<Board>, cache_days: u32) -> Self {
        Self {
            board,
            venues: Vec::new(),
            tiles: Vec::new(),
            is_anchored: Vec::new(),
            cache_days,
            cleared: Vec::new(),
        }
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
            self.is_anchored.push(false);
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

    fn show_track(&mut self, house: &House, at: usize) {
        let track = &house.tracks[at];
        let tile = &self.tiles[at];
        if let Some(edge) = house.desks[track.desk].clock.edge
            && !std::mem::replace(&mut self.is_anchored[at], true)
        {
            // Bars of minutes that are still open now all come by here.
            let mut series = tile.series_mut();
            series.complete_from = series.complete_from.min(edge.plus_micros(MINUTE));
        }
        let open: Vec<Bar> = track.bars.open(house.now.to_time()).collect();
        let covered = {
            let shown = tile.shown();
            (shown.covered_version != track.ledger.version).then(|| Arc::new(Covered::of(&track.ledger)))
        };
        let others: Vec<(usize, u64, Arc<Covered>)> = {
            let shown = tile.shown();
            let version = |slot: usize| track.presences[slot].version + track.klines.version;
            let is_new = |slot: &usize| shown.others[*slot].0 != version(*slot);
            let slots = (0..track.presences.len()).filter(is_new);
            slots.map(|slot| (slot, version(slot), Arc::new(Covered::of_other(track, slot)))).collect()
        };
        let mut shown = tile.shown();
        for (slot, version, covered) in others {
            shown.others[slot] = (version, covered);
        }
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
                    has_old && tile.asked() < now.plus_micros(-10 * MINUTE)
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
