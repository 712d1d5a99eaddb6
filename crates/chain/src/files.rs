//! A node's own files: `blk` files with blocks, `rev` files with the outputs they spent, the key that masks both. Opening
//! files, and knowing which block is on which chain, is left to the caller.

use std::collections::HashMap;

use model::{BlockHash, BlockHeader};

use crate::cursor::Cursor;
use crate::hash::sha256d;
use crate::header::{self, HEADER_BYTES};

/// Bytes between which the length of a block lies.
const BLOCK_BYTES: std::ops::RangeInclusive<u32> = 81..=4_000_000;
/// Bytes between which the length of an undo record lies; no file is longer.
const UNDO_BYTES: std::ops::RangeInclusive<u32> = 1..=0x0800_0000;
/// Bytes of the mark and the length before a record.
const MARK_BYTES: usize = 8;
/// Bytes of a number of transactions or lists, at most.
const COUNT_BYTES_MAX: usize = 9;
/// Bytes of the sum behind an undo record.
pub const CHECKSUM_BYTES: usize = 32;
/// Bytes looked through at once for the next record.
const SEARCH_BYTES: usize = 1 << 16;
/// So many zeros are space that was set aside.
const BLANK_BYTES: usize = 1 << 12;

/// What a node's files are masked with: eight bytes in `blocks/xor.dat`, or nothing on older nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key([u8; 8]);

impl Key {
    /// From the bytes of `xor.dat`.
    pub fn of_file(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Takes the mask off bytes that stand at `offset` of their file.
    pub fn unmask(self, bytes: &mut [u8], offset: u64) {
        if self.0 == [0; 8] {
            return;
        }
        let mut key = self.0;
        key.rotate_left((offset % 8) as usize);
        let whole = u64::from_ne_bytes(key);
        let mut chunks = bytes.chunks_exact_mut(8);
        for chunk in &mut chunks {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ whole).to_ne_bytes());
        }
        for (byte, key) in chunks.into_remainder().iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

/// Where a block or an undo record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePlace {
    /// Number of the file: 17 is `blk00017.dat` or `rev00017.dat`.
    pub file: u32,
    /// Where in the file its first byte stands, behind mark and length.
    pub offset: u64,
    /// Its length.
    pub length_bytes: u32,
}

impl FilePlace {
    /// Where its record begins, with mark and length.
    pub fn record_offset(&self) -> u64 {
        self.offset - MARK_BYTES as u64
    }
}

/// A block in a file, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Where it lies.
    pub place: FilePlace,
    /// Its header.
    pub header: BlockHeader,
    /// Its transactions.
    pub tx_count: usize,
}

/// An undo record in a file, as far as its first bytes tell. Behind it stand the [`CHECKSUM_BYTES`] of its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndoHead {
    /// Where it lies.
    pub place: FilePlace,
    /// Transactions that it tells of: those of the block but the coinbase.
    pub list_count: usize,
}

/// What of a file is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it, whatever lies between records.
    Whole,
    /// From an offset on, until nothing was written yet.
    Newest(u64),
}

/// A file of a node, through which one can read: fills the bytes from an offset on and says how many there were.
pub struct NodeFile<R> {
    /// The file's number.
    pub number: u32,
    /// The network's mark before each record.
    pub magic: [u8; 4],
    /// What the file is masked with.
    pub key: Key,
    /// Reads.
    pub read_at: R,
}

impl<R, E> NodeFile<R>
where
    R: FnMut(u64, &mut [u8]) -> Result<usize, E>,
{
    /// The blocks of a `blk` file, in the order in which they came, those of no chain among them. Ends before a block
    /// that is still being written.
    pub fn blocks(&mut self) -> Result<Vec<BlockHead>, E> {
        self.blocks_in(Part::Whole)
    }

    /// The blocks from an offset on, at which a record begins, to the space that was set aside for further ones.
    pub fn blocks_from(&mut self, offset: u64) -> Result<Vec<BlockHead>, E> {
        self.blocks_in(Part::Newest(offset))
    }

    fn blocks_in(&mut self, part: Part) -> Result<Vec<BlockHead>, E> {
        let mut blocks = Vec::new();
        self.records(part, (&BLOCK_BYTES, 0), |place, head| {
            let mut cursor = Cursor::new("block", head);
            if let (Ok(header), Ok(tx_count)) = (header::read(&mut cursor), cursor.compact("count")) {
                blocks.push(BlockHead { place, header, tx_count });
            }
        })?;
        Ok(blocks)
    }

    /// The undo records of a `rev` file, in the order in which their blocks were connected.
    pub fn undos(&mut self) -> Result<Vec<UndoHead>, E> {
        self.undos_in(Part::Whole)
    }

    /// The undo records from an offset on, at which one begins, to the space that was set aside for further ones.
    pub fn undos_from(&mut self, offset: u64) -> Result<Vec<UndoHead>, E> {
        self.undos_in(Part::Newest(offset))
    }

    fn undos_in(&mut self, part: Part) -> Result<Vec<UndoHead>, E> {
        let mut undos = Vec::new();
        self.records(part, (&UNDO_BYTES, CHECKSUM_BYTES), |place, head| {
            if let Ok(list_count) = Cursor::new("undo record", head).compact("count") {
                undos.push(UndoHead { place, list_count });
            }
        })?;
        Ok(undos)
    }

    /// The place of a block that begins at an offset; `None` if no record of a block does.
    pub fn block_at(&mut self, offset: u64) -> Result<Option<FilePlace>, E> {
        let Some(at) = offset.checked_sub(MARK_BYTES as u64) else { return Ok(None) };
        let mut mark = [0; MARK_BYTES];
        let count = self.fill(at, &mut mark)?;
        let length = u32::from_le_bytes([mark[4], mark[5], mark[6], mark[7]]);
        let is_block = count == MARK_BYTES && mark[..4] == self.magic && BLOCK_BYTES.contains(&length);
        Ok(is_block.then_some(FilePlace { file: self.number, offset, length_bytes: length }))
    }

    /// The bytes of a record and of so many behind it.
    pub fn read(&mut self, place: &FilePlace, behind_bytes: usize) -> Result<Vec<u8>, E> {
        let mut bytes = vec![0; place.length_bytes as usize + behind_bytes];
        let count = self.fill(place.offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Goes from record to record. Space that was set aside reads as zeros under the mask, and is passed over like anything
    /// else that is no record.
    fn records(
        &mut self,
        part: Part,
        (lengths, behind_bytes): (&std::ops::RangeInclusive<u32>, usize),
        mut take: impl FnMut(FilePlace, &[u8]),
    ) -> Result<(), E> {
        let mut at = match part {
            Part::Whole => 0,
            Part::Newest(offset) => offset,
        };
        let mut head = [0; MARK_BYTES + HEADER_BYTES + COUNT_BYTES_MAX];
        loop {
            let count = self.fill(at, &mut head)?;
            let Some((mark, rest)) = head[..count].split_first_chunk::<MARK_BYTES>() else { return Ok(()) };
            let length = u32::from_le_bytes([mark[4], mark[5], mark[6], mark[7]]);
            if mark[..4] != self.magic || !lengths.contains(&length) {
                if part != Part::Whole && self.is_set_aside(at)? {
                    return Ok(());
                }
                let Some(next) = self.find_mark(at + 1)? else { return Ok(()) };
                at = next;
                continue;
            }
            let place = FilePlace { file: self.number, offset: at + MARK_BYTES as u64, length_bytes: length };
            let end = place.offset + u64::from(length) + behind_bytes as u64;
            if self.fill(end - 1, &mut [0])? == 0 {
                return Ok(());
            }
            take(place, &rest[..rest.len().min(length as usize)]);
            at = end;
        }
    }

    /// Whether nothing was written from an offset on, as far as a look goes.
    fn is_set_aside(&mut self, offset: u64) -> Result<bool, E> {
        let mut bytes = [0; BLANK_BYTES];
        let count = self.fill(offset, &mut bytes)?;
        // Zeros are what the mask makes of the mask itself.
        self.key.unmask(&mut bytes[..count], offset);
        Ok(bytes[..count].iter().all(|byte| *byte == 0))
    }

    /// Where the network's mark stands next.
    fn find_mark(&mut self, mut at: u64) -> Result<Option<u64>, E> {
        let mut bytes = vec![0; SEARCH_BYTES];
        loop {
            let count = self.fill(at, &mut bytes)?;
            if let Some(found) = bytes[..count].windows(4).position(|four| four == self.magic) {
                return Ok(Some(at + found as u64));
            }
            if count < SEARCH_BYTES {
                return Ok(None);
            }
            at += (count - 3) as u64;
        }
    }

    /// Reads as many bytes as there are, without their mask.
    fn fill(&mut self, offset: u64, bytes: &mut [u8]) -> Result<usize, E> {
        let mut count = 0;
        while count < bytes.len() {
            match (self.read_at)(offset + count as u64, &mut bytes[count..])? {
                0 => break,
                more => count += more.min(bytes.len() - count),
            }
        }
        self.key.unmask(&mut bytes[..count], offset);
        Ok(count)
    }
}

/// Whether an undo record with its sum behind it is that of a block that follows `previous`. Returns the record alone.
///
/// Nothing else in a record tells whose it is: that of another block behind the same one passes too.
pub fn undo_of<'a>(previous: &BlockHash, with_checksum: &'a [u8]) -> Option<&'a [u8]> {
    let (undo, checksum) = with_checksum.split_last_chunk::<CHECKSUM_BYTES>()?;
    (sha256d(&[&previous.0, undo]).0 == *checksum).then_some(undo)
}

/// The undo records of one file, from which those of its blocks are picked. Cheapest when blocks are asked for in the order
/// in which they were connected, which mostly is that of their heights.
#[derive(Clone, Debug, Default)]
pub struct UndoPicker {
    /// By number of lists: the places, and which of them is likely the next.
    places: HashMap<usize, (Vec<FilePlace>, usize)>,
    /// By the block before and the number of transactions: the one block, or nothing where there are several.
    blocks: HashMap<(BlockHash, usize), Option<BlockHash>>,
}

impl UndoPicker {
    /// Over the records of a file, and the blocks of the one beside it, looked through after them: a node writes a block
    /// down before what it spends.
    pub fn new(undos: &[UndoHead], blocks: &[BlockHead]) -> Self {
        let mut picker = Self::default();
        for undo in undos {
            picker.add(undo);
        }
        for block in blocks {
            picker.add_block(block);
        }
        picker
    }

    /// Takes a record that came later.
    pub fn add(&mut self, undo: &UndoHead) {
        self.places.entry(undo.list_count).or_default().0.push(undo.place);
    }

    /// Takes a block that came later, or once more.
    pub fn add_block(&mut self, block: &BlockHead) {
        if block.tx_count > 1 {
            let hash = block.header.hash;
            let known = self.blocks.entry((block.header.previous, block.tx_count)).or_insert(Some(hash));
            *known = known.filter(|known| *known == hash);
        }
    }

    /// Whether the file has another block behind the same one, with as many transactions: their records cannot be told apart.
    pub fn has_alike(&self, block: &BlockHead) -> bool {
        let known = self.blocks.get(&(block.header.previous, block.tx_count));
        known.is_some_and(|known| *known != Some(block.header.hash))
    }

    /// The undo record of a block, with its place; `None` where the file has none, and where another block's cannot be told
    /// from it. `read` gives the bytes at a place with the [`CHECKSUM_BYTES`] behind them.
    pub fn pick<E>(
        &mut self,
        block: &BlockHead,
        mut read: impl FnMut(&FilePlace) -> Result<Vec<u8>, E>,
    ) -> Result<Option<(FilePlace, Vec<u8>)>, E> {
        if self.has_alike(block) {
            return Ok(None);
        }
        let Some((places, next)) = self.places.get_mut(&block.tx_count.saturating_sub(1)) else {
            return Ok(None);
        };
        for step in 0..places.len() {
            let number = (*next + step) % places.len();
            let mut bytes = read(&places[number])?;
            if let Some(length) = undo_of(&block.header.previous, &bytes).map(<[u8]>::len) {
                *next = number + 1;
                bytes.truncate(length);
                return Ok(Some((places[number], bytes)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for masks.
    use super::*;

    #[test]
    fn a_mask_depends_on_the_place_in_the_file() {
        let key = Key::of_file(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let plain: Vec<u8> = (0..100).collect();
        let mut whole = plain.clone();
        key.unmask(&mut whole, 0);
        assert_eq!((whole[0], whole[9]), (1, 9 ^ 2));
        for from in 0..20_usize {
            let mut part = whole[from..from + 50].to_vec();
            key.unmask(&mut part, from as u64);
            assert_eq!(part, plain[from..from + 50], "{from}");
        }
        assert_eq!(Key::of_file(&[0; 7]), None);
    }
}
