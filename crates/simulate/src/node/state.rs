//! What a node knows and does: its ledger, blocks that are still to come, mining, reorganising, pruning. Asking and answering is
//! left to others.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use model::chain::{BlockHash, Network};

use super::block::Block;
use super::coin::{Spent, spent_bytes, undo_bytes};
use super::files::{self, BlockFiles};
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
    /// What happened and was told to nobody yet, by the tip it led to.
    news: Vec<Step>,
    disk: Disk,
}

/// Bytes of block and undo records, written or not.
#[derive(Debug, Default)]
struct Disk {
    all: usize,
    by_height: BTreeMap<u32, usize>,
    /// Blocks whose undo record is among them.
    undone: HashSet<BlockHash>,
}

impl Disk {
    fn add(&mut self, height: u32, bytes: usize) {
        self.all += bytes;
        *self.by_height.entry(height).or_default() += bytes;
    }
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
            news: Vec::new(),
            disk: Disk::default(),
        };
        if let NodeSource::Folder { path, .. } = &settings.source {
            let recorded = folder::load(path)?;
            state.ledger = Ledger::new(Network::Regtest, &recorded.first).map_err(setting)?;
            state.told = recorded.told;
            state.coming = recorded.arrivals.into();
        }
        let earlier = match &settings.blocks_folder {
            Some(folder) if settings.goes_on => files::left_in(folder),
            _ => Vec::new(),
        };
        if let Some(folder) = &settings.blocks_folder {
            state.files = Some(BlockFiles::open(folder, settings)?);
        }
        let first = state.ledger.tip();
        let (hash, bytes) = (first.place.header.hash, first.bytes.clone());
        state.write_block(hash, &bytes).map_err(setting)?;
        match &settings.source {
            NodeSource::Folder { arrived, .. } => {
                state.feed(arrived.unwrap_or(usize::MAX)).map_err(setting)?;
            }
            NodeSource::Generated { .. } if earlier.len() > 1 => {
                state.go_on(&earlier, now, settings.seed).map_err(setting)?;
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
        // Whoever starts listening now knows the tip by asking.
        state.news.clear();
        Ok(state)
    }

    /// Takes the blocks of an earlier node, the first one before them, and mines those of the time since. What it left half
    /// written is as if it had never come.
    fn go_on(&mut self, earlier: &[Vec<u8>], now: u32, seed: u64) -> Result<(), String> {
        for bytes in earlier.iter().skip(1) {
            if self.submit(bytes, None).is_err() {
                break;
            }
        }
        let since = now.saturating_sub(self.ledger.tip().place.header.time);
        let blocks = (since / SPACING_SECONDS).min(MINED_MAX);
        for left in (1..=blocks).rev() {
            self.mine_one(Some(spread_time(now, left, seed)))?;
        }
        Ok(())
    }

    /// Takes a block and writes it down.
    fn submit(&mut self, bytes: &[u8], spent: Option<Spent>) -> Result<Step, String> {
        let known = self.ledger.arrived().len();
        let step = self.ledger.submit(bytes, spent)?;
        if self.ledger.arrived().len() > known {
            self.write_block(self.ledger.arrived()[known], bytes)?;
        }
        for hash in &step.joined {
            self.write_undo(*hash)?;
        }
        Ok(step)
    }

    fn write_block(&mut self, hash: BlockHash, bytes: &[u8]) -> Result<(), String> {
        let height = self.ledger.entry(hash).map_or(0, |entry| entry.place.height);
        self.disk.add(height, 8 + bytes.len());
        self.files
            .as_mut()
            .map_or(Ok(()), |files| files.block(hash, bytes))
            .map_err(|error| error.to_string())
    }

    /// What a block spends is written when it is connected for the first time.
    fn write_undo(&mut self, hash: BlockHash) -> Result<(), String> {
        let Some(entry) = self.ledger.entry(hash) else { return Ok(()) };
        let Some(spent) = entry.spent.as_deref().filter(|_| self.disk.undone.insert(hash)) else {
            return Ok(());
        };
        let undo = undo_bytes(spent);
        self.disk.add(entry.place.height, 40 + undo.len());
        let files = self.files.as_mut();
        files
            .map_or(Ok(()), |files| files.undo(&entry.place.header, &undo))
            .map_err(|error| error.to_string())
    }

    /// What happened and was told to nobody yet.
    pub(super) fn take_news(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.news)
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
                let next = self.submit(&bytes, None)?;
                self.news.push(next.clone());
                step.join(next);
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
            let time = first_time.map(|time| time.saturating_add(at * SPACING_SECONDS));
            let next = self.mine_one(time)?;
            self.news.push(next.clone());
            step.join(next);
        }
        Ok(step)
    }

    /// Replaces the last blocks by others.
    pub(super) fn reorganise(&mut self, depth: u32, blocks: u32) -> Result<Step, String> {
        let height = self.ledger.tip().place.height;
        if depth == 0 || blocks < depth || blocks > MINED_MAX {
            return Err(format!(
                "reorganise {depth} blocks to {blocks}: give at least one, and no fewer new ones"
            ));
        }
        let fork = height.checked_sub(depth).and_then(|fork| self.ledger.at(fork));
        let fork = fork.ok_or_else(|| format!("reorganise {depth} blocks: there are {height}"))?;
        let mut step = self.ledger.follow(fork)?;
        for _ in 0..blocks {
            step.join(self.mine_one(None)?);
        }
        // One tip gave way to another, whatever lies between.
        self.news.push(step.clone());
        Ok(step)
    }

    /// Forgets blocks below a height, and deletes block files that hold no others.
    pub(super) fn prune(&mut self, below: u32) -> Result<(), String> {
        self.pruned_below = self.pruned_below.max(below.min(self.ledger.tip().place.height));
        let (ledger, below) = (&self.ledger, self.pruned_below);
        let kept = self.disk.by_height.split_off(&below);
        self.disk.all -= std::mem::replace(&mut self.disk.by_height, kept).values().sum::<usize>();
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
        self.disk.all
    }
}
