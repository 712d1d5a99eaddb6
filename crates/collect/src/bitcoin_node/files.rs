//! A node's own block files, read beside the running node. Which blocks are on the active chain is left to the node.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use chain::files::CHECKSUM_BYTES;
use chain::{BlockHead, FilePlace, Key, NodeFile, Spent, SpentForm, UndoPicker};
use model::{BlockHash, Network, Time};

use super::blocks::FetchedBlock;

/// Files of which undo records are known at once; the oldest is let go of.
const UNDO_FILES_MAX: usize = 8;

/// The block files of a node. Works on the thread that calls it.
#[derive(Debug)]
pub struct BlockFiles {
    folder: PathBuf,
    magic: [u8; 4],
    key: Key,
    /// Numbers of the files that were not gone through yet, the next one last.
    ahead: Vec<u32>,
    /// Blocks found and not asked for yet.
    places: HashMap<BlockHash, FilePlace>,
    undos: Vec<(u32, UndoPicker)>,
    open: Vec<((&'static str, u32), File)>,
}

impl BlockFiles {
    /// Opens the `blocks` folder of a node.
    pub fn open(folder: &Path, network: Network) -> io::Result<Self> {
        let key = match std::fs::read(folder.join("xor.dat")) {
            Ok(bytes) => Key::of_file(&bytes)
                .ok_or_else(|| io::Error::other("xor.dat does not hold the eight bytes of a key"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Key::default(),
            Err(error) => return Err(error),
        };
        let mut ahead = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix("blk")?.strip_suffix(".dat"));
            ahead.extend(digits.and_then(|digits| digits.parse::<u32>().ok()));
        }
        ahead.sort_unstable_by(|one, other| u32::cmp(other, one));
        let magic = chain::network::magic(network);
        Ok(Self {
            folder: folder.to_owned(),
            magic,
            key,
            ahead,
            places: HashMap::new(),
            undos: Vec::new(),
            open: Vec::new(),
        })
    }

    /// The block with that hash and what it spends; `None` if the files do not have both. Blocks are best asked for in the order
    /// of the chain, each once.
    pub fn block(
        &mut self,
        height: u32,
        hash: &BlockHash,
        received: Time,
    ) -> io::Result<Option<FetchedBlock>> {
        let Some(place) = self.find(hash)? else { return Ok(None) };
        let bytes = self.file("blk", place.file)?.read(&place, 0)?;
        let Ok(block) = chain::Block::read(&bytes) else { return Ok(None) };
        if block.header.hash != *hash {
            return Ok(None);
        }
        let head = BlockHead { place, header: block.header, tx_count: block.tx_count };
        let spent = if head.tx_count == 1 { Some(Spent::nothing()) } else { self.undo(&head)? };
        let previous = head.header.previous;
        Ok(spent.map(|spent| FetchedBlock {
            height,
            hash: *hash,
            previous,
            bytes,
            spent,
            received,
            place: Some(place),
        }))
    }

    fn find(&mut self, hash: &BlockHash) -> io::Result<Option<FilePlace>> {
        loop {
            if let Some(place) = self.places.remove(hash) {
                return Ok(Some(place));
            }
            let Some(number) = self.ahead.pop() else { return Ok(None) };
            let heads = self.file("blk", number)?.blocks()?;
            self.places.extend(heads.iter().map(|head| (head.header.hash, head.place)));
        }
    }

    fn undo(&mut self, head: &BlockHead) -> io::Result<Option<Spent>> {
        let number = head.place.file;
        let known = self.undos.iter().position(|(other, _)| *other == number);
        let (_, mut picker) = match known {
            Some(place) => self.undos.remove(place),
            None => (number, UndoPicker::new(&self.file("rev", number)?.undos()?)),
        };
        let picked = {
            let mut file = self.file("rev", number)?;
            picker.pick(head, |place| file.read(place, CHECKSUM_BYTES))
        };
        self.undos.push((number, picker));
        if self.undos.len() > UNDO_FILES_MAX {
            self.undos.remove(0);
        }
        Ok(picked?.map(|(_, bytes)| Spent { form: SpentForm::Undo, bytes }))
    }

    fn file(&mut self, kind: &'static str, number: u32) -> io::Result<NodeFile<impl ReadAt + '_>> {
        let (magic, key) = (self.magic, self.key);
        let known = self.open.iter().position(|(name, _)| *name == (kind, number));
        if known.is_none() {
            let file = File::open(self.folder.join(format!("{kind}{number:05}.dat")))?;
            if self.open.len() >= 2 * UNDO_FILES_MAX {
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
trait ReadAt: FnMut(u64, &mut [u8]) -> io::Result<usize> {}

impl<T: FnMut(u64, &mut [u8]) -> io::Result<usize>> ReadAt for T {}
