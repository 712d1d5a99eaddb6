//! Makes the next block of a chain from its coins and a seed: real spends, fees, change, burns, empty blocks, clocks that go back,
//! miners that take too little. What becomes of the block is left to the ledger.

use std::collections::{BTreeMap, HashSet};

use chain::hash::sha256d;
use chain::header::{header, header_bytes};
use chain::script::is_unspendable;
use chain::work::is_mined;
use model::chain::{BlockHash, BlockHeader, BlockPlace};

use super::block::{Block, Input, NO_OUTPUT, OutPoint, Output, Transaction};
use super::bytes::{merkle_root, put_bytes};
use super::coin::{Coin, Spent};
use super::keys::Keys;
use super::ledger::Ledger;
use crate::hash::{self, Sequence};

/// The easiest target there is.
pub(super) const EASY_BITS: u32 = 0x207f_ffff;
/// Blocks after which a coinbase may be spent.
const MATURITY: u32 = 100;
/// Smallest output that is worth its bytes.
const DUST_SAT: i64 = 546;
/// Longest chain of looks for a coin that may be spent.
const LOOKS_MAX: usize = 16;

/// Makes blocks.
#[derive(Debug)]
pub(super) struct Miner {
    seed: u64,
    transactions_per_block: u64,
    keys: Keys,
}

/// What a block is made of while it is made.
struct Draft<'a> {
    chance: Sequence,
    height: u32,
    coins: &'a BTreeMap<OutPoint, Coin>,
    taken: HashSet<OutPoint>,
    /// Outputs of this block that its later transactions may spend.
    fresh: BTreeMap<OutPoint, Coin>,
    transactions: Vec<Transaction>,
    spent: Spent,
    fees_sat: i64,
}

impl Miner {
    /// With so many transactions in a block, on average.
    pub(super) fn new(seed: u64, transactions_per_block: u64) -> Self {
        Self { seed, transactions_per_block, keys: Keys::new(hash::named(seed, "keys")) }
    }

    /// The next block on the active chain. Its time is the one given, or about ten minutes after the one before; never before
    /// what the chain allows.
    pub(super) fn mine(&self, ledger: &Ledger, time: Option<u32>) -> Vec<u8> {
        let before = ledger.tip().place;
        let variant = ledger.arrived().len() as i64;
        let start = u64::from_le_bytes(before.header.hash.0[..8].try_into().unwrap_or_default());
        let mut draft = Draft {
            chance: Sequence::new(hash::at(self.seed ^ start, variant)),
            height: before.height + 1,
            coins: ledger.coins(),
            taken: HashSet::new(),
            fresh: BTreeMap::new(),
            transactions: Vec::new(),
            spent: Spent::new(),
            fees_sat: 0,
        };
        let is_empty = draft.chance.draw().is_multiple_of(12);
        let count =
            if is_empty { 0 } else { 1 + draft.chance.draw() % (2 * self.transactions_per_block).max(1) };
        for _ in 0..count {
            self.transact(&mut draft);
        }
        let time = time.unwrap_or_else(|| next_time(&before, &mut draft.chance));
        let subsidy = ledger.network.subsidy(before.height + 1);
        self.finish(draft, &before, time, subsidy)
    }

    /// One transaction, if coins are found.
    fn transact(&self, draft: &mut Draft<'_>) {
        let wanted = match draft.chance.draw() % 8 {
            0..=4 => 1,
            5 | 6 => 2,
            _ => 1 + draft.chance.draw() % 6,
        };
        let mut found: Vec<(OutPoint, Coin)> = Vec::new();
        for _ in 0..wanted {
            found.extend(draft.pick());
        }
        let in_sat: i64 = found.iter().map(|(_, coin)| coin.value_sat).sum();
        if in_sat < 4 * DUST_SAT {
            for (place, _) in &found {
                draft.taken.remove(place);
            }
            return;
        }
        let mut inputs = Vec::new();
        for (place, coin) in &found {
            let mut input =
                Input { spends: *place, script: Vec::new(), sequence: 0xffff_fffd, witness: Vec::new() };
            self.keys.unlock(&mut input, &coin.script, &mut draft.chance);
            inputs.push(input);
        }
        let scripts: Vec<&[u8]> = found.iter().map(|(_, coin)| &*coin.script).collect();
        let outputs = self.outputs(in_sat, &scripts, &mut draft.chance);
        let transaction = Transaction { version: 2, inputs, outputs, locktime: draft.height - 1 };
        draft.keep(transaction, found.into_iter().map(|(_, coin)| coin).collect());
    }

    /// Outputs that leave a fee.
    fn outputs(&self, in_sat: i64, own: &[&[u8]], chance: &mut Sequence) -> Vec<Output> {
        let count = 1 + (chance.draw() % 4).min(chance.draw() % 4);
        let bytes = 40 + 70 * own.len() as i64 + 40 * count as i64;
        // Now and then somebody pays nothing.
        let rate = if chance.draw().is_multiple_of(24) {
            0
        } else {
            1 + (chance.draw() % 40).min(chance.draw() % 40)
        };
        let mut left = in_sat - (bytes * rate as i64).min(in_sat / 4);
        let mut outputs = Vec::new();
        if chance.draw().is_multiple_of(12) {
            let burnt = if chance.draw().is_multiple_of(3) { (left / 1_000).min(5_000) } else { 0 };
            left -= burnt;
            let mut script = vec![0x6a];
            put_bytes(&mut script, &chance.draw().to_le_bytes());
            outputs.push(Output { value_sat: burnt, script });
        }
        for place in 0..count {
            let is_last = place + 1 == count || left < 4 * DUST_SAT;
            let value_sat =
                if is_last { left } else { left / 8 + (chance.draw() % (left as u64 / 2).max(1)) as i64 };
            let is_change = place > 0 && chance.draw().is_multiple_of(2);
            let script =
                if is_change { own[place as usize % own.len()].to_vec() } else { self.keys.any(chance) };
            outputs.push(Output { value_sat, script });
            left -= value_sat;
            if is_last {
                break;
            }
        }
        outputs
    }

    /// Puts the coinbase in front and searches the header.
    fn finish(&self, draft: Draft<'_>, before: &BlockPlace, time: u32, subsidy_sat: i64) -> Vec<u8> {
        let Draft { mut chance, height, transactions, fees_sat, .. } = draft;
        let whole = subsidy_sat + fees_sat;
        let claimed = match chance.draw() % 40 {
            0 => subsidy_sat,
            1 => whole - whole.min(12_345),
            2 => 0,
            _ => whole,
        };
        let mut outputs = vec![Output { value_sat: claimed, script: self.keys.any(&mut chance) }];
        if chance.draw().is_multiple_of(25) && claimed > 1_000 {
            outputs[0].value_sat -= 1_000;
            outputs.push(Output { value_sat: 1_000, script: vec![0x6a, 1, 0x42] });
        }
        let extra = chance.draw().to_le_bytes();
        let time = time.max(before.median_time + 1);
        seal(coinbase(height, &extra, outputs, &transactions), transactions, (before.header.hash, time))
    }
}

impl Draft<'_> {
    /// A coin that may be spent now: of this block, or of any before.
    fn pick(&mut self) -> Option<(OutPoint, Coin)> {
        let from = (sha256d(&[&self.chance.draw().to_le_bytes()]).0, 0);
        let (coins, fresh) = (self.coins, &self.fresh);
        let all = if self.chance.draw().is_multiple_of(8) && !fresh.is_empty() { fresh } else { coins };
        let around = all.range(from..).chain(all.range(..from)).take(LOOKS_MAX);
        let may = |(place, coin): &(&OutPoint, &Coin)| {
            let is_ripe = !coin.is_coinbase || self.height >= coin.height + MATURITY;
            is_ripe && coin.value_sat >= DUST_SAT && !self.taken.contains(*place)
        };
        let (place, coin) = around.filter(may).map(|(place, coin)| (*place, coin.clone())).next()?;
        self.taken.insert(place);
        Some((place, coin))
    }

    fn keep(&mut self, transaction: Transaction, spent: Vec<Coin>) {
        let in_sat: i64 = spent.iter().map(|coin| coin.value_sat).sum();
        self.fees_sat += in_sat - transaction.out_sat();
        let id = transaction.id();
        for (place, output) in transaction.outputs.iter().enumerate() {
            if !is_unspendable(&output.script) {
                let (value_sat, script) = (output.value_sat, output.script.clone());
                let coin = Coin { value_sat, script, height: self.height, is_coinbase: false };
                self.fresh.insert((id, place as u32), coin);
            }
        }
        self.transactions.push(transaction);
        self.spent.push(spent);
    }
}

/// The coinbase with the height in front and a commitment to the witnesses behind.
pub(super) fn coinbase(
    height: u32,
    extra: &[u8],
    mut outputs: Vec<Output>,
    others: &[Transaction],
) -> Transaction {
    let mut script = match height {
        0 => vec![0],
        1..=16 => vec![0x50 + height as u8],
        _ => {
            let mut bytes = height.to_le_bytes().to_vec();
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            // A set high bit would mean a number below zero.
            if bytes.last().is_some_and(|last| last & 0x80 != 0) {
                bytes.push(0);
            }
            [&[bytes.len() as u8][..], &bytes].concat()
        }
    };
    put_bytes(&mut script, extra);
    let mut hashes = vec![[0; 32]];
    hashes.extend(others.iter().map(|other| sha256d(&[&other.bytes(true)]).0));
    let reserved = [0; 32];
    let commitment = sha256d(&[&merkle_root(hashes), &reserved]).0;
    let script_of_commitment = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], &commitment].concat();
    outputs.push(Output { value_sat: 0, script: script_of_commitment });
    let input = Input { spends: NO_OUTPUT, script, sequence: u32::MAX - 1, witness: vec![reserved.to_vec()] };
    Transaction { version: 2, inputs: vec![input], outputs, locktime: height.saturating_sub(1) }
}

/// The block of these transactions, with a header whose hash is small enough.
pub(super) fn seal(
    coinbase: Transaction,
    others: Vec<Transaction>,
    (previous, time): (BlockHash, u32),
) -> Vec<u8> {
    let mut transactions = vec![coinbase];
    transactions.extend(others);
    let root = merkle_root(transactions.iter().map(Transaction::id).collect());
    let mut found = BlockHeader {
        hash: BlockHash::default(),
        previous,
        version: 0x2000_0000,
        merkle_root: BlockHash(root),
        time,
        bits: EASY_BITS,
        nonce: 0,
    };
    while header(&header_bytes(&found)).is_ok_and(|read| !is_mined(&read)) {
        found.nonce += 1;
    }
    Block { header: found, transactions }.bytes()
}

/// About ten minutes later; now and then hours, or before the one before.
fn next_time(before: &BlockPlace, chance: &mut Sequence) -> u32 {
    let time = before.header.time;
    match chance.draw() % 48 {
        0..=2 => time.saturating_sub((chance.draw() % 1_500) as u32),
        3 => time + 7_200,
        4 => time,
        _ => time + (chance.draw() % 560 + chance.draw() % 560) as u32,
    }
}
