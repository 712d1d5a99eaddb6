//! Reads the records of one segment in order, whatever its form, and passes over damage. Which segment is left to callers.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use model::{LogPosition, Nanos};

use crate::archive::ArchiveCursor;
use crate::error::Error;
use crate::frame::{self, Look};
use crate::record::Record;
use crate::segment::{self, Damage, HEADER_BYTES, Header, SegmentForm};

/// Bytes read at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// How far a segment can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Bytes that are written whole; nothing behind them is looked at.
    pub(crate) bytes: u64,
    /// Last position these bytes hold. `None` where another process may still be writing: then a record that can not be
    /// read at the very end is one that is not whole yet, and no damage.
    pub(crate) last: Option<u64>,
}

/// Where records and damage go.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) records: &'a mut Vec<Record>,
    /// Most records to be in `records`.
    pub(crate) count_max: usize,
    /// Records up to here are passed over.
    pub(crate) after: u64,
    pub(crate) damage: &'a mut Vec<Damage>,
}

impl Sink<'_> {
    pub(crate) fn is_full(&self) -> bool {
        self.records.len() >= self.count_max
    }

    pub(crate) fn lose(&mut self, damage: Damage) {
        if damage.last.0 > self.after || damage.record_count() == 0 {
            self.damage.push(damage);
        }
    }
}

/// A place in a segment.
#[derive(Debug)]
pub(crate) enum Cursor {
    Raw(RawCursor),
    Archive(ArchiveCursor),
}

impl Cursor {
    pub(crate) fn open(path: &Path, first: u64, form: SegmentForm) -> Result<Self, Error> {
        Ok(match form {
            SegmentForm::Raw => Self::Raw(RawCursor::open(path, first)?),
            SegmentForm::Archive => Self::Archive(ArchiveCursor::open(path)?),
        })
    }

    /// Hands out what can be read at once; nothing when `end` is reached.
    pub(crate) fn read(&mut self, end: End, sink: &mut Sink<'_>) -> Result<(), Error> {
        match self {
            Self::Raw(cursor) => cursor.read(end, sink),
            Self::Archive(cursor) => cursor.read(end.last, sink),
        }
    }

    /// Position of the record that comes next.
    pub(crate) fn next(&self) -> u64 {
        match self {
            Self::Raw(cursor) => cursor.next,
            Self::Archive(cursor) => cursor.next(),
        }
    }

    /// Length of the open file.
    pub(crate) fn file_bytes(&self) -> Result<u64, Error> {
        let (file, path) = match self {
            Self::Raw(cursor) => (&cursor.file, &cursor.path),
            Self::Archive(cursor) => cursor.file(),
        };
        Ok(file.metadata().map_err(Error::io("read segment", path))?.len())
    }

    /// When the segment was begun.
    pub(crate) fn created(&self) -> Nanos {
        match self {
            Self::Raw(cursor) => cursor.created(),
            Self::Archive(cursor) => cursor.info().created,
        }
    }
}

/// A place in a raw segment.
#[derive(Debug)]
pub(crate) struct RawCursor {
    file: File,
    path: PathBuf,
    created: Nanos,
    header_damage: Option<&'static str>,
    /// Where the next record starts.
    offset: u64,
    next: u64,
    /// What was read at once, handed out up to `at`.
    chunk: Bytes,
    at: usize,
}

impl RawCursor {
    pub(crate) fn open(path: &Path, first: u64) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open segment", path))?;
        let (created, header_damage) = match segment::read_header(&file, path, first)? {
            Header::Whole { created } => (created, None),
            Header::Damaged { reason } => (Nanos(0), Some(reason)),
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            created,
            header_damage,
            offset: HEADER_BYTES,
            next: first,
            chunk: Bytes::new(),
            at: 0,
        })
    }

    /// Where the next record starts: after reading to an end that is not known, the end of the last whole record.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn created(&self) -> Nanos {
        self.created
    }

    pub(crate) fn is_header_damaged(&self) -> bool {
        self.header_damage.is_some()
    }

    pub(crate) fn read(&mut self, end: End, sink: &mut Sink<'_>) -> Result<(), Error> {
        if let Some(reason) = self.header_damage.take() {
            let damage = self.damage(0, HEADER_BYTES, self.next - 1, reason);
            sink.lose(damage);
        }
        while !sink.is_full() && end.last.is_none_or(|last| self.next <= last) {
            if !self.step(end, sink)? {
                // Not whole yet: what was read may be stale by the next time.
                self.chunk = Bytes::new();
                self.at = 0;
                break;
            }
        }
        Ok(())
    }

    /// Reads on by one chunk or one damaged stretch. False where nothing can be read yet.
    fn step(&mut self, end: End, sink: &mut Sink<'_>) -> Result<bool, Error> {
        if self.at >= self.chunk.len() && !self.fill(end, CHUNK_BYTES)? {
            return self.pass_damage(end, "records are missing at the end", sink);
        }
        loop {
            if sink.is_full() || end.last.is_some_and(|last| self.next > last) {
                return Ok(true);
            }
            let rest = &self.chunk[self.at..];
            match frame::look(rest) {
                _ if rest.is_empty() => return Ok(true),
                Look::Whole(frame) if frame.sequence == self.next as u32 => {
                    let start = self.at;
                    self.at += frame.bytes;
                    self.offset += frame.bytes as u64;
                    if self.next > sink.after {
                        sink.records.push(frame.into_record(&self.chunk, start, LogPosition(self.next)));
                    }
                    self.next += 1;
                }
                Look::Whole(_) => return self.pass_damage(end, "records are missing", sink),
                Look::Short(needed) if self.offset + needed as u64 <= end.bytes => {
                    self.fill(end, CHUNK_BYTES.max(needed as u64))?;
                    if self.chunk.len() < needed {
                        return self.pass_damage(end, "the file ends within a record", sink);
                    }
                }
                Look::Short(_) => {
                    return self.pass_damage(end, "a record passes the end of the segment", sink);
                }
                Look::Bad(reason) => return self.pass_damage(end, reason, sink),
            }
        }
    }

    fn fill(&mut self, end: End, length: u64) -> Result<bool, Error> {
        let length = length.min(end.bytes.saturating_sub(self.offset));
        self.chunk = segment::read_at(&self.file, &self.path, self.offset, length as usize)?.into();
        self.at = 0;
        Ok(!self.chunk.is_empty())
    }

    /// Goes on at the next record that can be read. False where the end is not known and none follows.
    fn pass_damage(&mut self, end: End, reason: &'static str, sink: &mut Sink<'_>) -> Result<bool, Error> {
        let (offset, position) = match self.find_next(end)? {
            Some(found) => found,
            None => match end.last {
                Some(last) => (end.bytes.max(self.offset), last + 1),
                None => return Ok(false),
            },
        };
        let damage = self.damage(self.offset, offset - self.offset, position - 1, reason);
        sink.lose(damage);
        (self.offset, self.next) = (offset, position);
        (self.chunk, self.at) = (Bytes::new(), 0);
        Ok(true)
    }

    fn damage(&self, offset: u64, bytes: u64, last: u64, reason: &str) -> Damage {
        let (first, last) = (LogPosition(self.next), LogPosition(last));
        Damage { path: self.path.clone(), offset, bytes, first, last, reason: reason.to_owned() }
    }

    /// Offset and position of the next record that can be read.
    pub(crate) fn find_next(&self, end: End) -> Result<Option<(u64, u64)>, Error> {
        let last = end.last.unwrap_or(u64::MAX);
        // The length is likely right: then the record after it stands where it says.
        let head = segment::read_at(&self.file, &self.path, self.offset, frame::HEAD_BYTES)?;
        if let Some((length, _)) = frame::peek(&head) {
            let offset = self.offset + length as u64;
            if let Some(position) = self.record_at(offset, end.bytes, self.next + 1, last)? {
                return Ok(Some((offset, position)));
            }
        }
        let mut start = self.offset;
        while start + frame::HEAD_BYTES as u64 <= end.bytes {
            let length = (CHUNK_BYTES + frame::HEAD_BYTES as u64).min(end.bytes - start);
            let window = segment::read_at(&self.file, &self.path, start, length as usize)?;
            for (at, head) in window.windows(frame::HEAD_BYTES).enumerate() {
                let Some((_, sequence)) = frame::peek(head) else { continue };
                let offset = start + at as u64;
                if frame::position_of(sequence, self.next, last).is_none() {
                    continue;
                }
                if let Some(position) = self.record_at(offset, end.bytes, self.next, last)? {
                    return Ok(Some((offset, position)));
                }
            }
            if window.len() < length as usize {
                break;
            }
            start += CHUNK_BYTES;
        }
        Ok(None)
    }

    fn record_at(&self, offset: u64, end: u64, next: u64, last: u64) -> Result<Option<u64>, Error> {
        let head = segment::read_at(&self.file, &self.path, offset, frame::HEAD_BYTES)?;
        let Some((length, sequence)) = frame::peek(&head) else { return Ok(None) };
        let Some(position) = frame::position_of(sequence, next, last) else { return Ok(None) };
        // Where the end is not known, a jump of half the numbers is a step back, not forward.
        if offset + length as u64 > end || position - next > u64::from(u32::MAX / 2) {
            return Ok(None);
        }
        let bytes = segment::read_at(&self.file, &self.path, offset, length)?;
        Ok(matches!(frame::look(&bytes), Look::Whole(_)).then_some(position))
    }
}
