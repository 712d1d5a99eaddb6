//! Reads the rows of a packed file without unpacking it to disk, and refuses bombs.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use venues::archive::Packing;
use zip::ZipArchive;

/// Rows of prices press to a tenth at best; nothing honest presses to a hundredth.
const RATIO_MAX: u64 = 100;
/// Up to this, any ratio is harmless.
const HARMLESS_BYTES: u64 = 64 << 20;
/// Bytes of the packed file read at once.
const READ_BYTES: usize = 1 << 18;

/// Why a file cannot be unpacked.
#[derive(Debug)]
pub enum UnpackError {
    /// It cannot be opened or read.
    Disk(Error),
    /// It is no such package, or a damaged one.
    Damaged(String),
}

impl std::fmt::Display for UnpackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Disk(error) => write!(f, "it cannot be read: {error}"),
            Self::Damaged(what) => write!(f, "it cannot be unpacked: {what}"),
        }
    }
}

impl std::error::Error for UnpackError {}

/// Opens a packed file and hands its rows to `take`. Damage that shows only later is an error of the reader: a sum that
/// does not agree, an early end, or more bytes than an honest file has.
pub fn unpack<T>(
    path: &Path,
    packing: Packing,
    take: impl FnOnce(&mut dyn Read) -> T,
) -> Result<T, UnpackError> {
    let file = File::open(path).map_err(UnpackError::Disk)?;
    let packed = file.metadata().map_err(UnpackError::Disk)?.len();
    let bytes_max = packed.saturating_mul(RATIO_MAX).max(HARMLESS_BYTES);
    let file = BufReader::with_capacity(READ_BYTES, file);
    match packing {
        Packing::Gzip => Ok(take(&mut Bounded { inner: MultiGzDecoder::new(file), left: bytes_max })),
        Packing::Zip => {
            let damaged = |error: zip::result::ZipError| UnpackError::Damaged(error.to_string());
            let mut archive = ZipArchive::new(file).map_err(damaged)?;
            if archive.len() != 1 {
                let count = archive.len();
                return Err(UnpackError::Damaged(format!("it holds {count} files where one should be")));
            }
            let entry = archive.by_index(0).map_err(damaged)?;
            Ok(take(&mut Bounded { inner: entry, left: bytes_max }))
        }
    }
}

/// Ends with an error once more comes than may come.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(into)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidData,
                format!("it unpacks to more than {RATIO_MAX} times its size, as no honest file does"),
            )
        })?;
        Ok(count)
    }
}
