//! What a simulated node is made of. Reading configuration is left to the binary.

use std::path::PathBuf;
use std::time::Duration;

use super::generate::GeneratedBlock;

/// Everything that decides a simulated node.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a node of its own kind has something")]
pub struct NodeSettings {
    /// Where its blocks come from.
    pub source: NodeSource,
    /// Seed of the blocks it mines.
    pub seed: u64,
    /// Transactions in a mined block, on average.
    pub transactions_per_block: u64,
    /// Port on loopback; 0 for a free one.
    pub port: u16,
    /// Folder that gets the cookie file; one of its own if absent.
    pub cookie_folder: Option<PathBuf>,
    /// Name and password that are taken beside the cookie.
    pub user: Option<(String, String)>,
    /// Whether `/rest/` answers.
    pub has_rest: bool,
    /// Whether `/rest/spenttxouts/` answers, as nodes do since v30.
    pub has_spent_outputs: bool,
    /// Mines a block so often.
    pub mine_every: Option<Duration>,
    /// Folder that gets block and undo files.
    pub blocks_folder: Option<PathBuf>,
    /// Whether a generated chain goes on from the blocks that an earlier node left in that folder, up to now by about one every
    /// ten minutes. If not, they are deleted.
    pub goes_on: bool,
    /// Size from which on the next block goes into another block file.
    pub block_file_bytes_max: u64,
    /// Key that block files are mixed with; one of the seed if absent.
    pub files_key: Option<[u8; 8]>,
    /// Whether it publishes its blocks (`hashblock` and `sequence`) on a port of its own.
    pub publishes: bool,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            source: NodeSource::Generated { blocks: 0, first_time: Some(super::FIRST_TIME) },
            seed: 1,
            transactions_per_block: super::generate::TRANSACTIONS_PER_BLOCK,
            port: 0,
            cookie_folder: None,
            user: None,
            has_rest: true,
            has_spent_outputs: true,
            mine_every: None,
            blocks_folder: None,
            goes_on: false,
            block_file_bytes_max: 128 << 20,
            files_key: None,
            publishes: false,
        }
    }
}

/// Where a node's first blocks come from. More are mined on command.
#[derive(Clone, Debug)]
pub enum NodeSource {
    /// A recorded chain: `raw_blocks.hex.zst`, and what else was recorded of it.
    Folder {
        /// The folder.
        path: PathBuf,
        /// How many of its blocks have come at the start, stale ones counted, in the order they came; all if absent. The others
        /// come on command.
        arrived: Option<usize>,
    },
    /// A chain made from the seed.
    Generated {
        /// Blocks after the genesis block.
        blocks: u32,
        /// Header time of the first of them; by chance from there on. If absent, they end about now and are spread evenly.
        first_time: Option<u32>,
    },
    /// These blocks, each following the one before, from the first block or the one after it on.
    Blocks(Vec<GeneratedBlock>),
}
