//! What is known of the past: days as they were last counted; what is nowhere, and of what was nowhere before that it is there now.

use model::{Channel, Gap, GapCause, GapState, InstrumentId, Source, Time};
use tables::{CoverageDay, DayCover, Rows, StoreError, TableName, TableScan, TableStore, TimeRange};

use super::{ImportAsk, ImportDoors, ImportError, ImportHole, span};
use crate::reading;

/// The known holes of one stream, by time.
pub async fn gaps(
    store: &dyn TableStore,
    instrument: &InstrumentId,
    channel: Channel,
    range: Option<TimeRange>,
) -> Result<Vec<Gap>, StoreError> {
    let scan = TableScan { instrument: Some(instrument.clone()), range, ..TableScan::default() };
    let mut gaps = reading::gaps(instrument, &store.scan(TableName::Gaps, scan).await?)?;
    gaps.retain(|gap| gap.channel == channel);
    gaps.sort_by_key(|gap| (gap.first_time, gap.first_id));
    Ok(gaps)
}

/// What is known of the days of one stream, ascending.
pub async fn days(
    store: &dyn TableStore,
    instrument: &InstrumentId,
    channel: Channel,
) -> Result<Vec<DayCover>, StoreError> {
    let scan = TableScan { instrument: Some(instrument.clone()), ..TableScan::default() };
    reading::days(channel, &store.scan(TableName::CoverageDays, scan).await?)
}

/// Writes what was found of days, in place of what was known. Blocks until it is durable.
pub fn write_days(doors: &ImportDoors, days: Vec<CoverageDay>) -> Result<(), StoreError> {
    if days.is_empty() {
        return Ok(());
    }
    let mut writer = doors.bulk.begin(TableName::CoverageDays)?;
    writer.write(Rows::CoverageDays(days).to_batch())?;
    writer.commit(None)?;
    Ok(())
}

/// Writes gap rows; those of known holes replace what was known. Blocks until they are durable.
pub fn write_gaps(doors: &ImportDoors, gaps: Vec<Gap>) -> Result<(), StoreError> {
    if gaps.is_empty() {
        return Ok(());
    }
    let mut writer = doors.bulk.begin(TableName::Gaps)?;
    writer.write(Rows::Gaps(gaps).to_batch())?;
    writer.commit(None)?;
    Ok(())
}

/// What is known of holes once it is known which of their ids are nowhere: rows for holes that are new, and for those that
/// were filled since, whole or in part. `is_ours` says which known holes may be judged by that.
pub fn reconciled(known: &[Gap], missing: &[Gap], (now, source): (Time, Source)) -> Vec<Gap> {
    let mut rows = Vec::new();
    for gap in known.iter().filter(|gap| gap.state != GapState::Filled) {
        let (Some(first_id), Some(last_id)) = (gap.first_id, gap.last_id) else { continue };
        let still = missing.iter().filter_map(|hole| hole.first_id.zip(hole.last_id));
        let mut from = first_id;
        for (first, last) in still.filter(|(first, last)| first_id <= *last && *first <= last_id) {
            if from < first {
                rows.push(filled(gap, (from, first - 1), (now, source)));
            }
            from = from.max(last + 1);
        }
        if from <= last_id {
            rows.push(filled(gap, (from, last_id), (now, source)));
        }
    }
    let is_known = |hole: &&Gap| {
        let same = |gap: &Gap| {
            (gap.first_id, gap.last_id, gap.first_time) == (hole.first_id, hole.last_id, hole.first_time)
                && (gap.state, gap.cause) == (hole.state, hole.cause)
        };
        known.iter().any(same)
    };
    rows.extend(missing.iter().filter(|hole| !is_known(hole)).cloned());
    rows
}

fn filled(gap: &Gap, (first_id, last_id): (i64, i64), (now, source): (Time, Source)) -> Gap {
    Gap {
        first_id: Some(first_id),
        last_id: Some(last_id),
        state: GapState::Filled,
        source: Some(source),
        closed_time: Some(now),
        ..gap.clone()
    }
}

/// After a file was taken in.
pub(super) fn tell(
    doors: &ImportDoors,
    ask: &ImportAsk<'_>,
    (holes, blanks): (&[ImportHole], &[ImportHole]),
) -> Result<(), ImportError> {
    let channel = super::feed(ask.file);
    let gap = |hole: &ImportHole, state: GapState, cause: GapCause| Gap {
        instrument: ask.instrument.id.clone(),
        channel,
        first_id: Some(hole.first_id),
        last_id: Some(hole.last_id),
        first_time: hole.first_time,
        last_time: hole.last_time,
        state,
        cause,
        source: (state == GapState::Filled).then_some(Source::Archive),
        found_time: ask.received,
        closed_time: Some(ask.received),
    };
    let missing: Vec<Gap> =
        holes.iter().map(|hole| gap(hole, GapState::Missing, GapCause::NotInArchive)).collect();
    let reading = gaps(doors.store.as_ref(), &ask.instrument.id, channel, Some(span(ask.file)));
    let mut known = doors.runtime.block_on(reading)?;
    let mut rows: Vec<Gap> = blanks
        .iter()
        .filter(|blank| !known.iter().any(|gap| gap.first_id == Some(blank.first_id)))
        .map(|blank| gap(blank, GapState::Filled, GapCause::NoTrade))
        .collect();
    // Holes of the recording are its own to close.
    let is_past = |gap: &Gap| ask.frontier.is_none_or(|end| end.is_behind(gap.first_id, gap.first_time));
    known.retain(is_past);
    // A hole that was asked for elsewhere in vain keeps what was found out there.
    let missing: Vec<Gap> = missing
        .into_iter()
        .map(|hole| {
            let same = |gap: &&Gap| {
                (gap.first_id, gap.last_id, gap.state) == (hole.first_id, hole.last_id, GapState::Missing)
            };
            known.iter().find(same).cloned().unwrap_or(hole)
        })
        .collect();
    rows.extend(reconciled(&known, &missing, (ask.received, Source::Archive)));
    Ok(write_gaps(doors, rows)?)
}
