//! Read-only access to a log folder, whether a process is writing there or not: listing, reading, checking.

use std::path::{Path, PathBuf};

use model::LogPosition;

use crate::archive::ArchiveCursor;
use crate::cursor::{Cursor, End, Sink};
use crate::error::Error;
use crate::record::Record;
use crate::recovery;
use crate::segment::{self, Damage, SegmentFile, SegmentForm, SegmentInfo};

/// Records read at once.
const RECORDS_AT_ONCE: usize = 1024;

/// The segments in a log folder, oldest first. The newest raw one is read through to find its last record.
pub fn segments(directory: &Path) -> Result<Vec<SegmentInfo>, Error> {
    each_segment(directory, info)
}

/// Calls `work` with each segment and its last position, if another follows.
fn each_segment<T>(
    directory: &Path,
    work: impl Fn(&SegmentFile, Option<u64>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let files = segment::list_once(directory)?;
    let mut results = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let last = files.get(index + 1).map(|following| following.first - 1);
        let mut result = work(file, last);
        if result.as_ref().is_err_and(Error::is_missing_file)
            && let Some(archive) = archive_of(directory, file)
        {
            result = work(&archive, last);
        }
        match result {
            Ok(done) => results.push(done),
            // Deleted by a running process since it was listed.
            Err(error) if error.is_missing_file() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(results)
}

/// The archive a running process made of a raw segment since that was listed.
fn archive_of(directory: &Path, raw: &SegmentFile) -> Option<SegmentFile> {
    let path = segment::path_of(directory, raw.first, SegmentForm::Archive);
    let bytes = std::fs::metadata(&path).ok()?.len();
    Some(SegmentFile { path, bytes, form: SegmentForm::Archive, first: raw.first })
}

fn info(file: &SegmentFile, last: Option<u64>) -> Result<SegmentInfo, Error> {
    let last = match last {
        Some(last) => last,
        None => scan(file, None)?.last,
    };
    Ok(SegmentInfo {
        path: file.path.clone(),
        first: LogPosition(file.first),
        last: LogPosition(last),
        bytes: file.bytes,
        form: file.form,
        created: recovery::created_of(file)?,
    })
}

/// The records of a folder after `after`. Ends at the newest record; asked again later it goes on with what came since.
pub fn records(directory: &Path, after: LogPosition) -> Result<Records, Error> {
    let files = segment::list_once(directory)?;
    if let Some(first) = files.first().filter(|file| after.0 + 1 < file.first && after.0 > 0) {
        return Err(Error::Trimmed { after, first: LogPosition(first.first) });
    }
    Ok(Records {
        directory: directory.to_owned(),
        position: after.0,
        place: None,
        ready: Vec::new().into_iter(),
        damage: Vec::new(),
    })
}

/// Iterates records of a folder, see [`records`].
#[derive(Debug)]
pub struct Records {
    directory: PathBuf,
    /// Newest position read, whether handed out or not.
    position: u64,
    place: Option<Place>,
    ready: std::vec::IntoIter<Record>,
    damage: Vec<Damage>,
}

#[derive(Debug)]
struct Place {
    file: SegmentFile,
    cursor: Cursor,
    /// Last position, once a segment follows.
    last: Option<u64>,
}

impl Records {
    /// Damage passed over since last asked.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    /// Reads on; false at the end of what is there.
    fn fill(&mut self) -> Result<bool, Error> {
        let mut place = match self.place.take() {
            Some(place) => place,
            None => match self.find()? {
                Some(place) => place,
                None => return Ok(false),
            },
        };
        let before = place.cursor.next();
        let mut found = Vec::new();
        let (after, count_max) = (self.position, RECORDS_AT_ONCE);
        let mut sink = Sink { records: &mut found, count_max, after, damage: &mut self.damage };
        // Of the file that is open: its name may belong to an archive by now.
        let bytes = place.cursor.file_bytes()?;
        let result = place.cursor.read(End { bytes, last: place.last }, &mut sink);
        let next = place.cursor.next();
        self.position = self.position.max(next - 1);
        self.ready = found.into_iter();
        result?;
        if place.last.is_some_and(|last| next > last) {
            return Ok(true);
        }
        if next > before {
            self.place = Some(place);
            return Ok(true);
        }
        // Nothing came: either there is nothing yet, or this segment was sealed and another follows.
        let files = segment::list_once(&self.directory)?;
        let following = files.iter().find(|file| file.first > place.file.first).map(|file| file.first);
        let has_news = following.is_some() && place.last.is_none();
        place.last = place.last.or(following.map(|first| first - 1));
        self.place = Some(place);
        Ok(has_news)
    }

    fn find(&mut self) -> Result<Option<Place>, Error> {
        let mut tries = 0;
        loop {
            let files = segment::list_once(&self.directory)?;
            let Some(oldest) = files.first() else { return Ok(None) };
            if self.position == 0 {
                self.position = oldest.first - 1;
            }
            let after = files.partition_point(|file| file.first <= self.position + 1);
            let Some(file) = after.checked_sub(1).and_then(|index| files.get(index)) else {
                let error =
                    Error::Trimmed { after: LogPosition(self.position), first: LogPosition(oldest.first) };
                self.position = oldest.first - 1;
                return Err(error);
            };
            match Cursor::open(&file.path, file.first, file.form) {
                Ok(cursor) => {
                    let last = files.get(after).map(|following| following.first - 1);
                    return Ok(Some(Place { file: file.clone(), cursor, last }));
                }
                // Archived or deleted by a running process since it was listed.
                Err(error) if error.is_missing_file() && tries < 10 => tries += 1,
                Err(error) => {
                    // Read on behind what can not be opened at all.
                    self.position = files.get(after).map_or(u64::MAX - 1, |following| following.first - 1);
                    return Err(error);
                }
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.next() {
                return Some(Ok(record));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// What [`verify`] found in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The segment.
    pub segment: SegmentInfo,
    /// Records whose checksum holds.
    pub good_count: u64,
    /// What can not be read, by place.
    pub damage: Vec<Damage>,
    /// Bytes behind the last whole record of the newest segment: being written, or a tail torn when the process ended.
    pub tail_bytes: u64,
}

impl SegmentReport {
    /// Records lost to damage.
    pub fn lost_count(&self) -> u64 {
        self.damage.iter().map(Damage::record_count).sum()
    }
}

/// Checks every checksum of every segment.
pub fn verify(directory: &Path) -> Result<Vec<SegmentReport>, Error> {
    each_segment(directory, verify_segment)
}

fn verify_segment(file: &SegmentFile, last: Option<u64>) -> Result<SegmentReport, Error> {
    let scanned = scan(file, last)?;
    let segment = SegmentInfo {
        path: file.path.clone(),
        first: LogPosition(file.first),
        last: LogPosition(scanned.last),
        bytes: file.bytes,
        form: file.form,
        created: recovery::created_of(file)?,
    };
    let mut report = SegmentReport {
        segment,
        good_count: scanned.good_count,
        damage: scanned.damage,
        tail_bytes: scanned.tail_bytes,
    };
    if file.form == SegmentForm::Archive
        && let Ok(cursor) = ArchiveCursor::open(&file.path)
        && let Some(reason) = cursor.verify_file()?
        && report.damage.is_empty()
    {
        // The records are all there; something around them is not.
        report.damage.push(whole_file(file, file.first - 1, reason));
    }
    Ok(report)
}

fn whole_file(file: &SegmentFile, last: u64, reason: String) -> Damage {
    Damage {
        path: file.path.clone(),
        offset: 0,
        bytes: file.bytes,
        first: LogPosition(file.first),
        last: LogPosition(last),
        reason,
    }
}

#[derive(Debug, Default)]
struct Scanned {
    last: u64,
    good_count: u64,
    damage: Vec<Damage>,
    tail_bytes: u64,
}

fn scan(file: &SegmentFile, last: Option<u64>) -> Result<Scanned, Error> {
    let mut scanned = Scanned { last: last.unwrap_or(file.first - 1), ..Scanned::default() };
    let mut cursor = match Cursor::open(&file.path, file.first, file.form) {
        Ok(cursor) => cursor,
        Err(Error::Damaged { reason, .. }) => {
            scanned.damage.push(whole_file(file, scanned.last, reason));
            return Ok(scanned);
        }
        Err(error) => return Err(error),
    };
    let mut records = Vec::new();
    loop {
        let before = cursor.next();
        let damage = &mut scanned.damage;
        let mut sink = Sink { records: &mut records, count_max: RECORDS_AT_ONCE, after: 0, damage };
        cursor.read(End { bytes: file.bytes, last }, &mut sink)?;
        scanned.good_count += records.len() as u64;
        records.clear();
        if cursor.next() == before {
            break;
        }
    }
    scanned.last = last.unwrap_or(cursor.next() - 1);
    if let Cursor::Raw(raw) = &cursor
        && last.is_none()
    {
        scanned.tail_bytes = file.bytes.saturating_sub(raw.offset());
    }
    Ok(scanned)
}
