//! Follows Bitcoin: blocks into tables, ten-minute buckets, prices out of many venues, and metrics of all of them.
//!
//! What is read from where is left to `collect`, what the numbers mean to `chain` and `derivations`. Nothing here opens a socket.

mod active;
mod beats;
mod before;
mod board;
mod buckets;
#[cfg(test)]
mod chain_tests;
mod check;
mod coin_blocks;
#[cfg(test)]
mod coin_tests;
mod coins;
#[cfg(test)]
mod ending_tests;
mod ends;
mod error;
mod follow;
#[cfg(test)]
mod follow_tests;
mod kept;
mod ledger;
#[cfg(test)]
mod metric_tests;
mod metrics;
mod names;
mod plan;
#[cfg(test)]
mod price_tests;
mod prices;
mod read;
mod registry;
mod sources;
#[cfg(test)]
mod testing;

use std::path::PathBuf;
use std::sync::Arc;

use control::Control;
use runtime::Clock;
use tables::{StepStore, TableStore};

pub use ::coins::CoinBounds;
pub use board::{Board, ChainStanding};
pub use buckets::{Buckets, Built};
pub use check::{Drift, Trouble, drift, forget};
pub use coins::CoinPlace;
pub use error::Error;
pub use follow::{Chain, FollowSettings, start};
pub use kept::{Shelves, kept_block};
pub use ledger::{Ledger, Taken};
pub use metrics::{Computed, Metrics, metric_named, seeds as metric_seeds};
pub use names::lent;
pub use prices::{Composed, Prices};
pub use read::ReadBlock;
pub use registry::{Lend, Registry, StartSource};
pub use sources::{compose_alone, ingest, ingest_once, settings_of};

/// What following a chain works with. Cheap to clone.
#[derive(Clone)]
pub struct Doors {
    /// Where rows are changed.
    pub steps: Arc<dyn StepStore>,
    /// Where rows are read.
    pub store: Arc<dyn TableStore>,
    /// What is remembered beside the tables.
    pub control: Control,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where block bytes are kept.
    pub blocks: BlockFolder,
    /// Where unspent outputs are kept; `None` where they are not.
    pub coins: Option<CoinPlace>,
}

/// Where block bytes are kept.
#[derive(Clone, Debug)]
pub struct BlockFolder {
    /// The folder. There may be some of before, even where no more are kept.
    pub path: PathBuf,
    /// Whether those of blocks that come are kept.
    pub is_kept: bool,
}

/// The names of the parts, as checkpoints know them.
pub mod components {
    /// Blocks from the node into tables.
    pub const RAW: &str = "btc_raw_block_ingestion";
    /// Unspent outputs from blocks.
    pub const COINS: &str = "btc_coin_store";
    /// Buckets from blocks.
    pub const BUILDER: &str = "btc_primitive_10m_builder";
    /// Buckets while no block comes.
    pub const SCHEDULER: &str = "btc_primitive_10m_scheduler";
    /// Prices out of many venues.
    pub const COMPOSER: &str = "btc_price_canonical_composer";
    /// Metrics out of buckets and prices; each metric has a checkpoint of its own beside this one.
    pub const METRICS: &str = "btc_metrics";
    /// Asks the node: gives a sign of life when its feed handed over a block, or rightly has none.
    pub const LISTENER: &str = "worker_btc_listener";
    /// Computes metrics: gives a sign of life when they are computed, or none is due.
    pub const NETWORK: &str = "worker_btc_network";
    /// Composes prices: gives a sign of life when they are composed, or none is due.
    pub const PRICE_COMPOSER: &str = "worker_btc_price_composer";
    /// Asks price sources: gives a sign of life when one of them brought a page, or has nothing new.
    pub const INGESTOR: &str = "worker_btc_price_source_ingestor";
    /// Builds buckets: gives a sign of life when blocks are taken in, or time was let pass.
    pub const PRIMITIVE: &str = "worker_btc_primitive";
    /// Those of the chain who give signs of life, each under the interval `heartbeat`.
    pub const WORKERS: &[&str] = &[LISTENER, NETWORK, PRICE_COMPOSER, PRIMITIVE];

    /// What the checkpoint of a price source is called, of the interval `10m`.
    pub fn price_source(source: model::PriceSource) -> String {
        format!("btc_price_source_{source}")
    }
}
