//! Looks whether the tables agree with each other and with a node, and lets go of everything.

use chain::ForkSearch;
use collect::bitcoin_node::{NodeClient, NodeError};
use control::parts::BLOCK_FILES;
use model::{LogPosition, Network, Time};
use tables::{BTC, Rows, Span, Step, TableName};

use crate::error::Error;
use crate::{Doors, Ledger, Metrics, Prices};

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
}

impl Drift {
    /// Whether everything agrees, but for blocks that are still to come.
    pub fn is_none(&self) -> bool {
        self.blocks_astray == 0 && self.tables_behind.is_empty()
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
    let info = node.info().await?;
    let Some(tip) = ledger.tip() else {
        return Ok(Drift {
            own_height: None,
            node_height: info.blocks,
            shared_height: None,
            blocks_astray: 0,
            tables_behind,
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
    })
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

/// Lets go of all blocks and buckets, so that they are fetched again from the first on. Prices stay; what is made of both is
/// computed again. The bytes of blocks are deleted when the tables are opened next.
pub async fn forget(doors: &Doors) -> Result<(), Error> {
    // Noted before: cut off anywhere, the rest is done later.
    doors.control.mark_dirty(BLOCK_FILES, Time(0))?;
    Metrics::new(doors.clone()).forget(Some(Time(0)))?;
    Prices::new(doors.clone()).forget()?;
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
    Ok(())
}
