//! Files of klines: the venue's own bars.

use std::io::Read;

use model::{Bar, IdRuns, Time, Timeframe};
use tables::{Rows, TableName};
use venues::archive::{ArchiveData, ArchiveRow};

use super::{ImportAsk, ImportDoors, ImportError, ImportReport, pump, span};

/// Bars written at once: a month of minutes fits.
const BATCH_ROWS: usize = 65_536;

pub(super) fn import(
    doors: &ImportDoors,
    ask: &ImportAsk<'_>,
    bytes: &mut dyn Read,
) -> Result<ImportReport, ImportError> {
    let ArchiveData::Klines(timeframe) = ask.file.data else { return Err(ImportError::Unknown) };
    let mut decoder =
        ask.archives.decoder(ask.file, ask.instrument, ask.received).ok_or(ImportError::Unknown)?;
    let mut writer = doors.bulk.begin(TableName::Bars)?;
    let mut bars: Vec<Bar> = Vec::new();
    let mut opens = IdRuns::new();
    let mut count = 0;
    let mut take = |row: ArchiveRow<'_>, bars: &mut Vec<Bar>| {
        if let ArchiveRow::Bar(bar) = row
            && opens.insert(number(timeframe, bar.open_time))
        {
            bars.push(bar);
        }
    };
    let mut hand_on = |bars: &mut Vec<Bar>, least: usize| {
        if bars.len() < least {
            return Ok(());
        }
        count += bars.len() as u64;
        writer.write(Rows::Bars(std::mem::take(bars)).to_batch()).map_err(ImportError::Store)
    };
    pump(bytes, |chunk| {
        decoder.feed(chunk, &mut |row| take(row, &mut bars)).map_err(ImportError::Rows)?;
        hand_on(&mut bars, BATCH_ROWS)
    })?;
    let summary = decoder.finish(&mut |row| take(row, &mut bars)).map_err(ImportError::Rows)?;
    hand_on(&mut bars, 1)?;
    if summary.row_count == 0 {
        return Err(ImportError::Empty);
    }
    let written = writer.commit(None)?;
    let due = expected(ask, timeframe);
    Ok(ImportReport {
        added: written.rows,
        duplicates: opens.duplicates(),
        missing_bars: due.saturating_sub(count),
        bars: count,
        bytes: written.bytes,
        summary,
        ..ImportReport::default()
    })
}

/// Buckets counted from the epoch, so that neighbours are neighbouring numbers.
fn number(timeframe: Timeframe, open: Time) -> i64 {
    match timeframe {
        Timeframe::Minutes(minutes) => open.0.div_euclid(i64::from(minutes) * model::time::MINUTE),
        Timeframe::Week | Timeframe::Month => open.0,
    }
}

/// How many bars the file's span has room for: from the instrument's listing on, if it lies within.
fn expected(ask: &ImportAsk<'_>, timeframe: Timeframe) -> u64 {
    let span = span(ask.file);
    let start = ask.instrument.listed_time.map_or(span.start, |listed| listed.max(span.start));
    match timeframe {
        Timeframe::Minutes(minutes) if start < span.end => {
            let length = i64::from(minutes) * model::time::MINUTE;
            ((span.end.0 - start.0) / length).unsigned_abs()
        }
        _ => 0,
    }
}
