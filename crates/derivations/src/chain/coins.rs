//! What coins were worth when they were made and when they were spent: realised capitalisation, profit, and days destroyed.
//!
//! Each block takes from the sum what its inputs were worth when made, and adds what its outputs are worth now. The sums are exact,
//! so a state taken up below a fork gives the same as if the lost blocks had never been. Where prices and ages come from is left to
//! `onchain`.

mod flow;
mod history;

use std::fmt;

use model::{BlockFacts, BlockHash, CoinBlock, CoinSum, Network, SpentAge, Time};

use crate::chain::money::{usd, worth};
use crate::chain::reasons::{AGES_UNKNOWN, NOT_FROM_GENESIS, PRICE_MISSING};

pub use flow::{CoinFlow, coin_flows};
pub use history::CoinHistory;
use history::Worth;

/// What the ledger wants to know of a block.
#[derive(Clone, Copy, Debug)]
pub struct CoinInput<'a> {
    /// Blocks before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// The header's time.
    pub time: Time,
    /// What came into the UTXO set: see [`created_sat`].
    pub created_sat: i64,
    /// Coins spent, by the height that made them; `None` where those are not known.
    pub spent: Option<&'a [SpentAge]>,
    /// The canonical close in USD of the ten minutes that hold the header's time.
    pub price: Option<f64>,
}

impl<'a> CoinInput<'a> {
    /// A block with its price.
    pub fn of(facts: &'a BlockFacts, price: Option<f64>) -> Self {
        Self {
            height: facts.place.height,
            hash: facts.place.header.hash,
            time: facts.place.time(),
            created_sat: created_sat(facts),
            spent: facts.sums.spent.as_deref(),
            price,
        }
    }
}

/// Outputs of a block that somebody may spend. The first block's cannot be spent, and the coinbases of mainnet's blocks 91842 and 91880
/// stand for the same coins as those of two blocks before.
pub fn created_sat(facts: &BlockFacts) -> i64 {
    let sums = &facts.sums;
    match (facts.network, facts.place.height) {
        (_, 0) => 0,
        (Network::Main, 91_842 | 91_880) => sums.total_out_spendable_sat,
        _ => sums.coinbase_sat + sums.total_out_sat - sums.unspendable_sat,
    }
}

/// Why a block was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoinError {
    /// Another height was to come.
    Height {
        /// The one to come.
        expected: u32,
        /// The one that came.
        found: u32,
    },
    /// The block spends coins of a block that is not before it.
    Future {
        /// The block.
        height: u32,
        /// Where its coins are said to come from.
        spent: u32,
    },
}

impl fmt::Display for CoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Height { expected, found } => {
                write!(f, "follow coins: block {found} came where {expected} was to come")
            }
            Self::Future { height, spent } => {
                write!(f, "follow coins: block {height} spends coins of block {spent}, which is later")
            }
        }
    }
}

impl std::error::Error for CoinError {}

/// What all coins amount to. Every block it tells of holds its state, so that a rewind is [`CoinLedger::at`] the block at the fork with
/// [`CoinHistory::truncate`].
///
/// Coins of blocks whose header time lies before 2013-04-01 count as worth nothing where they have no price, as no source has any. After
/// that a price not older than a day stands in for a missing one; beyond that, and before the first price that is known, the worth of
/// the coins made is not known, and sums that hold such coins are absent, until they are spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinLedger {
    height: Option<u32>,
    sum: CoinSum,
}

/// What the coins spent by a block amount to.
#[derive(Default)]
struct Spent {
    cost: i128,
    priced_sat: i64,
    unpriced_sat: i64,
    sat_seconds: i128,
}

impl CoinLedger {
    /// Before any block.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a block that was taken before.
    pub fn at(block: &CoinBlock) -> Self {
        Self { height: Some(block.height), sum: block.sum }
    }

    /// The highest block taken.
    pub fn height(&self) -> Option<u32> {
        self.height
    }

    /// Takes the next block, and notes its time and price in the history.
    ///
    /// Begins with block 0 or 1; with a later one all coins are never known, though coins of blocks that were seen are.
    pub fn take(&mut self, block: &CoinInput<'_>, history: &mut CoinHistory) -> Result<CoinBlock, CoinError> {
        if let Some(expected) = self.height.map(|height| height + 1)
            && expected != block.height
        {
            return Err(CoinError::Height { expected, found: block.height });
        }
        let newest = block.spent.unwrap_or_default().iter().map(|age| age.height).max();
        if let Some(spent) = newest.filter(|spent| *spent > block.height) {
            return Err(CoinError::Future { height: block.height, spent });
        }
        history.push(block.height, block.time, block.price)?;
        if self.height.is_none() && block.height > 1 {
            self.sum.broken = Some(NOT_FROM_GENESIS);
        }
        self.height = Some(block.height);
        let spent = match block.spent {
            None => Err(AGES_UNKNOWN),
            Some(ages) => sum(ages, block.time, history),
        };
        let now = history.worth(block.height).unwrap_or(Worth::Missing);
        match (&spent, now) {
            (Err(reason), _) => self.sum.broken = self.sum.broken.or(Some(reason)),
            (Ok(spent), now) => self.apply(block.created_sat, spent, now),
        }
        Ok(self.tell(block, now, &spent))
    }

    fn apply(&mut self, created_sat: i64, spent: &Spent, now: Worth) {
        self.sum.realized -= spent.cost;
        self.sum.unpriced_sat -= spent.unpriced_sat;
        match now {
            Worth::Missing => self.sum.unpriced_sat += created_sat,
            Worth::At(price) => self.sum.realized += worth(created_sat, price),
        }
    }

    fn tell(&self, block: &CoinInput<'_>, now: Worth, spent: &Result<Spent, &'static str>) -> CoinBlock {
        let realized = match self.sum.broken {
            Some(reason) => Err(reason),
            None if self.sum.unpriced_sat != 0 => Err(PRICE_MISSING),
            None => Ok(usd(self.sum.realized)),
        };
        let spent = spent.as_ref().map_err(|reason| *reason);
        let value = spent.and_then(|spent| match now {
            Worth::At(price) => Ok(usd(worth(spent.priced_sat + spent.unpriced_sat, price))),
            Worth::Missing if spent.priced_sat + spent.unpriced_sat == 0 => Ok(0.0),
            Worth::Missing => Err(PRICE_MISSING),
        });
        let cost = spent.and_then(|spent| match spent.unpriced_sat {
            0 => Ok(usd(spent.cost)),
            _ => Err(PRICE_MISSING),
        });
        let days = spent.map(|spent| spent.sat_seconds as f64 / 1e8 / 86_400.0);
        CoinBlock {
            height: block.height,
            hash: block.hash,
            time: block.time,
            spent_value_usd: value.ok(),
            spent_cost_usd: cost.ok(),
            coin_days_destroyed: days.ok(),
            realized_cap_usd: realized.ok(),
            reason: [days.err(), realized.err(), value.err(), cost.err()].into_iter().flatten().next(),
            sum: self.sum,
        }
    }
}

fn sum(ages: &[SpentAge], now: Time, history: &CoinHistory) -> Result<Spent, &'static str> {
    let mut spent = Spent::default();
    for age in ages {
        let (Some(made), Some(then)) = (history.worth(age.height), history.time(age.height)) else {
            return Err(NOT_FROM_GENESIS);
        };
        match made {
            Worth::Missing => spent.unpriced_sat += age.sat,
            Worth::At(price) => {
                spent.priced_sat += age.sat;
                spent.cost += worth(age.sat, price);
            }
        }
        let seconds = (now.0 - then.0).max(0) / model::time::SECOND;
        spent.sat_seconds += i128::from(age.sat) * i128::from(seconds);
    }
    Ok(spent)
}
