//! How the chain's work stands, for those who look: shared between the thread that works and whoever asks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{BlockHash, Time};

/// Events that are kept.
const EVENTS_MAX: usize = 256;

/// What happened, told after it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// Blocks stand in the tables.
    RawBlockReady {
        /// The highest.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
    /// Buckets are built.
    PrimitiveReady {
        /// The first that was built anew.
        from: Time,
        /// The last.
        through: Time,
    },
    /// Blocks were left behind.
    Reorganised {
        /// The highest block that stays.
        fork_height: u32,
        /// How many left.
        blocks: usize,
    },
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainStanding {
    /// The highest block in the tables.
    pub raw: Option<(u32, BlockHash)>,
    /// The highest block in the buckets, which follow blocks in the same breath.
    pub primitive_height: Option<u32>,
    /// The last bucket.
    pub primitive_bucket: Option<Time>,
    /// The last bucket with a composed price, or the row that says there is none.
    pub price_bucket: Option<Time>,
    /// The last bucket of which metrics were computed.
    pub metrics_bucket: Option<Time>,
    /// The block at which the store of coins stands.
    pub coins_height: Option<u32>,
    /// Whether coins are being brought after the tables.
    pub is_gathering: bool,
    /// What keeps the coins.
    pub coins_trouble: Option<String>,
    /// The step.
    pub step: u64,
    /// Blocks that wait to be taken in.
    pub blocks_waiting: usize,
    /// Whether the last block of the node is taken in.
    pub is_caught_up: bool,
    /// Blocks taken in by this process.
    pub blocks_taken: u64,
    /// Reorganisations seen by this process.
    pub reorganisations: u64,
    /// What keeps it.
    pub trouble: Option<String>,
    /// When the thread last went round.
    pub beat: Option<Time>,
}

/// The board.
#[derive(Debug, Default)]
pub struct Board {
    standing: Mutex<ChainStanding>,
    events: Mutex<VecDeque<(Time, ChainEvent)>>,
}

impl Board {
    /// How it stands.
    pub fn standing(&self) -> ChainStanding {
        self.lock().clone()
    }

    /// The newest events, oldest first.
    pub fn events(&self) -> Vec<(Time, ChainEvent)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut ChainStanding)) {
        change(&mut self.lock());
    }

    pub(crate) fn tell(&self, now: Time, event: ChainEvent) {
        tracing::debug!(?event, "chain");
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= EVENTS_MAX {
            events.pop_front();
        }
        events.push_back((now, event));
    }

    // Each change is one assignment; a panic leaves whole values.
    fn lock(&self) -> MutexGuard<'_, ChainStanding> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
