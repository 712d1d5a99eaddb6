//! The folder in which a node keeps its blocks: its key, its files, and one block out of it. Which blocks are wanted is left to others.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use chain::{FilePlace, Key, NodeFile};
use model::{BlockHash, Network};

/// Files that are open at once; the oldest is closed.
const OPEN_FILES_MAX: usize = 16;

/// The folder. Works on the thread that calls it.
#[derive(Debug)]
pub(super) struct NodeFolder {
    folder: PathBuf,
    magic: [u8; 4],
    key: Key,
    open: Vec<((&'static str, u32), File)>,
}

impl NodeFolder {
    /// Opens the `blocks` folder of a node.
    pub(super) fn open(folder: &Path, network: Network) -> io::Result<Self> {
        let key = match std::fs::read(folder.join("xor.dat")) {
            Ok(bytes) => Key::of_file(&bytes)
                .ok_or_else(|| io::Error::other("xor.dat does not hold the eight bytes of a key"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Key::default(),
            Err(error) => return Err(error),
        };
        let magic = chain::network::magic(network);
        Ok(Self { folder: folder.to_owned(), magic, key, open: Vec::new() })
    }

    /// Numbers of the files with blocks, ascending.
    pub(super) fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            numbers.extend(entry?.file_name().to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A file of a kind, `blk` or `rev`.
    pub(super) fn file(&mut self, kind: &'static str, number: u32) -> io::Result<NodeFile<impl ReadAt + '_>> {
        let (magic, key) = (self.magic, self.key);
        let known = self.open.iter().position(|(name, _)| *name == (kind, number));
        if known.is_none() {
            let file = File::open(self.folder.join(name_of(kind, number)))?;
            if self.open.len() >= OPEN_FILES_MAX {
                self.open.remove(0);
            }
            self.open.push(((kind, number), file));
        }
        let place = known.unwrap_or(self.open.len() - 1);
        let file = &mut self.open[place].1;
        let read_at = move |offset: u64, bytes: &mut [u8]| {
            file.seek(SeekFrom::Start(offset))?;
            file.read(bytes)
        };
        Ok(NodeFile { number, magic, key, read_at })
    }
}

/// What reads a file at an offset.
pub(super) trait ReadAt: FnMut(u64, &mut [u8]) -> io::Result<usize> {}

impl<T: FnMut(u64, &mut [u8]) -> io::Result<usize>> ReadAt for T {}

/// The name of a file, such as `blk00017.dat`.
fn name_of(kind: &str, number: u32) -> String {
    format!("{kind}{number:05}.dat")
}

fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("blk")?.strip_suffix(".dat")?.parse().ok()
}

/// Where a node keeps a block, and what it spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// The block.
    pub block: FilePlace,
    /// Its undo record; absent for the first block of a network and where it was not found.
    pub undo: Option<FilePlace>,
}

impl NodePlace {
    /// Names of the files and offsets of the first bytes, behind mark and length: block and undo record.
    pub fn named(&self) -> ((String, u64), Option<(String, u64)>) {
        let named = |kind: &str, place: &FilePlace| (name_of(kind, place.file), place.offset);
        (named("blk", &self.block), self.undo.as_ref().map(|undo| named("rev", undo)))
    }
}

/// Reads a block where a node is said to keep it. Refused with the reason if another one, or none, is there now.
pub fn read_block(
    folder: &Path,
    network: Network,
    (name, offset): (&str, u64),
    hash: &BlockHash,
) -> Result<Vec<u8>, String> {
    let number = number_of(name).ok_or_else(|| format!("{name:?} is no file of blocks"))?;
    let path = folder.join(name);
    let words = |what: &dyn std::fmt::Display| {
        format!(
            "{} at {offset}: {what}; the node may have let go of it, or reads its blocks anew: ask the node for {hash}",
            path.display()
        )
    };
    let read = || {
        let mut folder = NodeFolder::open(folder, network)?;
        let mut file = folder.file("blk", number)?;
        file.block_at(offset)?.map(|place| file.read(&place, 0)).transpose()
    };
    match read() {
        Ok(Some(bytes)) => match chain::check_block(&bytes, hash) {
            Ok(()) => Ok(bytes),
            Err(why) => Err(words(&why)),
        },
        Ok(None) => Err(words(&"no block begins there")),
        Err(error) => Err(words(&error)),
    }
}
