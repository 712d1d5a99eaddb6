//! Chains made from a seed, as values: for tests and benches that want blocks and what they spend without a node.

use chain::hash::sha256d;
use model::chain::{BlockHash, Network};

use super::block::{Block, Input, Output, Transaction, header};
use super::bytes::unhex;
use super::coin::{Coin, Spent, spent_bytes, undo_bytes};
use super::keys::{Keys, stranger};
use super::ledger::{Entry, Ledger};
use super::miner::{Miner, coinbase, seal};
use crate::hash::{self, Sequence};

/// Time of the first block after the genesis block.
pub const FIRST_TIME: u32 = 1_700_000_000;
/// Transactions in a block, on average, unless said otherwise.
pub(super) const TRANSACTIONS_PER_BLOCK: u64 = 12;
/// The first block of every private chain.
const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f20020000000101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";

/// A block with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedBlock {
    /// Blocks before it.
    pub height: u32,
    /// Hash of its header.
    pub hash: BlockHash,
    /// Its header's time, seconds since 1970.
    pub time: u32,
    /// The block as the network has it.
    pub bytes: Vec<u8>,
    /// Outputs that its transactions spend, one list each, an empty one for the coinbase.
    pub spent: Spent,
    /// What each transaction but the coinbase pays.
    pub fees: Vec<i64>,
    /// Outputs of the coinbase.
    pub coinbase_sat: i64,
    /// Subsidy and fees that the coinbase does not take.
    pub unclaimed_sat: i64,
}

impl GeneratedBlock {
    /// What it spends, as `/rest/spenttxouts/<hash>.bin` answers.
    pub fn spent_bytes(&self) -> Vec<u8> {
        spent_bytes(&self.spent)
    }

    /// What it spends, as a record of an undo file holds it.
    pub fn undo_bytes(&self) -> Vec<u8> {
        undo_bytes(&self.spent)
    }

    fn of(entry: &Entry) -> Option<Self> {
        let spent = entry.spent.as_deref()?.clone();
        Self::new(entry.place.height, entry.bytes.to_vec(), spent)
    }

    fn new(height: u32, bytes: Vec<u8>, spent: Spent) -> Option<Self> {
        let block = Block::read(&bytes)?;
        let in_sat = |coins: &[Coin]| coins.iter().map(|coin| coin.value_sat).sum::<i64>();
        let others = block.transactions.iter().zip(&spent).skip(1);
        let fees: Vec<i64> = others.map(|(one, coins)| in_sat(coins) - one.out_sat()).collect();
        let coinbase_sat = block.transactions.first()?.out_sat();
        let unclaimed_sat = Network::Regtest.subsidy(height) + fees.iter().sum::<i64>() - coinbase_sat;
        let (hash, time) = (block.header.hash, block.header.time);
        Some(Self { height, hash, time, bytes, spent, fees, coinbase_sat, unclaimed_sat })
    }
}

/// The ledger of a private chain, with its first block.
pub(super) fn private_ledger() -> Ledger {
    let first = unhex(GENESIS).unwrap_or_default();
    Ledger::new(Network::Regtest, &first).expect("the genesis block is a block")
}

/// A private chain from its genesis block on: place and height are the same, so there is one more than asked for. Coinbases may
/// be spent after 100 blocks, so the first spends stand at about height 102.
pub fn generate(seed: u64, blocks: u32) -> Vec<GeneratedBlock> {
    let (mut ledger, miner) = (private_ledger(), Miner::new(seed, TRANSACTIONS_PER_BLOCK));
    for height in 1..=blocks {
        let time = (height == 1).then_some(FIRST_TIME);
        let bytes = miner.mine(&ledger, time);
        ledger.submit(&bytes, None).expect("a mined block follows the one before");
    }
    let entries = (0..=blocks).filter_map(|height| ledger.at(height)).filter_map(|hash| ledger.entry(hash));
    entries.filter_map(GeneratedBlock::of).collect()
}

/// Blocks of about so many bytes that follow the genesis block, as a busy network has them: mostly two inputs and two outputs,
/// each with a signature's worth of bytes. What they spend was never made by a block of the chain, but is known.
pub fn generate_large(seed: u64, blocks: u32, bytes_each: usize) -> Vec<GeneratedBlock> {
    let genesis = unhex(GENESIS).unwrap_or_default();
    let mut before = header(&genesis).map_or((BlockHash::default(), 0), |header| (header.hash, header.time));
    before.1 = FIRST_TIME - 600;
    let keys = Keys::new(seed);
    let mut made = Vec::new();
    for height in 1..=blocks {
        let mut chance = Sequence::new(hash::at(seed, i64::from(height)));
        let (mut others, mut spent, mut length) = (Vec::new(), vec![Vec::new()], 0);
        while length < bytes_each {
            let (one, coins) = strangers_transaction(height, &keys, &mut chance);
            length += one.bytes(true).len();
            others.push(one);
            spent.push(coins);
        }
        let fees: i64 = spent.iter().flatten().map(|coin: &Coin| coin.value_sat).sum::<i64>()
            - others.iter().map(Transaction::out_sat).sum::<i64>();
        let value_sat = Network::Regtest.subsidy(height) + fees;
        let outputs = vec![Output { value_sat, script: stranger(&mut chance) }];
        let first = coinbase(height, &chance.draw().to_le_bytes(), outputs, &others);
        let bytes = seal(first, others, (before.0, before.1 + 600));
        if let Some(block) = GeneratedBlock::new(height, bytes, spent) {
            before = (block.hash, block.time);
            made.push(block);
        }
    }
    made
}

fn strangers_transaction(height: u32, keys: &Keys, chance: &mut Sequence) -> (Transaction, Vec<Coin>) {
    let (mut inputs, mut coins) = (Vec::new(), Vec::new());
    for _ in 0..=(chance.draw() % 4).min(chance.draw() % 4) {
        let value_sat = 10_000 + (chance.draw() % 100_000_000) as i64;
        let coin = Coin {
            value_sat,
            script: stranger(chance),
            height: (chance.draw() % u64::from(height)) as u32,
            is_coinbase: false,
        };
        let spends = (sha256d(&[&chance.draw().to_le_bytes()]).0, (chance.draw() % 4) as u32);
        let mut input = Input { spends, script: Vec::new(), sequence: 0xffff_fffd, witness: Vec::new() };
        keys.unlock(&mut input, &coin.script, chance);
        inputs.push(input);
        coins.push(coin);
    }
    let in_sat: i64 = coins.iter().map(|coin| coin.value_sat).sum();
    let left = in_sat - 150 * inputs.len() as i64 * (1 + (chance.draw() % 20) as i64);
    let first = (chance.draw() % (left as u64)) as i64;
    let change = if chance.draw().is_multiple_of(4) { coins[0].script.clone() } else { stranger(chance) };
    let outputs = vec![
        Output { value_sat: first, script: stranger(chance) },
        Output { value_sat: left - first, script: change },
    ];
    (Transaction { version: 2, inputs, outputs, locktime: 0 }, coins)
}
