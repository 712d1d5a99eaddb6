//! Which tables exist: columns, keys, order, docs; and the doors through which rows are kept, read and passed on.
//!
//! A table is declared once, in one file and one line of [`TABLES`]; storage, SQL, REST and reference pages follow.
//! Nothing here touches a disk or a socket.

pub mod btc_blocks;
pub mod btc_buckets;
pub mod btc_coin_blocks;
pub mod btc_primitive_block;
pub mod bulk;
pub mod candles;
pub mod chain_desk;
pub mod chain_news;
pub mod column;
pub mod composed_prices;
pub mod coverage;
pub mod feed;
pub mod ids;
pub mod lent;
pub mod market;
pub mod metrics;
pub mod query;
pub mod rows;
pub mod status;
pub mod steps;
pub mod store;
pub mod venue_prices;

mod bars;
mod book_changes;
mod cells;
mod columns;
mod coverage_days;
mod funding;
mod gaps;
mod instruments;
mod mark_prices;
mod open_interest;
mod quotes;
mod trades;

pub use book_changes::BookChange;
pub use btc_blocks::{BTC, BlockRow, NodeSpot};
pub use bulk::{BulkReport, BulkStore, BulkWriter, Outgoing};
pub use candles::{Candle, CandleAnswer, CandleAsk, Candles};
pub use cells::{buckets_of, heights_of};
pub use chain_desk::{ChainDesk, ChainHealth, MetricInfo, NodeHealth, RegistryChange, StageHealth};
pub use chain_news::{ChainBatch, ChainItem, ChainNews};
pub use column::{Column, ColumnKind, Encoding, Partition, Table};
pub use coverage::{
    Coverage, CoverageAnswer, CoverageInterval, CoverageLedger, CoverageState, DataQuality, DayCondition,
    DayCover, TimeRange,
};
pub use coverage_days::CoverageDay;
pub use feed::{Feed, FeedItem, FeedReader, FeedSlip, News, Past, SeenTrades, TradeKey};
pub use ids::{FileIds, IdAsk, IdLedger};
pub use market::{BookView, MarketView};
pub use query::{BatchStream, QueryEngine, QueryError, QueryLimits};
pub use rows::{InstrumentRow, RowBatch, Rows, TableName};
pub use status::{DISK_STATES, HouseStatus, InstrumentStatusLine, LogStatus, PHASES, StatusSource};
pub use steps::{Span, Step, StepStore};
pub use store::{StoreError, TableScan, TableStore};
pub use trades::{TradeCells, TradeColumns};

/// Every table, sorted by name.
pub const TABLES: &[&Table] = &[
    &bars::TABLE,
    &book_changes::TABLE,
    &btc_blocks::TABLE,
    &btc_buckets::TABLE,
    &btc_coin_blocks::TABLE,
    &btc_primitive_block::TABLE,
    &composed_prices::TABLE,
    &coverage_days::TABLE,
    &funding::TABLE,
    &gaps::TABLE,
    &instruments::TABLE,
    &mark_prices::TABLE,
    &metrics::TABLE,
    &open_interest::TABLE,
    &quotes::TABLE,
    &trades::TABLE,
    &venue_prices::TABLE,
];

/// The table of that name.
pub fn table(name: TableName) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).expect("every table name is declared in TABLES")
}
