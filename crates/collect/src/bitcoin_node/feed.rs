//! Blocks of the active chain in their order, one after the other, for as long as somebody takes them: catching up over
//! several connections or from files, then block by block; back to the fork when the chain turns. Applying them is left to
//! the receiver.

mod files;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chain::ForkSearch;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use model::BlockHash;
use runtime::clock::within;
use runtime::{Backoff, Receiver, Restart, Sender, Stop, Tasks};

use super::blocks::FetchedBlock;
use super::client::{NodeClient, NodeInfo, Tip};
use super::error::NodeError;
use super::files::BlockFiles;
use super::places::NewestFiles;

/// Blocks given out of which the hashes are remembered here; those before are asked of the follower.
const REMEMBERED_MAX: usize = 4_096;

/// The chain as the receiver has stored it.
pub trait Followed: Send + Sync + 'static {
    /// The hash at a height; `None` where nothing is stored.
    fn hash_at(&self, height: u32) -> Option<BlockHash>;
}

impl Followed for chain::HeaderIndex {
    fn hash_at(&self, height: u32) -> Option<BlockHash> {
        Self::hash_at(self, height)
    }
}

/// What says that the node may have a new block, sooner than its time is over. Missing one does no harm.
pub trait Wake: Send + Sync + 'static {
    /// Returns when the last block may be another one than `known`, after `at_most` in any case.
    fn wait<'a>(&'a self, known: &'a BlockHash, at_most: Duration) -> BoxFuture<'a, Result<(), NodeError>>;
}

/// Wakes by a question that the node answers when a block comes.
pub struct LongPoll(pub Arc<NodeClient>);

impl Wake for LongPoll {
    fn wait<'a>(&'a self, known: &'a BlockHash, at_most: Duration) -> BoxFuture<'a, Result<(), NodeError>> {
        self.0.wait_for_tip(known, at_most).map(|tip| tip.map(drop)).boxed()
    }
}

/// Where a feed begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedStart {
    /// The last block that the receiver has; the first block of the network comes first if absent.
    pub tip: Option<Tip>,
    /// The lowest height that is wanted, where nothing is stored yet.
    pub from_height: u32,
    /// The last height that is wanted; for ever if absent.
    pub until_height: Option<u32>,
}

/// What comes out of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    /// The next block: it follows the one before, or the fork.
    Block(Box<FetchedBlock>),
    /// The active chain left ours: blocks above this height are on it no more, and others follow. `None` where not even the lowest
    /// stored block is on it.
    Rewound {
        /// The highest block that stays.
        fork_height: Option<u32>,
    },
    /// It cannot go on before something is changed: the network, the node, its pruning, the access. It tries again by itself.
    Stuck(NodeError),
    /// The last height that was wanted has come.
    Done,
}

/// The receiving end of a feed. Dropping it ends the feed.
#[derive(Debug)]
pub struct BlockFeed {
    items: Receiver<FeedItem>,
}

impl BlockFeed {
    /// The next item; `None` when the feed has ended.
    pub async fn next(&mut self) -> Option<FeedItem> {
        self.items.receive().await
    }

    /// The next item, blocking the thread.
    pub fn next_blocking(&mut self) -> Option<FeedItem> {
        self.items.receive_blocking()
    }

    /// The next item if one is there.
    pub fn try_next(&mut self) -> Option<FeedItem> {
        self.items.try_receive()
    }
}

/// Starts to follow a node's active chain from `start` on. The items wait in a queue of bounded length; when it is full the node
/// is left alone.
pub fn follow(
    client: Arc<NodeClient>,
    stored: Arc<dyn Followed>,
    wake: Arc<dyn Wake>,
    start: FeedStart,
    tasks: &Tasks,
) -> BlockFeed {
    let bounds = &client.settings().bounds;
    let (items, receiver) = runtime::queue("bitcoin_blocks", bounds.queue_blocks.max(1));
    let backoff = Backoff::new(bounds.retry.0, bounds.retry.1, 0x0062_7463);
    let place = Place { tip: start.tip, sent: BTreeMap::new() };
    let feed = Arc::new(Feed {
        client,
        stored,
        wake,
        start,
        items,
        place: Mutex::new(place),
        backoff: Mutex::new(backoff),
        files: Mutex::default(),
        newest: Mutex::default(),
    });
    tasks.start("collect.bitcoin.feed", Restart::WithBackoff { tries_max: 100 }, move |stop| {
        let feed = Arc::clone(&feed);
        async move {
            tokio::select! {
                () = stop.requested() => {}
                () = feed.run(&stop) => {}
            }
            Ok(())
        }
    });
    BlockFeed { items: receiver }
}

struct Feed {
    client: Arc<NodeClient>,
    stored: Arc<dyn Followed>,
    wake: Arc<dyn Wake>,
    start: FeedStart,
    items: Sender<FeedItem>,
    /// Outlives a restart of the task.
    place: Mutex<Place>,
    backoff: Mutex<Backoff>,
    files: Mutex<Option<BlockFiles>>,
    newest: Mutex<Option<NewestFiles>>,
}

struct Place {
    /// The last block given out, or that the receiver has.
    tip: Option<Tip>,
    /// Hashes of blocks given out.
    sent: BTreeMap<u32, BlockHash>,
}

/// Nobody takes the items any more, or the last one was given out.
type Flow = ControlFlow<()>;

/// A node that says so often in a row that it lacks a block of its own chain does lack it.
const MISSING_MAX: u32 = 4;

impl Feed {
    async fn run(&self, stop: &Stop) {
        let (mut told, mut missing) = (None, 0);
        loop {
            match self.round().await {
                Ok(ControlFlow::Break(())) => return,
                Ok(ControlFlow::Continue(())) => {
                    (told, missing) = (None, 0);
                    lock(&self.backoff).reset();
                }
                // The chain turned while it was read: the next round finds where.
                Err(NodeError::Missing(what)) if missing < MISSING_MAX => {
                    missing += 1;
                    tracing::debug!(what, "a block is gone; asking again");
                    if !self.rest(stop).await {
                        return;
                    }
                }
                Err(error) => {
                    if !error.is_passing() && told.as_ref() != Some(&error) {
                        told = Some(error.clone());
                        if self.items.send(FeedItem::Stuck(error)).await.is_err() {
                            return;
                        }
                    }
                    if !self.rest(stop).await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits before another try; false if it should end.
    async fn rest(&self, stop: &Stop) -> bool {
        let wait = lock(&self.backoff).next_wait();
        stop.sleep(wait).await && !self.items.is_closed()
    }

    /// Looks how the node stands, and does what follows: back to a fork, on to its tip, or waiting for the next one.
    async fn round(&self) -> Result<Flow, NodeError> {
        let info = self.client.info().await?;
        let tip = lock(&self.place).tip;
        if let Some(tip) = tip
            && !self.is_active(&info, tip).await?
        {
            return self.go_back(&info, tip).await;
        }
        if self.is_done(tip) {
            let _nobody_listens = self.items.send(FeedItem::Done).await;
            return Ok(ControlFlow::Break(()));
        }
        let next = tip.map_or(self.start.from_height, |tip| tip.height + 1);
        if next > info.blocks {
            return self.wait(&info).await;
        }
        let last = self.start.until_height.map_or(info.blocks, |until| until.min(info.blocks));
        let end = last.min(next.saturating_add(self.client.settings().bounds.batch_hashes)) + 1;
        let hashes = self.client.hashes(next..end).await?;
        let lag = info.blocks.saturating_sub(next);
        self.advance(next, hashes, lag).await
    }

    fn is_done(&self, tip: Option<Tip>) -> bool {
        tip.zip(self.start.until_height).is_some_and(|(tip, until)| tip.height >= until)
    }

    async fn is_active(&self, info: &NodeInfo, tip: Tip) -> Result<bool, NodeError> {
        if info.best_hash == tip.hash {
            return Ok(true);
        }
        Ok(tip.height < info.blocks && self.client.hash_at(tip.height).await? == Some(tip.hash))
    }

    async fn go_back(&self, info: &NodeInfo, tip: Tip) -> Result<Flow, NodeError> {
        let is_behind = tip.height > info.blocks && self.ours(info.blocks) == Some(info.best_hash);
        if is_behind && is_catching_up(info, self.client.header(&tip.hash).await?.is_some()) {
            return self.wait(info).await;
        }
        let mut search = ForkSearch::below(tip.height.min(info.blocks));
        while let Some(height) = search.ask() {
            let ours = self.ours(height);
            let is_same = match ours {
                Some(ours) => self.client.hash_at(height).await? == Some(ours),
                // Below where a chain was begun nothing is held that could differ.
                None => true,
            };
            search.tell(is_same);
        }
        let fork = search.fork_height().and_then(|height| Some(Tip { height, hash: self.ours(height)? }));
        if fork == Some(tip) {
            return Ok(ControlFlow::Continue(()));
        }
        let fork_height = fork.map(|fork| fork.height);
        tracing::info!(from = tip.height, to = ?fork_height, "the bitcoin chain turned");
        if self.items.send(FeedItem::Rewound { fork_height }).await.is_err() {
            return Ok(ControlFlow::Break(()));
        }
        let mut place = lock(&self.place);
        place.tip = fork;
        match fork_height {
            Some(height) => drop(place.sent.split_off(&(height + 1))),
            None => place.sent.clear(),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The hash that we have at a height: what was given out comes before what is stored, which may be older.
    fn ours(&self, height: u32) -> Option<BlockHash> {
        let place = lock(&self.place);
        if place.tip.is_some_and(|tip| tip.height == height) {
            return place.tip.map(|tip| tip.hash);
        }
        let sent = place.sent.get(&height).copied();
        drop(place);
        sent.or_else(|| self.stored.hash_at(height))
    }

    async fn wait(&self, info: &NodeInfo) -> Result<Flow, NodeError> {
        let at_most = self.client.settings().bounds.wake_max;
        tokio::select! {
            waited = within(at_most * 2, self.wake.wait(&info.best_hash, at_most)) => waited.unwrap_or(Ok(()))?,
            () = self.items.closed() => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Fetches the blocks of the hashes and gives them out.
    async fn advance(&self, first: u32, hashes: Vec<BlockHash>, lag: u32) -> Result<Flow, NodeError> {
        let mut wanted = (first..).zip(hashes).collect::<Vec<_>>();
        if lag >= self.client.settings().bounds.files_lag_min {
            let (flow, given_count) = self.advance_by_files(&wanted).await?;
            if flow.is_break() {
                return Ok(flow);
            }
            wanted.drain(..given_count);
        } else {
            *lock(&self.files) = None;
        }
        let client = &self.client;
        let fetches =
            wanted.into_iter().map(|(height, hash)| async move { client.block(height, &hash).await });
        let mut blocks = futures::stream::iter(fetches).buffered(client.settings().bounds.connections.max(1));
        while let Some(block) = blocks.next().await {
            let block = self.find_place(block?).await;
            if self.give(block).await?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Gives a block out if it follows the last one.
    async fn give(&self, block: FetchedBlock) -> Result<Flow, NodeError> {
        let tip = Tip { height: block.height, hash: block.hash };
        let follows = lock(&self.place).tip.is_none_or(|last| last.hash == block.previous);
        if !follows {
            return Err(NodeError::Missing(format!("block {} no longer follows the one before", tip.height)));
        }
        if self.items.send(FeedItem::Block(Box::new(block))).await.is_err() {
            return Ok(ControlFlow::Break(()));
        }
        let mut place = lock(&self.place);
        place.tip = Some(tip);
        place.sent.insert(tip.height, tip.hash);
        if place.sent.len() > REMEMBERED_MAX {
            place.sent.pop_first();
        }
        drop(place);
        Ok(ControlFlow::Continue(()))
    }
}

/// Whether a node whose last block is one of ours will come to our last one, too: it is fetching, or reads its own blocks anew, or
/// has not heard of ours. Only a node that has all its headers' blocks and still stands below has turned away.
fn is_catching_up(info: &NodeInfo, knows_our_tip: bool) -> bool {
    !knows_our_tip || info.is_initial_download || info.headers > info.blocks
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    //! Cases for nodes that stand below us.
    use super::*;

    #[test]
    fn a_node_that_reads_its_blocks_anew_takes_nothing_back() {
        let settled = NodeInfo {
            network: model::Network::Regtest,
            blocks: 90,
            headers: 90,
            best_hash: BlockHash::default(),
            is_initial_download: false,
            is_pruned: false,
            prune_height: None,
            version: 310_000,
        };
        // Told to leave the blocks above, it knows them and wants no others.
        assert!(!is_catching_up(&settled, true));
        assert!(is_catching_up(&settled, false));
        assert!(is_catching_up(&NodeInfo { is_initial_download: true, ..settled.clone() }, true));
        assert!(is_catching_up(&NodeInfo { headers: 100, ..settled }, true));
    }
}
