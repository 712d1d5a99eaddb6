//! Follows a node: takes what its feed brings, and keeps buckets, prices and metrics in step. One thread; whatever fails is told,
//! and tried again from what the tables hold.

mod idle;
mod trouble;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chain::HeaderIndex;
use collect::bitcoin_node::{
    self, BlockFeed, FeedItem, FeedStart, FetchedBlock, Followed, NodeClient, Tip, Wake, wake_of,
};
use control::CheckpointKey;
use model::{BlockHash, Network, Time};
use runtime::clock::{Stopwatch, within};
use runtime::{Backoff, Stop, Tasks};
use tables::ChainNews;

use crate::beats::Beats;
use crate::board::Board;
use crate::coins::Coins;
use crate::error::Error;
use crate::{Buckets, Built, Doors, Ledger, Metrics, Prices, ReadBlock, before, components};

/// How long a feed may be silent before time itself is looked at.
const QUIET: Duration = Duration::from_secs(2);
/// Most bytes of blocks taken in one step.
const STEP_BYTES_MAX: usize = 48 << 20;
/// Prices and metrics are computed so often while blocks are being caught up with.
const DERIVE_EVERY: Duration = Duration::from_mins(2);
/// Prices and metrics that failed are tried again after so long.
const DERIVE_AGAIN: Duration = Duration::from_secs(15);

/// How a chain is followed.
#[derive(Clone, Debug)]
pub struct FollowSettings {
    /// Which.
    pub network: Network,
    /// Most blocks taken in one step while catching up.
    pub step_blocks_max: usize,
    /// Where to begin in an empty folder.
    pub from_height: u32,
    /// Where to end; for ever if absent.
    pub until_height: Option<u32>,
}

/// A chain that is followed. Cheap to clone.
#[derive(Clone)]
pub struct Chain {
    /// How it stands.
    pub board: Arc<Board>,
    /// The node.
    pub node: Arc<NodeClient>,
    /// Prices, for those who bring rows.
    pub prices: Arc<Prices>,
    /// Metrics, for those who change the registry.
    pub metrics: Arc<Metrics>,
}

/// Starts to follow.
pub fn start(
    settings: FollowSettings,
    doors: Doors,
    node: Arc<NodeClient>,
    tasks: &Tasks,
) -> Result<Chain, String> {
    let chain = Chain {
        board: Arc::default(),
        node,
        prices: Arc::new(Prices::new(doors.clone())),
        metrics: Arc::new(Metrics::new(doors.clone())),
    };
    let wake = wake_of(&chain.node, tasks).map_err(|error| error.to_string())?;
    let beats = Beats::new(&doors);
    let worker = Worker { settings, wake, doors, chain: chain.clone(), beats, tasks: tasks.clone() };
    let runtime = tokio::runtime::Handle::current();
    tasks.thread("onchain", move |stop| {
        runtime.block_on(async {
            tokio::select! {
                () = stop.requested() => {}
                () = worker.run(&stop) => {}
            }
        });
        Ok(())
    })?;
    Ok(chain)
}

/// The chain as the feed asks for it.
struct Stored(Arc<RwLock<HeaderIndex>>);

impl Followed for Stored {
    fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).hash_at(height)
    }
}

struct Worker {
    settings: FollowSettings,
    wake: Arc<dyn Wake>,
    doors: Doors,
    chain: Chain,
    beats: Beats,
    tasks: Tasks,
}

/// What one turn of work stands on.
struct Turn {
    ledger: Ledger,
    coins: Coins,
    buckets: Buckets,
    feed: BlockFeed,
    /// Blocks and, before them, the fork after which they follow.
    fork: Option<u32>,
    blocks: Vec<FetchedBlock>,
    derived: Option<Stopwatch>,
    /// Since prices or metrics failed.
    failing: Option<Stopwatch>,
    /// How often in a row they did.
    failures: u32,
    /// The last bucket of which the scheduler's checkpoint knows.
    scheduled: Option<Time>,
}

impl Turn {
    /// Whether coins are to be brought after the tables now.
    fn is_gathering(&self) -> bool {
        self.coins.is_due() && self.coins.is_behind(&self.ledger.active())
    }
}

impl Worker {
    async fn run(&self, stop: &Stop) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), 0x6368_6169);
        self.beats.begin();
        while !stop.is_requested() {
            let watch = Stopwatch::start();
            match self.turn().await {
                Ok(()) => return,
                Err(error) => {
                    self.tell_failure(&error);
                    if watch.elapsed() > Duration::from_mins(1) {
                        backoff.reset();
                    }
                    runtime::clock::sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    /// Opens the tables, catches up with what was cut off, and takes blocks until the feed ends.
    async fn turn(&self) -> Result<(), Error> {
        let mut turn = self.begin().await?;
        if let Some(earliest) = turn.buckets.behind().await? {
            let step = turn.ledger.step()?;
            let built = turn.buckets.build(earliest, None, step).await?;
            self.tell_built(built);
        }
        self.tell_standing(&turn)?;
        self.derive(&mut turn).await?;
        loop {
            turn.coins.mend(&turn.ledger.active()).await;
            let is_gathering = turn.is_gathering() && turn.fork.is_none();
            let patience = if is_gathering { Duration::ZERO } else { QUIET };
            let item = within(patience, turn.feed.next()).await;
            self.beats.alive(components::LISTENER)?;
            let Some(item) = item else {
                if is_gathering {
                    self.gather(&mut turn).await?;
                } else {
                    self.quiet(&mut turn).await?;
                }
                continue;
            };
            let Some(item) = item else { return self.finish(&mut turn).await };
            let mut next = Some(item);
            while let Some(item) = next {
                self.take(&mut turn, item).await?;
                next = turn.feed.try_next();
            }
            if turn.fork.is_some() && turn.blocks.is_empty() {
                // What comes in place of the blocks that leave is on its way: readers see either chain, none shorter.
                continue;
            }
            self.flush(&mut turn).await?;
            let is_due = turn.derived.as_ref().is_none_or(|watch| watch.elapsed() > DERIVE_EVERY);
            if self.is_caught_up(&turn) || is_due {
                self.derive(&mut turn).await?;
            } else if turn.failing.is_none() {
                self.beats.alive(components::PRICE_COMPOSER)?;
                self.beats.alive(components::NETWORK)?;
            }
        }
    }

    async fn begin(&self) -> Result<Turn, Error> {
        let mut ledger = Ledger::open(self.doors.clone(), self.settings.network).await?;
        before::begin(&mut ledger, &self.chain.node, self.settings.from_height).await?;
        let coins = Coins::open(&self.doors, self.settings.network, &ledger.active()).await;
        let buckets = Buckets::open(self.doors.clone(), ledger.active()).await?;
        self.chain.board.recall(&self.doors.control)?;
        let tip = ledger.tip().map(|tip| Tip { height: tip.height, hash: tip.hash });
        let start = FeedStart {
            tip,
            from_height: self.settings.from_height,
            until_height: self.settings.until_height,
        };
        let wake = Arc::clone(&self.wake);
        let stored = Arc::new(Stored(ledger.active()));
        let feed = bitcoin_node::follow(Arc::clone(&self.chain.node), stored, wake, start, &self.tasks);
        Ok(Turn {
            ledger,
            coins,
            buckets,
            feed,
            fork: None,
            blocks: Vec::new(),
            derived: None,
            failing: None,
            failures: 0,
            scheduled: None,
        })
    }

    async fn take(&self, turn: &mut Turn, item: FeedItem) -> Result<(), Error> {
        match item {
            FeedItem::Block(block) => {
                self.chain.board.change(|standing| standing.trouble = None);
                turn.blocks.push(*block);
                let bytes: usize = turn.blocks.iter().map(|block| block.bytes.len()).sum();
                if turn.blocks.len() >= self.settings.step_blocks_max || bytes >= STEP_BYTES_MAX {
                    self.flush(turn).await?;
                }
            }
            FeedItem::Rewound { fork_height: Some(fork) } => {
                if !turn.blocks.is_empty() {
                    self.flush(turn).await?;
                }
                turn.fork = Some(turn.fork.map_or(fork, |before| before.min(fork)));
            }
            FeedItem::Rewound { fork_height: None } => {
                let stored = self.settings.network.to_string();
                return Err(Error::Network {
                    stored,
                    node: "of other blocks from the first one on".to_owned(),
                });
            }
            FeedItem::Stuck(error) => {
                if !turn.blocks.is_empty() {
                    self.flush(turn).await?;
                }
                tracing::error!(%error, "the node cannot be followed for now");
                self.chain.board.change(|standing| standing.trouble = Some(error.to_string()));
                let key = CheckpointKey::btc(components::RAW, "block");
                self.doors.control.checkpoint_failed(&key, &error.to_string(), self.doors.clock.time())?;
            }
            FeedItem::Done => self.flush(turn).await?,
        }
        Ok(())
    }

    /// Takes the gathered blocks in, and brings the buckets after them.
    async fn flush(&self, turn: &mut Turn) -> Result<(), Error> {
        let fork = turn.fork.take();
        if turn.blocks.is_empty() && fork.is_none() {
            return Ok(());
        }
        let fetched = std::mem::take(&mut turn.blocks);
        let read = runtime::tasks::blocking(move || {
            fetched.into_iter().map(ReadBlock::of).collect::<Result<Vec<_>, _>>()
        });
        let blocks = read.await.map_err(Error::Broken)??;
        let (count, now) = (blocks.len(), self.doors.clock.time());
        let (blocks, change) = turn.coins.read(turn.ledger.parent(fork), blocks, self.undo_from()).await?;
        let taken = turn.ledger.take(fork, blocks).await?;
        turn.coins.keep(change).await;
        if let Some(fork_height) = fork {
            let event = ChainNews::Reorganised { fork_height, blocks: taken.left };
            tracing::warn!(fork_height, left = taken.left, came = count, "the chain was reorganised");
            self.chain.board.change(|standing| standing.reorganisations += 1);
            self.chain.board.tell(now, event);
        }
        if let Some(tip) = turn.ledger.tip() {
            self.chain.board.change(|standing| standing.raw = Some((tip.height, tip.hash)));
            self.chain.board.tell(now, ChainNews::RawBlockReady { height: tip.height, hash: tip.hash });
        }
        self.chain.board.change(|standing| standing.blocks_taken += count as u64);
        if let Some(earliest) = taken.earliest {
            let built = turn.buckets.build(earliest, None, taken.step).await?;
            self.tell_built(built);
        }
        self.tell_standing(turn)?;
        self.beats.alive(components::PRIMITIVE)
    }

    /// Brings the coins after the tables while no block comes.
    async fn gather(&self, turn: &mut Turn) -> Result<(), Error> {
        turn.coins.catch_up(&turn.ledger.active(), &self.chain.node).await;
        let is_done = !turn.coins.is_behind(&turn.ledger.active());
        if is_done || turn.derived.as_ref().is_none_or(|watch| watch.elapsed() > QUIET) {
            return self.quiet(turn).await;
        }
        self.tell_standing(turn)
    }

    /// From this block on the chain may be taken back.
    fn undo_from(&self) -> u32 {
        let info = self.chain.node.state().info;
        let depth = self.doors.coins.as_ref().map_or(0, |coins| coins.bounds.undo_blocks);
        info.map_or(0, |info| info.blocks.saturating_sub(depth))
    }

    fn is_caught_up(&self, turn: &Turn) -> bool {
        let state = self.chain.node.state();
        let own = turn.ledger.tip().map(|tip| tip.height);
        let is_last = match (self.settings.until_height, &state.info) {
            (Some(until), _) if own.is_some_and(|own| own >= until) => true,
            (_, Some(info)) => own.is_some_and(|own| own >= info.blocks) && info.headers <= info.blocks,
            (_, None) => false,
        };
        is_last && turn.blocks.is_empty()
    }

    /// Prices and metrics, as far as they are due. Neither keeps blocks and buckets: what fails is told and tried again.
    async fn derive(&self, turn: &mut Turn) -> Result<(), Error> {
        if turn.failing.as_ref().is_some_and(|watch| watch.elapsed() < DERIVE_AGAIN) {
            return Ok(());
        }
        (turn.derived, turn.failing) = (Some(Stopwatch::start()), None);
        // Before the first bucket there is no timeline: what is composed along the rows' own would never be composed again.
        let composed = match turn.buckets.last() {
            Some(_) => self.chain.prices.keep(&self.chain.board, &self.beats).await,
            None => self.beats.alive(components::PRICE_COMPOSER),
        };
        match composed {
            Ok(()) => {}
            Err(error) => self.tell_underived(turn, components::COMPOSER, &error)?,
        }
        self.chain.metrics.wait_for_coins(turn.coins.is_behind(&turn.ledger.active()));
        match self.chain.metrics.keep(&self.chain.board, &self.beats).await {
            Ok(()) => {}
            Err(error) => self.tell_underived(turn, components::METRICS, &error)?,
        }
        let last = turn.buckets.last();
        self.chain.board.change(|standing| {
            // What an earlier process did stands: nothing was due.
            standing.metrics_bucket = standing.metrics_bucket.or(last);
            standing.is_derived = turn.failing.is_none();
            if standing.is_derived {
                standing.underived = None;
            }
        });
        if turn.failing.is_none() {
            turn.failures = 0;
        }
        Ok(())
    }

    fn tell_built(&self, built: Option<Built>) {
        let Some(Built { from, through }) = built else { return };
        let now = self.doors.clock.time();
        self.chain.board.change(|standing| standing.is_derived = false);
        self.chain.board.tell(now, ChainNews::PrimitiveReady { from, through });
    }

    fn tell_standing(&self, turn: &Turn) -> Result<(), Error> {
        let tip = turn.ledger.stored_tip();
        let (step, last, is_caught_up) = (turn.ledger.step()?, turn.buckets.last(), self.is_caught_up(turn));
        let coins = (turn.coins.tip().map(|tip| tip.height), turn.coins.trouble().map(str::to_owned));
        let is_gathering = turn.coins.trouble().is_none() && turn.coins.is_behind(&turn.ledger.active());
        self.chain.board.change(|standing| {
            (standing.coins_height, standing.coins_trouble) = coins;
            standing.is_gathering = is_gathering;
            standing.raw = tip.map(|tip| (tip.height, tip.hash));
            standing.primitive_height = tip.map(|tip| tip.height);
            standing.primitive_bucket = last;
            standing.step = step;
            standing.is_caught_up = is_caught_up;
            standing.blocks_waiting = turn.blocks.len();
        });
        Ok(())
    }
}
