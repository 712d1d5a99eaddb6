//! Reads the rows of one unpacked file, in whatever pieces it comes. Memory stays the same however long the file is.

use model::{Bar, BarSource, BarState, Funding, Instrument, InstrumentId, Source, Time, Timeframe};

use super::columns::{self, Column, Fields, Layout, Shape, explain};
use super::digits::Cursor;
use super::findings::{ArchiveSummary, FileError, TimeUnit};
use super::{ArchiveData, ArchiveFile, ArchiveRow, Period, TradeRow};
use crate::moment::nearest_hour;

/// Longest line; the longest real ones have some 250 bytes.
const LINE_BYTES_MAX: usize = 4_096;

/// Reads one file.
pub struct ArchiveDecoder {
    layout: &'static Layout,
    /// The columns this file has; empty until the first line was seen.
    columns: &'static [Column],
    context: Context,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
    state: State,
}

/// What rows are read for.
struct Context {
    instrument: InstrumentId,
    symbol: Box<str>,
    period: Period,
    /// First and last moment of the period, in microseconds.
    span: std::ops::Range<i64>,
    timeframe: Timeframe,
    received: Time,
    /// Whether ids count up by one.
    is_numbered: bool,
}

#[derive(Default)]
struct State {
    line: u64,
    before: Option<(i64, i64)>,
    bar_before: Option<Time>,
    summary: ArchiveSummary,
}

impl ArchiveDecoder {
    pub(super) fn new(
        layout: &'static Layout,
        file: &ArchiveFile,
        instrument: &Instrument,
        received: Time,
    ) -> Self {
        let timeframe = match file.data {
            ArchiveData::Klines(timeframe) => timeframe,
            _ => Timeframe::MINUTE,
        };
        let context = Context {
            instrument: instrument.id.clone(),
            symbol: file.symbol.clone(),
            period: file.period,
            span: file.period.start_time().0..file.period.end_time().0,
            timeframe,
            received,
            is_numbered: layout.is_numbered,
        };
        Self { layout, columns: &[], context, carry: Vec::new(), state: State::default() }
    }

    /// Takes the next bytes of the file and emits the rows that end in them. After an error the rows emitted before are
    /// void, and nothing more may be fed.
    pub fn feed(&mut self, chunk: &[u8], emit: &mut dyn FnMut(ArchiveRow<'_>)) -> Result<(), FileError> {
        let Some(last) = chunk.iter().rposition(|byte| *byte == b'\n') else {
            return self.keep(chunk);
        };
        let mut at = 0;
        if !self.carry.is_empty() {
            at = chunk.iter().position(|byte| *byte == b'\n').unwrap_or(last) + 1;
            self.keep(&chunk[..at])?;
            let line = std::mem::take(&mut self.carry);
            self.lines(&line, emit)?;
            self.carry = line;
            self.carry.clear();
        }
        self.lines(&chunk[at..=last], emit)?;
        self.keep(&chunk[last + 1..])
    }

    /// The file is over. Its last line needs no line feed.
    pub fn finish(mut self, emit: &mut dyn FnMut(ArchiveRow<'_>)) -> Result<ArchiveSummary, FileError> {
        let line = std::mem::take(&mut self.carry);
        self.lines(&line, emit)?;
        Ok(self.state.summary)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), FileError> {
        if self.carry.len() + part.len() > LINE_BYTES_MAX {
            let shown = if self.carry.is_empty() { part } else { &self.carry };
            let why = format!("goes on beyond {LINE_BYTES_MAX} bytes without an end of line");
            return Err(FileError::new(self.state.line + 1, None, shown, why));
        }
        self.carry.extend_from_slice(part);
        Ok(())
    }

    /// Reads whole lines; the last may lack its end.
    fn lines(&mut self, text: &[u8], emit: &mut dyn FnMut(ArchiveRow<'_>)) -> Result<(), FileError> {
        let mut at = 0;
        if self.columns.is_empty() {
            at = self.first_line(text)?;
        }
        let mut fields = Fields::new();
        while at < text.len() {
            self.state.line += 1;
            let mut cursor = Cursor::new(text, at);
            if fields.read(self.columns, &self.context.symbol, &mut cursor).is_none() {
                return Err(self.refuse(&text[at..]));
            }
            self.state.row(self.layout.shape, &fields, &self.context, emit)?;
            at = cursor.at();
        }
        Ok(())
    }

    /// Finds out which columns there are; returns where the first row begins.
    fn first_line(&mut self, text: &[u8]) -> Result<usize, FileError> {
        if text.is_empty() {
            return Ok(0);
        }
        let line = first_line_of(text);
        let count = line.split(|byte| *byte == b',').count();
        let all = self.layout.columns;
        let least = all.len() - self.layout.optional;
        if !(least..=all.len()).contains(&count) {
            let why = format!("has {count} columns where {least} should be");
            return Err(FileError::new(1, None, line, why));
        }
        let columns = &all[..count];
        if matches!(line.first(), Some(b'0'..=b'9' | b'-')) {
            self.columns = columns;
            return Ok(0);
        }
        for (column, name) in columns.iter().zip(line.split(|byte| *byte == b',')) {
            if !column.names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
                let why = format!("is no name of this column; known: {}", column.names.join(", "));
                return Err(FileError::new(1, Some(column.names[0]), name, why));
            }
        }
        self.columns = columns;
        self.state.line = 1;
        self.state.summary.has_header = true;
        let end = text.iter().position(|byte| *byte == b'\n');
        Ok(end.map_or(text.len(), |end| end + 1))
    }

    #[cold]
    fn refuse(&self, rest: &[u8]) -> FileError {
        let (column, found, why) = explain(self.columns, &self.context.symbol, first_line_of(rest));
        FileError::new(self.state.line, column, &found, why)
    }
}

/// The first line, without its end.
fn first_line_of(text: &[u8]) -> &[u8] {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl State {
    #[inline]
    fn row(
        &mut self,
        shape: Shape,
        fields: &Fields<'_>,
        context: &Context,
        emit: &mut dyn FnMut(ArchiveRow<'_>),
    ) -> Result<(), FileError> {
        let time = fields.times[columns::TIME];
        if !context.span.contains(&time) {
            return Err(self.refuse_time(time, context));
        }
        let id = match shape {
            Shape::Trade => fields.integers[columns::ID],
            Shape::Bar | Shape::Funding => time,
        };
        self.order((id, time), shape == Shape::Trade && fields.text.is_empty(), context.is_numbered);
        self.unit(fields.is_micros);
        match shape {
            Shape::Trade => self.trade(fields, context, emit),
            Shape::Bar => self.bar(fields, context, emit),
            Shape::Funding => {
                emit(ArchiveRow::Funding(funding(fields, context)));
                Ok(())
            }
        }
    }

    #[inline]
    fn order(&mut self, (id, time): (i64, i64), has_ids: bool, is_numbered: bool) {
        let summary = &mut self.summary;
        summary.row_count += 1;
        if let Some((before, time_before)) = self.before {
            if has_ids && id != before + 1 {
                match id.cmp(&before) {
                    std::cmp::Ordering::Equal => summary.repeated.note(self.line, id),
                    _ if !is_numbered => {}
                    std::cmp::Ordering::Less => summary.back.note(self.line, id),
                    std::cmp::Ordering::Greater => {
                        summary.jumps.note(self.line, id);
                        summary.jumped = summary.jumped.saturating_add(before.abs_diff(id) - 1);
                    }
                }
            }
            if time < time_before {
                summary.back_in_time.note(self.line, time);
            }
        }
        self.before = Some((id, time));
        if has_ids {
            summary.first_id = Some(summary.first_id.map_or(id, |first| first.min(id)));
            summary.last_id = Some(summary.last_id.map_or(id, |last| last.max(id)));
        }
        summary.first_time = Some(summary.first_time.map_or(Time(time), |first| first.min(Time(time))));
        summary.last_time = Some(summary.last_time.map_or(Time(time), |last| last.max(Time(time))));
    }

    #[inline]
    fn unit(&mut self, is_micros: bool) {
        let unit = if is_micros { TimeUnit::Micros } else { TimeUnit::Millis };
        match self.summary.unit {
            Some(known) if known == unit => {}
            None => self.summary.unit = Some(unit),
            Some(_) => self.summary.unit = Some(TimeUnit::Mixed),
        }
    }

    #[inline]
    fn trade(
        &mut self,
        fields: &Fields<'_>,
        context: &Context,
        emit: &mut dyn FnMut(ArchiveRow<'_>),
    ) -> Result<(), FileError> {
        if fields.text.is_empty() && fields.integers[columns::ID] < 0 {
            return Err(self.refuse_id(fields.integers[columns::ID]));
        }
        let [price, quantity] = [fields.numbers[columns::PRICE], fields.numbers[columns::QUANTITY]];
        let is_positive = price.mantissa() > 0 && quantity.mantissa() > 0;
        if !is_positive {
            if price.is_negative() || quantity.is_negative() {
                let found = format!("{price},{quantity}");
                return Err(FileError::new(self.line, None, found.as_bytes(), "is a trade below zero"));
            }
            let id = fields.integers[columns::ID];
            self.summary.blank.note(self.line, id);
            emit(ArchiveRow::Blank { id, time: Time(fields.times[columns::TIME]) });
            return Ok(());
        }
        let id = |place: usize| Some(fields.integers[place]).filter(|id| *id >= 0);
        let text = if fields.text.is_empty() { None } else { Some(self.text(fields, context)?) };
        emit(ArchiveRow::Trade(TradeRow {
            venue_time: Time(fields.times[columns::TIME]),
            trade_id: id(columns::ID),
            venue_trade_id: text,
            price,
            quantity,
            taker_side: fields.side,
            first_trade_id: id(columns::FIRST),
            last_trade_id: id(columns::LAST),
        }));
        Ok(())
    }

    fn text<'a>(&self, fields: &Fields<'a>, context: &Context) -> Result<&'a str, FileError> {
        std::str::from_utf8(fields.text).map_err(|_| {
            let why = format!("is no text, in a file of {}", context.symbol);
            FileError::new(self.line, None, fields.text, why)
        })
    }

    fn bar(
        &mut self,
        fields: &Fields<'_>,
        context: &Context,
        emit: &mut dyn FnMut(ArchiveRow<'_>),
    ) -> Result<(), FileError> {
        let numbers = &fields.numbers;
        let open_time = Time(fields.times[columns::TIME]);
        let (high, low) = (numbers[columns::HIGH], numbers[columns::LOW]);
        let is_within = [numbers[columns::OPEN], numbers[columns::CLOSE]]
            .iter()
            .all(|price| (low..=high).contains(price));
        if !is_within || low.is_negative() {
            let found = format!("{},{high},{low},{}", numbers[columns::OPEN], numbers[columns::CLOSE]);
            return Err(FileError::new(self.line, None, found.as_bytes(), "are no prices of one bar"));
        }
        if context.timeframe.bucket_start(open_time) != open_time {
            self.summary.odd_start.note(self.line, open_time.0);
            return Ok(());
        }
        let end = context.timeframe.bucket_end(open_time).0 - if fields.is_micros { 1 } else { 1_000 };
        self.follow(open_time, context.timeframe);
        if fields.times[columns::CLOSE_TIME] != end {
            self.summary.odd_end.note(self.line, fields.times[columns::CLOSE_TIME]);
        }
        emit(ArchiveRow::Bar(Bar {
            instrument: context.instrument.clone(),
            timeframe: context.timeframe,
            open_time,
            open: numbers[columns::OPEN],
            high,
            low,
            close: numbers[columns::CLOSE],
            volume: numbers[columns::VOLUME],
            quote_volume: numbers[columns::QUOTE_VOLUME],
            trade_count: Some(fields.integers[columns::COUNT]),
            taker_buy_volume: Some(numbers[columns::TAKER_VOLUME]),
            source: BarSource::Venue,
            state: BarState::Closed,
            revision: 0,
            available_time: context.received,
        }));
        Ok(())
    }

    /// Compares a bar with the one before it.
    fn follow(&mut self, open_time: Time, timeframe: Timeframe) {
        let Some(before) = self.bar_before.replace(open_time) else { return };
        let mut due = timeframe.bucket_end(before);
        if open_time == before {
            self.summary.repeated.note(self.line, open_time.0);
        } else if open_time > due {
            self.summary.jumps.note(self.line, open_time.0);
            // The period of a file bounds the steps.
            while due < open_time {
                self.summary.jumped += 1;
                due = timeframe.bucket_end(due);
            }
        }
    }

    /// Rows of a trade without a name could be told from nothing.
    #[cold]
    fn refuse_id(&self, id: i64) -> FileError {
        FileError::new(self.line, Some("id"), id.to_string().as_bytes(), "is no id of a trade")
    }

    #[cold]
    fn refuse_time(&self, time: i64, context: &Context) -> FileError {
        let found = Time(time).to_string();
        let why = format!("lies outside {}, which the file's name claims", context.period);
        FileError::new(self.line, Some("time"), found.as_bytes(), why)
    }
}

fn funding(fields: &Fields<'_>, context: &Context) -> Funding {
    Funding {
        instrument: context.instrument.clone(),
        time: nearest_hour(Time(fields.times[columns::TIME])),
        rate: fields.numbers[columns::RATE],
        interval_hours: i32::try_from(fields.integers[columns::COUNT]).ok().filter(|hours| *hours > 0),
        mark_price: None,
        received_time: context.received,
        source: Source::Archive,
    }
}
