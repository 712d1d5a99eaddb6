//! The outward forms of rows, candles, coverage and status. Words and units are those of the published interface:
//! times are milliseconds since the epoch, prices and quantities are JSON numbers with the venue's digits.

pub(crate) mod candle;
pub(crate) mod coverage;
pub(crate) mod market;
pub(crate) mod number;
pub(crate) mod status;
pub(crate) mod trade;

use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use candle::CandleForm;
pub(crate) use coverage::CoverageForm;
pub(crate) use number::Number;
pub(crate) use trade::TradeForm;

/// An answer with data.
#[derive(Serialize, ToSchema)]
pub(crate) struct Answer<T> {
    /// Always true.
    pub(crate) success: bool,
    /// What was asked for.
    pub(crate) data: T,
    /// One sentence on it.
    pub(crate) message: String,
    /// What is known of the range asked for: whether it is complete, and where it has holes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coverage: Option<CoverageForm>,
}

impl<T> Answer<T> {
    pub(crate) fn new(data: T, message: impl Into<String>) -> Self {
        Self { success: true, data, message: message.into(), coverage: None }
    }

    pub(crate) fn with_coverage(mut self, coverage: CoverageForm) -> Self {
        self.coverage = Some(coverage);
        self
    }
}
