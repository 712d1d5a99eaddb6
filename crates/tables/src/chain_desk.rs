//! What readers and operators may ask of the chain system and of the price. Implemented by the binary over `onchain`, used by `serve`.

use futures::future::BoxFuture;
use model::{ChainBucket, ComposedPrice, PriceSource, Time, VenuePrice};

use crate::chain_news::ChainBatch;
use crate::store::StoreError;

/// The node whose chain is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeHealth {
    /// What tells of its new blocks: `zmq` or `polling`; absent before anybody listens.
    pub woken_by: Option<&'static str>,
    /// Its highest block; `None` until it answered once.
    pub tip_height: Option<u32>,
    /// The hash of that block.
    pub tip_hash: Option<String>,
    /// When it answered last.
    pub answered: Option<Time>,
    /// What keeps it from answering.
    pub trouble: Option<String>,
    /// How the last block came: `spenttxouts`, `getblock 3` or `files`.
    pub blocks_by: Option<&'static str>,
}

/// A stage of the work, between its input and what it has made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageHealth {
    /// The component, as checkpoints name it.
    pub name: String,
    /// Pieces that wait for it: blocks, rows, buckets.
    pub depth: u64,
    /// Blocks between the node's tip and what it has reached, where it goes by blocks.
    pub lag_blocks: Option<u64>,
    /// Seconds between now and the end of what it has reached.
    pub lag_seconds: Option<i64>,
}

/// How the chain system is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainHealth {
    /// The network; `None` where no chain is followed and only prices are composed.
    pub network: Option<&'static str>,
    /// The node.
    pub node: NodeHealth,
    /// The highest block in the tables.
    pub raw_height: Option<u32>,
    /// Its hash.
    pub raw_hash: Option<String>,
    /// The highest block in the buckets.
    pub primitive_height: Option<u32>,
    /// The last bucket.
    pub primitive_bucket: Option<Time>,
    /// The last bucket with a canonical price row.
    pub price_bucket: Option<Time>,
    /// The last bucket of which metrics were computed.
    pub metrics_bucket: Option<Time>,
    /// Reorganisations since the process started.
    pub reorganisations: u64,
    /// What keeps the work.
    pub trouble: Option<String>,
    /// The stages, in the order in which data passes them.
    pub stages: Vec<StageHealth>,
    /// Those who are to give signs of life, as checkpoints name them.
    pub workers: Vec<&'static str>,
    /// Price sources that are asked, with the components of their checkpoints, which tell how far each is.
    pub price_sources: Vec<(PriceSource, String)>,
}

/// A metric that the house can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Its name.
    pub name: &'static str,
    /// Other names it is asked for by.
    pub aliases: &'static [&'static str],
    /// What it is, with its formula.
    pub doc: &'static str,
    /// Who defined it so.
    pub source: &'static str,
    /// The unit of its values.
    pub unit: &'static str,
    /// Minutes of the buckets it is computed for.
    pub intervals: &'static [u16],
}

/// What the operator changed in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryChange {
    /// A metric was switched.
    Metric(String),
    /// A price source was switched or configured.
    PriceSource(PriceSource),
    /// Another method is canonical.
    CanonicalMethod,
}

/// The desk at which the chain system answers.
pub trait ChainDesk: Send + Sync {
    /// How it is doing. Answers at once, from what is known.
    fn health(&self) -> ChainHealth;

    /// Buckets of so many minutes from ascending buckets of ten.
    fn rollup_buckets(&self, parts: &[ChainBucket], minutes: u16) -> Vec<ChainBucket>;

    /// Prices of so many minutes from ascending prices of ten, all by one method.
    fn rollup_prices(&self, parts: &[ComposedPrice], minutes: u16) -> Vec<ComposedPrice>;

    /// Every metric, sorted by name.
    fn metrics(&self) -> Vec<MetricInfo>;

    /// Whether a JSON object can be the settings of a price source; says what is wrong, naming the key.
    fn check_source(&self, source: PriceSource, config_json: &str) -> Result<(), String>;

    /// Stores rows that somebody posted; one with a known source and bucket replaces the stored one. Durable when it returns.
    fn ingest(&self, rows: Vec<VenuePrice>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Told after a change of a registry was written, so that what follows from it is computed again. What is lent to SQL shows it
    /// when this is done.
    fn changed(&self, change: RegistryChange) -> BoxFuture<'_, ()>;

    /// The number of the newest news; 0 before the first.
    fn news_newest(&self) -> u64;

    /// News with a higher number than this one, as soon as there is some.
    fn news_after(&self, sequence: u64) -> BoxFuture<'_, ChainBatch>;
}
