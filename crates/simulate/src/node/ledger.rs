//! Blocks by their hash, which of them are the active chain, and the coins there. The chain with the most work is followed, of
//! equals the one that came first, as a node does. How blocks come to be is left to others.

mod totals;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chain::header::{MEDIAN_SPAN, first_place, place};
use chain::script::is_unspendable;
use model::chain::{BlockHash, BlockPlace, Network};

pub(super) use totals::Totals;

use super::block::{Block, NO_OUTPUT, OutPoint};
use super::coin::{Coin, Spent};

/// A known block.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: BlockPlace,
    pub(super) bytes: Arc<[u8]>,
    pub(super) tx_count: usize,
    /// What it spends, once it was connected.
    pub(super) spent: Option<Arc<Spent>>,
    /// What the chain up to it amounts to, once it was connected.
    pub(super) totals: Option<Totals>,
}

/// What a new block did to the active chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Blocks that left, the highest first.
    pub(super) left: Vec<BlockHash>,
    /// Blocks that joined, the lowest first.
    pub(super) joined: Vec<BlockHash>,
}

impl Step {
    /// Adds what happened next.
    pub(super) fn join(&mut self, next: Self) {
        self.left.extend(next.left);
        self.joined.extend(next.joined);
    }
}

/// All blocks of a node.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) network: Network,
    entries: HashMap<BlockHash, Entry>,
    active: Vec<BlockHash>,
    coins: BTreeMap<OutPoint, Coin>,
    /// Outputs of blocks whose coins are not known here: they were handed in with the block.
    foreign: HashMap<BlockHash, Arc<Spent>>,
    /// In the order they came.
    arrived: Vec<BlockHash>,
}

impl Ledger {
    /// With a first block and nothing else.
    pub(super) fn new(network: Network, first: &[u8]) -> Result<Self, String> {
        let mut ledger = Self {
            network,
            entries: HashMap::new(),
            active: Vec::new(),
            coins: BTreeMap::new(),
            foreign: HashMap::new(),
            arrived: Vec::new(),
        };
        let block = Block::read(first).ok_or("the first block cannot be read")?;
        let header = block.header;
        let place = first_place(header);
        let entry = Entry {
            place,
            bytes: first.into(),
            tx_count: block.transactions.len(),
            spent: Some(Arc::new(vec![Vec::new(); block.transactions.len()])),
            totals: Some(Totals::genesis(&block)),
        };
        ledger.entries.insert(header.hash, entry);
        ledger.active.push(header.hash);
        ledger.arrived.push(header.hash);
        Ok(ledger)
    }

    /// The last block of the active chain.
    pub(super) fn tip(&self) -> &Entry {
        &self.entries[&self.active[self.active.len() - 1]]
    }

    /// A block by its hash, on the active chain or not.
    pub(super) fn entry(&self, hash: BlockHash) -> Option<&Entry> {
        self.entries.get(&hash)
    }

    /// The hash at a height of the active chain.
    pub(super) fn at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// Whether a block is on the active chain.
    pub(super) fn is_active(&self, entry: &Entry) -> bool {
        self.at(entry.place.height) == Some(entry.place.header.hash)
    }

    /// Blocks in the order they came.
    pub(super) fn arrived(&self) -> &[BlockHash] {
        &self.arrived
    }

    /// Coins there are to spend.
    pub(super) fn coins(&self) -> &BTreeMap<OutPoint, Coin> {
        &self.coins
    }

    /// Times of a block and of those before it, as many as decide the median of the next, the earliest first.
    fn times_before(&self, hash: BlockHash) -> Vec<u32> {
        let mut times = Vec::new();
        let mut at = self.entries.get(&hash);
        while let Some(entry) = at.filter(|_| times.len() + 1 < MEDIAN_SPAN) {
            times.push(entry.place.header.time);
            at = self.entries.get(&entry.place.header.previous);
        }
        times.reverse();
        times
    }

    /// Takes a block that extends a known one; it becomes the tip if that chain has more work than the active one. What it
    /// spends need only be told where the coins are not known here.
    pub(super) fn submit(&mut self, bytes: &[u8], spent: Option<Spent>) -> Result<Step, String> {
        let block = Block::read(bytes).ok_or("the block cannot be read")?;
        let header = block.header;
        if self.entries.contains_key(&header.hash) {
            return Ok(Step::default());
        }
        let before = self.entries.get(&header.previous);
        let before =
            before.ok_or_else(|| format!("block {}: its previous block is not known", header.hash))?;
        let place = place(&before.place, &self.times_before(header.previous), header);
        let place = place.map_err(|error| error.to_string())?;
        let entry = Entry {
            place,
            bytes: bytes.into(),
            tx_count: block.transactions.len(),
            spent: None,
            totals: None,
        };
        self.entries.insert(header.hash, entry);
        if let Some(spent) = spent {
            self.foreign.insert(header.hash, Arc::new(spent));
        }
        self.arrived.push(header.hash);
        if place.chainwork > self.tip().place.chainwork {
            self.follow(header.hash)
        } else {
            Ok(Step::default())
        }
    }

    /// Makes a known block the tip, whatever its work.
    pub(super) fn follow(&mut self, tip: BlockHash) -> Result<Step, String> {
        let mut joining = Vec::new();
        let mut at = tip;
        let fork = loop {
            let entry = self.entries.get(&at).ok_or_else(|| format!("block {at} is not known"))?;
            if self.is_active(entry) {
                break entry.place.height;
            }
            joining.push(at);
            at = entry.place.header.previous;
        };
        let mut step = Step::default();
        while self.tip().place.height > fork {
            step.left.push(self.disconnect()?);
        }
        while let Some(next) = joining.pop() {
            self.connect(next)?;
            step.joined.push(next);
        }
        Ok(step)
    }

    fn connect(&mut self, hash: BlockHash) -> Result<(), String> {
        let entry = &self.entries[&hash];
        let height = entry.place.height;
        let block = Block::read(&entry.bytes).ok_or_else(|| format!("block {hash} cannot be read"))?;
        let foreign = self.foreign.get(&hash).cloned();
        let mut spent = Spent::new();
        for (at, transaction) in block.transactions.iter().enumerate() {
            let is_coinbase = transaction.inputs.first().is_some_and(|input| input.spends == NO_OUTPUT);
            let mut coins = Vec::new();
            for (place, input) in transaction.inputs.iter().enumerate().filter(|_| !is_coinbase) {
                let told = || foreign.as_ref()?.get(at)?.get(place).cloned();
                let coin = self.coins.remove(&input.spends).or_else(told);
                coins.push(coin.ok_or_else(|| format!("block {hash} spends what is not there"))?);
            }
            spent.push(coins);
            let id = transaction.id();
            for (place, output) in transaction.outputs.iter().enumerate() {
                if !is_unspendable(&output.script) {
                    let (value_sat, script) = (output.value_sat, output.script.clone());
                    let coin = Coin { value_sat, script, height, is_coinbase };
                    self.coins.insert((id, place as u32), coin);
                }
            }
        }
        let before = self.tip().totals.unwrap_or_default();
        let totals = before.with(&block, &spent, self.network.subsidy(height));
        if let Some(entry) = self.entries.get_mut(&hash) {
            entry.spent = Some(Arc::new(spent));
            entry.totals = Some(totals);
        }
        self.active.push(hash);
        Ok(())
    }

    fn disconnect(&mut self) -> Result<BlockHash, String> {
        let entry = self.tip().clone();
        let hash = entry.place.header.hash;
        let block = Block::read(&entry.bytes).ok_or_else(|| format!("block {hash} cannot be read"))?;
        let spent = entry.spent.ok_or_else(|| format!("block {hash} has no undo data"))?;
        for (transaction, coins) in block.transactions.iter().zip(spent.iter()).rev() {
            let id = transaction.id();
            for place in 0..transaction.outputs.len() {
                self.coins.remove(&(id, place as u32));
            }
            for (input, coin) in transaction.inputs.iter().zip(coins) {
                self.coins.insert(input.spends, coin.clone());
            }
        }
        self.active.pop();
        Ok(hash)
    }

    /// Ends of chains: the active one, and blocks that nobody extended, the highest first.
    pub(super) fn tips(&self) -> Vec<Branch> {
        let mut inner: Vec<BlockHash> =
            self.entries.values().map(|entry| entry.place.header.previous).collect();
        inner.sort_unstable();
        let is_end = |hash: &BlockHash| inner.binary_search(hash).is_err();
        let tip = self.tip().place.header.hash;
        let mut branches: Vec<Branch> = self
            .entries
            .values()
            .filter(|entry| is_end(&entry.place.header.hash) || entry.place.header.hash == tip)
            .map(|entry| self.branch(entry))
            .collect();
        branches.sort_by_key(|branch| std::cmp::Reverse((branch.place.height, branch.length == 0)));
        branches
    }

    fn branch(&self, end: &Entry) -> Branch {
        let (mut length, mut at) = (0, end);
        while !self.is_active(at) {
            length += 1;
            match self.entries.get(&at.place.header.previous) {
                Some(before) => at = before,
                None => break,
            }
        }
        Branch { place: end.place, length, was_connected: end.spent.is_some() }
    }
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) place: BlockPlace,
    /// Blocks that are not on the active chain; 0 for the active chain itself.
    pub(super) length: u32,
    pub(super) was_connected: bool,
}
