//! What a node knows and does: its ledger, blocks that are still to come, mining, reorganising, pruning. Asking and answering is
//! left to others.

use std::collections::{HashMap, VecDeque};

use model::chain::{BlockHash, Network};

use super::block::Block;
use super::coin::{Spent, spent_bytes};
use super::files::BlockFiles;
use super::folder::{self, Told};
use super::generate::private_ledger;
use super::json::{self, Detail};
use super::ledger::{Entry, Ledger, Step};
use super::miner::Miner;
use super::settings::{NodeSettings, NodeSource};
use crate::hash;
use crate::settings::Error;

/// Header time between mined blocks whose first time was given.
const SPACING_SECONDS: u32 = 600;
/// Most blocks mined at once.
const MINED_MAX: u32 = 100_000;

/// What a node knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) pruned_below: u32,
    told: HashMap<BlockHash, Told>,
    coming: VecDeque<Vec<u8>>,
    miner: Miner,
    files: Option<BlockFiles>,
}

fn setting(why: impl std::fmt::Display) -> Error {
    Error::Setting(format!("simulated node: {why}"))
}

/// The time of a block that so many blocks follow, counted with it: ten minutes each before now, more or less, so that now and
/// then one is before the one before.
fn spread_time(now: u32, left: u32, seed: u64) -> u32 {
    let chance = hash::at(hash::named(seed, "spread"), i64::from(left)) % 660;
    now.saturating_sub((left - 1).saturating_mul(SPACING_SECONDS)).saturating_sub(chance as u32)
}

impl State {
    /// As the settings say; `now` is the clock's time in seconds.
    pub(super) fn new(settings: &NodeSettings, now: u32) -> Result<Self, Error> {
        let miner = Miner::new(settings.seed, settings.transactions_per_block);
        let mut state = Self {
            ledger: private_ledger(),
            pruned_below: 0,
            told: HashMap::new(),
            coming: VecDeque::new(),
            miner,
            files: None,
        };
        if let NodeSource::Folder { path, .. } = &settings.source {
            let recorded = folder::load(path)?;
            state.ledger = Ledger::new(Network::Regtest, &recorded.first).map_err(setting)?;
            state.told = recorded.told;
            state.coming = recorded.arrivals.into();
        }
        if let Some(folder) = &settings.blocks_folder {
            let first = state.ledger.tip().bytes.clone();
            let mut files = BlockFiles::open(folder, settings)?;
            files.block(state.ledger.tip().place.header.hash, &first)?;
            state.files = Some(files);
        }
        match &settings.source {
            NodeSource::Folder { arrived, .. } => {
                state.feed(arrived.unwrap_or(usize::MAX)).map_err(setting)?;
            }
            NodeSource::Generated { blocks, first_time } => {
                for at in 0..*blocks {
                    let time = match first_time {
                        Some(first) => (at == 0).then_some(*first),
                        None => Some(spread_time(now, blocks - at, settings.seed)),
                    };
                    state.mine_one(time).map_err(setting)?;
                }
            }
            NodeSource::Blocks(blocks) => {
                let first = state.ledger.tip().place.header.hash;
                for block in blocks.iter().filter(|block| block.hash != first) {
                    state.submit(&block.bytes, Some(block.spent.clone())).map_err(setting)?;
                }
            }
        }
        Ok(state)
    }

    /// Takes a block and writes it down.
    fn submit(&mut self, bytes: &[u8], spent: Option<Spent>) -> Result<Step, String> {
        let step = self.ledger.submit(bytes, spent)?;
        if let Some(files) = &mut self.files {
            let hash = super::block::header(bytes).map(|header| header.hash).unwrap_or_default();
            files.block(hash, bytes).map_err(|error| error.to_string())?;
            for hash in &step.joined {
                let Some(entry) = self.ledger.entry(*hash) else { continue };
                files.undo(entry).map_err(|error| error.to_string())?;
            }
        }
        Ok(step)
    }

    /// Blocks that are still to come.
    pub(super) fn coming_count(&self) -> usize {
        self.coming.len()
    }

    /// Lets the next recorded blocks come.
    pub(super) fn feed(&mut self, count: usize) -> Result<Step, String> {
        let mut step = Step::default();
        for _ in 0..count.min(self.coming.len()) {
            if let Some(bytes) = self.coming.pop_front() {
                step.join(self.submit(&bytes, None)?);
            }
        }
        Ok(step)
    }

    fn mine_one(&mut self, time: Option<u32>) -> Result<Step, String> {
        let bytes = self.miner.mine(&self.ledger, time);
        self.submit(&bytes, None)
    }

    /// Mines blocks on the tip. With a first time they are ten minutes apart, else by chance.
    pub(super) fn mine(&mut self, count: u32, first_time: Option<u32>) -> Result<Step, String> {
        if count > MINED_MAX {
            return Err(format!("{count} blocks are too many at once; at most {MINED_MAX}"));
        }
        let mut step = Step::default();
        for at in 0..count {
            step.join(self.mine_one(first_time.map(|time| time.saturating_add(at * SPACING_SECONDS)))?);
        }
        Ok(step)
    }

    /// Replaces the last blocks by others.
    pub(super) fn reorganise(&mut self, depth: u32, blocks: u32) -> Result<Step, String> {
        let height = self.ledger.tip().place.height;
        if depth == 0 || blocks < depth {
            return Err(format!(
                "reorganise {depth} blocks to {blocks}: give at least one, and no fewer new ones"
            ));
        }
        let fork = height.checked_sub(depth).and_then(|fork| self.ledger.at(fork));
        let fork = fork.ok_or_else(|| format!("reorganise {depth} blocks: there are {height}"))?;
        let mut step = self.ledger.follow(fork)?;
        step.join(self.mine(blocks, None)?);
        Ok(step)
    }

    /// Forgets blocks below a height, and deletes block files that hold no others.
    pub(super) fn prune(&mut self, below: u32) -> Result<(), String> {
        self.pruned_below = self.pruned_below.max(below.min(self.ledger.tip().place.height));
        let (ledger, below) = (&self.ledger, self.pruned_below);
        let is_pruned = |hash: BlockHash| ledger.entry(hash).is_some_and(|entry| entry.place.height < below);
        self.files.as_mut().map_or(Ok(()), |files| files.prune(is_pruned)).map_err(|error| error.to_string())
    }

    /// A block by its hash.
    pub(super) fn entry(&self, hash: BlockHash) -> Option<&Entry> {
        self.ledger.entry(hash)
    }

    /// Whether a block's bytes are gone.
    pub(super) fn is_pruned(&self, entry: &Entry) -> bool {
        entry.place.height < self.pruned_below
    }

    /// What a block spends, as bytes; `None` if it never was connected or is pruned.
    pub(super) fn spent_bytes(&self, entry: &Entry) -> Option<Vec<u8>> {
        entry.spent.as_deref().filter(|_| !self.is_pruned(entry)).map(spent_bytes)
    }

    /// The same as JSON.
    pub(super) fn spent_json(&self, entry: &Entry) -> Option<String> {
        let spent = entry.spent.as_deref().filter(|_| !self.is_pruned(entry))?;
        let told = self.told.get(&entry.place.header.hash).and_then(|told| told.spent.clone());
        Some(told.unwrap_or_else(|| json::spent(spent)))
    }

    /// `getblock` with transactions.
    pub(super) fn block_json(&self, entry: &Entry, detail: Detail) -> Option<String> {
        let told = self.told.get(&entry.place.header.hash);
        let recorded = told.and_then(|told| match detail {
            Detail::Ids => None,
            Detail::Whole => told.whole.clone(),
            Detail::Spent => told.with_spent.clone(),
        });
        let transactions = recorded.or_else(|| json::transactions(entry, detail))?;
        json::block(&self.ledger, entry, &transactions)
    }

    /// The numbers of `getblockstats`; `None` if the block never was connected.
    pub(super) fn stats(&self, entry: &Entry) -> Option<Vec<(&'static str, String)>> {
        let block = Block::read(&entry.bytes)?;
        Some(super::stats::rows(entry, &block, entry.spent.as_deref()?, self.ledger.network))
    }

    /// `gettxoutsetinfo` at a block; `None` if it never was connected.
    pub(super) fn set_info(&self, entry: &Entry, with_muhash: bool) -> Option<String> {
        let told = self.told.get(&entry.place.header.hash).and_then(|told| told.muhash.as_deref());
        Some(json::set_info(entry, entry.totals.as_ref()?, told.filter(|_| with_muhash)))
    }

    /// Bytes of block and undo records, written or not.
    pub(super) fn disk_bytes(&self) -> usize {
        let entries = self.ledger.arrived().iter().filter_map(|hash| self.ledger.entry(*hash));
        let record = |entry: &Entry| {
            let undo = entry.spent.as_deref().filter(|_| entry.place.height > 0);
            8 + entry.bytes.len() + undo.map_or(0, |spent| 40 + super::coin::undo_bytes(spent).len())
        };
        entries.filter(|entry| !self.is_pruned(entry)).map(record).sum()
    }
}
