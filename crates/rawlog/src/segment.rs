//! Segments: files of records named by their first position. How a record looks inside is left to `frame`.
//!
//! A raw segment starts with a header of 40 bytes, little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `TKRAWLOG` |
//! | 8..10 | format version, 1 |
//! | 10..12 | header length, 40 |
//! | 12..16 | zero |
//! | 16..24 | position of the first record |
//! | 24..32 | when the segment was begun, nanoseconds |
//! | 32..36 | zero |
//! | 36..40 | CRC32C of the bytes before |

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::{LogPosition, Nanos};

use crate::error::Error;
use crate::frame::{u32_at, u64_at};

const MAGIC: &[u8; 8] = b"TKRAWLOG";
const VERSION: u16 = 1;

/// Bytes before the first record of a raw segment.
pub(crate) const HEADER_BYTES: u64 = 40;

/// Most listings of a folder that changes all the time.
const LISTINGS_MAX: usize = 20;

/// How a segment rests on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentForm {
    /// Records as they were appended.
    Raw,
    /// An MCAP file, compressed.
    Archive,
}

impl SegmentForm {
    /// The end of its files' names, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Raw => "seg",
            Self::Archive => "mcap",
        }
    }
}

/// One segment of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its file.
    pub path: PathBuf,
    /// Position of its first record.
    pub first: LogPosition,
    /// Position of its last record; one before `first` while it is empty.
    pub last: LogPosition,
    /// Bytes on disk.
    pub bytes: u64,
    /// How it rests on disk.
    pub form: SegmentForm,
    /// When it was begun, by our clock; zero where its header can not be read.
    pub created: Nanos,
}

/// Bytes that can not be read as records, and the positions lost with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// Bytes passed over.
    pub bytes: u64,
    /// First position lost.
    pub first: LogPosition,
    /// Last position lost; one before `first` where none is.
    pub last: LogPosition,
    /// What is wrong.
    pub reason: String,
}

impl Damage {
    /// Records lost.
    pub fn record_count(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// A file of a log folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) first: u64,
    pub(crate) form: SegmentForm,
    pub(crate) bytes: u64,
}

/// What the header of a raw segment says.
#[derive(Debug)]
pub(crate) enum Header {
    Whole { created: Nanos },
    Damaged { reason: &'static str },
}

pub(crate) fn path_of(directory: &Path, first: u64, form: SegmentForm) -> PathBuf {
    directory.join(format!("{first:020}.{}", form.extension()))
}

fn parse_name(path: &Path) -> Option<(u64, SegmentForm)> {
    let name = path.file_name()?.to_str()?;
    let (digits, extension) = name.split_once('.')?;
    let form =
        [SegmentForm::Raw, SegmentForm::Archive].into_iter().find(|form| form.extension() == extension)?;
    let is_position = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_position).map(|first| (first, form))
}

/// The segments of a folder, oldest first. Of a segment in both forms (a crash between rename and removal) both are listed,
/// the archive first.
pub(crate) fn list(directory: &Path) -> Result<Vec<SegmentFile>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io("list log folder", directory))? {
        let entry = entry.map_err(Error::io("list log folder", directory))?;
        let path = entry.path();
        let Some((first, form)) = parse_name(&path) else { continue };
        // Retention or the archive may have removed it since.
        let Ok(metadata) = entry.metadata() else { continue };
        files.push(SegmentFile { path, first, form, bytes: metadata.len() });
    }
    files.sort_by_key(|file| (file.first, file.form == SegmentForm::Raw));
    Ok(files)
}

/// As [`list`], each segment once, also while a process is archiving there.
pub(crate) fn list_once(directory: &Path) -> Result<Vec<SegmentFile>, Error> {
    let once = || {
        let mut files = list(directory)?;
        files.dedup_by_key(|file| file.first);
        Ok(files)
    };
    let mut files = once()?;
    for _ in 0..LISTINGS_MAX {
        // While it is read, a folder may show neither the archive that appears nor the raw file that goes. Two listings
        // can not both miss the same segment, so they are right when they agree.
        let again = once()?;
        let agrees = again.iter().map(|file| file.first).eq(files.iter().map(|file| file.first));
        files = again;
        if agrees {
            break;
        }
    }
    Ok(files)
}

pub(crate) fn encode_header(first: u64, created: Nanos) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[0..8].copy_from_slice(MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[10..12].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
    header[16..24].copy_from_slice(&first.to_le_bytes());
    header[24..32].copy_from_slice(&created.0.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..36]);
    header[36..40].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Reads a raw segment's header. A damaged one is no error: name and records tell as much.
pub(crate) fn read_header(file: &File, path: &Path, first: u64) -> Result<Header, Error> {
    let header = read_at(file, path, 0, HEADER_BYTES as usize)?;
    if header.len() < HEADER_BYTES as usize {
        return Ok(Header::Damaged { reason: "header is cut" });
    }
    if crc32c::crc32c(&header[..36]) != u32_at(&header, 36) || header[..8] != *MAGIC {
        return Ok(Header::Damaged { reason: "checksum of the header differs" });
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version != VERSION {
        return Err(Error::Version { path: path.to_owned(), version });
    }
    if u64_at(&header, 16) != first {
        return Ok(Header::Damaged { reason: "header names another position than the file" });
    }
    Ok(Header::Whole { created: Nanos(u64_at(&header, 24).cast_signed()) })
}

/// Reads up to `length` bytes at an offset; fewer at the end of the file.
pub(crate) fn read_at(file: &File, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read segment", path)(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Makes the folder's entries durable.
pub(crate) fn sync_folder(directory: &Path) -> Result<(), Error> {
    let doing = "sync log folder";
    let folder = File::open(directory).map_err(Error::io(doing, directory))?;
    folder.sync_all().map_err(Error::io(doing, directory))
}

#[cfg(test)]
mod tests {
    //! Cases for names.
    use super::*;

    #[test]
    fn names_are_positions_and_nothing_else_counts() {
        let path = path_of(Path::new("log"), 42, SegmentForm::Raw);
        assert_eq!(path, Path::new("log/00000000000000000042.seg"));
        assert_eq!(parse_name(&path), Some((42, SegmentForm::Raw)));
        for name in ["42.seg", "00000000000000000042.seg.torn-1", "00000000000000000042.mcap.part", "lock"] {
            assert_eq!(parse_name(Path::new(name)), None, "{name}");
        }
    }
}
