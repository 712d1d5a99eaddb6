//! What is put right when a log is opened: leftovers, the torn end of the newest segment, unknown ends. No human step.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use model::{LogPosition, Nanos};

use crate::archive::ArchiveCursor;
use crate::cursor::{Cursor, End, RawCursor, Sink};
use crate::error::Error;
use crate::index::Segment;
use crate::segment::{self, Damage, HEADER_BYTES, SegmentFile, SegmentForm, SegmentInfo};
use crate::settings::LogSettings;

/// The end of the newest segment that was not written whole, and was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub segment: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// Bytes cut.
    pub bytes: u64,
    /// The file that keeps them; `None` if it could not be written (a full disk): then the segment was left as it is and
    /// ended before them.
    pub kept: Option<PathBuf>,
}

/// What was found and put right when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Oldest record kept; of an empty log, the position its first record will have.
    pub first: LogPosition,
    /// Newest record.
    pub last: LogPosition,
    /// Segments found.
    pub segment_count: usize,
    /// Torn tails that were cut; more than one only if the newest segments held nothing else.
    pub torn: Vec<TornTail>,
    /// Damage in the newest segment with good records behind it, which were kept.
    pub damage: Vec<Damage>,
}

/// The state a log goes on from.
pub(crate) struct Found {
    /// Oldest first; all but the newest are sealed.
    pub(crate) segments: Vec<Segment>,
    /// Whether the newest can be written on.
    pub(crate) goes_on: bool,
    pub(crate) report: RecoveryReport,
}

/// How the newest raw segment ends.
struct Ending {
    last: u64,
    offset: u64,
    created: Nanos,
    is_header_damaged: bool,
}

pub(crate) fn recover(settings: &LogSettings) -> Result<Found, Error> {
    let directory = &settings.directory;
    fs::create_dir_all(directory).map_err(Error::io("make log folder", directory))?;
    check_writable(directory)?;
    remove_leftovers(directory)?;
    let mut files = segment::list(directory)?;
    let mut report = RecoveryReport { segment_count: files.len(), ..RecoveryReport::default() };
    let mut newest = None;
    let mut goes_on = false;
    while let Some(file) = files.pop() {
        if file.form == SegmentForm::Archive {
            let info = ArchiveCursor::open(&file.path)?.info();
            newest = Some(info_of(&file, info.last, info.created));
            break;
        }
        let ending = mend(&file, &mut report)?;
        if ending.last >= file.first {
            let is_cut =
                report.torn.last().is_none_or(|torn| torn.segment != file.path || torn.kept.is_some());
            goes_on = is_cut && !ending.is_header_damaged;
            newest =
                Some(SegmentInfo { bytes: ending.offset, ..info_of(&file, ending.last, ending.created) });
            break;
        }
    }
    let mut last = newest.as_ref().map_or(0, |info| info.last.0);
    if settings.not_before.0 > last {
        last = settings.not_before.0;
        goes_on = false;
        if let Some(info) = &mut newest {
            info.last = LogPosition(last);
        }
    }
    let segments = with_ends(&files, newest, goes_on)?;
    report.last = LogPosition(last);
    report.first = LogPosition(segments.first().map_or(last + 1, |segment| segment.first));
    segment::sync_folder(directory)?;
    Ok(Found { segments, goes_on, report })
}

/// A folder that can not be written to is refused at once, not with the first record.
fn check_writable(directory: &Path) -> Result<(), Error> {
    let path = directory.join("writable.part");
    match File::create(&path) {
        Ok(_) => fs::remove_file(&path).map_err(Error::io("write to log folder", directory)),
        // A full disk is waited for, like at any other time.
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        Err(error) => Err(Error::io("write to log folder", directory)(error)),
    }
}

/// Removes archives that were not finished, and whichever form of a segment is the lesser one.
fn remove_leftovers(directory: &Path) -> Result<(), Error> {
    let doing = "list log folder";
    for entry in fs::read_dir(directory).map_err(Error::io(doing, directory))? {
        let path = entry.map_err(Error::io(doing, directory))?.path();
        if path.extension().is_some_and(|extension| extension == "part") {
            fs::remove_file(&path).map_err(Error::io("remove unfinished archive", &path))?;
        }
    }
    let files = segment::list(directory)?;
    for pair in files.windows(2) {
        let [archive, raw] = pair else { continue };
        if archive.first != raw.first {
            continue;
        }
        // The archive was compared with its source before it got its name, so it is whole if it can be opened.
        let lesser = if ArchiveCursor::open(&archive.path).is_ok() { raw } else { archive };
        fs::remove_file(&lesser.path).map_err(Error::io("remove second form of segment", &lesser.path))?;
    }
    Ok(())
}

fn info_of(file: &SegmentFile, last: u64, created: Nanos) -> SegmentInfo {
    SegmentInfo {
        path: file.path.clone(),
        first: LogPosition(file.first),
        last: LogPosition(last),
        bytes: file.bytes,
        form: file.form,
        created,
    }
}

/// Older segments end where the next one begins.
fn with_ends(
    files: &[SegmentFile],
    newest: Option<SegmentInfo>,
    goes_on: bool,
) -> Result<Vec<Segment>, Error> {
    let mut segments = Vec::with_capacity(files.len() + 1);
    for (index, file) in files.iter().enumerate() {
        let following = files.get(index + 1).map(|next| next.first);
        let Some(following) = following.or(newest.as_ref().map(|next| next.first.0)) else { break };
        let created = created_of(file)?;
        segments.push(Segment::new(info_of(file, following - 1, created), true));
    }
    segments.extend(newest.map(|info| Segment::new(info, !goes_on)));
    Ok(segments)
}

/// When a segment was begun; zero where it can not be told. What is wrong with it is told to those who read it.
pub(crate) fn created_of(file: &SegmentFile) -> Result<Nanos, Error> {
    // An archive's index is long; thousands of them must not be read at each start.
    if file.form == SegmentForm::Archive
        && let Some(info) = ArchiveCursor::peek(&file.path)
    {
        return Ok(info.created);
    }
    match Cursor::open(&file.path, file.first, file.form) {
        Ok(cursor) => Ok(cursor.created()),
        Err(Error::Damaged { .. }) => Ok(Nanos(0)),
        Err(error) => Err(error),
    }
}

/// Reads the newest raw segment to its last good record, cuts what is behind it and syncs it. A segment without a record
/// goes away.
fn mend(file: &SegmentFile, report: &mut RecoveryReport) -> Result<Ending, Error> {
    report.damage.clear();
    let ending = find_ending(file, &mut report.damage)?;
    let torn = if ending.last < file.first {
        set_aside(file, ending.is_header_damaged)?
    } else if file.bytes > ending.offset {
        Some(cut(file, ending.offset)?)
    } else {
        None
    };
    if let Some(torn) = torn {
        tracing::warn!(
            segment = %torn.segment.display(),
            offset = torn.offset,
            bytes = torn.bytes,
            last = ending.last,
            kept = torn.kept.is_some(),
            "the log was not closed in order: its torn tail was cut"
        );
        report.torn.push(torn);
    }
    if ending.last >= file.first {
        let synced = OpenOptions::new().write(true).open(&file.path).and_then(|file| file.sync_all());
        synced.map_err(Error::io("sync segment", &file.path))?;
    }
    Ok(ending)
}

/// Takes a segment without a single good record out of the way.
fn set_aside(file: &SegmentFile, is_header_damaged: bool) -> Result<Option<TornTail>, Error> {
    let is_empty = file.bytes == 0 || (file.bytes == HEADER_BYTES && !is_header_damaged);
    if is_empty {
        fs::remove_file(&file.path).map_err(Error::io("remove empty segment", &file.path))?;
        return Ok(None);
    }
    let kept = (1..=u32::MAX).map(|number| torn_path(file, number)).find(|path| !path.exists());
    if let Some(kept) = &kept {
        fs::rename(&file.path, kept).map_err(Error::io("set torn segment aside as", kept))?;
    }
    Ok(Some(TornTail { segment: file.path.clone(), offset: 0, bytes: file.bytes, kept }))
}

fn torn_path(file: &SegmentFile, number: u32) -> PathBuf {
    let mut name = file.path.as_os_str().to_owned();
    name.push(format!(".torn-{number}"));
    name.into()
}

fn find_ending(file: &SegmentFile, damage: &mut Vec<Damage>) -> Result<Ending, Error> {
    let mut cursor = RawCursor::open(&file.path, file.first)?;
    let is_header_damaged = cursor.is_header_damaged();
    let created = cursor.created();
    let mut records = Vec::new();
    loop {
        let before = cursor.next();
        let mut sink = Sink { records: &mut records, count_max: 4096, after: 0, damage };
        cursor.read(End { bytes: file.bytes, last: None }, &mut sink)?;
        records.clear();
        if cursor.next() == before {
            break;
        }
    }
    let offset = cursor.offset().max(HEADER_BYTES);
    Ok(Ending { last: cursor.next() - 1, offset, created, is_header_damaged })
}

/// Moves the bytes from `offset` on into a file beside the segment.
fn cut(file: &SegmentFile, offset: u64) -> Result<TornTail, Error> {
    let bytes = file.bytes - offset;
    let mut torn = TornTail { segment: file.path.clone(), offset, bytes, kept: None };
    match keep(file, offset) {
        Ok(kept) => torn.kept = Some(kept),
        Err(error) => {
            tracing::warn!(%error, "the torn tail could not be kept apart, it stays in its segment");
            return Ok(torn);
        }
    }
    let doing = "cut torn segment";
    let opened = OpenOptions::new().write(true).open(&file.path).map_err(Error::io(doing, &file.path))?;
    opened.set_len(offset).map_err(Error::io(doing, &file.path))?;
    Ok(torn)
}

fn keep(file: &SegmentFile, offset: u64) -> Result<PathBuf, Error> {
    let source = File::open(&file.path).map_err(Error::io("open segment", &file.path))?;
    let mut number = 1;
    let (path, mut target) = loop {
        let path = torn_path(file, number);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(target) => break (path, target),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::io("keep torn tail in", &path)(error)),
        }
    };
    let mut at = offset;
    while at < file.bytes {
        let length = (file.bytes - at).min(1 << 20);
        let piece = segment::read_at(&source, &file.path, at, length as usize)?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        if let Err(error) = target.write_all(&piece) {
            let _already_gone = fs::remove_file(&path);
            return Err(Error::io("keep torn tail in", &path)(error));
        }
    }
    target.sync_all().map_err(Error::io("keep torn tail in", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    //! Cases for torn tails.
    use super::*;
    use crate::frame;
    use crate::inspect;
    use crate::record::{NewRecord, RecordKind};

    const COUNT: u64 = 3;

    /// A segment of records of growing length, and where each of them ends.
    fn segment_bytes() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = segment::encode_header(1, Nanos(7)).to_vec();
        let mut ends = vec![bytes.len()];
        for position in 1..=COUNT {
            let record = NewRecord {
                received: Nanos(position as i64),
                venue: None,
                connection: 0,
                kind: RecordKind::Text,
                payload: vec![b'x'; position as usize * 11 - 11].into(),
            };
            frame::encode(&mut bytes, LogPosition(position), &record);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_tail_torn_at_any_byte_is_cut_at_the_last_good_record() {
        let (whole, ends) = segment_bytes();
        for length in 0..=whole.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = segment::path_of(folder.path(), 1, SegmentForm::Raw);
            fs::write(&path, &whole[..length]).unwrap();
            let good = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
            let found = recover(&LogSettings::new(folder.path())).unwrap();
            assert_eq!(found.report.last, LogPosition(good as u64), "{length}");
            assert_eq!((found.goes_on, path.exists()), (good > 0, good > 0), "{length}");
            let is_torn = length > 0 && !ends.contains(&length);
            assert_eq!(found.report.torn.len(), usize::from(is_torn), "{length}");
            if let Some(torn) = found.report.torn.first() {
                let start = if good == 0 { 0 } else { ends[good] };
                assert_eq!((torn.offset, torn.bytes), (start as u64, (length - start) as u64));
                assert_eq!(fs::read(torn.kept.as_ref().unwrap()).unwrap(), &whole[start..length], "{length}");
            }
            let records = inspect::records(folder.path(), LogPosition(0)).unwrap();
            assert_eq!(records.map(Result::unwrap).count(), good, "{length}");
        }
    }

    #[test]
    fn a_second_torn_tail_does_not_overwrite_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, ends) = segment_bytes();
        let path = segment::path_of(folder.path(), 1, SegmentForm::Raw);
        for number in 1..=3 {
            fs::write(&path, &whole[..ends[2] + number]).unwrap();
            let found = recover(&LogSettings::new(folder.path())).unwrap();
            let kept = found.report.torn[0].kept.clone().unwrap();
            assert!(kept.to_str().unwrap().ends_with(&format!(".seg.torn-{number}")));
            assert_eq!(fs::metadata(kept).unwrap().len(), number as u64);
        }
    }
}
