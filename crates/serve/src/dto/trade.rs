//! A trade as readers see it.

use model::{Side, Trade};
use serde::Serialize;
use utoipa::ToSchema;

use super::Number;

/// JavaScript rounds whole numbers above this.
const EXACT_MAX: i64 = (1 << 53) - 1;

/// The text of an id that has no number, or one that not every reader can hold.
pub(crate) fn id_text(number: Option<i64>, text: Option<&str>) -> Option<String> {
    let beyond = || number.filter(|id| *id > EXACT_MAX).map(|id| id.to_string());
    text.map(str::to_owned).or_else(beyond)
}

/// One trade of the canonical feed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Trade)]
pub(crate) struct TradeForm {
    /// The venue's numeric id (Binance: aggregate id); null where ids are texts.
    pub(crate) aggregate_id: Option<i64>,
    /// The venue's id as text, where it is no number or one beyond 2^53, which JavaScript would round.
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
            trade_id: id_text(trade.trade_id, trade.venue_trade_id.as_deref()),
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

#[cfg(test)]
mod tests {
    //! Cases for ids.
    use super::*;

    #[test]
    fn ids_that_a_double_would_round_come_as_text_too() {
        for (number, text, expect) in [
            (Some(26_129), None, None),
            (Some(9_007_199_254_740_991), None, None),
            (Some(9_007_199_254_740_992), None, Some("9007199254740992")),
            (Some(2_290_000_024_969_983_360), None, Some("2290000024969983360")),
            (None, Some("6ff43d32-3e8e-5a0a"), Some("6ff43d32-3e8e-5a0a")),
            (None, None, None),
        ] {
            assert_eq!(id_text(number, text).as_deref(), expect, "{number:?} {text:?}");
        }
    }
}
