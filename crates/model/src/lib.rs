//! The words of the house: instruments, trades, quotes, books, bars, gaps, times and ids.
//!
//! Pure values: nothing here reads a clock, opens a socket or knows a wire format; every border converts for itself.

pub mod chain;
pub mod chain_series;
pub mod decimal;
pub mod digits;
pub mod event;
pub mod gap;
pub mod id;
pub mod market;
pub mod runs;
pub mod series;
pub mod status;
pub mod time;
pub mod wish;

pub use chain::{
    BlockFacts, BlockHash, BlockHashError, BlockHeader, BlockPlace, BlockSums, Network, SpentAge, Work,
};
pub use chain_series::{
    BUCKET, Candle, ChainBucket, CoinBlock, CoinSum, ComposedPrice, MetricValue, Ohlcv, PriceMethod,
    PriceSource, RejectedSource, VenuePrice, bucket_of, bucket_start, interval_name,
};
pub use decimal::{Decimal, DecimalError};
pub use event::{Event, Listing, Notice};
pub use gap::{Gap, GapCause, GapState};
pub use id::{Channel, InstrumentId, InstrumentIdError, LogPosition, VenueId};
pub use market::{
    BookLevel, BookUpdate, Condition, Funding, Instrument, InstrumentKind, InstrumentStatus, MarkPrice,
    OpenInterest, Quote, Side, Source, Trade,
};
pub use runs::IdRuns;
pub use series::{Bar, BarSource, BarState, Timeframe, TimeframeError};
pub use time::{Date, Nanos, Time};
pub use wish::Wish;
