//! 1-minute bars of past days: folded while their trades come by, or from the store where more is stored than came.

use std::collections::{BTreeMap, HashMap};

use derivations::MinuteBars;
use model::time::MINUTE;
use model::{Bar, BarSource, BarState, InstrumentId, Time, Trade};
use tables::{Rows, StoreError, TableName, TableScan, TableStore, TimeRange};

use super::ImportDoors;
use crate::reading::{TRADE_COLUMNS, minute_bars, trades};

/// So many minutes of trades are read from the store at once.
const READ_MINUTES: i64 = 60;
/// Bars further apart than this are looked after apart.
pub(super) const APART: i64 = 30 * MINUTE;
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

/// The end of the minute that a span ends in.
pub(super) fn minute_end(end: Time) -> Time {
    let start = end.minute_start();
    if start == end { end } else { start.plus_micros(MINUTE) }
}

/// Writes bars that are new or say something else than the stored ones, which they replace as revisions, in one commit. What
/// lies between bars that are far apart is not read.
pub(super) fn settle(
    doors: &ImportDoors,
    instrument: &InstrumentId,
    bars: &[Bar],
) -> Result<u64, StoreError> {
    let mut rows = Vec::new();
    for near in bars.chunk_by(|one, next| next.open_time.0 - one.open_time.0 < APART) {
        rows.extend(doors.runtime.block_on(news(doors.store.as_ref(), instrument, near))?);
    }
    let count = rows.len() as u64;
    if count > 0 {
        let mut writer = doors.bulk.begin(TableName::Bars)?;
        writer.write(Rows::Bars(rows).to_batch())?;
        writer.commit(None)?;
    }
    Ok(count)
}

/// What of these bars is not stored so yet.
async fn news(
    store: &dyn TableStore,
    instrument: &InstrumentId,
    bars: &[Bar],
) -> Result<Vec<Bar>, StoreError> {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return Ok(Vec::new()) };
    let range = TimeRange { start: first.open_time, end: last.open_time.plus_micros(1) };
    let scan = TableScan { instrument: Some(instrument.clone()), range: Some(range), ..TableScan::default() };
    let stored: HashMap<Time, Bar> = minute_bars(instrument, &store.scan(TableName::Bars, scan).await?)?
        .into_iter()
        .filter(|bar| bar.source == BarSource::Trades)
        .map(|bar| (bar.open_time, bar))
        .collect();
    let new = bars.iter().filter_map(|bar| match stored.get(&bar.open_time) {
        None => Some(bar.clone()),
        Some(known) if says_the_same(known, bar) => None,
        Some(known) => Some(Bar { revision: known.revision + 1, state: BarState::Revised, ..bar.clone() }),
    });
    Ok(new.collect())
}

/// Whether two bars of a minute are made of the same trades, as far as bars tell.
fn says_the_same(one: &Bar, other: &Bar) -> bool {
    let told = |bar: &Bar| {
        let Bar { open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, .. } = *bar;
        (open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume)
    };
    told(one) == told(other)
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
