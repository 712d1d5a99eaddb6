//! Rows as they come out of a file: trades keep their text where it lies.

use model::{Condition, Decimal, InstrumentId, Side, Source, Time, Trade};

/// A trade of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeRow<'a> {
    /// When the venue matched it.
    pub venue_time: Time,
    /// Id where the venue's are numbers.
    pub trade_id: Option<i64>,
    /// Id where they are not.
    pub venue_trade_id: Option<&'a str>,
    /// Price.
    pub price: Decimal,
    /// Quantity.
    pub quantity: Decimal,
    /// Aggressor side.
    pub taker_side: Side,
    /// First raw trade of an aggregate.
    pub first_trade_id: Option<i64>,
    /// Last raw trade of an aggregate.
    pub last_trade_id: Option<i64>,
}

impl TradeRow<'_> {
    /// The trade, on its own.
    pub fn to_trade(&self, instrument: &InstrumentId, received_time: Time) -> Trade {
        Trade {
            instrument: instrument.clone(),
            venue_time: self.venue_time,
            trade_id: self.trade_id,
            venue_trade_id: self.venue_trade_id.map(Into::into),
            price: self.price,
            quantity: self.quantity,
            taker_side: self.taker_side,
            first_trade_id: self.first_trade_id,
            last_trade_id: self.last_trade_id,
            condition: Condition::Market,
            received_time,
            source: Source::Archive,
        }
    }
}
