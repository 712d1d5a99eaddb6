//! Keeps `btc_coin_blocks`: what each block did to coins, at the canonical price, computed again from the first block whose ground
//! changed. Each row holds the exact sum that the next one is added to.

use derivations::chain::{CoinHistory, CoinInput, CoinLedger, reasons};
use model::{CoinBlock, LogPosition, Time, bucket_of};
use tables::{BTC, Rows, Span, Step, TableName, TableScan, TimeRange};

use crate::error::Error;
use crate::metrics::closes;
use crate::{Doors, ends};

/// The part that is noted as dirty.
pub(crate) const PART: &str = control::parts::COIN_BLOCKS;
/// Blocks computed and committed at once.
const PIECE: usize = 4_000;

/// The keeper of the table.
pub(crate) struct CoinBlocks {
    doors: Doors,
    /// Times and prices of blocks, as far as they were computed by this process.
    history: CoinHistory,
}

impl CoinBlocks {
    pub(crate) fn new(doors: Doors) -> Self {
        Self { doors, history: CoinHistory::new() }
    }

    /// Computes what is due. What metrics must be computed again then is noted before.
    pub(crate) async fn compute(&mut self) -> Result<(), Error> {
        let dirty = self.doors.control.dirty(PART)?;
        let tip = ends::last_height(&self.doors, TableName::BtcPrimitiveBlock).await?;
        let own = ends::last_height(&self.doors, TableName::BtcCoinBlocks).await?;
        let next = own.map_or(0, |own| own + 1);
        let first = match (&dirty, tip) {
            (Some(dirty), Some(tip)) => self.first_since(dirty.from).await?.unwrap_or(tip + 1).min(next),
            (Some(_), None) => 0,
            (None, _) => next,
        };
        if tip.is_some_and(|tip| first <= tip) {
            self.compute_from(first).await?;
        } else if first < next {
            // The chain ends lower, and nothing came in place of what left.
            self.commit(Vec::new(), (first, i64::MAX), true).await?;
        }
        if let Some(dirty) = dirty {
            self.doors.control.mark_clean(PART, dirty)?;
        }
        Ok(())
    }

    async fn compute_from(&mut self, first: i64) -> Result<(), Error> {
        let (mut ledger, mut height) = self.resume(first).await?;
        loop {
            let scan = TableScan {
                subject: Some(BTC.to_owned()),
                at_least: Some(("height", height)),
                columns: tables::btc_primitive_block::columns_without_fees(),
                limit: Some(PIECE),
                ..TableScan::default()
            };
            let batches = self.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
            let facts: Vec<_> = batches.iter().flat_map(tables::btc_primitive_block::from_batch).collect();
            let times = facts.iter().map(|facts| facts.place.time());
            let Some((from, through)) = times.clone().min().zip(times.max()) else { return Ok(()) };
            let range = TimeRange { start: bucket_of(from), end: through.plus_micros(1) };
            let closes = closes(&self.doors, range).await?;
            let mut rows = Vec::with_capacity(facts.len());
            for facts in &facts {
                let price = closes.get(&bucket_of(facts.place.time())).copied();
                let taken = ledger.take(&CoinInput::of(facts, price), &mut self.history);
                rows.push(taken.map_err(|error| Error::Broken(error.to_string()))?);
            }
            self.doors.control.mark_dirty(crate::metrics::PART, range.start)?;
            let is_last = facts.len() < PIECE;
            let next = height.max(0) + rows.len() as i64;
            let end =
                if is_last { i64::MAX } else { rows.last().map_or(next, |row| i64::from(row.height) + 1) };
            self.commit(rows, (height, end), is_last).await?;
            if is_last {
                return Ok(());
            }
            height = end;
        }
    }

    /// The sum before a block, and the block from which on it goes on: an earlier one if nothing is stored there.
    async fn resume(&mut self, first: i64) -> Result<(CoinLedger, i64), Error> {
        let before = match first.checked_sub(1) {
            Some(before) if before >= 0 => self.stored(before).await?,
            _ => None,
        };
        let Some(before) = before else {
            self.history = CoinHistory::new();
            return Ok((CoinLedger::new(), 0));
        };
        let is_known = self.history.next_height().is_some_and(|next| next > before.height);
        if is_known {
            self.history.truncate(before.height);
        } else {
            self.history = self.read_history(before.height).await?;
        }
        Ok((CoinLedger::at(&before), first))
    }

    async fn stored(&self, height: i64) -> Result<Option<CoinBlock>, Error> {
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            at_least: Some(("height", height)),
            limit: Some(1),
            ..TableScan::default()
        };
        let rows = read(&self.doors, scan).await?;
        Ok(rows.into_iter().find(|row| i64::from(row.height) == height))
    }

    /// Times and prices of all blocks up to one.
    async fn read_history(&self, through: u32) -> Result<CoinHistory, Error> {
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            columns: vec!["height", "time"],
            ..TableScan::default()
        };
        let batches = self.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
        let closes = closes(&self.doors, TimeRange { start: Time(0), end: Time(i64::MAX) }).await?;
        let mut history = CoinHistory::new();
        let blocks = batches.iter().flat_map(tables::btc_primitive_block::heights_and_times);
        for (height, time) in blocks.filter(|(height, _)| *height <= through) {
            let price = closes.get(&bucket_of(time)).copied();
            history.push(height, time, price).map_err(|error| Error::Broken(error.to_string()))?;
        }
        Ok(history)
    }

    /// The lowest block whose header's time is not before a moment.
    async fn first_since(&self, from: Time) -> Result<Option<i64>, Error> {
        let start = bucket_of(from);
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            range: Some(TimeRange { start, end: Time(i64::MAX) }),
            columns: vec!["height"],
            limit: Some(1),
            ..TableScan::default()
        };
        let batches = self.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
        Ok(batches.iter().flat_map(tables::heights_of).next())
    }

    async fn commit(
        &self,
        rows: Vec<CoinBlock>,
        (start, end): (i64, i64),
        is_last: bool,
    ) -> Result<(), Error> {
        let table = TableName::BtcCoinBlocks;
        let outgoing = Some(Span { subject: BTC.to_owned(), column: "height", start, end });
        let through = if is_last { Some(LogPosition(self.doors.steps.step_of(table)?.0 + 1)) } else { None };
        let rows = Rows::BtcCoinBlocks(rows).to_batch();
        Ok(self.doors.steps.apply(Step { table, outgoing, rows, through }).await?)
    }
}

/// Rows of the table.
pub(crate) async fn read(doors: &Doors, scan: TableScan) -> Result<Vec<CoinBlock>, Error> {
    let batches = doors.store.scan(TableName::BtcCoinBlocks, scan).await?;
    Ok(batches.iter().flat_map(|batch| tables::btc_coin_blocks::from_batch(batch, reasons::known)).collect())
}

/// Has metrics and what blocks did to coins computed again from a moment on. Noted before its ground changes.
pub(crate) fn mark(control: &control::Control, from: Time) -> Result<(), Error> {
    control.mark_dirty(PART, from)?;
    Ok(control.mark_dirty(crate::metrics::PART, from)?)
}
