//! 1-minute bars of past days: folded while their trades come by, or from the store where more is stored than came.

use std::collections::BTreeMap;

use derivations::MinuteBars;
use model::time::MINUTE;
use model::{Bar, BarState, InstrumentId, Time, Trade};
use tables::{StoreError, TableName, TableScan, TableStore, TimeRange};

use crate::reading::{TRADE_COLUMNS, trades};

/// So many minutes of trades are read from the store at once.
const READ_MINUTES: i64 = 60;
/// Minutes closed behind the newest trade while bars are folded.
const CLOSE_BEHIND: i64 = 2 * MINUTE;

/// Bars of trades that come by in the order of their minutes.
#[derive(Debug)]
pub(super) struct DayBars {
    folding: MinuteBars,
    done: BTreeMap<Time, Bar>,
    edge: Time,
}

impl DayBars {
    pub(super) fn new(instrument: InstrumentId) -> Self {
        Self { folding: MinuteBars::new(instrument, 4), done: BTreeMap::new(), edge: Time(i64::MIN) }
    }

    #[inline]
    pub(super) fn take(&mut self, trade: &Trade) {
        let edge = trade.venue_time.minute_start();
        if edge > self.edge {
            self.edge = edge;
            self.close(edge.plus_micros(-CLOSE_BEHIND));
        }
        let _apart_or_too_large = self.folding.take_trade(trade);
    }

    fn close(&mut self, edge: Time) {
        let done = &mut self.done;
        self.folding.close_through(edge, Time(0), &mut |bar| {
            done.insert(bar.open_time, bar);
        });
        self.folding.let_go(&[]);
    }

    /// All bars, ascending, known since `available`.
    pub(super) fn finish(mut self, available: Time) -> Vec<Bar> {
        self.close(self.edge.plus_micros(MINUTE));
        self.done.into_values().map(|bar| settled(bar, available)).collect()
    }
}

fn settled(bar: Bar, available_time: Time) -> Bar {
    Bar { state: BarState::Closed, revision: 0, available_time, ..bar }
}

/// Bars of everything that is stored of a span.
pub(super) async fn from_store(
    store: &dyn TableStore,
    instrument: &InstrumentId,
    range: TimeRange,
    available: Time,
) -> Result<Vec<Bar>, StoreError> {
    let mut bars = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = start.plus_micros(READ_MINUTES * MINUTE).min(range.end);
        let scan = TableScan {
            instrument: Some(instrument.clone()),
            range: Some(TimeRange { start, end }),
            columns: TRADE_COLUMNS.to_vec(),
            ..TableScan::default()
        };
        let mut folded = DayBars::new(instrument.clone());
        // Sorted by the key, so that minutes come in order.
        for trade in trades(instrument, &store.scan(TableName::Trades, scan).await?)? {
            folded.take(&trade);
        }
        bars.extend(folded.finish(available));
        start = end;
    }
    Ok(bars)
}
