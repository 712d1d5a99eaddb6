//! Past trades that came over REST, a batch of pages at a time.

use model::{Bar, InstrumentId, Source, Time, Trade};
use tables::{Rows, StoreError, TableName, TimeRange};

use super::bars::{APART, from_store, minute_end, settle};
use super::stored::{Keeping, Seen, Stored};
use super::{ImportDoors, ImportError, ImportReport};

/// Runs of trades, sorted by time, that are not far apart.
fn groups(trades: &[Trade]) -> impl Iterator<Item = &[Trade]> {
    trades.chunk_by(|one, next| next.venue_time.0 - one.venue_time.0 < APART)
}

/// The spans of whole minutes that trades, sorted by time, touch; those further apart than half an hour stay apart.
pub fn spans_of(trades: &[Trade]) -> Vec<(Time, Time)> {
    let ends = groups(trades).filter_map(|group| group.first().zip(group.last()));
    ends.map(|(first, last)| (first.venue_time.minute_start(), minute_end(last.venue_time.plus_micros(1))))
        .collect()
}

/// Makes the bars of whole minutes anew from everything that is stored; how many were written. Blocks until they are
/// durable.
pub fn remake_bars(
    doors: &ImportDoors,
    instrument: &InstrumentId,
    spans: &[(Time, Time)],
    received: Time,
) -> Result<u64, StoreError> {
    let mut bars: Vec<Bar> = Vec::new();
    for (start, end) in spans {
        let range = TimeRange { start: *start, end: *end };
        let made = from_store(doors.store.as_ref(), instrument, range, received);
        bars.extend(doors.runtime.block_on(made)?);
    }
    settle(doors, instrument, &bars)
}

/// Takes trades in that nobody had, and says where they came from: what is stored already, from wherever, stays as it is. Bars of
/// the touched minutes are made anew. Blocks until everything is durable; at most some hundred thousand trades should come at
/// once.
pub fn import_trades(
    doors: &ImportDoors,
    instrument: &InstrumentId,
    mut trades: Vec<Trade>,
    (source, received): (Source, Time),
) -> Result<ImportReport, ImportError> {
    trades.retain(|trade| trade.instrument == *instrument);
    trades.sort_by_key(|trade| (trade.venue_time, trade.trade_id));
    let mut report = ImportReport::default();
    let (mut rows, mut seen) = (Vec::new(), Seen::default());
    for group in groups(&trades) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let range = TimeRange { start: first.venue_time, end: last.venue_time.plus_micros(1) };
        let stored = Stored::read(doors.store.as_ref(), (instrument, range), Keeping::All);
        let stored = doors.runtime.block_on(stored)?;
        for trade in group {
            let (number, text) = (trade.trade_id, trade.venue_trade_id.as_deref());
            if !seen.insert(number, text) {
                report.duplicates += 1;
            } else if stored.holds(number, text) {
                report.known += 1;
            } else {
                rows.push(Trade { source, received_time: received, ..trade.clone() });
            }
        }
    }
    report.ids = seen.numbers.runs().collect();
    if !rows.is_empty() {
        let mut writer = doors.bulk.begin(TableName::Trades)?;
        writer.write(Rows::Trades(rows).to_batch())?;
        let written = writer.commit(None)?;
        (report.added, report.bytes) = (written.rows, written.bytes);
    }
    // Also of what was there: an earlier try may have been cut off before its bars.
    report.bars = remake_bars(doors, instrument, &spans_of(&trades), received)?;
    Ok(report)
}
