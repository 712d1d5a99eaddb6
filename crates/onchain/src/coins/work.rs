//! What is done with the store of coins on a thread that may wait for the disk, and why it may fail.

use std::sync::{PoisonError, RwLock};

use chain::HeaderIndex;
use coins::{CoinStore, CoinTip, NextBlock, Prepared};
use model::{BlockSums, SpentAge};

use crate::ReadBlock;

/// Why coins are not what they should be.
#[derive(Debug)]
pub(super) enum Failure {
    Store(coins::Error),
    Block(u32, chain::Error),
    /// The coins a block spends do not add up to what it spends.
    Sum(u32),
    Other(String),
}

impl Failure {
    /// Whether the store must be closed: it cannot be worked with, or not as it is.
    pub(super) fn is_of_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Sum(_))
    }

    /// At which block the coins turned out to be of no use any more, if they are.
    pub(super) fn lost_at(&self) -> Option<u32> {
        match self {
            Self::Store(error) => error.lost_at(),
            Self::Sum(height) => Some(*height),
            Self::Block(..) | Self::Other(_) => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Block(height, error) => write!(f, "block {height} cannot be read: {error}"),
            Self::Sum(height) => write!(
                f,
                "the coins that block {height} spends are not those that its node named; they must be gathered anew"
            ),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

/// Takes back what the followed chain does not have; all of it where nothing is followed.
pub(super) fn settled(mut store: CoinStore, active: &RwLock<HeaderIndex>) -> Result<CoinStore, coins::Error> {
    let active = active.read().unwrap_or_else(PoisonError::into_inner);
    let is_active = |tip: CoinTip| active.hash_at(tip.height) == Some(tip.hash);
    while let Some(tip) = store.tip().filter(|tip| !is_active(*tip)) {
        let is_far = active.tip().is_none_or(|active| active.height + 2_000 < tip.height);
        match if is_far { Err(coins::Error::TooDeep { height: tip.height }) } else { store.step_back() } {
            Ok(_) => {}
            Err(error) if error.is_lost() => {
                tracing::warn!(%error, "the coins are gathered anew from the first block on");
                return store.clear();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(store)
}

pub(super) fn back_to(store: &mut CoinStore, parent: Option<CoinTip>) -> Result<(), Failure> {
    let Some(parent) = parent else { return Ok(()) };
    while store.tip().is_some_and(|tip| tip.height > parent.height) {
        store.step_back().map_err(Failure::Store)?;
    }
    Ok(())
}

pub(super) fn stands_at(store: &CoinStore, parent: Option<CoinTip>) -> bool {
    match (store.tip(), parent) {
        // The first block makes no coins.
        (None, parent) => parent.is_none_or(|parent| parent.height == 0),
        (Some(tip), parent) => Some(tip) == parent,
    }
}

pub(super) fn next_block(height: u32, bytes: &[u8]) -> Result<NextBlock, chain::Error> {
    let header = chain::header(bytes.get(..80).unwrap_or(bytes))?;
    Ok(NextBlock { height, hash: header.hash, previous: header.previous, moves: chain::coin_moves(bytes)? })
}

pub(super) type Ages = Vec<Vec<SpentAge>>;

pub(super) fn ages(
    store: &CoinStore,
    parent: Option<CoinTip>,
    blocks: &[ReadBlock],
    undo_from: u32,
) -> Result<(Prepared, Ages), Failure> {
    let first = parent.map_or(0, |parent| parent.height + 1);
    let next = (first..).zip(blocks).map(|(height, block)| {
        next_block(height, &block.bytes).map_err(|error| Failure::Block(height, error))
    });
    let next = next.collect::<Result<Vec<_>, _>>()?;
    let mut prepared = store.prepare(&next, undo_from).map_err(Failure::Store)?;
    let ages = prepared.take_ages();
    for ((height, block), ages) in (first..).zip(blocks).zip(&ages) {
        fits(height, &block.sums, ages)?;
    }
    Ok((prepared, ages))
}

/// Whether coins are those that a block spends: the same amounts, and the same ages where the node told them.
pub(super) fn fits(height: u32, sums: &BlockSums, ages: &[SpentAge]) -> Result<(), Failure> {
    let spent: i64 = ages.iter().map(|age| age.sat).sum();
    let is_same = sums.spent.as_deref().is_none_or(|known| known == ages);
    if spent == sums.fees_sat() + sums.total_out_sat && is_same { Ok(()) } else { Err(Failure::Sum(height)) }
}
