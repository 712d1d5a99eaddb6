//! Minutes that are over and changed: folded anew from the store, or shown as others wrote them.

use std::time::Duration;

use derivations::MinuteBars;
use model::time::MINUTE;
use model::{BarSource, BarState, InstrumentId, Time};
use tables::{StoreError, TableName, TableScan, TimeRange};

use super::Runner;
use crate::output::Recompute;
use crate::reading;

/// Tries of a read before a bar is left as it was.
const SCAN_TRIES: usize = 5;

impl Runner {
    /// Folds a minute anew from the trades in the store, for a trade that came too late for memory.
    pub(super) fn recompute(&mut self, ask: &Recompute) {
        let range = TimeRange { start: ask.minute, end: ask.minute.plus_micros(MINUTE) };
        let scan = |columns: &[&'static str]| TableScan {
            instrument: Some(ask.instrument.clone()),
            range: Some(range),
            columns: columns.to_vec(),
            ..TableScan::default()
        };
        let trades = self
            .scan(TableName::Trades, &scan(reading::TRADE_COLUMNS))
            .and_then(|batches| reading::trades(&ask.instrument, &batches));
        let stored = self
            .scan(TableName::Bars, &scan(&[]))
            .and_then(|batches| reading::minute_bars(&ask.instrument, &batches));
        let (trades, stored) = match (trades, stored) {
            (Ok(trades), Ok(stored)) => (trades, stored),
            (Err(error), _) | (_, Err(error)) => {
                metrics::counter!("tickhouse_recompute_failures_total").increment(1);
                tracing::error!(instrument = %ask.instrument, minute = %ask.minute, %error,
                    "a late trade's bar stays as it was: its minute could not be read back");
                return;
            }
        };
        let Some(mut bar) = MinuteBars::fold_minute(&ask.instrument, &trades, ask.available_time) else {
            return;
        };
        let stored =
            stored.into_iter().filter(|bar| bar.source == BarSource::Trades).map(|bar| bar.revision).max();
        if let Some(revision) = stored {
            (bar.revision, bar.state) = (revision.saturating_add(1), BarState::Revised);
        }
        self.shower.show_bar(&bar);
        self.pace.out.bar(bar);
    }

    /// Shows bars as the store has them: others wrote them.
    pub(super) fn reload(&self, instrument: &InstrumentId, (first, last): (Time, Time)) {
        let range = TimeRange { start: first.minute_start(), end: last.plus_micros(1) };
        let scan =
            TableScan { instrument: Some(instrument.clone()), range: Some(range), ..TableScan::default() };
        let bars =
            self.scan(TableName::Bars, &scan).and_then(|batches| reading::minute_bars(instrument, &batches));
        match bars {
            Ok(bars) => {
                bars.iter()
                    .filter(|bar| bar.source == BarSource::Trades)
                    .for_each(|bar| self.shower.show_bar(bar));
            }
            Err(error) => tracing::error!(%instrument, %first, %last, %error,
                "bars of a filled hole are shown as they were until the next start"),
        }
    }

    fn scan(&self, table: TableName, scan: &TableScan) -> Result<Vec<arrow_array::RecordBatch>, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.handle.block_on(self.store.scan(table, scan.clone())) {
                Err(_) if tries < SCAN_TRIES => {
                    self.handle.block_on(runtime::sleep(Duration::from_millis(100)));
                }
                result => return result,
            }
        }
    }
}
