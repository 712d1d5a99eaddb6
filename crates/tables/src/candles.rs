//! Candles of any timeframe. Folded by `refine` from 1-minute bars, asked by `serve`.

use futures::future::BoxFuture;
use model::{Bar, InstrumentId, Timeframe};

use crate::coverage::{CoverageAnswer, DataQuality, TimeRange};
use crate::store::StoreError;

/// Which candles.
#[derive(Clone, Debug)]
pub struct CandleAsk {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Length.
    pub timeframe: Timeframe,
    /// Buckets that start in the range; `None` for the newest.
    pub range: Option<TimeRange>,
    /// At most so many: the oldest of the range if it has a start, else the newest.
    pub limit: usize,
}

/// One candle. Minutes without trades in observed time count as empty; minutes not observed leave `is_complete` false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candle {
    /// The candle.
    pub bar: Bar,
    /// No trade fell in it though it was observed: prices are the close before.
    pub is_empty: bool,
    /// Every minute of it so far was observed or came from the venue.
    pub is_complete: bool,
    /// The verdict over its range so far: complete only if no hole lies in it either.
    pub quality: DataQuality,
    /// A hole in its range may still be filled.
    pub is_repairing: bool,
}

/// Candles, ascending, with what is known of their range.
#[derive(Clone, Debug)]
pub struct CandleAnswer {
    /// The candles. Buckets of which nothing is known are absent.
    pub candles: Vec<Candle>,
    /// Coverage of the trades below them.
    pub coverage: CoverageAnswer,
}

/// Makes candles.
pub trait Candles: Send + Sync {
    /// Candles from memory and the lake.
    fn candles(&self, ask: CandleAsk) -> BoxFuture<'_, Result<CandleAnswer, StoreError>>;

    /// The newest candle from memory alone, cheap enough for every change.
    fn newest(&self, instrument: &InstrumentId, timeframe: Timeframe) -> Option<Candle>;
}
