//! Looks whether the tables agree with each other and with a node, and lets go of everything.

use chain::ForkSearch;
use collect::bitcoin_node::{NodeClient, NodeError};
use control::parts::BLOCK_FILES;
use control::{Checkpoint, Reached};
use derivations::chain::metrics::METRICS;
use model::{LogPosition, Network, Time};
use tables::{BTC, Rows, Span, Step, TableName};

use crate::error::Error;
use crate::{Doors, Ledger, Metrics, Prices, components, ends};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The highest block in the tables.
    pub own_height: Option<u32>,
    /// The node's.
    pub node_height: u32,
    /// The highest block that both have; `None` where they share none.
    pub shared_height: Option<u32>,
    /// Blocks in the tables that are not on the node's chain.
    pub blocks_astray: u32,
    /// Tables that lag behind the one before them.
    pub tables_behind: Vec<&'static str>,
    /// Checkpoints that say more than the tables have, in words. Those that say less are caught up with at the next start.
    pub checkpoints_ahead: Vec<String>,
}

impl Drift {
    /// Whether everything agrees, but for blocks that are still to come.
    pub fn is_none(&self) -> bool {
        self.blocks_astray == 0 && self.tables_behind.is_empty() && self.checkpoints_ahead.is_empty()
    }
}

/// Compares the tables with each other and with the node's chain.
pub async fn drift(doors: &Doors, network: Network, node: &NodeClient) -> Result<Drift, Trouble> {
    let steps = |table| doors.steps.step_of(table).map_err(Error::from);
    let raw = steps(TableName::BtcBlocks)?;
    let primitive = steps(TableName::BtcPrimitiveBlock)?;
    let buckets = steps(TableName::BtcBuckets)?;
    let mut tables_behind = Vec::new();
    if primitive < raw {
        tables_behind.push(TableName::BtcPrimitiveBlock.as_str());
    }
    if buckets < primitive {
        tables_behind.push(TableName::BtcBuckets.as_str());
    }
    let ledger = Ledger::open(doors.clone(), network).await?;
    let checkpoints_ahead = checkpoints_ahead(doors, ledger.tip().map(|tip| tip.height)).await?;
    let info = node.info().await?;
    let Some(tip) = ledger.tip() else {
        return Ok(Drift {
            own_height: None,
            node_height: info.blocks,
            shared_height: None,
            blocks_astray: 0,
            tables_behind,
            checkpoints_ahead,
        });
    };
    let own_at = |height| ledger.active().read().ok().and_then(|index| index.hash_at(height));
    let mut search = ForkSearch::below(tip.height.min(info.blocks));
    while let Some(height) = search.ask() {
        // Below where a chain was begun nothing is held that could differ.
        let is_same = match own_at(height) {
            Some(own) => node.hash_at(height).await? == Some(own),
            None => true,
        };
        search.tell(is_same);
    }
    let shared_height = search.fork_height().filter(|height| own_at(*height).is_some());
    let first = ledger.active().read().ok().and_then(|index| index.first_height()).unwrap_or(0);
    Ok(Drift {
        own_height: Some(tip.height),
        node_height: info.blocks,
        shared_height,
        blocks_astray: shared_height.map_or(tip.height + 1 - first, |shared| tip.height - shared),
        tables_behind,
        checkpoints_ahead,
    })
}

/// Checkpoints of the chain that name blocks or buckets which are not in the tables.
async fn checkpoints_ahead(doors: &Doors, tip: Option<u32>) -> Result<Vec<String>, Error> {
    let last = ends::buckets(doors, TableName::BtcBuckets, BTC).await?.map(|(_, last)| last);
    let mut ahead = Vec::new();
    for Checkpoint { key, reached, .. } in chain_checkpoints(doors)? {
        if let Some(height) = reached.height.filter(|height| Some(*height) > tip) {
            ahead.push(format!("{} says block {height}", key.component));
        } else if let Some(bucket) = reached.bucket.filter(|bucket| Some(*bucket) > last) {
            ahead.push(format!("{} says bucket {bucket}", key.component));
        }
    }
    Ok(ahead)
}

/// Checkpoints of what is made of blocks.
fn chain_checkpoints(doors: &Doors) -> Result<Vec<Checkpoint>, Error> {
    const OWN: &[&str] = &[
        components::RAW,
        components::BUILDER,
        components::SCHEDULER,
        components::COINS,
        components::METRICS,
    ];
    let all = doors.control.checkpoints()?.into_iter();
    let is_own = |name: &str| OWN.contains(&name) || name.starts_with("btc_metric_");
    Ok(all.filter(|checkpoint| is_own(&checkpoint.key.component)).collect())
}

/// Why nothing could be compared.
#[derive(Debug)]
pub enum Trouble {
    /// The tables cannot be read.
    Own(Error),
    /// The node does not answer.
    Node(NodeError),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(error) => error.fmt(f),
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<NodeError> for Trouble {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}

/// Lets go of all blocks, buckets and metrics and of how far each part was, so that they are fetched again from the first on. Prices stay; what is made of both is
/// computed again. The bytes of blocks are deleted when the tables are opened next.
pub async fn forget(doors: &Doors) -> Result<(), Error> {
    // Noted before: cut off anywhere, the rest is done later.
    doors.control.mark_dirty(BLOCK_FILES, Time(0))?;
    Metrics::new(doors.clone()).forget(Some(Time(0)))?;
    Prices::new(doors.clone()).forget()?;
    // Before the rows go: a checkpoint that says too little is caught up with, one that says too much is believed.
    for Checkpoint { key, reached, .. } in chain_checkpoints(doors)? {
        let nothing = Reached { sequence: reached.sequence, ..Reached::default() };
        doors.control.checkpoint_reached(&key, &nothing, doors.clock.time())?;
    }
    let tables = [
        (TableName::BtcBlocks, "height", Rows::BtcBlocks(Vec::new()).to_batch()),
        (TableName::BtcPrimitiveBlock, "height", Rows::BtcPrimitiveBlock(Vec::new()).to_batch()),
        (TableName::BtcBuckets, "bucket", Rows::BtcBuckets(Vec::new()).to_batch()),
        (TableName::BtcCoinBlocks, "height", Rows::BtcCoinBlocks(Vec::new()).to_batch()),
    ];
    let mut through = LogPosition(0);
    for (table, _, _) in &tables {
        through = through.max(doors.steps.step_of(*table)?);
    }
    // The first table first: one that is cut off is behind then, and is emptied by the next step.
    let through = Some(LogPosition(through.0 + 1));
    for (table, column, rows) in tables {
        let outgoing = Some(Span { subject: BTC.to_owned(), column, start: i64::MIN, end: i64::MAX });
        doors.steps.apply(Step { table, outgoing, rows, through }).await?;
    }
    for metric in METRICS {
        let outgoing =
            Some(Span { subject: metric.name.to_owned(), column: "bucket", start: i64::MIN, end: i64::MAX });
        let rows = Rows::Metrics(Vec::new()).to_batch();
        doors.steps.apply(Step { table: TableName::Metrics, outgoing, rows, through: None }).await?;
    }
    Ok(())
}
