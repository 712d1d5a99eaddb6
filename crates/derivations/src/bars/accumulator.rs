//! One minute in the making: exact sums and extremes that do not depend on the order of arrival.

use model::time::MINUTE;
use model::{Bar, BarSource, BarState, Decimal, InstrumentId, Side, Time, Timeframe, Trade};

use crate::bars::SUM_SCALE;

/// Digits behind the point that a single product may bring into a sum.
// Venues write at most 8 digits behind the point for price and quantity; more than 24 for the product would leave too
// few digits in front for a day's turnover. Rounding each product on its own keeps the sum independent of order.
const PRODUCT_SCALE_MAX: u8 = 24;

/// A trade's place in its instrument: `(venue_time, trade_id, venue_trade_id)`, absent ids first, texts bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TradeKey {
    pub(super) venue_time: Time,
    pub(super) trade_id: Option<i64>,
    pub(super) venue_trade_id: Option<Box<str>>,
}

impl TradeKey {
    fn of(trade: &Trade) -> Self {
        Self {
            venue_time: trade.venue_time,
            trade_id: trade.trade_id,
            venue_trade_id: trade.venue_trade_id.clone(),
        }
    }

    fn is_before(&self, trade: &Trade) -> bool {
        let own = (self.venue_time, self.trade_id, self.venue_trade_id.as_deref());
        own < (trade.venue_time, trade.trade_id, trade.venue_trade_id.as_deref())
    }
}

/// The trades of one minute so far.
#[derive(Clone, Debug)]
pub(super) struct Minute {
    pub(super) open_time: Time,
    pub(super) open: Decimal,
    pub(super) open_key: TradeKey,
    pub(super) close: Decimal,
    pub(super) close_key: TradeKey,
    pub(super) high: Decimal,
    pub(super) low: Decimal,
    pub(super) volume: Decimal,
    pub(super) quote_volume: Decimal,
    pub(super) taker_buy_volume: Decimal,
    pub(super) trade_count: i64,
    /// Revision handed out last; `None` while the minute was never handed out as closed.
    pub(super) revision: Option<i32>,
    /// When that revision became known.
    pub(super) available_time: Time,
    /// Whether trades came after it was handed out, or after its time was over.
    pub(super) is_changed: bool,
}

impl Minute {
    /// A minute that begins with a trade; `None` if its sums cannot be held.
    pub(super) fn starting_with(trade: &Trade) -> Option<Self> {
        let quote_volume = product(trade)?;
        let bought = if trade.taker_side == Side::Buy { trade.quantity } else { Decimal::ZERO };
        Some(Self {
            open_time: trade.venue_time.minute_start(),
            open: trade.price,
            open_key: TradeKey::of(trade),
            close: trade.price,
            close_key: TradeKey::of(trade),
            high: trade.price,
            low: trade.price,
            volume: trade.quantity,
            quote_volume,
            taker_buy_volume: bought,
            trade_count: 1,
            revision: None,
            available_time: trade.received_time,
            is_changed: false,
        })
    }

    /// Adds a trade. False, and nothing changed, if the sums cannot be held.
    pub(super) fn add(&mut self, trade: &Trade) -> bool {
        let Some(quote_volume) = product(trade).and_then(|value| self.quote_volume.checked_add(value)) else {
            return false;
        };
        let Some(volume) = self.volume.checked_add(trade.quantity) else { return false };
        if trade.taker_side == Side::Buy {
            let Some(bought) = self.taker_buy_volume.checked_add(trade.quantity) else { return false };
            self.taker_buy_volume = bought;
        }
        self.quote_volume = quote_volume;
        self.volume = volume;
        self.trade_count += 1;
        if self.close_key.is_before(trade) {
            self.close = trade.price;
            self.close_key.venue_time = trade.venue_time;
            self.close_key.trade_id = trade.trade_id;
            self.close_key.venue_trade_id.clone_from(&trade.venue_trade_id);
        } else if !self.open_key.is_before(trade) {
            self.open = trade.price;
            self.open_key = TradeKey::of(trade);
        }
        if wins(trade.price, self.high, trade.price > self.high) {
            self.high = trade.price;
        }
        if wins(trade.price, self.low, trade.price < self.low) {
            self.low = trade.price;
        }
        true
    }

    /// First moment after the minute.
    pub(super) fn end(&self) -> Time {
        self.open_time.plus_micros(MINUTE)
    }

    pub(super) fn bar(&self, instrument: &InstrumentId, state: BarState, available_time: Time) -> Bar {
        Bar {
            instrument: instrument.clone(),
            timeframe: Timeframe::MINUTE,
            open_time: self.open_time,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            // Rounded here as the table rounds, so that a bar from memory equals the same bar read back.
            volume: self.volume.rounded(SUM_SCALE),
            quote_volume: self.quote_volume.rounded(SUM_SCALE),
            trade_count: Some(self.trade_count),
            taker_buy_volume: Some(self.taker_buy_volume.rounded(SUM_SCALE)),
            source: BarSource::Trades,
            state,
            revision: self.revision.unwrap_or(0),
            available_time,
        }
    }
}

fn product(trade: &Trade) -> Option<Decimal> {
    trade.price.checked_mul(trade.quantity).map(|value| value.rounded(PRODUCT_SCALE_MAX))
}

/// Equal prices may be written `1.5` and `1.50`: the longer form stays, whichever came first.
fn wins(price: Decimal, known: Decimal, is_beyond: bool) -> bool {
    is_beyond || (price.scale() > known.scale() && price == known)
}
