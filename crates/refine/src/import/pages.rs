//! Past trades that came over REST, a batch of pages at a time.

use std::collections::BTreeSet;

use model::time::MINUTE;
use model::{Bar, InstrumentId, Source, Time, Trade};
use tables::{Rows, TableName, TimeRange};

use super::bars::{from_store, minute_end, settle};
use super::stored::{Keeping, Seen, Stored};
use super::{ImportDoors, ImportError, ImportReport};

/// Trades further apart than this are looked after apart: what lies between is not read.
const APART: i64 = 30 * MINUTE;

/// Takes trades in that nobody had: what is stored already, from wherever, stays as it is. Bars of the touched minutes are made
/// anew. Blocks until everything is durable; at most some hundred thousand trades should come at once.
pub fn import_trades(
    doors: &ImportDoors,
    instrument: &InstrumentId,
    mut trades: Vec<Trade>,
    received: Time,
) -> Result<ImportReport, ImportError> {
    trades.retain(|trade| trade.instrument == *instrument);
    trades.sort_by_key(|trade| (trade.venue_time, trade.trade_id));
    let mut report = ImportReport::default();
    let (mut rows, mut spans, mut seen) = (Vec::new(), BTreeSet::new(), Seen::default());
    for group in trades.chunk_by(|one, next| next.venue_time.0 - one.venue_time.0 < APART) {
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
                rows.push(Trade { source: Source::Rest, received_time: received, ..trade.clone() });
            }
        }
        // Also of what was there: an earlier try may have been cut off before its bars.
        spans.insert((range.start.minute_start(), minute_end(range.end)));
    }
    report.ids = seen.numbers.runs().collect();
    if !rows.is_empty() {
        let mut writer = doors.bulk.begin(TableName::Trades)?;
        writer.write(Rows::Trades(rows).to_batch())?;
        let written = writer.commit(None)?;
        (report.added, report.bytes) = (written.rows, written.bytes);
    }
    let mut bars: Vec<Bar> = Vec::new();
    for (start, end) in spans {
        let range = TimeRange { start, end };
        let made = from_store(doors.store.as_ref(), instrument, range, received);
        bars.extend(doors.runtime.block_on(made)?);
    }
    for near in bars.chunk_by(|one, next| next.open_time.0 - one.open_time.0 < APART) {
        report.bars += settle(doors, instrument, near.to_vec())?;
    }
    Ok(report)
}
