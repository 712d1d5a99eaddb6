//! Saved states on disk: one file per flush, named by its position, valid once its tables are committed.
//!
//! Form, version 1: `THRS`, version byte, position, table names, state, checksum of all before (little-endian).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use model::LogPosition;
use tables::TableName;
use tables::store::commit_order;

use crate::error::Error;

const MAGIC: &[u8; 4] = b"THRS";
const VERSION: u8 = 1;
const SUFFIX: &str = "state";

/// A state with what must be committed for it to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) position: LogPosition,
    /// Tables that had rows in this flush.
    pub(crate) tables: Vec<TableName>,
    pub(crate) state: Vec<u8>,
}

impl Checkpoint {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.state.len() + 128);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.position.0.to_le_bytes());
        let tables: Vec<&str> = self.tables.iter().map(|table| table.as_str()).collect();
        let tables = tables.join(",");
        bytes.extend_from_slice(&(tables.len() as u32).to_le_bytes());
        bytes.extend_from_slice(tables.as_bytes());
        bytes.extend_from_slice(&(self.state.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.state);
        bytes.extend_from_slice(&checksum(&bytes).to_le_bytes());
        bytes
    }

    /// Reads what `to_bytes` wrote; `None` for anything else, whole or torn.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        if u64::from_le_bytes(sum.try_into().ok()?) != checksum(body) {
            return None;
        }
        let mut rest = body.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(taken)
        };
        let position = LogPosition(u64::from_le_bytes(take(8)?.try_into().ok()?));
        let length = u32::from_le_bytes(take(4)?.try_into().ok()?);
        let names = std::str::from_utf8(take(usize::try_from(length).ok()?)?).ok()?;
        let named = |name: &str| commit_order().iter().find(|table| table.as_str() == name).copied();
        let tables: Option<Vec<TableName>> =
            names.split(',').filter(|name| !name.is_empty()).map(named).collect();
        let length = u64::from_le_bytes(take(8)?.try_into().ok()?);
        let state = take(usize::try_from(length).ok()?)?.to_vec();
        rest.is_empty().then_some(Self { position, tables: tables?, state })
    }

    /// Whether every table that had rows is committed so far.
    pub(crate) fn is_covered(&self, positions: &BTreeMap<TableName, LogPosition>) -> bool {
        self.tables.iter().all(|table| positions.get(table).is_some_and(|at| *at >= self.position))
    }
}

/// The folder of saved states.
#[derive(Clone, Debug)]
pub(crate) struct States {
    directory: PathBuf,
}

impl States {
    /// Uses a folder, making it if need be.
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        let explain = |source| Error::States { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(explain)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Writes a state so that it is there whole or not at all.
    pub(crate) fn write(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let path = self.path(checkpoint.position);
        let explain = |source| Error::States { path: path.clone(), source };
        let partial = path.with_extension("partial");
        let write = || -> io::Result<()> {
            let mut file = File::create(&partial)?;
            file.write_all(&checkpoint.to_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(explain)
    }

    /// The newest state whose tables are all committed that far, and whether any newer one was left aside.
    pub(crate) fn newest(
        &self,
        positions: &BTreeMap<TableName, LogPosition>,
    ) -> Result<Option<Checkpoint>, Error> {
        for (position, path) in self.list()?.into_iter().rev() {
            let bytes = fs::read(&path).map_err(|source| Error::States { path: path.clone(), source })?;
            match Checkpoint::from_bytes(&bytes) {
                Some(checkpoint) if checkpoint.position != position => {
                    tracing::warn!(path = %path.display(), "saved state names another position; left aside");
                }
                Some(checkpoint) if checkpoint.is_covered(positions) => return Ok(Some(checkpoint)),
                Some(_) => {
                    tracing::info!(%position, "saved state is ahead of the tables; an older one is used");
                }
                None => {
                    tracing::warn!(path = %path.display(), "saved state is damaged; an older one is used");
                }
            }
        }
        Ok(None)
    }

    /// Deletes the states below a position.
    pub(crate) fn delete_below(&self, position: LogPosition) -> Result<(), Error> {
        for (_, path) in self.list()?.into_iter().filter(|(at, _)| *at < position) {
            fs::remove_file(&path).map_err(|source| Error::States { path, source })?;
        }
        Ok(())
    }

    /// States by position; what a crash left half written is swept away.
    fn list(&self) -> Result<Vec<(LogPosition, PathBuf)>, Error> {
        let explain = |source| Error::States { path: self.directory.clone(), source };
        let mut states = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(explain)? {
            let path = entry.map_err(explain)?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let (Some(number), Some(SUFFIX)) = (number, path.extension().and_then(|end| end.to_str())) {
                states.push((LogPosition(number), path));
            }
        }
        states.sort();
        Ok(states)
    }

    fn path(&self, position: LogPosition) -> PathBuf {
        self.directory.join(format!("{:020}.{SUFFIX}", position.0))
    }
}

/// FNV-1a with 64 bits, eight bytes at a time: against torn writes, not against malice.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| step(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash ^ bytes.len() as u64, |hash, byte| step(hash, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    //! Cases for states on disk.
    use super::*;

    fn checkpoint(position: u64, tables: &[TableName]) -> Checkpoint {
        Checkpoint { position: LogPosition(position), tables: tables.to_vec(), state: vec![7; 100] }
    }

    #[test]
    fn only_states_whose_tables_are_committed_count() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::open(&folder.path().join("state")).unwrap();
        for state in [
            checkpoint(10, &[TableName::Trades]),
            checkpoint(20, &[TableName::Trades, TableName::Bars]),
            checkpoint(30, &[]),
        ] {
            states.write(&state).unwrap();
        }
        let at = |trades: u64, bars: u64| {
            BTreeMap::from([(TableName::Trades, LogPosition(trades)), (TableName::Bars, LogPosition(bars))])
        };
        assert_eq!(states.newest(&at(20, 20)).unwrap().unwrap().position, LogPosition(30));
        fs::remove_file(states.path(LogPosition(30))).unwrap();
        assert_eq!(states.newest(&at(20, 20)).unwrap().unwrap().position, LogPosition(20));
        assert_eq!(states.newest(&at(20, 10)).unwrap().unwrap().position, LogPosition(10));
        assert_eq!(states.newest(&at(5, 5)).unwrap(), None);
        states.delete_below(LogPosition(20)).unwrap();
        assert_eq!(states.list().unwrap().len(), 1);
    }

    #[test]
    fn a_torn_or_changed_state_is_left_aside() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::open(folder.path()).unwrap();
        states.write(&checkpoint(1, &[])).unwrap();
        let whole = checkpoint(2, &[]).to_bytes();
        for cut in [0, 5, whole.len() / 2, whole.len() - 1] {
            fs::write(states.path(LogPosition(2)), &whole[..cut]).unwrap();
            assert_eq!(
                states.newest(&BTreeMap::new()).unwrap().unwrap().position,
                LogPosition(1),
                "cut at {cut}"
            );
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(Checkpoint::from_bytes(&changed), None, "byte {at}");
        }
        assert_eq!(Checkpoint::from_bytes(&whole), Some(checkpoint(2, &[])));
    }
}
