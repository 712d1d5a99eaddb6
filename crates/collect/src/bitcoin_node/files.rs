//! A node's own block files, read beside the running node. Which blocks are on the active chain is left to the node.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use chain::files::CHECKSUM_BYTES;
use chain::{BlockHead, FilePlace, Spent, SpentForm, UndoPicker};
use model::{BlockHash, BlockSums, Network, Time};

use super::blocks::FetchedBlock;
use super::folder::{NodeFolder, NodePlace};

/// Files of which undo records are known at once; the oldest is let go of.
const UNDO_FILES_MAX: usize = 8;

/// The block files of a node. Works on the thread that calls it.
#[derive(Debug)]
pub struct BlockFiles {
    folder: NodeFolder,
    network: Network,
    /// Numbers of the files that were not gone through yet, the next one last.
    ahead: Vec<u32>,
    /// Blocks found and not asked for yet.
    places: HashMap<BlockHash, FilePlace>,
    /// What stands in files that were gone through, until their undo records are.
    heads: Vec<(u32, Vec<BlockHead>)>,
    undos: Vec<(u32, UndoPicker)>,
}

impl BlockFiles {
    /// Opens the `blocks` folder of a node.
    pub fn open(folder: &Path, network: Network) -> io::Result<Self> {
        let folder = NodeFolder::open(folder, network)?;
        let mut ahead = folder.numbers()?;
        ahead.reverse();
        Ok(Self { folder, network, ahead, places: HashMap::new(), heads: Vec::new(), undos: Vec::new() })
    }

    /// Whether there are none that could hold blocks.
    pub fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The block with that hash and what it spends; `None` if the files do not have both, or not for certain: the node has them.
    /// Blocks are best asked for in the order of the chain, each once.
    pub fn block(
        &mut self,
        height: u32,
        hash: &BlockHash,
        received: Time,
    ) -> io::Result<Option<FetchedBlock>> {
        let Some(place) = self.find(hash)? else { return Ok(None) };
        let bytes = self.folder.file("blk", place.file)?.read(&place, 0)?;
        let Ok(block) = chain::Block::read(&bytes) else { return Ok(None) };
        if block.header.hash != *hash {
            return Ok(None);
        }
        let head = BlockHead { place, header: block.header, tx_count: block.tx_count };
        let previous = head.header.previous;
        let is_first = previous == BlockHash::default();
        let (undo, spent) = match if is_first { None } else { self.undo(&head)? } {
            Some((undo, bytes)) => (Some(undo), Spent { form: SpentForm::Undo, bytes }),
            None if head.tx_count == 1 => (None, Spent::nothing()),
            None => return Ok(None),
        };
        let place = NodePlace { block: place, undo };
        let sums = match self.compared((height, hash), &bytes, &spent) {
            Ok(sums) => Some(sums),
            Err(why) => {
                let ((file, offset), undo) = place.named();
                tracing::warn!(
                    height,
                    file,
                    offset,
                    ?undo,
                    why,
                    "a block in the node's files is wrong; asking the node"
                );
                return Ok(None);
            }
        };
        let place = Some(place);
        Ok(Some(FetchedBlock { height, hash: *hash, previous, bytes, spent, sums, received, place }))
    }

    /// Whether there are files that were not gone through yet. Those that are through may have grown since.
    pub(super) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// What the block adds up to. Refuses what does not belong together, and says why. Whoever took it would be given the same by the files again.
    fn compared(
        &self,
        (height, hash): (u32, &BlockHash),
        bytes: &[u8],
        spent: &Spent,
    ) -> Result<BlockSums, String> {
        // A node compares blocks when they come, and trusts its disk from then on.
        chain::check_block(bytes, hash)?;
        let sums = chain::sums(bytes, spent.view()).map_err(|error| error.to_string())?;
        chain::check_claim(self.network, height, &sums).map_err(|error| error.to_string())?;
        Ok(sums)
    }

    fn find(&mut self, hash: &BlockHash) -> io::Result<Option<FilePlace>> {
        loop {
            if let Some(place) = self.places.remove(hash) {
                return Ok(Some(place));
            }
            let Some(number) = self.ahead.pop() else { return Ok(None) };
            let heads = self.folder.file("blk", number)?.blocks()?;
            self.places.extend(heads.iter().map(|head| (head.header.hash, head.place)));
            self.heads.push((number, heads));
            if self.heads.len() > UNDO_FILES_MAX {
                self.heads.remove(0);
            }
        }
    }

    fn undo(&mut self, head: &BlockHead) -> io::Result<Option<(FilePlace, Vec<u8>)>> {
        let number = head.place.file;
        let known = self.undos.iter().position(|(other, _)| *other == number);
        let mut picker = if let Some(place) = known {
            self.undos.remove(place).1
        } else {
            // In this order: of what has a record by now, the block is there.
            let undos = self.folder.file("rev", number)?.undos()?;
            let known = self.heads.iter().position(|(other, _)| *other == number);
            let mut heads = known.map_or_else(Vec::new, |place| self.heads.swap_remove(place).1);
            let mut blocks = self.folder.file("blk", number)?;
            heads.extend(match heads.last() {
                Some(last) => blocks.blocks_from(last.place.offset + u64::from(last.place.length_bytes))?,
                None => blocks.blocks()?,
            });
            UndoPicker::new(&undos, &heads)
        };
        let picked = {
            let mut file = self.folder.file("rev", number)?;
            picker.pick(head, |place| file.read(place, CHECKSUM_BYTES))
        };
        self.undos.push((number, picker));
        if self.undos.len() > UNDO_FILES_MAX {
            self.undos.remove(0);
        }
        picked
    }
}
