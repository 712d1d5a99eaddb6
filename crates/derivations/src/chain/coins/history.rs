//! Time and price of every block, by height: what tells how old a coin is and what it was worth.

use model::Time;
use model::time::{DAY, SECOND};

use crate::chain::coins::CoinError;
use crate::chain::money::{self, Price};

/// How long a price stands in for those that are missing after it.
pub(super) const PRICE_AGE_MAX: i64 = DAY;

/// 2013-04-01 00:00 UTC by header times, the first day of which a price source has candles (Bitfinex). Where no price was posted for the
/// time before, a coin of it is worth nothing and not unknown: else the many that were lost then would leave every later sum
/// undefined. Hardly any cost more than 100 USD, most less than one. No test network is that old.
const MARKET_SECONDS_MIN: u32 = 1_364_774_400;

/// What a bitcoin was worth at a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nothing before there was a market, else a price.
    At(Price),
    /// Not known.
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NoMarket,
    Own,
    /// A price of a block before it stands in.
    Carried,
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    price: Price,
    seconds: u32,
    kind: Kind,
}

/// Time and price of blocks in a row. Sixteen bytes a block; filled anew at start from what is stored of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinHistory {
    first: u32,
    marks: Vec<Mark>,
}

impl CoinHistory {
    /// Before any block.
    pub fn new() -> Self {
        Self::default()
    }

    /// The height to come; `None` before any block, when any may come.
    pub fn next_height(&self) -> Option<u32> {
        (!self.marks.is_empty()).then(|| self.first + self.marks.len() as u32)
    }

    /// Notes the next block, with the close in USD of its ten minutes.
    pub fn push(&mut self, height: u32, time: Time, price: Option<f64>) -> Result<(), CoinError> {
        match self.next_height() {
            None => self.first = height,
            Some(expected) if expected != height => {
                return Err(CoinError::Height { expected, found: height });
            }
            Some(_) => {}
        }
        let seconds = (time.0 / SECOND) as u32;
        let (price, kind) = match price.and_then(money::price) {
            Some(price) => (price, Kind::Own),
            None if seconds < MARKET_SECONDS_MIN => (0, Kind::NoMarket),
            None => self.carried(seconds).map_or((0, Kind::Missing), |price| (price, Kind::Carried)),
        };
        self.marks.push(Mark { price, seconds, kind });
        Ok(())
    }

    /// Forgets all blocks above a height.
    pub fn truncate(&mut self, height: u32) {
        self.marks.truncate((i64::from(height) + 1 - i64::from(self.first)).max(0) as usize);
    }

    pub(super) fn time(&self, height: u32) -> Option<Time> {
        Some(Time(i64::from(self.mark(height)?.seconds) * SECOND))
    }

    pub(super) fn worth(&self, height: u32) -> Option<Worth> {
        let mark = self.mark(height)?;
        Some(if mark.kind == Kind::Missing { Worth::Missing } else { Worth::At(mark.price) })
    }

    fn mark(&self, height: u32) -> Option<&Mark> {
        self.marks.get(height.checked_sub(self.first)? as usize)
    }

    /// The last price that a block had of its own, unless it is too old.
    fn carried(&self, seconds: u32) -> Option<Price> {
        let known = self.marks.iter().rev().take_while(|mark| matches!(mark.kind, Kind::Own | Kind::Carried));
        let own = known.into_iter().find(|mark| mark.kind == Kind::Own)?;
        (i64::from(seconds) - i64::from(own.seconds) <= PRICE_AGE_MAX / SECOND).then_some(own.price)
    }
}
