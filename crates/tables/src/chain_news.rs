//! What passes by live of the followed chain: told after its commit, numbered, and kept for a while. Implemented by `onchain`, read by
//! `serve`.
//!
//! Bounded: who comes late, or falls behind, is told how many were missed and goes on from how the chain stands now.

use model::{BlockHash, Time};

/// What happened, told after it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainNews {
    /// Blocks stand in the tables.
    RawBlockReady {
        /// The highest.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
    /// Buckets of ten minutes are built.
    PrimitiveReady {
        /// The first that was built anew.
        from: Time,
        /// The last.
        through: Time,
    },
    /// Prices are composed.
    PriceReady {
        /// The first bucket that was composed anew.
        from: Time,
        /// The last.
        through: Time,
    },
    /// Metrics are computed.
    MetricsReady {
        /// The first bucket that was computed anew.
        from: Time,
        /// The last.
        through: Time,
        /// Metrics that could not be computed, with the reason.
        failed: Vec<(String, String)>,
    },
    /// Blocks were left behind, and those of the other branch stand in the tables.
    Reorganised {
        /// The highest block that stays.
        fork_height: u32,
        /// How many left.
        blocks: usize,
    },
}

/// News with its number: the first of this process is 1, and each is one more than the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainItem {
    /// The number.
    pub sequence: u64,
    /// When it was committed.
    pub time: Time,
    /// The news.
    pub news: ChainNews,
}

/// What came after a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainBatch {
    /// How many of it are no longer kept.
    pub missed_count: u64,
    /// The others, in order; never empty.
    pub items: Vec<ChainItem>,
}
