//! Blocks as the node gave them, with the outputs they spend: compressed, one after the other, in files of bounded size.
//!
//! A block is known by its hash and can be asked of the node again, so blocks do not pass through the log: the table that
//! names their place is written after they are durable, and what stands behind it after a crash is cut or written over.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::BlockHash;

use crate::error::Error;

/// The first bytes of each file; the last is the version of the form.
const MAGIC: &[u8; 8] = b"TKBLOCK\x01";
/// Bytes before the compressed ones: checksum of the rest, their count, those of block and outputs, the outputs' form, the hash.
const HEAD: usize = 4 + 4 + 4 + 4 + 1 + 32;
/// A file is ended once it is so long.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Longer than any block with its outputs; more is damage.
const RECORD_BYTES_MAX: u32 = 256 << 20;
/// Blocks are near-random; more effort saves little.
const LEVEL: i32 = 1;

/// Where the bytes of a block lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSpot {
    /// Name of the file in the folder.
    pub file: String,
    /// Where its record begins.
    pub offset: u64,
}

/// The bytes of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockBytes {
    /// Its hash.
    pub hash: BlockHash,
    /// The block.
    pub block: Vec<u8>,
    /// The outputs it spends.
    pub spent: Vec<u8>,
    /// In which form; the caller's number.
    pub spent_form: u8,
}

/// A folder of blocks, open for adding. One process at a time.
#[derive(Debug)]
pub struct BlockSegments {
    folder: PathBuf,
    number: u32,
    file: File,
    length: u64,
    file_bytes_max: u64,
}

impl BlockSegments {
    /// Opens the folder, making it if it is not there, and cuts a torn tail.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, FILE_BYTES_MAX)
    }

    fn open_with(folder: &Path, file_bytes_max: u64) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        let number = newest(folder)?.unwrap_or(1);
        let (file, length) = open_file(folder, number)?;
        Ok(Self { folder: folder.to_path_buf(), number, file, length, file_bytes_max })
    }

    /// Adds a block. It lasts once [`BlockSegments::sync`] returns.
    pub fn append(&mut self, bytes: &BlockBytes) -> Result<BlockSpot, Error> {
        if self.length >= self.file_bytes_max {
            self.sync()?;
            (self.file, self.length) = open_file(&self.folder, self.number + 1)?;
            self.number += 1;
        }
        let path = self.path();
        let record = record_of(bytes).map_err(Error::io("compress a block for", &path))?;
        self.file.write_all_at(&record, self.length).map_err(Error::io("write", &path))?;
        let spot = BlockSpot { file: name_of(self.number), offset: self.length };
        self.length += record.len() as u64;
        Ok(spot)
    }

    /// Returns when everything added is durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path()))
    }

    /// Reads a block back, also one that is not durable yet.
    pub fn read(&self, spot: &BlockSpot) -> Result<BlockBytes, Error> {
        read(&self.folder, spot)
    }

    fn path(&self) -> PathBuf {
        self.folder.join(name_of(self.number))
    }
}

/// Reads a block from a folder.
pub fn read(folder: &Path, spot: &BlockSpot) -> Result<BlockBytes, Error> {
    let path = folder.join(&spot.file);
    let mut file = File::open(&path).map_err(Error::io("open", &path))?;
    file.seek(SeekFrom::Start(spot.offset)).map_err(Error::io("read", &path))?;
    let damaged = |reason: &str| Error::Damaged {
        path: path.clone(),
        offset: spot.offset,
        reason: format!("{reason}; fetch the blocks again with tickhouse btc sync --mode full"),
    };
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(|_| damaged("the record of the block is not there"))?;
    let length = u32_at(&head, 4);
    if length > RECORD_BYTES_MAX {
        return Err(damaged("the record's length is none"));
    }
    let mut packed = vec![0; length as usize];
    file.read_exact(&mut packed).map_err(|_| damaged("the record of the block ends early"))?;
    if checksum(&head, &packed) != u32_at(&head, 0) {
        return Err(damaged("the checksum of the block does not fit"));
    }
    let (block, spent) = (u32_at(&head, 8) as usize, u32_at(&head, 12) as usize);
    let mut both = zstd::bulk::decompress(&packed, block + spent)
        .map_err(|error| damaged(&format!("the block does not unpack: {error}")))?;
    if both.len() != block + spent {
        return Err(damaged("the block unpacks to another length"));
    }
    let spent = both.split_off(block);
    let mut hash = [0; 32];
    hash.copy_from_slice(&head[17..]);
    Ok(BlockBytes { hash: BlockHash(hash), block: both, spent, spent_form: head[16] })
}

/// Deletes the files of a folder that are none of those in use. Nobody may have it open for adding. Numbers go on behind the newest file
/// that was there: a place that somebody still remembers never comes to hold another block. The bytes that became free.
pub fn free(folder: &Path, used: &BTreeSet<String>) -> Result<u64, Error> {
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        listed => listed.map_err(Error::io("list", folder))?,
    };
    let mut numbers = Vec::new();
    for entry in listed {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let number = number_of(&name.to_string_lossy());
        numbers.extend(number.filter(|number| !used.contains(&name_of(*number))));
    }
    // The newest one holds the count, even where nothing is in it.
    let newest = newest(folder)?.filter(|newest| numbers.contains(newest));
    if let Some(newest) = newest {
        let path = folder.join(name_of(newest));
        let held = path.metadata().map_err(Error::io("look at", &path))?.len();
        if held > MAGIC.len() as u64 {
            open_file(folder, newest + 1)?;
        } else {
            numbers.retain(|number| *number != newest);
        }
    }
    let mut freed = 0;
    for number in numbers {
        let path = folder.join(name_of(number));
        freed += path.metadata().map_err(Error::io("look at", &path))?.len();
        std::fs::remove_file(&path).map_err(Error::io("delete", &path))?;
    }
    if freed > 0 {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))?;
    }
    Ok(freed)
}

fn record_of(bytes: &BlockBytes) -> std::io::Result<Vec<u8>> {
    let both = [&bytes.block[..], &bytes.spent[..]].concat();
    let packed = zstd::bulk::compress(&both, LEVEL)?;
    let mut head = [0; HEAD];
    for (place, length) in [(4, packed.len()), (8, bytes.block.len()), (12, bytes.spent.len())] {
        let length = u32::try_from(length).map_err(|_| std::io::Error::other("longer than 4 GiB"))?;
        head[place..place + 4].copy_from_slice(&length.to_le_bytes());
    }
    head[16] = bytes.spent_form;
    head[17..].copy_from_slice(&bytes.hash.0);
    let sum = checksum(&head, &packed);
    head[..4].copy_from_slice(&sum.to_le_bytes());
    Ok([&head[..], &packed[..]].concat())
}

fn checksum(head: &[u8; HEAD], packed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[4..]), packed)
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[place..place + 4]);
    u32::from_le_bytes(four)
}

fn name_of(number: u32) -> String {
    format!("blocks-{number:06}.tkb")
}

fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("blocks-")?.strip_suffix(".tkb")?.parse().ok()
}

/// The number of the newest file of the folder.
fn newest(folder: &Path) -> Result<Option<u32>, Error> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        newest = newest.max(number_of(&name.to_string_lossy()));
    }
    Ok(newest)
}

/// Opens a file for adding, behind its last whole record.
fn open_file(folder: &Path, number: u32) -> Result<(File, u64), Error> {
    let path = folder.join(name_of(number));
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(Error::io("open", &path))?;
    let mut magic = [0; MAGIC.len()];
    let held = file.metadata().map_err(Error::io("look at", &path))?.len();
    if held < MAGIC.len() as u64 {
        file.set_len(0).map_err(Error::io("cut", &path))?;
        file.write_all(MAGIC).map_err(Error::io("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))?;
        return Ok((file, MAGIC.len() as u64));
    }
    file.read_exact(&mut magic).map_err(Error::io("read", &path))?;
    if magic[..7] != MAGIC[..7] {
        let reason = "it holds no blocks; move it away".to_owned();
        return Err(Error::Damaged { path, offset: 0, reason });
    }
    if magic != *MAGIC {
        return Err(Error::Version { path, version: u16::from(magic[7]) });
    }
    let length = whole(&file, held).map_err(Error::io("read", &path))?;
    if length < held {
        tracing::warn!(file = %path.display(), bytes = held - length, "cut a torn tail of blocks; they are asked for again");
        file.set_len(length).map_err(Error::io("cut", &path))?;
    }
    Ok((file, length))
}

/// Where the last whole record of a file ends.
fn whole(file: &File, held: u64) -> std::io::Result<u64> {
    let mut end = MAGIC.len() as u64;
    let mut head = [0; HEAD];
    loop {
        if end + HEAD as u64 > held {
            return Ok(end);
        }
        file.read_exact_at(&mut head, end)?;
        let length = u32_at(&head, 4);
        let next = end + HEAD as u64 + u64::from(length);
        if length > RECORD_BYTES_MAX || next > held {
            return Ok(end);
        }
        // All but the last record were followed by a sync or another record; their bytes are checked when they are read.
        if next == held {
            let mut packed = vec![0; length as usize];
            file.read_exact_at(&mut packed, end + HEAD as u64)?;
            return Ok(if checksum(&head, &packed) == u32_at(&head, 0) { next } else { end });
        }
        end = next;
    }
}

#[cfg(test)]
mod tests {
    //! Cases for files that end, tear and rot.
    use super::*;

    fn bytes(number: u8) -> BlockBytes {
        let block = (0..20_000_u32).map(|place| (place * u32::from(number)) as u8).collect();
        BlockBytes { hash: BlockHash([number; 32]), block, spent: vec![number; 77], spent_form: 2 }
    }

    #[test]
    fn blocks_come_back_over_several_files_and_a_second_opening() {
        let folder = tempfile::tempdir().unwrap();
        let mut spots = Vec::new();
        for round in 0..3_u8 {
            let mut segments = BlockSegments::open_with(folder.path(), 3_000).unwrap();
            for number in 0..10 {
                let bytes = bytes(round * 10 + number);
                spots.push((segments.append(&bytes).unwrap(), bytes));
            }
            segments.sync().unwrap();
        }
        assert!(newest(folder.path()).unwrap().unwrap() > 1);
        for (spot, bytes) in &spots {
            assert_eq!(read(folder.path(), spot).unwrap(), *bytes);
        }
    }

    #[test]
    fn a_tail_torn_anywhere_is_cut_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = BlockSegments::open(folder.path()).unwrap();
        let first = segments.append(&bytes(1)).unwrap();
        let second = segments.append(&bytes(2)).unwrap();
        let path = segments.path();
        let all = std::fs::read(&path).unwrap();
        drop(segments);
        for cut in (second.offset + 1..all.len() as u64).step_by(7) {
            std::fs::write(&path, &all[..cut as usize]).unwrap();
            let mut again = BlockSegments::open(folder.path()).unwrap();
            assert_eq!(again.append(&bytes(3)).unwrap(), second, "cut at {cut}");
            assert_eq!(again.read(&first).unwrap(), bytes(1));
            assert_eq!(again.read(&second).unwrap(), bytes(3));
        }
    }

    #[test]
    fn a_flipped_byte_is_told_with_file_and_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = BlockSegments::open(folder.path()).unwrap();
        let spot = segments.append(&bytes(1)).unwrap();
        segments.append(&bytes(2)).unwrap();
        let path = segments.path();
        let mut all = std::fs::read(&path).unwrap();
        all[spot.offset as usize + HEAD + 9] ^= 1;
        std::fs::write(&path, all).unwrap();
        let told = read(folder.path(), &spot).unwrap_err().to_string();
        assert!(told.contains("blocks-000001.tkb") && told.contains("btc sync"), "{told}");
    }

    #[test]
    fn files_without_a_use_are_deleted_and_their_numbers_stay_taken() {
        let folder = tempfile::tempdir().unwrap();
        let listed = || {
            let names = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> =
                names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let use_of = |spots: &[&BlockSpot]| spots.iter().map(|spot| spot.file.clone()).collect();
        assert_eq!(free(&folder.path().join("never"), &BTreeSet::new()).unwrap(), 0);
        std::fs::write(folder.path().join("notes.txt"), b"not ours").unwrap();
        let mut segments = BlockSegments::open_with(folder.path(), 100).unwrap();
        let spots: Vec<_> = (1..=4).map(|number| segments.append(&bytes(number)).unwrap()).collect();
        drop(segments);
        // Those of the first and the last one are in use.
        assert!(free(folder.path(), &use_of(&[&spots[0], &spots[3]])).unwrap() > 0);
        assert_eq!(listed(), ["blocks-000001.tkb", "blocks-000004.tkb", "notes.txt"]);
        assert_eq!(read(folder.path(), &spots[3]).unwrap(), bytes(4));
        assert!(free(folder.path(), &BTreeSet::new()).unwrap() > 0);
        assert_eq!(listed(), ["blocks-000005.tkb", "notes.txt"]);
        assert_eq!(free(folder.path(), &BTreeSet::new()).unwrap(), 0);
        assert_eq!(listed(), ["blocks-000005.tkb", "notes.txt"]);
        let mut segments = BlockSegments::open(folder.path()).unwrap();
        assert_eq!(segments.append(&bytes(9)).unwrap().file, "blocks-000005.tkb");
    }
}
