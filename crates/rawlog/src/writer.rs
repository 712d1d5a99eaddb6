//! Writes queued records into segments, on a thread of its own. Syncing is left to `sync`, sealed segments to `keeper`.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::LogPosition;
use runtime::Stop;
use runtime::clock::Stopwatch;

use crate::error::Error;
use crate::frame;
use crate::index::Segment;
use crate::log::{LogState, Shared};
use crate::record::{NewRecord, RecordKind};
use crate::segment::{self, HEADER_BYTES, SegmentForm, SegmentInfo};
use crate::sync::Unsynced;
use crate::waiting::Batch;

/// Shortest time between two writes: below it records gather, so that a busy log costs few calls.
const GATHER: Duration = Duration::from_micros(400);
/// Longest sleep without looking whether the end was asked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Most bytes in one write.
const WRITE_BYTES_MAX: usize = 4 << 20;
/// Free space is asked for again after so many bytes or so long, whichever comes first.
const SPACE_BYTES: u64 = 8 << 20;
const SPACE_EVERY: Duration = Duration::from_millis(100);
/// How often a full disk is looked at again.
const FULL_EVERY: Duration = Duration::from_millis(500);

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) unsynced: Unsynced,
}

impl Active {
    fn has_room(&self, segment_bytes: u64) -> bool {
        let bytes = self.segment.bytes();
        bytes < segment_bytes || bytes <= HEADER_BYTES
    }
}

/// The writer's own state.
#[derive(Debug)]
pub(crate) struct Writer {
    log: Arc<Shared>,
    /// `None` until the first record after a start that found nothing to go on with.
    active: Option<Active>,
    /// Position of the next record.
    next: u64,
    buffer: Vec<u8>,
    space: Option<Stopwatch>,
    bytes_since_space: u64,
}

/// However it ends, nobody is left waiting for it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.log.close();
        self.log.desk.finish();
    }
}

/// Why writing stopped.
enum Halt {
    /// The disk has no room; so many bytes are free.
    Full(u64),
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { source, .. }
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                Self::Full(0)
            }
            other => Self::Failed(other),
        }
    }
}

impl Writer {
    /// A writer that goes on with the newest segment, or begins one with its first record.
    pub(crate) fn new(log: Arc<Shared>, goes_on: bool, next: u64) -> Result<Self, Error> {
        let newest = log.index.newest().filter(|_| goes_on);
        let active = newest.map(reopen).transpose()?;
        Ok(Self { log, active, next, buffer: Vec::new(), space: None, bytes_since_space: 0 })
    }

    /// The body of the writer thread.
    pub(crate) fn run(mut self, stop: &Stop) -> Result<(), String> {
        self.work(stop).map_err(|error| error.to_string())
    }

    fn work(&mut self, stop: &Stop) -> Result<(), Error> {
        let log = Arc::clone(&self.log);
        let mut batch = Batch::default();
        let mut since_write: Option<Stopwatch> = None;
        loop {
            if stop.is_requested() {
                log.waiting.close();
            }
            if let Some(early) = since_write.and_then(|watch| GATHER.checked_sub(watch.elapsed())) {
                log.waiting.rest(early);
            }
            log.waiting.take(&mut batch, LOOK_EVERY);
            if batch.records.is_empty() {
                if log.waiting.is_closed() {
                    return Ok(());
                }
                continue;
            }
            since_write = Some(Stopwatch::start());
            self.write(&mut batch.records, stop)?;
            log.waiting.give_back(&mut batch);
        }
    }

    fn write(&mut self, records: &mut Vec<NewRecord>, stop: &Stop) -> Result<(), Error> {
        let mut at = 0;
        let mut resumed_at = None;
        while at < records.len() {
            let free_bytes = match self.write_some(&records[at..]) {
                Ok(count) => {
                    at += count;
                    continue;
                }
                Err(Halt::Failed(error)) => return Err(error),
                Err(Halt::Full(free_bytes)) => free_bytes,
            };
            let Some(resumed) = self.wait_for_room(free_bytes, stop) else {
                let lost_count = records.len() - at;
                self.log.counters.count_lost(lost_count);
                tracing::error!(
                    lost_count,
                    "the log closes and the disk has no room at all: queued records are lost"
                );
                return Ok(());
            };
            // The room may not have sufficed: then one record tells of both waits.
            match resumed_at {
                Some(place) if place == at => records[at] = resumed,
                _ => records.insert(at, resumed),
            }
            resumed_at = Some(at);
        }
        Ok(())
    }

    /// Writes records from the start with one call; returns how many.
    fn write_some(&mut self, records: &[NewRecord]) -> Result<usize, Halt> {
        self.check_space()?;
        let log = Arc::clone(&self.log);
        let active = match self.active.take() {
            Some(active) if active.has_room(log.settings.segment_bytes) => active,
            _ => self.begin_segment()?,
        };
        let active = self.active.insert(active);
        let offset = active.segment.bytes();
        let count =
            fill(&mut self.buffer, self.next, records, log.settings.segment_bytes.saturating_sub(offset));
        let written = log.settings.disk.write_all_at(&active.unsynced.file, &self.buffer, offset);
        if let Err(source) = written {
            // Whole records of a write that failed would be read as such after a crash, and again from the next try.
            active.unsynced.file.set_len(offset).map_err(Error::io("cut segment", &active.unsynced.path))?;
            return Err(Error::io("write segment", &active.unsynced.path)(source).into());
        }
        let last = self.next + count as u64 - 1;
        self.next = last + 1;
        self.bytes_since_space += self.buffer.len() as u64;
        active.segment.grow(offset + self.buffer.len() as u64, last);
        log.desk.mark(&active.unsynced, last);
        active.unsynced.is_new = false;
        log.counters.count_write(&records[..count], self.buffer.len());
        log.written.publish(last);
        Ok(count)
    }

    fn begin_segment(&self) -> Result<Active, Halt> {
        let log = &self.log;
        let path = log.index.path_of(self.next, SegmentForm::Raw);
        let created = log.clock.now();
        let file = create(&path, &segment::encode_header(self.next, created))?;
        let info = SegmentInfo {
            path: path.clone(),
            first: LogPosition(self.next),
            last: LogPosition(self.next - 1),
            bytes: HEADER_BYTES,
            form: SegmentForm::Raw,
            created,
        };
        let segment = Arc::new(Segment::new(info, false));
        log.index.push(Arc::clone(&segment));
        Ok(Active { segment, unsynced: Unsynced { file: Arc::new(file), path, is_new: true } })
    }

    fn check_space(&mut self) -> Result<(), Halt> {
        if self.log.spends_reserve() {
            return Ok(());
        }
        let is_fresh = self.space.is_some_and(|watch| watch.elapsed() < SPACE_EVERY);
        if is_fresh && self.bytes_since_space < SPACE_BYTES {
            return Ok(());
        }
        let free_bytes = self.free_bytes()?;
        if free_bytes < self.log.settings.disk_reserve_bytes {
            return Err(Halt::Full(free_bytes));
        }
        self.space = Some(Stopwatch::start());
        self.bytes_since_space = 0;
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, Error> {
        let settings = &self.log.settings;
        let free = settings.disk.free_bytes(&settings.directory);
        free.map_err(Error::io("ask for free space of", &settings.directory))
    }

    /// Stands still until there is room; the record that says so. `None` when the log closes and even its reserve of
    /// the disk is used up.
    fn wait_for_room(&mut self, free_bytes: u64, stop: &Stop) -> Option<NewRecord> {
        let log = Arc::clone(&self.log);
        let reserve_bytes = log.settings.disk_reserve_bytes;
        let watch = Stopwatch::start();
        let folder = log.settings.directory.display();
        tracing::error!(%folder, free_bytes, reserve_bytes, "the disk is full: capture stands still until space is freed");
        log.counters.count_full();
        log.state.send_replace(LogState::DiskFull { free_bytes });
        self.space = None;
        let mut has_spent = log.spends_reserve();
        loop {
            let next_look = Stopwatch::start();
            while next_look.elapsed() < FULL_EVERY {
                if stop.is_requested() {
                    if has_spent {
                        return None;
                    }
                    log.spends_reserve.store(true, Ordering::Release);
                }
                if !has_spent && log.spends_reserve() {
                    has_spent = true;
                    break;
                }
                log.waiting.rest(LOOK_EVERY);
            }
            let free_bytes = self.free_bytes().unwrap_or(0);
            log.state.send_replace(LogState::DiskFull { free_bytes });
            if free_bytes >= if has_spent { 1 } else { reserve_bytes.max(1) } {
                break;
            }
        }
        let seconds = watch.elapsed().as_secs_f64();
        tracing::warn!(%folder, seconds, "the disk has room again: capture goes on");
        log.state.send_replace(LogState::Open);
        Some(NewRecord {
            received: log.clock.now(),
            venue: None,
            connection: 0,
            kind: RecordKind::Resumed,
            payload: format!("the disk was full for {seconds:.1} s").into(),
        })
    }
}

/// Fills the buffer with records until it, or the segment, is full; returns how many. At least one.
fn fill(buffer: &mut Vec<u8>, next: u64, records: &[NewRecord], room: u64) -> usize {
    buffer.clear();
    let mut count = 0;
    for record in records {
        if count > 0 && (buffer.len() >= WRITE_BYTES_MAX || buffer.len() as u64 >= room) {
            break;
        }
        if record.payload.len() > frame::PAYLOAD_BYTES_MAX {
            tracing::error!(
                bytes = record.payload.len(),
                kept = frame::PAYLOAD_BYTES_MAX,
                position = next + count as u64,
                "a record is longer than the log can keep and was cut"
            );
        }
        frame::encode(buffer, LogPosition(next + count as u64), record);
        count += 1;
    }
    count
}

fn create(path: &std::path::Path, header: &[u8]) -> Result<File, Error> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    let file = file.map_err(Error::io("create segment", path))?;
    if let Err(source) = file.write_all_at(header, 0) {
        // Left behind it would stand in the way of the next try.
        let _already_gone = std::fs::remove_file(path);
        return Err(Error::io("write segment", path)(source));
    }
    Ok(file)
}

fn reopen(segment: Arc<Segment>) -> Result<Active, Error> {
    let path = segment.path.clone();
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = Arc::new(file.map_err(Error::io("open segment", &path))?);
    Ok(Active { segment, unsynced: Unsynced { file, path, is_new: false } })
}
