//! Where a node keeps the blocks that come at its tip: its newest files, read on from where they ended last time. Blocks of the past
//! are left to `files`.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use chain::{BlockHead, UndoHead, UndoPicker, files::CHECKSUM_BYTES};
use model::{BlockHash, Network};

use super::folder::{NodeFolder, NodePlace};

/// Files that are looked into, the newest ones: some hundred blocks of full size.
const FILES_MAX: usize = 4;

/// The newest files of a node. Works on the thread that calls it.
#[derive(Debug)]
pub(super) struct NewestFiles {
    folder: NodeFolder,
    files: Vec<Newest>,
}

/// One pair of files, as far as it was gone through. The last record of each may have been cut short, so it is read again.
#[derive(Debug)]
struct Newest {
    number: u32,
    heads: HashMap<BlockHash, BlockHead>,
    blocks_from: u64,
    undos: UndoPicker,
    undo_last: Option<UndoHead>,
    undos_from: u64,
}

impl Newest {
    fn new(number: u32) -> Self {
        Self {
            number,
            heads: HashMap::new(),
            blocks_from: 0,
            undos: UndoPicker::default(),
            undo_last: None,
            undos_from: 0,
        }
    }

    fn read_on(&mut self, folder: &mut NodeFolder) -> io::Result<()> {
        let heads = folder.file("blk", self.number)?.blocks_from(self.blocks_from)?;
        self.blocks_from = heads.last().map_or(self.blocks_from, |head| head.place.record_offset());
        for head in &heads {
            self.undos.add_block(head);
        }
        self.heads.extend(heads.into_iter().map(|head| (head.header.hash, head)));
        Ok(())
    }

    fn undo_of(&mut self, head: &BlockHead, folder: &mut NodeFolder) -> io::Result<Option<chain::FilePlace>> {
        let mut undos = folder.file("rev", self.number)?.undos_from(self.undos_from)?;
        // Records may be those of blocks that came since.
        self.read_on(folder)?;
        if self.undos.has_alike(head) {
            return Ok(None);
        }
        let mut file = folder.file("rev", self.number)?;
        if let Some(last) = undos.pop() {
            for undo in &undos {
                self.undos.add(undo);
            }
            self.undos_from = last.place.record_offset();
            self.undo_last = Some(last);
        }
        if let Some(last) = &self.undo_last {
            let found =
                UndoPicker::new(&[*last], &[]).pick(head, |place| file.read(place, CHECKSUM_BYTES))?;
            if let Some((place, _)) = found {
                return Ok(Some(place));
            }
        }
        Ok(self.undos.pick(head, |place| file.read(place, CHECKSUM_BYTES))?.map(|(place, _)| place))
    }
}

impl NewestFiles {
    /// Opens the `blocks` folder of a node.
    pub(super) fn open(folder: &Path, network: Network) -> io::Result<Self> {
        Ok(Self { folder: NodeFolder::open(folder, network)?, files: Vec::new() })
    }

    /// Where a block lies; `None` if the newest files do not have it.
    pub(super) fn find(&mut self, hash: &BlockHash) -> io::Result<Option<NodePlace>> {
        let known = self.files.iter().position(|file| file.heads.contains_key(hash));
        let Some(at) = known.map_or_else(|| self.read_on(hash), |at| Ok(Some(at)))? else { return Ok(None) };
        let file = &mut self.files[at];
        let head = file.heads[hash];
        let undo = if head.header.previous == BlockHash::default() {
            None
        } else {
            // A node writes what a block spends when it connects it, which is before it tells of it.
            file.undo_of(&head, &mut self.folder).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            })?
        };
        Ok(Some(NodePlace { block: head.place, undo }))
    }

    /// Reads what was added to the newest files, and those that are new.
    fn read_on(&mut self, hash: &BlockHash) -> io::Result<Option<usize>> {
        let numbers = self.folder.numbers()?;
        let newest = &numbers[numbers.len().saturating_sub(FILES_MAX)..];
        self.files.retain(|file| newest.contains(&file.number));
        for number in newest {
            if self.files.iter().all(|file| file.number != *number) {
                self.files.push(Newest::new(*number));
            }
        }
        for at in (0..self.files.len()).rev() {
            self.files[at].read_on(&mut self.folder)?;
            if self.files[at].heads.contains_key(hash) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
