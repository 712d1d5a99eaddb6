//! Files of trades.

use std::io::Read;

use model::{Condition, Source, Time, Trade};
use tables::{BulkWriter, TableName, TimeRange, TradeCells, TradeColumns};
use venues::archive::{ArchiveDecoder, ArchiveRow, TradeRow};

use super::bars::DayBars;
use super::stored::{Keeping, Seen, Stored};

use super::bars::minute_end;
use super::{Frontier, ImportAsk, ImportDoors, ImportError, ImportHole, ImportReport, outgoing, pump, span};

/// Rows handed on at once: their columns stay in the cache until they are written.
const BATCH_ROWS: usize = 32_768;
/// Most holes told of one file; a file with more is not worth listing one by one.
const HOLES_MAX: usize = 10_000;

pub(super) fn import(
    doors: &ImportDoors,
    ask: &ImportAsk<'_>,
    bytes: &mut dyn Read,
) -> Result<ImportReport, ImportError> {
    let whole = span(ask.file);
    let range = match ask.frontier {
        Some(frontier) => frontier.cut(whole).ok_or(ImportError::Beyond)?,
        None => whole,
    };
    let id = &ask.instrument.id;
    let stored = Stored::read(doors.store.as_ref(), (id, range), Keeping::Others);
    let stored = doors.runtime.block_on(stored)?;
    let mut decoder =
        ask.archives.decoder(ask.file, ask.instrument, ask.received).ok_or(ImportError::Unknown)?;
    let mut taking = Taking::new(doors, ask, stored)?;
    pump(bytes, |chunk| taking.feed(&mut decoder, chunk))?;
    let summary = taking.finish(decoder)?;
    if summary.row_count == 0 {
        return Err(ImportError::Empty);
    }
    let Taking { writer, bars, seen, stored, counts, edges, blanks, is_late, .. } = taking;
    let written = writer.commit(Some(outgoing(id, range)))?;
    let needs_reading = !stored.is_empty() || is_late;
    // The minute in which the recording began is made of both parts.
    let minutes = TimeRange { start: range.start, end: minute_end(range.end) };
    let bars = if needs_reading {
        doors.runtime.block_on(super::bars::from_store(doors.store.as_ref(), id, minutes, ask.received))?
    } else {
        bars.finish(ask.received)
    };
    let bars = super::bars::settle(doors, id, &bars)?;
    let holes = holes(&seen, &stored, &edges);
    super::gaps::tell(doors, ask, (&holes, &blanks))?;
    Ok(ImportReport {
        summary,
        added: written.rows,
        known: counts.known,
        duplicates: counts.duplicates,
        ids: seen.numbers.runs().collect(),
        holes,
        beyond: counts.beyond,
        bars,
        missing_bars: 0,
        bytes: written.bytes,
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    known: u64,
    duplicates: u64,
    beyond: u64,
}

/// The times beside each jump of ids, to say when a hole was.
#[derive(Debug, Default)]
struct Edges {
    before: Option<(i64, Time)>,
    jumps: Vec<(i64, Time, i64, Time)>,
}

impl Edges {
    #[inline]
    fn saw(&mut self, id: i64, time: Time) {
        if let Some((before, before_time)) = self.before
            && id != before + 1
            && self.jumps.len() < HOLES_MAX
        {
            self.jumps.push((before, before_time, id, time));
        }
        self.before = Some((id, time));
    }

    /// The times around a run of ids, as narrow as the jumps tell.
    fn around(&self, first: i64, last: i64) -> Option<(Time, Time)> {
        let covers = |jump: &&(i64, Time, i64, Time)| jump.0 < first && last < jump.2;
        let jump = self.jumps.iter().filter(covers).min_by_key(|jump| jump.2 - jump.0)?;
        Some((jump.1, jump.3))
    }
}

/// One file on its way into the table.
struct Taking {
    columns: TradeColumns,
    writer: Box<dyn BulkWriter>,
    bars: DayBars,
    stored: Stored,
    frontier: Option<Frontier>,
    seen: Seen,
    edges: Edges,
    /// Ids that the venue gave to no trade.
    blanks: Vec<ImportHole>,
    counts: Counts,
    newest: Time,
    /// Whether a trade came later than its minute: bars are read from the store then.
    is_late: bool,
    /// The trade that bars are made of, filled anew for each.
    trade: Trade,
    error: Option<ImportError>,
}

impl Taking {
    fn new(doors: &ImportDoors, ask: &ImportAsk<'_>, stored: Stored) -> Result<Self, ImportError> {
        let id = &ask.instrument.id;
        Ok(Self {
            columns: TradeColumns::new(id.clone(), Source::Archive, ask.received),
            writer: doors.bulk.begin(TableName::Trades)?,
            bars: DayBars::new(id.clone()),
            stored,
            frontier: ask.frontier,
            seen: Seen::default(),
            edges: Edges::default(),
            blanks: Vec::new(),
            counts: Counts::default(),
            newest: span(ask.file).start,
            is_late: false,
            trade: Trade {
                instrument: id.clone(),
                venue_time: Time(0),
                trade_id: None,
                venue_trade_id: None,
                price: model::Decimal::ZERO,
                quantity: model::Decimal::ZERO,
                taker_side: model::Side::Buy,
                first_trade_id: None,
                last_trade_id: None,
                condition: Condition::Market,
                received_time: ask.received,
                source: Source::Archive,
            },
            error: None,
        })
    }

    fn feed(&mut self, decoder: &mut ArchiveDecoder, chunk: &[u8]) -> Result<(), ImportError> {
        decoder.feed(chunk, &mut |row| self.take(&row)).map_err(ImportError::Rows)?;
        self.error.take().map_or(Ok(()), Err)
    }

    fn finish(&mut self, decoder: ArchiveDecoder) -> Result<venues::archive::ArchiveSummary, ImportError> {
        let summary = decoder.finish(&mut |row| self.take(&row)).map_err(ImportError::Rows)?;
        self.error.take().map_or(Ok(()), Err)?;
        self.hand_on()?;
        Ok(summary)
    }

    fn take(&mut self, row: &ArchiveRow<'_>) {
        match row {
            ArchiveRow::Trade(row) => self.take_trade(row),
            // The id was used up for nothing: it is there, though no trade is.
            ArchiveRow::Blank { id, time } => {
                self.seen.insert(Some(*id), None);
                self.edges.saw(*id, *time);
                if self.blanks.len() < HOLES_MAX {
                    let (first_id, last_id) = (*id, *id);
                    self.blanks.push(ImportHole { first_id, last_id, first_time: *time, last_time: *time });
                }
            }
            ArchiveRow::Bar(_) | ArchiveRow::Funding(_) => {}
        }
    }

    #[inline]
    fn take_trade(&mut self, row: &TradeRow<'_>) {
        if self.frontier.is_some_and(|frontier| !frontier.is_behind(row.trade_id, row.venue_time)) {
            self.counts.beyond += 1;
            return;
        }
        if let Some(id) = row.trade_id {
            self.edges.saw(id, row.venue_time);
        }
        if !self.seen.insert(row.trade_id, row.venue_trade_id) {
            self.counts.duplicates += 1;
            return;
        }
        if self.stored.holds(row.trade_id, row.venue_trade_id) {
            self.counts.known += 1;
            return;
        }
        self.fold(row);
        self.columns.push(&TradeCells {
            venue_time: row.venue_time,
            trade_id: row.trade_id,
            venue_trade_id: row.venue_trade_id,
            price: row.price,
            quantity: row.quantity,
            taker_side: row.taker_side,
            first_trade_id: row.first_trade_id,
            last_trade_id: row.last_trade_id,
        });
        if self.columns.len() >= BATCH_ROWS
            && let Err(error) = self.hand_on()
        {
            self.error.get_or_insert(error);
        }
    }

    #[inline]
    fn fold(&mut self, row: &TradeRow<'_>) {
        // Within a minute any order gives the same bar.
        if row.venue_time.minute_start() < self.newest.minute_start() {
            self.is_late = true;
        }
        self.newest = self.newest.max(row.venue_time);
        if self.is_late || !self.stored.is_empty() {
            return;
        }
        let trade = &mut self.trade;
        (trade.venue_time, trade.trade_id) = (row.venue_time, row.trade_id);
        (trade.price, trade.quantity, trade.taker_side) = (row.price, row.quantity, row.taker_side);
        (trade.first_trade_id, trade.last_trade_id) = (row.first_trade_id, row.last_trade_id);
        if row.trade_id.is_none() {
            trade.venue_trade_id = row.venue_trade_id.map(Into::into);
        }
        self.bars.take(trade);
    }

    fn hand_on(&mut self) -> Result<(), ImportError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        Ok(self.writer.write(self.columns.take())?)
    }
}

/// Runs of ids that are nowhere.
fn holes(seen: &Seen, stored: &Stored, edges: &Edges) -> Vec<ImportHole> {
    let mut all = seen.numbers.clone();
    let Some((first, last)) = all.bounds() else { return Vec::new() };
    for (from, to) in stored.numbers.runs() {
        all.insert_run(from.max(first), to.min(last));
    }
    let hole = |(first_id, last_id): (i64, i64)| {
        let (first_time, last_time) = edges.around(first_id, last_id)?;
        Some(ImportHole { first_id, last_id, first_time, last_time })
    };
    all.holes().filter_map(hole).take(HOLES_MAX).collect()
}
