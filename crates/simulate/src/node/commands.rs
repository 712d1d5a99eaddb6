//! What a node is told to do while it runs, by words or by calls. Doing it is left to its state.

use model::chain::BlockHash;
use serde_json::{Value, json};

use super::Node;
use super::ledger::Step;
use super::orders::{self, Change, Order};
use super::state::State;

/// What became of the active chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Blocks that left it, the highest first.
    pub left: Vec<BlockHash>,
    /// Blocks that joined it, the lowest first.
    pub joined: Vec<BlockHash>,
}

impl Moved {
    /// As the admin address tells it.
    pub(crate) fn report(&self) -> Value {
        let texts = |hashes: &[BlockHash]| hashes.iter().map(BlockHash::to_string).collect::<Vec<String>>();
        json!({"left": texts(&self.left), "joined": texts(&self.joined)})
    }
}

impl From<Step> for Moved {
    fn from(step: Step) -> Self {
        Self { left: step.left, joined: step.joined }
    }
}

impl Node {
    /// Mines blocks; with a first header time the others follow ten minutes apart, else by chance.
    pub fn mine(&self, blocks: u32, first_time: Option<u32>) -> Result<Moved, String> {
        self.change(|state| state.mine(blocks, first_time))
    }

    /// Replaces so many of the last blocks by so many others, no fewer.
    pub fn reorganise(&self, depth: u32, blocks: u32) -> Result<Moved, String> {
        self.change(|state| state.reorganise(depth, blocks))
    }

    /// Lets so many recorded blocks come that have not come yet.
    pub fn feed(&self, blocks: usize) -> Result<Moved, String> {
        self.change(|state| state.feed(blocks))
    }

    /// Forgets the blocks below a height.
    pub fn prune(&self, below: u32) -> Result<(), String> {
        self.state().prune(below)
    }

    /// Does what a list of words says, in order:
    ///
    /// | word | meaning |
    /// |---|---|
    /// | `mine=3` `mine=3@1700000000` | mines blocks; the first with this header time, the others ten minutes apart |
    /// | `reorg=3:5` `reorg=3` `replace` | replaces the last 3 blocks by 5 others, by one more, the last by another one |
    /// | `feed=5` `feed` | lets the next recorded blocks come, or all |
    /// | `every=10s` `every=never` | mines a block so often |
    /// | `prune=100` | forgets the blocks below this height |
    /// | `rotate` | another cookie |
    /// | `warm=5` `warm` | so many requests, or all, are told that the node is warming up |
    /// | `busy=5` | so many requests are told that too many wait |
    /// | `cut=2` | so many answers break off in the middle |
    /// | `syncing` | it says that it still fetches old blocks |
    /// | `idle=5s` | connections that say nothing for so long are closed |
    /// | `hang` | requests are taken and not answered |
    /// | `gone` | nobody listens |
    /// | `network=main` | it says that it is of another network |
    /// | `spent=off` `spent=on` | it has no `/rest/spenttxouts`, as before v30, or has it |
    /// | `none` | the trouble ends |
    pub fn order(&self, text: &str) -> Result<Moved, String> {
        let mut moved = Moved::default();
        for order in orders::parse(text)? {
            let next = match order {
                Order::Mine(blocks, first_time) => self.mine(blocks, first_time)?,
                Order::Reorganise(depth, blocks) => self.reorganise(depth, blocks)?,
                Order::Feed(blocks) => self.feed(blocks)?,
                other => {
                    self.obey(other)?;
                    Moved::default()
                }
            };
            moved.left.extend(next.left);
            moved.joined.extend(next.joined);
        }
        Ok(moved)
    }

    fn obey(&self, order: Order) -> Result<(), String> {
        match order {
            Order::Prune(below) => self.prune(below)?,
            Order::Rotate => {
                self.cookie().rotate(self.inner.clock.now().0).map_err(|error| error.to_string())?;
            }
            Order::Every(pause) => drop(self.inner.every.send_replace(pause)),
            Order::Trouble(change) => self.trouble(change),
            Order::Mine(..) | Order::Reorganise(..) | Order::Feed(_) => {}
        }
        Ok(())
    }

    fn trouble(&self, change: Change) {
        self.inner.trouble.send_modify(|trouble| trouble.take(change));
    }

    fn change(&self, act: impl FnOnce(&mut State) -> Result<Step, String>) -> Result<Moved, String> {
        let mut state = self.state();
        let outcome = act(&mut state);
        // Told while nobody else can change it, so that tips are told in their order.
        self.inner.tip.send_replace(state.ledger.tip().place.header.hash);
        for step in state.take_news() {
            self.inner.publisher.iter().for_each(|publisher| publisher.tell(&step));
        }
        outcome.map(Moved::from)
    }
}
