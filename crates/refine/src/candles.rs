//! Candles of any timeframe, folded from 1-minute bars in memory, older ones read from the store.

mod build;
mod newest;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use futures::future::BoxFuture;
use model::time::{DAY, MINUTE};
use model::{Bar, Decimal, InstrumentId, Time, Timeframe};
use tables::{
    Candle, CandleAnswer, CandleAsk, Candles, StoreError, TableName, TableScan, TableStore, TimeRange,
};

use crate::board::{BARS_MAX, Board, Covered, Tile};
use crate::reading;
use crate::series::{Before, Series, within};
use crate::views;

pub(crate) use build::{Picture, candles};
pub(crate) use newest::Settled;

/// Longest stretch of history that an answer leaves in memory.
const KEPT_SPAN: i64 = 62 * DAY;
/// Minutes read from the store at a time.
const CHUNK: i64 = 62 * DAY;

/// Makes candles.
#[derive(Clone)]
pub(crate) struct CandleMaker {
    pub(crate) board: Arc<Board>,
    pub(crate) store: Arc<dyn TableStore>,
}

/// The buckets of an answer: from `first` on, those that start before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: Time,
    end: Time,
}

impl Candles for CandleMaker {
    fn candles(&self, ask: CandleAsk) -> BoxFuture<'_, Result<CandleAnswer, StoreError>> {
        self.answer(ask).boxed()
    }

    fn newest(&self, instrument: &InstrumentId, timeframe: Timeframe) -> Option<Candle> {
        newest::newest(self.board.tile(instrument)?.as_ref(), timeframe)
    }
}

impl CandleMaker {
    async fn answer(&self, ask: CandleAsk) -> Result<CandleAnswer, StoreError> {
        let tile = self.board.tile(&ask.instrument);
        let now = match tile.as_ref().and_then(|tile| tile.venue.time().0) {
            Some(now) => now,
            // Nothing was heard of the venue since the log began: what is stored ends where it ends.
            None => self.newest_stored(&ask.instrument).await?.unwrap_or(Time(0)),
        };
        let Some(mut span) = span(&ask, now) else {
            let range = ask.range.unwrap_or(TimeRange { start: now, end: now });
            return Ok(CandleAnswer { candles: Vec::new(), coverage: coverage(tile.as_deref(), range, now) });
        };
        let mut candles = self.within(tile.as_deref(), &ask, span, now).await?;
        if candles.is_empty()
            && is_startless(&ask)
            && let Some(older) = self.span_before(tile.as_deref(), &ask, span.first).await?
        {
            // Nothing is known of the newest buckets: who pages backwards is led over the hole.
            span = Span { end: span.end, ..older };
            candles = self.within(tile.as_deref(), &ask, older, now).await?;
        }
        let whole = TimeRange { start: span.first, end: span.end };
        let range = ask.range.filter(|_| !is_startless(&ask)).unwrap_or(whole);
        let coverage = coverage(tile.as_deref(), range, now);
        Ok(CandleAnswer { candles, coverage })
    }

    async fn within(
        &self,
        tile: Option<&Tile>,
        ask: &CandleAsk,
        span: Span,
        now: Time,
    ) -> Result<Vec<Candle>, StoreError> {
        match tile {
            Some(tile) if self.load(tile, span.first, now).await? => {
                // Empty buckets from before history began are not walked over.
                let begins = tile.series().begins.unwrap_or(span.first).min(now);
                let first = span.first.max(ask.timeframe.bucket_start(begins));
                self.know_close_before(tile, ask.timeframe, first).await?;
                let live = Live::of(tile);
                let series = tile.series();
                let before = series.close_before(first).close();
                let picture = live.picture(tile, &series, span.end);
                Ok(candles(&picture, ask.timeframe, (first, span.end), (ask.limit, before)))
            }
            _ => {
                if let Some(tile) = tile
                    && span.end > ask.timeframe.bucket_start(now)
                {
                    // Who asks for this much wants to follow the newest candle too: that one is made from memory.
                    self.load(tile, ask.timeframe.bucket_start(now), now).await?;
                }
                self.fold_stored(tile, ask, span).await
            }
        }
    }

    /// The newest buckets of the ask's length that hold a stored bar from before a moment.
    async fn span_before(
        &self,
        tile: Option<&Tile>,
        ask: &CandleAsk,
        time: Time,
    ) -> Result<Option<Span>, StoreError> {
        if self.begins(tile, &ask.instrument).await? >= time {
            return Ok(None);
        }
        let older = TimeRange { start: Time(0), end: time };
        let bars = self.edge_bars(&ask.instrument, older, true).await?;
        let Some(newest) = bars.iter().map(|bar| bar.open_time).max() else { return Ok(None) };
        let range = Some(TimeRange { start: Time(0), end: time });
        Ok(span(&CandleAsk { range, ..ask.clone() }, newest))
    }

    /// Sees to it that every bar from `first` on is in memory; false if that would be too many.
    async fn load(&self, tile: &Tile, first: Time, now: Time) -> Result<bool, StoreError> {
        tile.ask(now);
        let is_far = |time: Time| now.0.saturating_sub(time.0) > KEPT_SPAN;
        // A search of everything, but only once: who asks for more than there is asks again and again.
        let first =
            if is_far(first) { first.max(self.begins(Some(tile), &tile.instrument).await?) } else { first };
        let (whole_from, complete_from) = {
            let series = tile.series();
            (series.whole_from(), series.complete_from)
        };
        if whole_from <= first {
            return Ok(true);
        }
        if is_far(first) || self.board.bar_count.load(Ordering::Relaxed) > BARS_MAX {
            return Ok(false);
        }
        let bars = self.read(&tile.instrument, TimeRange { start: first, end: complete_from }).await?;
        let mut series = tile.series_mut();
        series.merge(&bars);
        if series.complete_from <= complete_from {
            series.complete_from = series.complete_from.min(first);
        }
        self.board.bar_count.fetch_add(bars.len(), Ordering::Relaxed);
        Ok(true)
    }

    /// Open time of the oldest bar there is; the end of time while there is none. The store is searched once.
    async fn begins(&self, tile: Option<&Tile>, instrument: &InstrumentId) -> Result<Time, StoreError> {
        if let Some(begins) = tile.and_then(|tile| tile.series().begins) {
            return Ok(begins);
        }
        let all = TimeRange { start: Time(0), end: Time(i64::MAX) };
        let bars = self.edge_bars(instrument, all, false).await?;
        let stored = bars.iter().map(|bar| bar.open_time).min();
        let Some(tile) = tile else { return Ok(stored.unwrap_or(Time(i64::MAX))) };
        let mut series = tile.series_mut();
        // What is in memory may not be readable in the store yet.
        let begins = stored.into_iter().chain(series.oldest()).min().unwrap_or(Time(i64::MAX));
        series.begins = Some(begins);
        Ok(begins)
    }

    /// Sees to it that the close before the first bucket is in memory, if that bucket may need it.
    async fn know_close_before(
        &self,
        tile: &Tile,
        timeframe: Timeframe,
        first: Time,
    ) -> Result<(), StoreError> {
        let complete_from = {
            let live = Live::of(tile);
            let series = tile.series();
            let end = timeframe.bucket_end(first);
            let has_own = !within(&series.ours, first, end).is_empty()
                || live.open.iter().any(|bar| first <= bar.open_time && bar.open_time < end);
            // Only a minute that was observed can be empty, and its price comes from before.
            let is_unobserved = live.covered.start.is_none_or(|start| end <= start);
            if has_own || is_unobserved || series.close_before(first) != Before::Unasked {
                return Ok(());
            }
            series.complete_from
        };
        let close = self.stored_close_before(&tile.instrument, complete_from).await?;
        let mut series = tile.series_mut();
        if series.complete_from == complete_from {
            series.close_below = Before::told(close);
        }
        Ok(())
    }

    async fn stored_close_before(
        &self,
        instrument: &InstrumentId,
        time: Time,
    ) -> Result<Option<Decimal>, StoreError> {
        let bars = self.edge_bars(instrument, TimeRange { start: Time(0), end: time }, true).await?;
        Ok(bars.iter().max_by_key(|bar| bar.open_time).map(|bar| bar.close))
    }

    async fn newest_stored(&self, instrument: &InstrumentId) -> Result<Option<Time>, StoreError> {
        let bars =
            self.edge_bars(instrument, TimeRange { start: Time(0), end: Time(i64::MAX) }, true).await?;
        Ok(bars.iter().map(|bar| bar.open_time.plus_micros(MINUTE)).max())
    }

    /// The first or last stored bars of a range: a handful, for other timeframes stand between.
    async fn edge_bars(
        &self,
        instrument: &InstrumentId,
        range: TimeRange,
        is_descending: bool,
    ) -> Result<Vec<Bar>, StoreError> {
        let scan = TableScan {
            instrument: Some(instrument.clone()),
            range: Some(range),
            is_descending,
            limit: Some(16),
            ..TableScan::default()
        };
        reading::minute_bars(instrument, &self.store.scan(TableName::Bars, scan).await?)
    }

    async fn read(&self, instrument: &InstrumentId, range: TimeRange) -> Result<Vec<Bar>, StoreError> {
        let scan =
            TableScan { instrument: Some(instrument.clone()), range: Some(range), ..TableScan::default() };
        reading::minute_bars(instrument, &self.store.scan(TableName::Bars, scan).await?)
    }

    /// Candles from far back, chunk by chunk, leaving nothing in memory.
    async fn fold_stored(
        &self,
        tile: Option<&Tile>,
        ask: &CandleAsk,
        span: Span,
    ) -> Result<Vec<Candle>, StoreError> {
        let mut candles = Vec::new();
        // Nothing is stored before the first bar, so there is no need to look there.
        let begins = self.begins(tile, &ask.instrument).await?;
        let mut first = span.first.max(ask.timeframe.bucket_start(begins.min(span.end)));
        let mut before =
            if begins < first { self.stored_close_before(&ask.instrument, first).await? } else { None };
        while first < span.end && candles.len() < ask.limit {
            let mut end = ask.timeframe.bucket_end(first);
            while end < span.end && end.0 - first.0 < CHUNK {
                end = ask.timeframe.bucket_end(end);
            }
            let bars = self.read(&ask.instrument, TimeRange { start: first, end }).await?;
            let live = tile.map(Live::of);
            let mut series = tile.map(|tile| tile.series().clone()).unwrap_or_default();
            series.merge(&bars);
            let chunk = Span { first, end: end.min(span.end) };
            let limit = ask.limit - candles.len();
            candles.extend(match live.as_ref().zip(tile) {
                Some((live, tile)) => {
                    let picture = live.picture(tile, &series, chunk.end);
                    build::candles(&picture, ask.timeframe, (chunk.first, chunk.end), (limit, before))
                }
                None => fold_bare(&ask.instrument, &series, ask.timeframe, chunk, (limit, before)),
            });
            before = candles.last().map(|candle: &Candle| candle.bar.close).or(before);
            first = end;
        }
        Ok(candles)
    }
}

/// The buckets asked for; `None` if there are none.
fn span(ask: &CandleAsk, now: Time) -> Option<Span> {
    let timeframe = ask.timeframe;
    if ask.limit == 0 {
        return None;
    }
    let newest = timeframe.bucket_start(now);
    let span = match ask.range {
        None => {
            let back = u32::try_from(ask.limit - 1).unwrap_or(u32::MAX).min(1_000_000);
            Span { first: timeframe.buckets_before(newest, back), end: timeframe.bucket_end(newest) }
        }
        Some(range) if is_startless(ask) => {
            let end = range.end.min(timeframe.bucket_end(newest));
            if end <= Time(0) {
                return None;
            }
            let last = timeframe.bucket_start(end.plus_micros(-1));
            let back = u32::try_from(ask.limit - 1).unwrap_or(u32::MAX).min(1_000_000);
            Span { first: timeframe.buckets_before(last, back), end }
        }
        Some(range) => {
            let inside = timeframe.bucket_start(range.start);
            let first = if inside < range.start { timeframe.bucket_end(inside) } else { inside };
            Span { first, end: range.end.min(timeframe.bucket_end(newest)) }
        }
    };
    (span.first < span.end).then_some(span)
}

/// Whether the newest candles before the end of the range are asked for.
fn is_startless(ask: &CandleAsk) -> bool {
    ask.range.is_some_and(|range| range.start <= Time(0))
}

/// What is going on at a tile. To be looked at before its series: then a minute that closes meanwhile is in both.
pub(crate) struct Live {
    /// The venue's time, and up to when its minutes are closed.
    pub(crate) now: Option<Time>,
    pub(crate) edge: Option<Time>,
    pub(crate) open: Vec<Bar>,
    pub(crate) covered: Arc<Covered>,
}

impl Live {
    pub(crate) fn of(tile: &Tile) -> Self {
        let (now, edge) = tile.venue.time();
        let (open, covered) = {
            let shown = tile.shown();
            (shown.open.clone(), Arc::clone(&shown.covered))
        };
        Self { now, edge, open, covered: tile.behind.join(&covered) }
    }

    /// What the rule looks at; `end` stands for now where the venue's clock is not known.
    pub(crate) fn picture<'a>(&'a self, tile: &'a Tile, series: &'a Series, end: Time) -> Picture<'a> {
        let now = self.now.unwrap_or(end);
        Picture {
            instrument: &tile.instrument,
            series,
            open: &self.open,
            observed: &self.covered.spans,
            gaps: &self.covered.gaps,
            now,
            edge: self.edge.unwrap_or(now),
        }
    }
}

fn fold_bare(
    instrument: &InstrumentId,
    series: &Series,
    timeframe: Timeframe,
    span: Span,
    (limit, before): (usize, Option<Decimal>),
) -> Vec<Candle> {
    let picture =
        Picture { instrument, series, open: &[], observed: &[], gaps: &[], now: span.end, edge: span.end };
    candles(&picture, timeframe, (span.first, span.end), (limit, before))
}

fn coverage(tile: Option<&Tile>, range: TimeRange, now: Time) -> tables::CoverageAnswer {
    match tile {
        Some(tile) => views::answer(&tile.covered(), range, Some(now)),
        None => views::answer(&Covered::default(), range, Some(now)),
    }
}
