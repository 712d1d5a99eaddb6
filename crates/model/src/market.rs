//! What happens on a market: trades, quotes, books, marks, open interest; and the instruments they belong to.

use crate::decimal::Decimal;
use crate::id::InstrumentId;
use crate::time::{Date, Time};

/// What kind of contract an instrument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstrumentKind {
    /// Delivery now.
    Spot,
    /// A future that never expires and pays funding.
    Perpetual,
    /// A future with a delivery day.
    Future {
        /// Delivery day, UTC.
        expiry: Date,
    },
}

impl InstrumentKind {
    /// `spot`, `perpetual` or `future`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Perpetual => "perpetual",
            Self::Future { .. } => "future",
        }
    }
}

/// Whether an instrument can be traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstrumentStatus {
    /// Announced, not open yet.
    Announced,
    /// Open for trading.
    Trading,
    /// Listed, but trading stands still (halt, break, auction, cancel only).
    Halted,
    /// Settled, delivered or taken off the list.
    Delisted,
}

impl InstrumentStatus {
    /// `announced`, `trading`, `halted` or `delisted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Trading => "trading",
            Self::Halted => "halted",
            Self::Delisted => "delisted",
        }
    }

    /// The status of that name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Announced, Self::Trading, Self::Halted, Self::Delisted];
        all.into_iter().find(|status| status.as_str() == name)
    }
}

/// An instrument as its venue lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Our id.
    pub id: InstrumentId,
    /// The venue's own name, such as `BTCUSDT`, upper case as in REST answers.
    pub symbol: Box<str>,
    /// Base asset as the venue spells it.
    pub base: Box<str>,
    /// Quote asset.
    pub quote: Box<str>,
    /// Asset of margin and settlement; the quote asset for spot.
    pub settle: Box<str>,
    /// Contract kind.
    pub kind: InstrumentKind,
    /// Trading status.
    pub status: InstrumentStatus,
    /// Smallest price step, in quote asset.
    pub tick_size: Option<Decimal>,
    /// Smallest quantity step, in base asset or contracts.
    pub lot_size: Option<Decimal>,
    /// Smallest order quantity.
    pub quantity_min: Option<Decimal>,
    /// Smallest order value, in quote asset.
    pub notional_min: Option<Decimal>,
    /// Base units of one contract; 1 for spot and linear contracts quoted in base.
    pub contract_size: Decimal,
    /// When the venue opened it.
    pub listed_time: Option<Time>,
}

impl Instrument {
    /// A tradable instrument of which nothing but its names is known: assets and kind are those of the id, it settles in its
    /// quote asset, a contract is one unit.
    pub fn named(id: InstrumentId, symbol: &str) -> Self {
        let mut assets = id.pair().split('-').map(Box::<str>::from);
        let (base, quote) = (assets.next().unwrap_or_default(), assets.next().unwrap_or_default());
        Self {
            symbol: symbol.into(),
            base,
            settle: quote.clone(),
            quote,
            kind: id.kind(),
            status: InstrumentStatus::Trading,
            tick_size: None,
            lot_size: None,
            quantity_min: None,
            notional_min: None,
            contract_size: Decimal::ONE,
            listed_time: None,
            id,
        }
    }
}

/// Which side took liquidity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The aggressor bought.
    Buy,
    /// The aggressor sold.
    Sell,
}

impl Side {
    /// `buy` or `sell`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// Whether a print is a market trade. Only `Market` prints enter bars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// An ordinary trade.
    #[default]
    Market,
    /// Taken over by the venue's insurance fund.
    InsuranceFund,
    /// Automatic deleveraging.
    Deleveraging,
    /// A block trade, agreed off the book.
    Block,
    /// Something else that the venue marks as no market trade.
    Other,
}

impl Condition {
    /// `market`, `insurance_fund`, `deleveraging`, `block` or `other`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::InsuranceFund => "insurance_fund",
            Self::Deleveraging => "deleveraging",
            Self::Block => "block",
            Self::Other => "other",
        }
    }
}

/// How a row reached us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A live stream.
    #[default]
    Stream,
    /// A REST answer.
    Rest,
    /// A public archive file.
    Archive,
}

impl Source {
    /// `stream`, `rest` or `archive`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Rest => "rest",
            Self::Archive => "archive",
        }
    }

    /// The source of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Stream, Self::Rest, Self::Archive].into_iter().find(|source| source.as_str() == name)
    }
}

/// One print of the canonical trade feed.
///
/// Order within an instrument: `(venue_time, trade_id, venue_trade_id)`, text ids bytewise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Instrument.
    pub instrument: InstrumentId,
    /// When the venue matched it.
    pub venue_time: Time,
    /// Numeric id where the venue has one (Binance aggregate id, Bybit spot id).
    pub trade_id: Option<i64>,
    /// Text id where the venue's ids are no numbers (Bybit linear UUID).
    pub venue_trade_id: Option<Box<str>>,
    /// Price in quote asset.
    pub price: Decimal,
    /// Quantity in base asset or contracts.
    pub quantity: Decimal,
    /// Aggressor side.
    pub taker_side: Side,
    /// First raw trade of an aggregate.
    pub first_trade_id: Option<i64>,
    /// Last raw trade of an aggregate.
    pub last_trade_id: Option<i64>,
    /// Whether this is a market trade.
    pub condition: Condition,
    /// When we received it.
    pub received_time: Time,
    /// How it reached us.
    pub source: Source,
}

/// Best bid and ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Venue's clock; the receipt time where the venue gives none (Binance spot).
    pub venue_time: Time,
    /// Venue's book sequence number at this quote.
    pub sequence: i64,
    /// Best bid price.
    pub bid_price: Decimal,
    /// Quantity at the best bid.
    pub bid_quantity: Decimal,
    /// Best ask price.
    pub ask_price: Decimal,
    /// Quantity at the best ask.
    pub ask_quantity: Decimal,
    /// When we received it.
    pub received_time: Time,
}

/// One price level: a zero quantity removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookLevel {
    /// Price.
    pub price: Decimal,
    /// Absolute quantity now resting at the price.
    pub quantity: Decimal,
}

/// A snapshot or a difference of the level-2 book, with what the venue says of its place in the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookUpdate {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Venue's clock; the receipt time where the venue gives none (Binance REST snapshots).
    pub venue_time: Time,
    /// Whether the levels are the whole book and replace what was known.
    pub is_snapshot: bool,
    /// First sequence number in this update (Binance `U`); equals `last_sequence` where the venue numbers messages.
    pub first_sequence: i64,
    /// Last sequence number in this update (Binance `u` or `lastUpdateId`, Bybit `u`).
    pub last_sequence: i64,
    /// Last sequence of the update before, where the venue says it (Binance USD-M `pu`).
    pub previous_sequence: Option<i64>,
    /// Bid levels as sent.
    pub bids: Vec<BookLevel>,
    /// Ask levels as sent.
    pub asks: Vec<BookLevel>,
    /// When we received it.
    pub received_time: Time,
    /// Stream, or REST for a snapshot that was asked for.
    pub source: Source,
}

/// Mark and index price of a derivative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkPrice {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Venue's clock.
    pub time: Time,
    /// Mark price.
    pub mark_price: Decimal,
    /// Index price.
    pub index_price: Option<Decimal>,
    /// Funding rate of the running interval, as predicted now; positive: longs pay shorts.
    pub funding_rate: Option<Decimal>,
    /// When that rate will be settled.
    pub next_funding_time: Option<Time>,
    /// Length of the funding interval in hours, where the same message says it.
    pub interval_hours: Option<i32>,
    /// When we received it.
    pub received_time: Time,
}

/// A settled funding rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Settlement time, rounded to the hour (venues jitter by milliseconds).
    pub time: Time,
    /// Rate; positive: longs pay shorts.
    pub rate: Decimal,
    /// Length of the funding interval in hours where known.
    pub interval_hours: Option<i32>,
    /// Mark price at settlement where given.
    pub mark_price: Option<Decimal>,
    /// When we received it.
    pub received_time: Time,
    /// How it reached us.
    pub source: Source,
}

/// Open interest of a derivative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenInterest {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Venue's clock.
    pub time: Time,
    /// Open contracts in base asset, as the venue counts them (Bybit: both sides).
    pub quantity: Decimal,
    /// Value in quote asset where given.
    pub value: Option<Decimal>,
    /// When we received it.
    pub received_time: Time,
}

#[cfg(test)]
mod tests {
    //! Cases for instruments.
    use super::*;

    #[test]
    fn an_instrument_knows_its_assets_by_its_id() {
        let known = Instrument::named("binance-futures:BTC-USDT-20261225".parse().unwrap(), "BTCUSDT_261225");
        assert_eq!((&*known.base, &*known.quote, &*known.settle), ("BTC", "USDT", "USDT"));
        assert!(matches!(known.kind, InstrumentKind::Future { .. }));
        assert_eq!((&*known.symbol, known.status), ("BTCUSDT_261225", InstrumentStatus::Trading));
    }
}
