//! Quotes, books, instruments and the slower series as readers see them.

use model::{BookLevel, Instrument, InstrumentKind, Quote};
use serde::Serialize;
use tables::BookView;
use utoipa::ToSchema;

use super::Number;

/// Best bid and ask.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Quote)]
pub(crate) struct QuoteForm {
    /// Best bid price.
    #[schema(value_type = f64)]
    pub(crate) bid_price: Number,
    /// Quantity at the best bid.
    #[schema(value_type = f64)]
    pub(crate) bid_quantity: Number,
    /// Best ask price.
    #[schema(value_type = f64)]
    pub(crate) ask_price: Number,
    /// Quantity at the best ask.
    #[schema(value_type = f64)]
    pub(crate) ask_quantity: Number,
    /// The venue's clock, milliseconds; the receipt time where the venue gives none.
    pub(crate) timestamp: i64,
    /// The venue's book sequence number.
    pub(crate) sequence: i64,
    /// When it was received, milliseconds.
    pub(crate) received_time: i64,
}

impl From<&Quote> for QuoteForm {
    fn from(quote: &Quote) -> Self {
        Self {
            bid_price: quote.bid_price.into(),
            bid_quantity: quote.bid_quantity.into(),
            ask_price: quote.ask_price.into(),
            ask_quantity: quote.ask_quantity.into(),
            timestamp: quote.venue_time.millis(),
            sequence: quote.sequence,
            received_time: quote.received_time.millis(),
        }
    }
}

/// The level-2 book as it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Book)]
pub(crate) struct BookForm {
    /// `[price, quantity]`, best first.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub(crate) bids: Vec<[Number; 2]>,
    /// `[price, quantity]`, best first.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub(crate) asks: Vec<[Number; 2]>,
    /// Sequence number of the last update.
    pub(crate) sequence: i64,
    /// The venue's clock at the last update, milliseconds.
    pub(crate) timestamp: i64,
    /// The chain of updates broke and no snapshot has come since: the levels are what was last known.
    pub(crate) is_stale: bool,
}

/// Levels as pairs of price and quantity.
pub(crate) fn levels(levels: &[BookLevel]) -> Vec<[Number; 2]> {
    levels.iter().map(|level| [level.price.into(), level.quantity.into()]).collect()
}

impl From<&BookView> for BookForm {
    fn from(book: &BookView) -> Self {
        Self {
            bids: levels(&book.bids),
            asks: levels(&book.asks),
            sequence: book.sequence,
            timestamp: book.venue_time.millis(),
            is_stale: book.is_stale,
        }
    }
}

/// An instrument as its venue lists it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Instrument)]
pub(crate) struct InstrumentForm {
    /// Our id, such as `binance-futures:BTC-USDT-PERP`.
    instrument: String,
    /// Venue.
    #[schema(value_type = String)]
    venue: &'static str,
    /// The venue's own name.
    symbol: String,
    /// Base asset.
    base: String,
    /// Quote asset.
    quote: String,
    /// Asset of settlement.
    settle: String,
    /// `spot`, `perpetual` or `future`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// Delivery day of a future, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<String>,
    /// `announced`, `trading`, `halted` or `delisted`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Smallest price step.
    #[schema(value_type = Option<f64>)]
    tick_size: Option<Number>,
    /// Smallest quantity step.
    #[schema(value_type = Option<f64>)]
    lot_size: Option<Number>,
    /// Smallest order quantity.
    #[schema(value_type = Option<f64>)]
    quantity_min: Option<Number>,
    /// Smallest order value.
    #[schema(value_type = Option<f64>)]
    notional_min: Option<Number>,
    /// Base units of one contract.
    #[schema(value_type = f64)]
    contract_size: Number,
    /// When the venue opened it, milliseconds.
    listed_time: Option<i64>,
}

impl From<&Instrument> for InstrumentForm {
    fn from(instrument: &Instrument) -> Self {
        Self {
            instrument: instrument.id.as_str().to_owned(),
            venue: instrument.id.venue().as_str(),
            symbol: instrument.symbol.to_string(),
            base: instrument.base.to_string(),
            quote: instrument.quote.to_string(),
            settle: instrument.settle.to_string(),
            kind: instrument.kind.as_str(),
            expiry: match instrument.kind {
                InstrumentKind::Future { expiry } => Some(expiry.to_string()),
                InstrumentKind::Spot | InstrumentKind::Perpetual => None,
            },
            status: instrument.status.as_str(),
            tick_size: instrument.tick_size.map(Number::from),
            lot_size: instrument.lot_size.map(Number::from),
            quantity_min: instrument.quantity_min.map(Number::from),
            notional_min: instrument.notional_min.map(Number::from),
            contract_size: instrument.contract_size.into(),
            listed_time: instrument.listed_time.map(model::Time::millis),
        }
    }
}

/// A settled funding rate.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Funding)]
pub(crate) struct FundingForm {
    /// Settlement time, milliseconds.
    pub(crate) funding_time: i64,
    /// Rate; positive: longs pay shorts.
    #[schema(value_type = f64)]
    pub(crate) rate: Number,
    /// Length of the interval in hours.
    pub(crate) interval_hours: Option<i32>,
    /// Mark price at settlement.
    #[schema(value_type = Option<f64>)]
    pub(crate) mark_price: Option<Number>,
    /// When it was received, milliseconds.
    pub(crate) received_time: i64,
    /// `stream` or `rest`.
    pub(crate) source: String,
}

/// A reading of open interest.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OpenInterest)]
pub(crate) struct OpenInterestForm {
    /// The venue's clock, milliseconds.
    pub(crate) timestamp: i64,
    /// Open contracts in base asset, as the venue counts.
    #[schema(value_type = f64)]
    pub(crate) quantity: Number,
    /// Value in quote asset.
    #[schema(value_type = Option<f64>)]
    pub(crate) value: Option<Number>,
    /// When it was received, milliseconds.
    pub(crate) received_time: i64,
}

/// A mark price with the running funding rate.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MarkPrice)]
pub(crate) struct MarkPriceForm {
    /// The venue's clock, milliseconds.
    pub(crate) timestamp: i64,
    /// Mark price.
    #[schema(value_type = f64)]
    pub(crate) mark_price: Number,
    /// Index price.
    #[schema(value_type = Option<f64>)]
    pub(crate) index_price: Option<Number>,
    /// Predicted rate of the running interval.
    #[schema(value_type = Option<f64>)]
    pub(crate) funding_rate: Option<Number>,
    /// When it will be settled, milliseconds.
    pub(crate) next_funding_time: Option<i64>,
    /// Length of the interval in hours.
    pub(crate) interval_hours: Option<i32>,
    /// When it was received, milliseconds.
    pub(crate) received_time: i64,
}
