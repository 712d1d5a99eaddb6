//! Candles of any timeframe, folded from 1-minute bars in memory, older ones read from the store.

mod build;

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
use crate::series::Series;
use crate::views;

pub(crate) use build::{Picture, candles};

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
        let tile = self.board.tile(instrument)?;
        let now = tile.venue.time().0?;
        let first = timeframe.bucket_start(now);
        let span = Span { first, end: timeframe.bucket_end(first) };
        let series = tile.series();
        let before = series.close_before(first).map(|(_, close)| close);
        fold(&tile, &series, timeframe, span, (1, before)).pop()
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
        let Some(span) = span(&ask, now) else {
            let range = ask.range.unwrap_or(TimeRange { start: now, end: now });
            return Ok(CandleAnswer { candles: Vec::new(), coverage: coverage(tile.as_deref(), range, now) });
        };
        let candles = match &tile {
            Some(tile) if self.load(tile, span.first, now).await? => {
                let before = self.close_before(tile, span.first).await?;
                let series = tile.series();
                fold(tile, &series, ask.timeframe, span, (ask.limit, before))
            }
            _ => self.fold_stored(tile.as_deref(), &ask, span).await?,
        };
        let range = ask.range.unwrap_or(TimeRange { start: span.first, end: span.end });
        let coverage = coverage(tile.as_deref(), range, now);
        Ok(CandleAnswer { candles, coverage })
    }

    /// Sees to it that every bar from `first` on is in memory; false if that would be too many.
    async fn load(&self, tile: &Tile, first: Time, now: Time) -> Result<bool, StoreError> {
        let complete_from = {
            let mut series = tile.series_mut();
            series.asked = now;
            series.complete_from
        };
        if complete_from <= first {
            return Ok(true);
        }
        let is_far = now.0 - first.0 > KEPT_SPAN;
        if is_far || self.board.bar_count.load(Ordering::Relaxed) > BARS_MAX {
            return Ok(false);
        }
        let bars = self.read(&tile.instrument, TimeRange { start: first, end: complete_from }).await?;
        let mut series = tile.series_mut();
        series.merge(&bars);
        series.complete_from = series.complete_from.min(first);
        self.board.bar_count.fetch_add(bars.len(), Ordering::Relaxed);
        Ok(true)
    }

    /// Close of the newest bar before a moment, from memory or the store.
    async fn close_before(&self, tile: &Tile, time: Time) -> Result<Option<Decimal>, StoreError> {
        if let Some((_, close)) = tile.series().close_before(time) {
            return Ok(Some(close));
        }
        let covered = Arc::clone(&tile.shown().covered);
        let start = covered.start.unwrap_or(Time(i64::MAX));
        // Only a minute that was observed can be empty, and its price comes from before.
        if start > time { Ok(None) } else { self.stored_close_before(&tile.instrument, time).await }
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
        let mut first = match self
            .edge_bars(&ask.instrument, TimeRange { start: span.first, end: Time(i64::MAX) }, false)
            .await?
        {
            bars if bars.is_empty() => span.first,
            // Nothing is stored before the first bar, so there is no need to look there.
            bars => {
                let oldest = bars.iter().map(|bar| bar.open_time).min().unwrap_or(span.first);
                span.first.max(ask.timeframe.bucket_start(oldest))
            }
        };
        let mut before = self.stored_close_before(&ask.instrument, first).await?;
        while first < span.end && candles.len() < ask.limit {
            let mut end = ask.timeframe.bucket_end(first);
            while end < span.end && end.0 - first.0 < CHUNK {
                end = ask.timeframe.bucket_end(end);
            }
            let bars = self.read(&ask.instrument, TimeRange { start: first, end }).await?;
            let mut series = tile.map(|tile| tile.series().clone()).unwrap_or_default();
            series.merge(&bars);
            let chunk = Span { first, end: end.min(span.end) };
            let limit = ask.limit - candles.len();
            candles.extend(match tile {
                Some(tile) => fold(tile, &series, ask.timeframe, chunk, (limit, before)),
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
        Some(range) => {
            let inside = timeframe.bucket_start(range.start);
            let first = if inside < range.start { timeframe.bucket_end(inside) } else { inside };
            Span { first, end: range.end.min(timeframe.bucket_end(newest)) }
        }
    };
    (span.first < span.end).then_some(span)
}

fn fold(
    tile: &Tile,
    series: &Series,
    timeframe: Timeframe,
    span: Span,
    (limit, before): (usize, Option<Decimal>),
) -> Vec<Candle> {
    let (now, edge) = tile.venue.time();
    let (open, covered) = {
        let shown = tile.shown();
        (shown.open.clone(), Arc::clone(&shown.covered))
    };
    let now = now.unwrap_or(span.end);
    let picture = Picture {
        instrument: &tile.instrument,
        series,
        open: &open,
        // What goes on now has no end: the minute at hand counts as observed.
        observed: &covered.observed(Time(i64::MAX)),
        now,
        edge: edge.unwrap_or(now),
    };
    candles(&picture, timeframe, (span.first, span.end), (limit, before))
}

fn fold_bare(
    instrument: &InstrumentId,
    series: &Series,
    timeframe: Timeframe,
    span: Span,
    (limit, before): (usize, Option<Decimal>),
) -> Vec<Candle> {
    let picture = Picture { instrument, series, open: &[], observed: &[], now: span.end, edge: span.end };
    candles(&picture, timeframe, (span.first, span.end), (limit, before))
}

fn coverage(tile: Option<&Tile>, range: TimeRange, now: Time) -> tables::CoverageAnswer {
    match tile {
        Some(tile) => {
            let covered = Arc::clone(&tile.shown().covered);
            views::answer(&covered, range, Some(now))
        }
        None => views::answer(&Covered::default(), range, Some(now)),
    }
}
