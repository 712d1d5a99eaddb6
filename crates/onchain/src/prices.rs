//! Rows of venues into `venue_prices_10m`, and out of them one price by both methods into `composed_prices_10m`.
//!
//! What must be composed again is noted before venues' rows change, so that nothing is forgotten by a crash in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use control::{CheckpointKey, Reached, parts};
use derivations::Fold;
use derivations::price::{MedianComposer, volume_weighted};
use model::time::DAY;
use model::{BUCKET, ComposedPrice, LogPosition, PriceMethod, PriceSource, RejectedSource, Time, VenuePrice};
use tables::{
    BTC, ChainNews, Rows, Span, Step, StoreError, TableName, TableScan, TimeRange, composed_prices::name_of,
};

use crate::beats::Beats;
use crate::board::Board;
use crate::error::Error;
use crate::{Doors, components, ends};

/// Buckets composed and committed at once.
const PIECE: i64 = 30 * DAY;
/// The part that is noted as dirty.
const PART: &str = parts::COMPOSED_PRICES;
/// So often rows look for a step that nobody took.
const STEP_TRIES: u32 = 5;
/// The fold whose states are kept, one a day.
const FOLD: &str = "median_price";

/// The tables of prices.
pub struct Prices {
    doors: Doors,
    /// Rows come from several sources at a time; each set is a step of its own.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What was composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The first bucket.
    pub from: Time,
    /// The last bucket.
    pub through: Time,
}

impl Prices {
    /// The tables behind these doors.
    pub fn new(doors: Doors) -> Self {
        Self { doors, turn: Arc::default() }
    }

    /// Stores rows of venues; one with a known venue and bucket replaces the stored one.
    pub async fn store(&self, rows: Vec<VenuePrice>) -> Result<(), Error> {
        let Some(first) = rows.iter().map(|row| row.bucket).min() else { return Ok(()) };
        let (doors, turn) = (self.doors.clone(), Arc::clone(&self.turn));
        // Whoever brings rows may go away; a step that was cut off half-way would take the place of the next one.
        let stored = runtime::tasks::to_its_end(async move {
            let _turn = turn.lock().await;
            doors.control.mark_dirty(PART, first)?;
            let (table, rows) = (TableName::VenuePrices, Rows::VenuePrices(rows).to_batch());
            let mut tries = 1;
            loop {
                let through = Some(LogPosition(doors.steps.step_of(table)?.0 + 1));
                let step = Step { table, outgoing: None, rows: rows.clone(), through };
                match doors.steps.apply(step).await {
                    // The number was taken: these rows are not stored yet, and depend on none that are.
                    Err(StoreError::Conflict(what)) if tries < STEP_TRIES => {
                        tracing::info!(what, "venues' rows take the next step");
                        tries += 1;
                    }
                    applied => break applied?,
                }
            }
            // Once more, for who composed without these rows in between.
            Ok(doors.control.mark_dirty(PART, first)?)
        });
        stored.await.map_err(Error::Broken)?
    }

    /// Composes what is due: from the earliest changed row on, and what the timeline got since. The timeline is that of the
    /// chain where one is followed, else that of the rows.
    pub async fn compose(&self) -> Result<Option<Composed>, Error> {
        let dirty = self.doors.control.dirty(PART)?;
        let Some((first, last)) = self.timeline().await? else { return Ok(None) };
        let mut own =
            ends::buckets(&self.doors, TableName::ComposedPrices, name_of(PriceMethod::Median)).await?;
        let mut dirty = dirty;
        if own.is_some_and(|(own, _)| own < first) {
            self.cut_before(first).await?;
            (own, dirty) = (None, self.doors.control.dirty(PART)?);
        }
        // The timeline may begin earlier than it did: rows came before the chain.
        let own = own.filter(|(own, _)| *own <= first);
        let next = own.map_or(first, |(_, last)| last.plus_micros(BUCKET));
        // Where the timeline became shorter, its last bucket is composed again, and what is behind it leaves with that.
        let next = if next > last.plus_micros(BUCKET) { last } else { next };
        let from = dirty.map_or(next, |dirty| dirty.from.min(next)).max(first);
        if from > last {
            if let Some(dirty) = dirty {
                self.doors.control.mark_clean(PART, dirty)?;
            }
            return Ok(None);
        }
        self.compose_from(from, last).await?;
        if let Some(dirty) = dirty {
            self.doors.control.mark_clean(PART, dirty)?;
        }
        let reached = Reached { bucket: Some(last), ..Reached::default() };
        let key = CheckpointKey::btc(components::COMPOSER, "10m");
        self.doors.control.checkpoint_reached(&key, &reached, self.doors.clock.time())?;
        Ok(Some(Composed { from, through: last }))
    }

    /// Lets the board know what was composed before.
    pub(crate) fn recall(&self, board: &Board) -> Result<(), Error> {
        board.recall(&self.doors.control)
    }

    /// Notes that composing failed; what was composed stays.
    pub(crate) fn tell_failure(&self, error: &Error) -> Result<(), Error> {
        let key = CheckpointKey::btc(components::COMPOSER, "10m");
        Ok(self.doors.control.checkpoint_failed(&key, &error.to_string(), self.doors.clock.time())?)
    }

    /// Composes what is due, and tells of it.
    pub(crate) async fn keep(&self, board: &Board, beats: &Beats) -> Result<(), Error> {
        if let Some(Composed { from, through }) = self.compose().await? {
            board.change(|standing| standing.price_bucket = Some(through));
            board.tell(self.doors.clock.time(), ChainNews::PriceReady { from, through });
        }
        beats.alive(components::PRICE_COMPOSER)
    }

    /// Forgets what was composed, so that everything is composed again.
    pub fn forget(&self) -> Result<(), Error> {
        Ok(self.doors.control.mark_dirty(PART, Time(0))?)
    }

    /// The timeline begins later than it did: a chain is followed where prices went by their own span before. What stands before its
    /// first bucket leaves, and the median remembers nothing of it, as if it had never been composed.
    async fn cut_before(&self, first: Time) -> Result<(), Error> {
        self.doors.control.mark_dirty(PART, first)?;
        self.doors.control.forget_fold_states(FOLD)?;
        for method in [PriceMethod::VolumeWeighted, PriceMethod::Median] {
            let subject = name_of(method).to_owned();
            let outgoing = Some(Span { subject, column: "bucket", start: i64::MIN, end: first.0 });
            let (table, rows) = (TableName::ComposedPrices, Rows::ComposedPrices(Vec::new()).to_batch());
            self.doors.steps.apply(Step { table, outgoing, rows, through: None }).await?;
        }
        Ok(())
    }

    async fn compose_from(&self, from: Time, last: Time) -> Result<(), Error> {
        crate::coin_blocks::mark(&self.doors.control, from)?;
        let mut median = MedianComposer::new();
        let kept = self.doors.control.fold_state(FOLD, from)?;
        let mut bucket = match kept {
            Some((before, state)) if median.restore(&state).is_ok() => before,
            // What the composer remembers is a day old at most, but for a venue that stays out.
            _ => self.timeline().await?.map_or(from, |(first, _)| first),
        };
        let registered = self.doors.control.price_sources()?;
        let is_off = |source: PriceSource| {
            registered.iter().any(|row| row.source_name == source.as_str() && !row.is_enabled)
        };
        while bucket <= last {
            let end = bucket.plus_micros(PIECE).min(last.plus_micros(BUCKET));
            let mut venues = self.venues(bucket, end).await?;
            let (mut weighted, mut medians): (Vec<ComposedPrice>, Vec<ComposedPrice>) = Default::default();
            let start = bucket;
            while bucket < end {
                if bucket.0 % DAY == 0 && bucket > from {
                    self.doors.control.keep_fold_state(FOLD, bucket, &median.save())?;
                }
                let (off, rows): (Vec<_>, Vec<_>) = venues
                    .remove(&bucket)
                    .unwrap_or_default()
                    .into_iter()
                    .partition(|row| is_off(row.source));
                let price = median.compose(bucket, &rows);
                if bucket >= from {
                    medians.push(with_disabled(price, &off));
                    weighted.push(with_disabled(volume_weighted(bucket, &rows), &off));
                }
                bucket = bucket.plus_micros(BUCKET);
            }
            if end <= from {
                continue;
            }
            let is_last = end > last;
            // Rows behind the timeline's end leave with its last piece.
            let leaving = (start.max(from), if is_last { i64::MAX } else { end.0 });
            self.commit(PriceMethod::VolumeWeighted, weighted, leaving, false).await?;
            self.commit(PriceMethod::Median, medians, leaving, is_last).await?;
        }
        Ok(())
    }

    async fn commit(
        &self,
        method: PriceMethod,
        rows: Vec<ComposedPrice>,
        (start, end): (Time, i64),
        is_last: bool,
    ) -> Result<(), Error> {
        let subject = name_of(method).to_owned();
        let outgoing = Some(Span { subject, column: "bucket", start: start.0, end });
        let rows = Rows::ComposedPrices(rows).to_batch();
        let through = if is_last { Some(self.next_step(TableName::ComposedPrices)?) } else { None };
        Ok(self.doors.steps.apply(Step { table: TableName::ComposedPrices, outgoing, rows, through }).await?)
    }

    fn next_step(&self, table: TableName) -> Result<LogPosition, Error> {
        Ok(LogPosition(self.doors.steps.step_of(table)?.0 + 1))
    }

    async fn venues(&self, start: Time, end: Time) -> Result<BTreeMap<Time, Vec<VenuePrice>>, Error> {
        let scan = TableScan { range: Some(TimeRange { start, end }), ..TableScan::default() };
        let batches = self.doors.store.scan(TableName::VenuePrices, scan).await?;
        let mut by_bucket: BTreeMap<Time, Vec<VenuePrice>> = BTreeMap::new();
        for row in batches.iter().flat_map(tables::venue_prices::from_batch) {
            by_bucket.entry(row.bucket).or_default().push(row);
        }
        Ok(by_bucket)
    }

    /// First and last bucket that wants a price.
    async fn timeline(&self) -> Result<Option<(Time, Time)>, Error> {
        if let Some(ends) = ends::buckets(&self.doors, TableName::BtcBuckets, BTC).await? {
            return Ok(Some(ends));
        }
        let mut all: Option<(Time, Time)> = None;
        for source in model::PriceSource::all() {
            let own = ends::buckets(&self.doors, TableName::VenuePrices, source.as_str()).await?;
            if let Some((first, last)) = own {
                all = Some(all.map_or((first, last), |(low, high)| (low.min(first), high.max(last))));
            }
        }
        Ok(all)
    }
}

/// The price with the venues that are switched off named among those that did not go into it.
fn with_disabled(mut price: ComposedPrice, off: &[VenuePrice]) -> ComposedPrice {
    let disabled = |row: &VenuePrice| RejectedSource { source: row.source, reason: "disabled".to_owned() };
    price.rejected.extend(off.iter().map(disabled));
    price
}
