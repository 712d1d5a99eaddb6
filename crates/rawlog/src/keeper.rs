//! Turns sealed segments into archives and deletes what retention allows, on a thread of its own.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use model::LogPosition;
use runtime::Stop;

use crate::archive::{ArchiveInfo, ArchiveWriter};
use crate::cursor::{Cursor, End, Sink};
use crate::error::Error;
use crate::index::Segment;
use crate::log::Shared;
use crate::record::Record;
use crate::segment::{self, Damage, SegmentForm, SegmentInfo};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Records handled between looks whether the end was asked for.
const RECORDS_AT_ONCE: usize = 4096;

/// Wakes the keeper.
#[derive(Debug, Default)]
pub(crate) struct KeeperDesk {
    has_work: Mutex<bool>,
    changed: Condvar,
}

impl KeeperDesk {
    pub(crate) fn wake(&self) {
        *self.has_work.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let has_work = self.has_work.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(has_work, LOOK_EVERY, |has_work| !*has_work);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// The body of the keeper thread. Its troubles never stop capture: they are told and the segment stays as it is.
pub(crate) fn run(log: &Shared, stop: &Stop) {
    let mut left_raw = HashSet::new();
    while !stop.is_requested() && !log.written.is_closed() {
        retain(log);
        if log.settings.archive {
            archive_sealed(log, stop, &mut left_raw);
        }
        log.keeper.wait();
    }
}

fn archive_sealed(log: &Shared, stop: &Stop, left_raw: &mut HashSet<u64>) {
    for segment in log.index.all() {
        let is_due = segment.form == SegmentForm::Raw
            && segment.is_sealed()
            && segment.last() <= log.durable.get()
            && !left_raw.contains(&segment.first);
        if !is_due || stop.is_requested() {
            continue;
        }
        let path = segment.path.display();
        match archive(log, &segment, stop) {
            Ok(Made::Archive(info)) => {
                tracing::debug!(%path, bytes = info.bytes, raw_bytes = segment.bytes(), "segment archived");
                log.index.replace(Segment::new(info, true));
                if let Err(error) = fs::remove_file(&segment.path) {
                    tracing::warn!(%path, %error, "the raw form of an archived segment could not be removed");
                }
            }
            Ok(Made::Stopped) => {}
            Ok(Made::Damaged(damage)) => {
                left_raw.insert(segment.first);
                tracing::warn!(%path, offset = damage.offset, reason = damage.reason, "a damaged segment is kept raw");
            }
            Err(error) => {
                // Tried again at the next start; until then the raw form serves as well.
                left_raw.insert(segment.first);
                tracing::warn!(%path, %error, "a segment could not be archived and is kept raw");
            }
        }
        retain(log);
    }
}

enum Made {
    Archive(SegmentInfo),
    Damaged(Damage),
    Stopped,
}

/// The name of an archive that is being written.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn archive(log: &Shared, raw: &Arc<Segment>, stop: &Stop) -> Result<Made, Error> {
    let path = log.index.path_of(raw.first, SegmentForm::Archive);
    let part = part_of(&path);
    let made = write_part(raw, &part, stop);
    if !matches!(made, Ok(Made::Archive(_))) {
        let _may_not_exist = fs::remove_file(&part);
        return made;
    }
    let doing = Error::io("rename archive", &path);
    fs::rename(&part, &path).map_err(doing)?;
    segment::sync_folder(log.index.directory())?;
    let bytes = fs::metadata(&path).map_err(Error::io("read archive", &path))?.len();
    Ok(Made::Archive(SegmentInfo { path, bytes, form: SegmentForm::Archive, ..raw.info() }))
}

fn write_part(raw: &Segment, part: &Path, stop: &Stop) -> Result<Made, Error> {
    let end = raw.end();
    let info = ArchiveInfo { first: raw.first, last: raw.last(), created: raw.created };
    let mut writer = ArchiveWriter::create(part, info)?;
    let mut source = Pages::new(raw.cursor()?, end);
    while let Some(records) = source.next_page()? {
        if stop.is_requested() {
            return Ok(Made::Stopped);
        }
        for record in records {
            writer.write(part, record)?;
        }
    }
    if let Some(damage) = source.damage.pop() {
        return Ok(Made::Damaged(damage));
    }
    writer.finish(part)?;
    // The raw form goes only when the archive gives back every record.
    let mut source = Pages::new(raw.cursor()?, end);
    let mut copy = Pages::new(Cursor::open(part, raw.first, SegmentForm::Archive)?, end);
    loop {
        if stop.is_requested() {
            return Ok(Made::Stopped);
        }
        match (source.next_page()?, copy.next_page()?) {
            (None, None) => return Ok(Made::Archive(raw.info())),
            (Some(source), Some(copy)) if source == copy => {}
            _ => {
                let reason = "the archive differs from its source".to_owned();
                return Err(Error::Damaged { path: part.to_owned(), offset: 0, reason });
            }
        }
    }
}

/// A segment in pieces of a fixed count of records.
struct Pages {
    cursor: Cursor,
    end: End,
    records: Vec<Record>,
    damage: Vec<Damage>,
}

impl Pages {
    fn new(cursor: Cursor, end: End) -> Self {
        Self { cursor, end, records: Vec::new(), damage: Vec::new() }
    }

    fn next_page(&mut self) -> Result<Option<&[Record]>, Error> {
        self.records.clear();
        let mut sink = Sink {
            records: &mut self.records,
            count_max: RECORDS_AT_ONCE,
            after: 0,
            damage: &mut self.damage,
        };
        self.cursor.read(self.end, &mut sink)?;
        Ok((!self.records.is_empty()).then_some(&self.records))
    }
}

/// Deletes the oldest segments that are too old or too many, as far as the tables hold them.
fn retain(log: &Shared) {
    let (keep_age, keep_bytes) = (log.settings.keep_age, log.settings.keep_bytes);
    loop {
        let segments = log.index.all();
        let [oldest, next, ..] = segments.as_slice() else { return };
        if oldest.last() > log.trim.load(Ordering::Acquire) || !oldest.is_sealed() {
            return;
        }
        // All its records are older than the segment that was begun after it.
        let age = u64::try_from(log.clock.now().0.saturating_sub(next.created.0)).unwrap_or(0);
        let is_old = next.created.0 > 0 && keep_age.is_some_and(|keep| u128::from(age) > keep.as_nanos());
        let is_much = keep_bytes.is_some_and(|keep| log.index.bytes() > keep);
        if !is_old && !is_much {
            return;
        }
        let (path, last) = (oldest.path.display(), LogPosition(oldest.last()));
        log.index.forget_oldest(oldest.first);
        if let Err(error) = fs::remove_file(&oldest.path) {
            tracing::warn!(%path, %error, "a segment could not be deleted; tried again at the next start");
        } else {
            tracing::info!(%path, %last, is_old, is_much, "segment deleted by retention");
        }
    }
}
