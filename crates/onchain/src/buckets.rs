//! Keeps `btc_buckets` in step with `btc_primitive_block`: after each step, every bucket from the earliest touched one on is built anew.

use std::sync::{Arc, PoisonError, RwLock};

use chain::HeaderIndex;
use control::{CheckpointKey, Reached};
use derivations::chain::{BlockInput, Carry, Span as BucketSpan, build};
use model::time::SECOND;
use model::{BUCKET, BlockFacts, BlockPlace, ChainBucket, LogPosition, Time, bucket_start};
use tables::{BTC, Rows, Span, Step, TableName, TableScan, TimeRange};

use crate::error::Error;
use crate::ledger::blocks_since;
use crate::{Doors, components, ends};

/// Where the buckets stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// The first bucket that was built anew.
    pub from: Time,
    /// The last bucket there is.
    pub through: Time,
}

/// The last bucket of a bucket's month. Tables are parted by month, so that each file is read and written once, and a month is
/// what building a whole chain holds in memory.
fn month_end(bucket: Time) -> Time {
    Time(bucket.date().next_month_start().start().0 - BUCKET)
}

/// The keeper of `btc_buckets`.
pub struct Buckets {
    doors: Doors,
    /// The chain that the tables of blocks hold.
    active: Arc<RwLock<HeaderIndex>>,
    last: Option<Time>,
    /// The last bucket that time alone has brought: blocks with earlier times take none of those away.
    ticked: Option<Time>,
}

impl Buckets {
    /// Opens the table, over the chain as the ledger has it.
    pub async fn open(doors: Doors, active: Arc<RwLock<HeaderIndex>>) -> Result<Self, Error> {
        let last = ends::last_bucket(&doors, TableName::BtcBuckets, BTC).await?;
        let mut buckets = Self { doors, active, last, ticked: None };
        let steps = &buckets.doors.steps;
        // Where blocks are ahead, the last buckets may be those of a branch that is gone.
        if steps.step_of(TableName::BtcBuckets)? >= steps.step_of(TableName::BtcPrimitiveBlock)? {
            buckets.ticked = last.filter(|last| buckets.extent().1.is_some_and(|latest| latest < *last));
        }
        Ok(buckets)
    }

    /// The last bucket.
    pub fn last(&self) -> Option<Time> {
        self.last
    }

    /// The earliest header time of blocks that came or left since the buckets were built; `None` if there were none.
    pub async fn behind(&self) -> Result<Option<Time>, Error> {
        let own = self.doors.steps.step_of(TableName::BtcBuckets)?;
        if own >= self.doors.steps.step_of(TableName::BtcPrimitiveBlock)? {
            return Ok(None);
        }
        let rows = blocks_since(&self.doors, own).await?;
        Ok(rows.iter().map(|row| &row.place).filter(|place| place.height > 0).map(BlockPlace::time).min())
    }

    /// Builds every bucket from the one that holds `earliest` on, up to that of the latest header and at least through
    /// `at_least`. The last commit carries the step.
    pub async fn build(
        &mut self,
        earliest: Time,
        at_least: Option<Time>,
        step: u64,
    ) -> Result<Option<Built>, Error> {
        let (first, latest) = self.extent();
        // Buckets without blocks between the last one and the first touched one are to be built too.
        let next = self.last.map_or(earliest, |last| last.plus_micros(BUCKET));
        let changed = bucket_start(earliest.min(next), BUCKET);
        let Some(latest) = latest else {
            // No block is left: everything goes.
            self.commit(Vec::new(), (changed, i64::MAX), Some(step)).await?;
            (self.last, self.ticked) = (None, None);
            return Ok(None);
        };
        let through = at_least.map_or(latest, |time| latest.max(bucket_start(time, BUCKET)));
        let through = self.ticked.map_or(through, |ticked| through.max(ticked));
        crate::coin_blocks::mark(&self.doors.control, changed)?;
        // The chain may begin later than it did: what stood before its first bucket leaves, and nothing is carried from there.
        let from = changed.max(first.unwrap_or_default());
        let mut leaves = changed;
        let mut carry = if Some(from) == first { None } else { self.carry_before(from).await? };
        let (mut start, mut end) = (from, month_end(from).min(through));
        let mut facts = self.facts(start, end).await?;
        loop {
            let mut inputs: Vec<BlockInput<'_>> = facts.iter().map(BlockInput::from).collect();
            let mut rows: Vec<ChainBucket> = Vec::new();
            let span = BucketSpan { from: start, through: end, length: BUCKET };
            carry = build(span, carry, &mut inputs, &mut |bucket| rows.push(bucket));
            let is_last = end >= through;
            let leaving = (leaves, if is_last { i64::MAX } else { end.0 + BUCKET });
            let commit = self.commit(rows, leaving, is_last.then_some(step));
            if is_last {
                commit.await?;
                break;
            }
            start = Time(end.0 + BUCKET);
            leaves = start;
            end = month_end(start).min(through);
            // The next month is read while this one is written.
            let (committed, read) = futures::join!(commit, self.facts(start, end));
            (facts, ()) = (read?, committed?);
        }
        self.last = carry.map(|_| through);
        self.tell(step, carry)?;
        Ok(Some(Built { from, through }))
    }

    /// Lets time pass: empty buckets up to the one before `now`'s, and that one.
    pub async fn tick(&mut self, now: Time, step: u64) -> Result<Option<Built>, Error> {
        match self.last {
            Some(last) if last < bucket_start(now, BUCKET) => {
                let built = self.build(last.plus_micros(BUCKET), Some(now), step).await?;
                self.ticked = self.last;
                Ok(built)
            }
            _ => Ok(None),
        }
    }

    fn tell(&self, step: u64, carry: Option<Carry>) -> Result<(), Error> {
        let reached = Reached {
            sequence: step,
            height: carry.map(|carry| carry.height),
            hash: carry.map(|carry| carry.hash.to_string()),
            bucket: self.last,
        };
        let now = self.doors.clock.time();
        Ok(self.doors.control.checkpoint_reached(
            &CheckpointKey::btc(components::BUILDER, "10m"),
            &reached,
            now,
        )?)
    }

    /// The buckets of the earliest and the latest header, but for the first block's.
    fn extent(&self) -> (Option<Time>, Option<Time>) {
        let span = self.active.read().unwrap_or_else(PoisonError::into_inner).time_span();
        let bucket = |seconds: u32| bucket_start(Time(i64::from(seconds) * SECOND), BUCKET);
        (span.map(|span| bucket(span.0)), span.map(|span| bucket(span.1)))
    }

    async fn carry_before(&self, from: Time) -> Result<Option<Carry>, Error> {
        let before = TimeRange { start: Time(from.0 - BUCKET), end: from };
        let scan = TableScan { subject: Some(BTC.to_owned()), range: Some(before), ..TableScan::default() };
        let batches = self.doors.store.scan(TableName::BtcBuckets, scan).await?;
        let rows = batches.iter().flat_map(tables::btc_buckets::from_batch);
        Ok(rows.last().map(|bucket| Carry::of_bucket(&bucket)))
    }

    async fn facts(&self, from: Time, through: Time) -> Result<Vec<BlockFacts>, Error> {
        let range = TimeRange { start: from, end: through.plus_micros(BUCKET) };
        let columns = tables::btc_primitive_block::columns_without_ages();
        let scan =
            TableScan { subject: Some(BTC.to_owned()), range: Some(range), columns, ..TableScan::default() };
        let batches = self.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
        Ok(batches.iter().flat_map(tables::btc_primitive_block::from_batch).collect())
    }

    async fn commit(
        &self,
        rows: Vec<ChainBucket>,
        (start, end): (Time, i64),
        step: Option<u64>,
    ) -> Result<(), Error> {
        let outgoing = Some(Span { subject: BTC.to_owned(), column: "bucket", start: start.0, end });
        let rows = Rows::BtcBuckets(rows).to_batch();
        let through = step.map(LogPosition);
        Ok(self.doors.steps.apply(Step { table: TableName::BtcBuckets, outgoing, rows, through }).await?)
    }
}
