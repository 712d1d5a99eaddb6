//! Keeps the store of coins in step with the tables, so that each block's row tells how old the coins are that it spends.
//!
//! Tables first, coins after: a crash between the two leaves the coins behind, and they are caught up with from kept blocks or the
//! node, row by row. Nothing here keeps the chain from being followed: what goes wrong with coins is told, and rows lack ages.

mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chain::HeaderIndex;
use coins::{CoinBounds, CoinStore, CoinTip, Prepared};
use collect::bitcoin_node::NodeClient;
use control::{CheckpointKey, Reached};
use model::{BlockFacts, BlockHash, Network, SpentAge, Time};
use rawlog::blocks::BlockSpot;
use runtime::clock::Stopwatch;
use tables::{BTC, Rows, Step, TableName, TableScan};

use crate::error::Error;
use crate::{Doors, ReadBlock, components};
use work::{Failure, ages, back_to, fits, next_block, settled, stands_at};

/// Blocks and bytes caught up with at once.
const CATCH_UP_BLOCKS: u32 = 500;
const CATCH_UP_BYTES: usize = 32 << 20;
/// After a failure to catch up it is tried again so much later.
const RETRY: Duration = Duration::from_secs(30);

/// Where coins are kept, and how much they may take.
#[derive(Clone, Debug)]
pub struct CoinPlace {
    /// The folder.
    pub folder: std::path::PathBuf,
    /// Bounds.
    pub bounds: CoinBounds,
}

/// The coins beside the tables.
pub(crate) struct Coins {
    doors: Doors,
    network: Network,
    /// `None` where they are not kept, and while they are worked on.
    store: Option<CoinStore>,
    /// The block at which coins were lost, until they are beyond it again: lost there once more, they will always be.
    lost_at: Option<u32>,
    /// Left alone until the next start.
    is_left: bool,
    failed: Option<Stopwatch>,
    trouble: Option<String>,
}

/// What coins make of blocks, to be kept once the tables have them.
pub(crate) type Change = Option<Prepared>;

impl Coins {
    /// Opens the store, and takes back what the tables do not have.
    pub(crate) async fn open(doors: &Doors, network: Network, active: &Arc<RwLock<HeaderIndex>>) -> Self {
        let mut own = Self {
            doors: doors.clone(),
            network,
            store: None,
            lost_at: None,
            is_left: false,
            failed: None,
            trouble: None,
        };
        own.mend(active).await;
        own
    }

    /// Opens the store if it is not open, some time after it failed.
    pub(crate) async fn mend(&mut self, active: &Arc<RwLock<HeaderIndex>>) {
        if self.store.is_some() || self.is_left || !self.is_due() {
            return;
        }
        let Some(CoinPlace { folder, bounds }) = self.doors.coins.clone() else { return };
        let (active, network) = (Arc::clone(active), self.network);
        let opened =
            runtime::tasks::blocking(move || settled(CoinStore::open(&folder, network, bounds)?, &active));
        match opened.await {
            Ok(Ok(store)) => {
                self.store = Some(store);
                (self.failed, self.trouble) = (None, None);
            }
            Ok(Err(error)) => self.close(&error.to_string()),
            Err(reason) => self.close(&reason),
        }
        self.tell();
    }

    /// The block at which coins stand.
    pub(crate) fn tip(&self) -> Option<CoinTip> {
        self.store.as_ref().and_then(CoinStore::tip)
    }

    /// What keeps them.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether the chain in memory begins with its first block, be it as a header put before the first own one, so that all coins can
    /// be known.
    fn is_rooted(active: &HeaderIndex) -> bool {
        active.hash_at(0).is_some()
    }

    /// Whether there are blocks in the tables that coins have not seen, and a try is due.
    pub(crate) fn is_behind(&self, active: &RwLock<HeaderIndex>) -> bool {
        let active = active.read().unwrap_or_else(PoisonError::into_inner);
        let next = self.tip().map_or(0, |tip| tip.height + 1);
        self.store.is_some() && Self::is_rooted(&active) && active.tip().is_some_and(|tip| tip.height >= next)
    }

    /// Whether a failed try to catch up was long enough ago.
    pub(crate) fn is_due(&self) -> bool {
        self.failed.as_ref().is_none_or(|failed| failed.elapsed() > RETRY)
    }

    /// Gives blocks that follow `parent` the ages of what they spend, if coins stand there.
    pub(crate) async fn read(
        &mut self,
        parent: Option<CoinTip>,
        blocks: Vec<ReadBlock>,
        undo_from: u32,
    ) -> Result<(Vec<ReadBlock>, Change), Error> {
        let Some(mut store) = self.store.take() else { return Ok((blocks, None)) };
        let read = runtime::tasks::blocking(move || {
            let read = back_to(&mut store, parent).and_then(|()| {
                if stands_at(&store, parent) {
                    ages(&store, parent, &blocks, undo_from).map(Some)
                } else {
                    Ok(None)
                }
            });
            (store, blocks, read)
        });
        let (store, mut blocks, read) = read.await.map_err(Error::Broken)?;
        self.store = Some(store);
        match read {
            Ok(None) => Ok((blocks, None)),
            Ok(Some((prepared, ages))) => {
                for (block, ages) in blocks.iter_mut().zip(ages) {
                    block.sums.spent = Some(ages);
                }
                Ok((blocks, Some(prepared)))
            }
            Err(error) => {
                self.fail(&error).await;
                Ok((blocks, None))
            }
        }
    }

    /// Keeps what was made of blocks that the tables have now.
    pub(crate) async fn keep(&mut self, change: Change) {
        // Where there is nothing to keep, the store stays as it is.
        let Some(prepared) = change else { return };
        let Some(mut store) = self.store.take() else { return };
        let kept = runtime::tasks::blocking(move || {
            let kept = store.commit(prepared);
            (store, kept)
        });
        self.put_back(kept.await).await;
        // What is lost from here on may be gathered anew once more.
        let tip = self.tip().map(|tip| tip.height);
        self.lost_at = self.lost_at.filter(|lost_at| tip.is_none_or(|tip| tip < *lost_at));
    }

    async fn put_back(&mut self, worked: Result<(CoinStore, Result<(), coins::Error>), String>) {
        match worked {
            Ok((store, done)) => {
                self.store = Some(store);
                if let Err(error) = done {
                    self.fail(&Failure::Store(error)).await;
                } else {
                    self.failed = None;
                    self.trouble = None;
                }
            }
            Err(reason) => self.close(&reason),
        }
        self.tell();
    }

    /// Takes some blocks in that the tables have already, and gives their rows the ages that they lack. The earliest header time among
    /// those rows, if any.
    pub(crate) async fn catch_up(&mut self, active: &RwLock<HeaderIndex>, node: &NodeClient) -> Option<Time> {
        let wanted = self.wanted(active);
        if wanted.is_empty() {
            return None;
        }
        match self.caught_up(wanted, node).await {
            Ok(earliest) => earliest,
            Err(error) => {
                self.fail(&Failure::Other(error.to_string())).await;
                None
            }
        }
    }

    /// The blocks that come next.
    fn wanted(&self, active: &RwLock<HeaderIndex>) -> Vec<(u32, BlockHash)> {
        let active = active.read().unwrap_or_else(PoisonError::into_inner);
        let first = self.tip().map_or(0, |tip| tip.height + 1);
        let heights = first..first.saturating_add(CATCH_UP_BLOCKS);
        heights.map_while(|height| Some((height, active.hash_at(height)?))).collect()
    }

    async fn caught_up(
        &mut self,
        wanted: Vec<(u32, BlockHash)>,
        node: &NodeClient,
    ) -> Result<Option<Time>, Error> {
        let spots = self.spots(&wanted).await?;
        let (mut next, mut bytes) = (Vec::with_capacity(wanted.len()), 0);
        for (height, hash) in wanted {
            let block = self.block(height, hash, spots.get(&hash), node).await?;
            bytes += block.len();
            next.push(next_block(height, &block).map_err(|reason| Error::Block { height, reason })?);
            if bytes > CATCH_UP_BYTES {
                break;
            }
        }
        let Some(store) = self.store.take() else { return Ok(None) };
        let first = next.first().map_or(0, |next| next.height);
        let prepared = runtime::tasks::blocking(move || {
            let prepared = store.prepare(&next, first);
            (store, prepared)
        });
        let (store, prepared) = prepared.await.map_err(Error::Broken)?;
        self.store = Some(store);
        let mut prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.fail(&Failure::Store(error)).await;
                return Ok(None);
            }
        };
        match self.fill(first, prepared.take_ages()).await? {
            Ok(earliest) => {
                self.keep(Some(prepared)).await;
                Ok(earliest)
            }
            Err(failure) => {
                self.fail(&failure).await;
                Ok(None)
            }
        }
    }

    /// Where the bytes of blocks are kept, if they are.
    async fn spots(&self, wanted: &[(u32, BlockHash)]) -> Result<BTreeMap<BlockHash, BlockSpot>, Error> {
        let first = wanted.first().map_or(0, |(height, _)| i64::from(*height));
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            at_least: Some(("height", first)),
            // Some of the rows are of blocks that were left behind.
            limit: Some(wanted.len() * 2),
            ..TableScan::default()
        };
        let batches = self.doors.store.scan(TableName::BtcBlocks, scan).await?;
        let rows = batches.iter().flat_map(tables::btc_blocks::from_batch);
        let spot = |(file, offset)| BlockSpot { file, offset };
        Ok(rows.filter_map(|row| Some((row.place.header.hash, spot(row.stored?)))).collect())
    }

    /// The bytes of a block: those that were kept, else the node's.
    async fn block(
        &self,
        height: u32,
        hash: BlockHash,
        spot: Option<&BlockSpot>,
        node: &NodeClient,
    ) -> Result<Vec<u8>, Error> {
        if let Some(spot) = spot.cloned() {
            let folder = self.doors.blocks.path.clone();
            let read = runtime::tasks::blocking(move || rawlog::blocks::read(&folder, &spot));
            match read.await.map_err(Error::Broken)? {
                Ok(kept) if kept.hash == hash => return Ok(kept.block),
                Ok(_) => tracing::warn!(height, "another block is kept in its place; the node is asked"),
                Err(error) => {
                    tracing::warn!(%error, height, "a kept block cannot be read; the node is asked");
                }
            }
        }
        Ok(node.block(height, &hash).await?.bytes)
    }

    /// Gives rows their ages. Ages that were known before must be the same.
    async fn fill(
        &self,
        first: u32,
        ages: Vec<Vec<SpentAge>>,
    ) -> Result<Result<Option<Time>, Failure>, Error> {
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            at_least: Some(("height", i64::from(first))),
            limit: Some(ages.len()),
            ..TableScan::default()
        };
        let batches = self.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
        let mut filled: Vec<BlockFacts> = Vec::new();
        for mut facts in batches.iter().flat_map(tables::btc_primitive_block::from_batch) {
            let height = facts.place.height;
            let Some(ages) = height.checked_sub(first).and_then(|place| ages.get(place as usize)) else {
                continue;
            };
            if let Err(failure) = fits(height, &facts.sums, ages) {
                return Ok(Err(failure));
            }
            if facts.sums.spent.is_none() {
                facts.sums.spent = Some(ages.clone());
                filled.push(facts);
            }
        }
        let earliest = filled.iter().map(|facts| facts.place.time()).min();
        if let Some(earliest) = earliest {
            crate::coin_blocks::mark(&self.doors.control, earliest)?;
            let rows = Rows::BtcPrimitiveBlock(filled).to_batch();
            let step = Step { table: TableName::BtcPrimitiveBlock, outgoing: None, rows, through: None };
            self.doors.steps.apply(step).await?;
        }
        Ok(Ok(earliest))
    }

    /// Tells what went wrong. A store that cannot be written is opened again later; coins that are of no use are gathered anew, once
    /// for each block at which they are lost.
    async fn fail(&mut self, failure: &Failure) {
        self.failed = Some(Stopwatch::start());
        self.trouble = Some(failure.to_string());
        if !failure.is_of_store() {
            tracing::warn!(%failure, "coins are not followed for now");
        } else if let Some(store) = self.store.take() {
            let lost_at = failure.lost_at();
            let anew = lost_at.is_some() && self.lost_at.is_none();
            let worked = runtime::tasks::blocking(move || {
                if anew {
                    return store.clear().map(Some);
                }
                // Closing waits for the disk.
                drop(store);
                Ok(None)
            });
            match worked.await {
                Ok(Ok(Some(store))) => {
                    tracing::warn!(%failure, "the coins are gathered anew from the first block on");
                    (self.store, self.lost_at, self.failed) = (Some(store), lost_at, None);
                }
                Ok(Ok(None)) => {
                    self.is_left = lost_at.is_some();
                    self.close(&failure.to_string());
                }
                Ok(Err(error)) => self.close(&error.to_string()),
                Err(reason) => self.close(&reason),
            }
        }
        self.tell();
    }

    fn close(&mut self, reason: &str) {
        let again = if self.is_left { "at the next start" } else { "soon" };
        tracing::error!(reason, again, "coins are not followed, the chain is");
        (self.store, self.failed, self.trouble) = (None, Some(Stopwatch::start()), Some(reason.to_owned()));
    }

    /// Where coins stand, for those who look at checkpoints.
    fn tell(&self) {
        if self.doors.coins.is_none() {
            return;
        }
        let key = CheckpointKey::btc(components::COINS, "block");
        let now = self.doors.clock.time();
        let tip = self.tip();
        let reached = Reached {
            height: tip.map(|tip| tip.height),
            hash: tip.map(|tip| tip.hash.to_string()),
            ..Reached::default()
        };
        let told = match &self.trouble {
            None => self.doors.control.checkpoint_reached(&key, &reached, now),
            Some(trouble) => self.doors.control.checkpoint_failed(&key, trouble, now),
        };
        if let Err(error) = told {
            tracing::warn!(%error, network = %self.network, "where the coins stand could not be noted");
        }
    }
}
