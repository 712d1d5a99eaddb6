//! A trade as readers see it.

use model::{Side, Trade};
use serde::Serialize;
use utoipa::ToSchema;

use super::Number;

/// One trade of the canonical feed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Trade)]
pub(crate) struct TradeForm {
    /// The venue's numeric id (Binance: aggregate id); null where ids are texts.
    pub(crate) aggregate_id: Option<i64>,
    /// The venue's text id, where ids are no numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trade_id: Option<String>,
    /// Price in quote asset.
    #[schema(value_type = f64)]
    pub(crate) price: Number,
    /// Quantity in base asset.
    #[schema(value_type = f64)]
    pub(crate) quantity: Number,
    /// When the venue matched it, milliseconds.
    pub(crate) timestamp: i64,
    /// True if the buyer's order rested, so that the aggressor sold.
    pub(crate) is_buyer_maker: bool,
    /// First raw trade of an aggregate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_trade_id: Option<i64>,
    /// Last raw trade of an aggregate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_trade_id: Option<i64>,
    /// `market`, or why the print is no market trade and stays out of candles.
    pub(crate) condition: String,
    /// When it was received, milliseconds.
    pub(crate) received_time: i64,
    /// `stream`, `rest` or `archive`.
    pub(crate) source: String,
}

impl From<&Trade> for TradeForm {
    fn from(trade: &Trade) -> Self {
        Self {
            aggregate_id: trade.trade_id,
            trade_id: trade.venue_trade_id.as_deref().map(str::to_owned),
            price: trade.price.into(),
            quantity: trade.quantity.into(),
            timestamp: trade.venue_time.millis(),
            is_buyer_maker: trade.taker_side == Side::Sell,
            first_trade_id: trade.first_trade_id,
            last_trade_id: trade.last_trade_id,
            condition: trade.condition.as_str().to_owned(),
            received_time: trade.received_time.millis(),
            source: trade.source.as_str().to_owned(),
        }
    }
}
