//! A candle as readers see it.

use serde::Serialize;
use tables::{Candle, DataQuality};
use utoipa::ToSchema;

use super::Number;

/// One candle.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Candle)]
pub(crate) struct CandleForm {
    /// Start of the candle, milliseconds.
    pub(crate) candle_time: i64,
    /// First price.
    #[schema(value_type = f64)]
    pub(crate) open: Number,
    /// Highest price.
    #[schema(value_type = f64)]
    pub(crate) high: Number,
    /// Lowest price.
    #[schema(value_type = f64)]
    pub(crate) low: Number,
    /// Last price.
    #[schema(value_type = f64)]
    pub(crate) close: Number,
    /// Sum of quantities, base asset, exact.
    #[schema(value_type = f64)]
    pub(crate) volume: Number,
    /// Trades of the feed in the candle; null where the venue does not say.
    pub(crate) trades_count: Option<i64>,
    /// Sum of price times quantity, quote asset, exact.
    #[schema(value_type = f64)]
    pub(crate) quote_volume: Number,
    /// Quantity bought by aggressors; null where the venue does not say.
    #[schema(value_type = Option<f64>)]
    pub(crate) taker_buy_volume: Option<Number>,
    /// `forming`, `closed` or `revised`.
    #[schema(value_type = String)]
    pub(crate) status: &'static str,
    /// 0 when first closed, one more at each change after.
    pub(crate) revision: i32,
    /// No trade fell in it though it was observed: the prices are the close before.
    pub(crate) is_empty: bool,
    /// Every minute of it so far was observed or came from the venue.
    pub(crate) is_complete: bool,
    /// When this state became known here, milliseconds.
    pub(crate) available_time: i64,
    /// `trades`: folded from our trades; `venue`: as published.
    #[schema(value_type = String)]
    pub(crate) source: &'static str,
}

impl From<&Candle> for CandleForm {
    fn from(candle: &Candle) -> Self {
        let bar = &candle.bar;
        Self {
            candle_time: bar.open_time.millis(),
            open: bar.open.into(),
            high: bar.high.into(),
            low: bar.low.into(),
            close: bar.close.into(),
            volume: bar.volume.into(),
            trades_count: bar.trade_count,
            quote_volume: bar.quote_volume.into(),
            taker_buy_volume: bar.taker_buy_volume.map(Number::from),
            status: bar.state.as_str(),
            revision: bar.revision,
            is_empty: candle.is_empty,
            is_complete: candle.is_complete,
            available_time: bar.available_time.millis(),
            source: bar.source.as_str(),
        }
    }
}

/// How far the data below a candle can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DataStatus {
    /// Past bars of the instrument are being fetched from its venue.
    pub(crate) historical_loading: bool,
    /// A hole in the candle's range is being repaired.
    pub(crate) gap_recovery: bool,
    /// Of the candle's range: `complete`, `partial` or `unknown`.
    pub(crate) data_quality: &'static str,
}

impl DataStatus {
    /// What candles say of themselves.
    pub(crate) fn of(candles: &[Candle], is_fetching: bool) -> Self {
        let best = candles.iter().map(|candle| candle.quality).min();
        let worst = candles.iter().map(|candle| candle.quality).max();
        let quality = match (best, worst) {
            (Some(best), Some(worst)) if best == worst => best,
            (Some(_), Some(_)) => DataQuality::Partial,
            _ => DataQuality::Unknown,
        };
        Self {
            historical_loading: is_fetching,
            gap_recovery: candles.iter().any(|candle| candle.is_repairing),
            data_quality: quality.as_str(),
        }
    }
}
