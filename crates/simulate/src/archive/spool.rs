//! Files as they are served: made when they are first wanted, kept in a folder, found again afterwards.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use crate::market::Market;

use super::content::write_rows;
use super::defects::{Defect, DefectKind};
use super::names::{Data, FileKey, Span};
use super::pack::{Packing, bomb, pack};
use super::spoil::{Spoiled, defects_of};

/// Rows said again and again in a file that never ends.
const BOMB_BYTES: usize = 1 << 20;
const BOMB_TIMES: usize = 6_000;

/// A file that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) size_bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub(super) sha256: String,
    /// What its checksum file says; another one if that is the defect.
    pub(super) claimed: String,
}

type Slot = Arc<OnceLock<Result<Arc<Made>, String>>>;

/// The folder of made files.
pub(super) struct Spool {
    named: Option<PathBuf>,
    temporary: OnceLock<Result<tempfile::TempDir, String>>,
    made: Mutex<HashMap<(FileKey, bool), Slot>>,
}

/// What a file is made from.
pub(super) struct Recipe<'a> {
    pub(super) key: &'a FileKey,
    pub(super) market: &'a Market,
    pub(super) defects: &'a [Defect],
    /// Whether files that are rewritten have been.
    pub(super) is_rewritten: bool,
    /// Nothing happens after this moment.
    pub(super) until_ms: i64,
}

impl Spool {
    /// In a folder, or in one that comes with the first file and goes away.
    pub(super) fn new(folder: Option<&Path>) -> io::Result<Self> {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
        }
        let named = folder.map(Path::to_owned);
        Ok(Self { named, temporary: OnceLock::new(), made: Mutex::default() })
    }

    fn folder(&self) -> Result<&Path, String> {
        if let Some(named) = &self.named {
            return Ok(named);
        }
        let open = || tempfile::tempdir().map_err(|error| format!("make a folder for archives: {error}"));
        self.temporary.get_or_init(open).as_ref().map(tempfile::TempDir::path).map_err(Clone::clone)
    }

    /// The file, made if it was not yet; works for as long as that takes.
    pub(super) fn file(&self, recipe: &Recipe<'_>) -> Result<Arc<Made>, String> {
        let is_later = recipe.is_rewritten && recipe.is_kind(DefectKind::Rewritten);
        let slot = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(made.entry((recipe.key.clone(), is_later)).or_default())
        };
        let name = format!("{}{}", u8::from(is_later), recipe.key.path().replace('/', "_"));
        let path = self.folder()?.join(&name);
        let make = || recipe.make(&path).map(Arc::new).map_err(|error| format!("make {name}: {error}"));
        slot.get_or_init(make).clone()
    }
}

impl Recipe<'_> {
    /// Whether the whole file has a defect of that kind.
    pub(super) fn is_kind(&self, kind: DefectKind) -> bool {
        matches!((self.key.span, self.key.data), (Span::Day(_), Data::Trades))
            && defects_of(self.defects, self.key).any(|defect| defect.kind == kind)
    }

    fn make(&self, path: &Path) -> io::Result<Made> {
        if self.is_kind(DefectKind::Bomb) {
            let rows = self.some_rows()?;
            std::fs::write(path, bomb(self.key.packing(), &self.key.entry(), &rows, BOMB_TIMES)?)?;
        } else {
            let mut file = BufWriter::with_capacity(1 << 18, File::create(path)?);
            pack(self.key.packing(), &self.key.entry(), &mut file, |out| self.rows(out))?;
            file.flush()?;
        }
        let mut size_bytes = std::fs::metadata(path)?.len();
        if self.is_kind(DefectKind::Truncated) {
            size_bytes = size_bytes * 3 / 5;
            File::options().write(true).open(path)?.set_len(size_bytes)?;
        }
        let is_wrong = self.is_kind(DefectKind::Checksum);
        if is_wrong && self.key.packing() == Packing::Gzip {
            // The sum stands eight bytes before the end.
            let mut file = File::options().write(true).open(path)?;
            file.seek(SeekFrom::End(-8))?;
            file.write_all(b"\0bad")?;
        }
        let sha256 = sha256(path)?;
        let claimed = if is_wrong { sha256.chars().rev().collect() } else { sha256.clone() };
        Ok(Made { path: path.to_owned(), size_bytes, sha256, claimed })
    }

    fn rows(&self, out: &mut dyn Write) -> io::Result<()> {
        let spoiled = Spoiled::of(self.defects, self.key, self.is_rewritten);
        write_rows(self.key, self.market, &spoiled, self.until_ms, out)
    }

    /// About a megabyte of whole rows, so that nothing but their number gives the bomb away.
    fn some_rows(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.rows(&mut all)?;
        let is_row = |line: &&[u8]| line.first().is_some_and(u8::is_ascii_digit);
        let row = all.split(|byte| *byte == b'\n').find(is_row).unwrap_or_default().to_vec();
        let mut rows = Vec::with_capacity(BOMB_BYTES + row.len());
        while rows.len() < BOMB_BYTES && !row.is_empty() {
            rows.extend_from_slice(&row);
            rows.push(b'\n');
        }
        Ok(rows)
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path)?);
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        let count = reader.read(&mut piece)?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
    }
    let mut digits = String::with_capacity(64);
    for byte in hash.finalize() {
        write_digits(&mut digits, byte);
    }
    Ok(digits)
}

fn write_digits(text: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
    }
}
