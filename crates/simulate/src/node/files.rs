//! Block and undo files as the real node keeps them: records one after the other as blocks come, grown in steps ahead of need, all
//! of it mixed with a key. They are read only where a node goes on from those of an earlier one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chain::hash::sha256d;
use chain::network::magic;
use model::chain::{BlockHash, BlockHeader, Network};

use super::settings::NodeSettings;
use crate::hash;
use crate::settings::Error;

/// What begins a record of a private chain.
const MAGIC: [u8; 4] = magic(Network::Regtest);
/// Steps in which files grow.
const BLOCK_STEP: u64 = 16 << 20;
const UNDO_STEP: u64 = 1 << 20;

/// One pair of files.
#[derive(Debug)]
struct Pair {
    blocks: PathBuf,
    undo: PathBuf,
    block_bytes: u64,
    undo_bytes: u64,
}

/// A folder of them.
#[derive(Debug)]
pub(super) struct BlockFiles {
    folder: PathBuf,
    key: [u8; 8],
    bytes_max: u64,
    pairs: Vec<Pair>,
    /// In which pair a block is.
    held: HashMap<BlockHash, usize>,
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

/// Blocks that an earlier node left in a folder, in the order they came, up to the first that is not whole. None if there is no
/// such folder.
pub(super) fn left_in(folder: &Path) -> Vec<Vec<u8>> {
    let key = std::fs::read(folder.join("xor.dat")).ok().and_then(|key| <[u8; 8]>::try_from(key).ok());
    let Some(key) = key else { return Vec::new() };
    let mut blocks = Vec::new();
    for number in 0.. {
        let Ok(bytes) = std::fs::read(folder.join(format!("blk{number:05}.dat"))) else { break };
        let plain: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let mut rest = &plain[..];
        while let Some((block, behind)) = record(rest) {
            blocks.push(block.to_vec());
            rest = behind;
        }
    }
    blocks
}

/// The record at the beginning, and what is behind it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.strip_prefix(&MAGIC[..])?.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*size) as usize)
}

impl BlockFiles {
    /// Empties the folder of such files and writes the key.
    pub(super) fn open(folder: &Path, settings: &NodeSettings) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        for entry in std::fs::read_dir(folder).map_err(failed(folder))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = entry.path().extension().is_some_and(|kind| kind == "dat")
                && (name.starts_with("blk") || name.starts_with("rev"));
            if is_ours {
                std::fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
            }
        }
        let key = settings.files_key.unwrap_or_else(|| hash::named(settings.seed, "files").to_le_bytes());
        let path = folder.join("xor.dat");
        std::fs::write(&path, key).map_err(failed(&path))?;
        Ok(Self {
            folder: folder.to_owned(),
            key,
            bytes_max: settings.block_file_bytes_max,
            pairs: Vec::new(),
            held: HashMap::new(),
        })
    }

    /// Appends a block that came.
    pub(super) fn block(&mut self, hash: BlockHash, bytes: &[u8]) -> Result<(), Error> {
        let record = [&MAGIC[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
        let is_full = |pair: &Pair| pair.block_bytes + record.len() as u64 > self.bytes_max;
        if self.pairs.last().is_none_or(is_full) {
            let number = self.pairs.len();
            self.pairs.push(Pair {
                blocks: self.folder.join(format!("blk{number:05}.dat")),
                undo: self.folder.join(format!("rev{number:05}.dat")),
                block_bytes: 0,
                undo_bytes: 0,
            });
        }
        let Some(pair) = self.pairs.last_mut() else { return Ok(()) };
        append(&pair.blocks, &mut pair.block_bytes, (record, self.key), BLOCK_STEP)?;
        self.held.insert(hash, self.pairs.len() - 1);
        Ok(())
    }

    /// Appends what a block spends, to the file beside the block's.
    pub(super) fn undo(&mut self, header: &BlockHeader, undo: &[u8]) -> Result<(), Error> {
        let Some(at) = self.held.get(&header.hash) else { return Ok(()) };
        let pair = &mut self.pairs[*at];
        let sum = sha256d(&[&header.previous.0, undo]).0;
        let record = [&MAGIC[..], &(undo.len() as u32).to_le_bytes(), undo, &sum].concat();
        append(&pair.undo, &mut pair.undo_bytes, (record, self.key), UNDO_STEP)
    }

    /// Deletes pairs that hold pruned blocks only; the last pair stays.
    pub(super) fn prune(&mut self, is_pruned: impl Fn(BlockHash) -> bool) -> Result<(), Error> {
        let last = self.pairs.len().saturating_sub(1);
        let mut is_needed = vec![false; self.pairs.len()];
        for (hash, at) in &self.held {
            is_needed[*at] |= !is_pruned(*hash);
        }
        for (pair, is_needed) in self.pairs[..last].iter().zip(is_needed) {
            for path in [&pair.blocks, &pair.undo].into_iter().filter(|path| !is_needed && path.exists()) {
                std::fs::remove_file(path).map_err(failed(path))?;
            }
        }
        Ok(())
    }
}

/// Writes a record at the end of what was written. Ahead of it the file is grown by zeros, which are not mixed.
fn append(path: &Path, end: &mut u64, (mut record, key): (Vec<u8>, [u8; 8]), step: u64) -> Result<(), Error> {
    let mut write = |file: &mut File| {
        let wanted = (*end + record.len() as u64).next_multiple_of(step);
        if file.metadata()?.len() < wanted {
            file.set_len(wanted)?;
        }
        for (at, byte) in record.iter_mut().enumerate() {
            *byte ^= key[((*end + at as u64) % 8) as usize];
        }
        file.seek(SeekFrom::Start(*end))?;
        file.write_all(&record)
    };
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    opened.and_then(|mut file| write(&mut file)).map_err(failed(path))?;
    *end += record.len() as u64;
    Ok(())
}
