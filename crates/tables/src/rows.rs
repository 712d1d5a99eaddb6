//! Rows on their way to a table, and their Arrow form.

use std::fmt;

use arrow_array::RecordBatch;
use model::{
    Bar, BlockFacts, ChainBucket, CoinBlock, ComposedPrice, Funding, Gap, Instrument, LogPosition, MarkPrice,
    MetricValue, OpenInterest, Quote, Trade, VenuePrice,
};

use crate::book_changes::BookChange;
use crate::btc_blocks::BlockRow;
use crate::coverage_days::CoverageDay;
use crate::{
    bars, book_changes, btc_blocks, btc_buckets, btc_coin_blocks, btc_primitive_block, composed_prices,
    coverage_days, funding, gaps, instruments, mark_prices, metrics, open_interest, quotes, trades,
    venue_prices,
};

/// Name of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableName {
    /// Bars, ours and the venues'.
    Bars,
    /// Book snapshots and differences, one row per level.
    BookChanges,
    /// Blocks of a chain, as they were taken in.
    BtcBlocks,
    /// A chain over ten minutes.
    BtcBuckets,
    /// What blocks did to coins.
    BtcCoinBlocks,
    /// What blocks amount to.
    BtcPrimitiveBlock,
    /// Composed prices.
    ComposedPrices,
    /// What is known of each day.
    CoverageDays,
    /// Settled funding rates.
    Funding,
    /// Holes.
    Gaps,
    /// Instruments with their validity.
    Instruments,
    /// Mark and index prices.
    MarkPrices,
    /// Values of metrics.
    Metrics,
    /// Open interest.
    OpenInterest,
    /// Best bid and ask.
    Quotes,
    /// Prints.
    Trades,
    /// Prices of venues over ten minutes.
    VenuePrices,
}

impl TableName {
    /// The name in SQL and on disk.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::BookChanges => "book_changes",
            Self::BtcBlocks => "btc_blocks",
            Self::BtcBuckets => "btc_buckets",
            Self::BtcCoinBlocks => "btc_coin_blocks",
            Self::BtcPrimitiveBlock => "btc_primitive_block",
            Self::ComposedPrices => "composed_prices_10m",
            Self::CoverageDays => "coverage_days",
            Self::Funding => "funding",
            Self::Gaps => "gaps",
            Self::Instruments => "instruments",
            Self::MarkPrices => "mark_prices",
            Self::Metrics => "metrics",
            Self::OpenInterest => "open_interest",
            Self::Quotes => "quotes",
            Self::Trades => "trades",
            Self::VenuePrices => "venue_prices_10m",
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An instrument with the span in which the row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentRow {
    /// The entry.
    pub instrument: Instrument,
    /// When this form of the entry was first seen.
    pub valid_from: model::Time,
    /// When it was replaced; `None` while it holds.
    pub valid_to: Option<model::Time>,
}

/// Rows of one table, typed.
#[derive(Clone, Debug)]
pub enum Rows {
    /// Bars.
    Bars(Vec<Bar>),
    /// Book changes.
    BookChanges(Vec<BookChange>),
    /// Blocks of a chain, as they were taken in.
    BtcBlocks(Vec<BlockRow>),
    /// A chain over ten minutes.
    BtcBuckets(Vec<ChainBucket>),
    /// What blocks did to coins.
    BtcCoinBlocks(Vec<CoinBlock>),
    /// What blocks amount to.
    BtcPrimitiveBlock(Vec<BlockFacts>),
    /// Composed prices.
    ComposedPrices(Vec<ComposedPrice>),
    /// What is known of each day.
    CoverageDays(Vec<CoverageDay>),
    /// Funding rates.
    Funding(Vec<Funding>),
    /// Gaps.
    Gaps(Vec<Gap>),
    /// Instruments.
    Instruments(Vec<InstrumentRow>),
    /// Mark prices.
    MarkPrices(Vec<MarkPrice>),
    /// Values of metrics.
    Metrics(Vec<MetricValue>),
    /// Open interest.
    OpenInterest(Vec<OpenInterest>),
    /// Quotes.
    Quotes(Vec<Quote>),
    /// Trades.
    Trades(Vec<Trade>),
    /// Prices of venues over ten minutes.
    VenuePrices(Vec<VenuePrice>),
}

impl Rows {
    /// Which table they belong to.
    pub fn table(&self) -> TableName {
        match self {
            Self::Bars(_) => TableName::Bars,
            Self::BookChanges(_) => TableName::BookChanges,
            Self::BtcBlocks(_) => TableName::BtcBlocks,
            Self::BtcBuckets(_) => TableName::BtcBuckets,
            Self::BtcCoinBlocks(_) => TableName::BtcCoinBlocks,
            Self::BtcPrimitiveBlock(_) => TableName::BtcPrimitiveBlock,
            Self::ComposedPrices(_) => TableName::ComposedPrices,
            Self::CoverageDays(_) => TableName::CoverageDays,
            Self::Funding(_) => TableName::Funding,
            Self::Gaps(_) => TableName::Gaps,
            Self::Instruments(_) => TableName::Instruments,
            Self::MarkPrices(_) => TableName::MarkPrices,
            Self::Metrics(_) => TableName::Metrics,
            Self::OpenInterest(_) => TableName::OpenInterest,
            Self::Quotes(_) => TableName::Quotes,
            Self::Trades(_) => TableName::Trades,
            Self::VenuePrices(_) => TableName::VenuePrices,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Bars(rows) => rows.len(),
            Self::BookChanges(rows) => rows.len(),
            Self::BtcBlocks(rows) => rows.len(),
            Self::BtcBuckets(rows) => rows.len(),
            Self::BtcCoinBlocks(rows) => rows.len(),
            Self::BtcPrimitiveBlock(rows) => rows.len(),
            Self::ComposedPrices(rows) => rows.len(),
            Self::CoverageDays(rows) => rows.len(),
            Self::Funding(rows) => rows.len(),
            Self::Gaps(rows) => rows.len(),
            Self::Instruments(rows) => rows.len(),
            Self::MarkPrices(rows) => rows.len(),
            Self::Metrics(rows) => rows.len(),
            Self::OpenInterest(rows) => rows.len(),
            Self::Quotes(rows) => rows.len(),
            Self::Trades(rows) => rows.len(),
            Self::VenuePrices(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows as Arrow columns in the table's `row_schema`, in the order given.
    pub fn to_batch(&self) -> RecordBatch {
        match self {
            Self::Bars(rows) => bars::to_batch(rows),
            Self::BookChanges(rows) => book_changes::to_batch(rows),
            Self::BtcBlocks(rows) => btc_blocks::to_batch(rows),
            Self::BtcBuckets(rows) => btc_buckets::to_batch(rows),
            Self::BtcCoinBlocks(rows) => btc_coin_blocks::to_batch(rows),
            Self::BtcPrimitiveBlock(rows) => btc_primitive_block::to_batch(rows),
            Self::ComposedPrices(rows) => composed_prices::to_batch(rows),
            Self::CoverageDays(rows) => coverage_days::to_batch(rows),
            Self::Funding(rows) => funding::to_batch(rows),
            Self::Gaps(rows) => gaps::to_batch(rows),
            Self::Instruments(rows) => instruments::to_batch(rows),
            Self::MarkPrices(rows) => mark_prices::to_batch(rows),
            Self::Metrics(rows) => metrics::to_batch(rows),
            Self::OpenInterest(rows) => open_interest::to_batch(rows),
            Self::Quotes(rows) => quotes::to_batch(rows),
            Self::Trades(rows) => trades::to_batch(rows),
            Self::VenuePrices(rows) => venue_prices::to_batch(rows),
        }
    }
}

/// Rows of one table with the log position of the record each came from.
///
/// Positions never fall within a batch. Rows of one record stay together in one batch.
#[derive(Clone, Debug)]
pub struct RowBatch {
    /// The table.
    pub table: TableName,
    /// The rows, in the table's `row_schema`.
    pub batch: RecordBatch,
    /// One position per row.
    pub positions: Vec<LogPosition>,
}
