//! How the chain's work stands, for those who look: shared between the thread that works and whoever asks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use control::{CheckpointKey, Control};
use model::{BlockHash, Time};
use tables::{ChainBatch, ChainItem, ChainNews};
use tokio::sync::watch;

use crate::components;
use crate::error::Error;

/// News that are kept for readers who are busy.
const NEWS_MAX: usize = 256;

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own that somebody asks")]
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
    /// Whether prices and metrics have followed all buckets.
    pub is_derived: bool,
    /// How often in a row they failed, and why the last time.
    pub underived: Option<(u32, String)>,
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
    /// Whether the last block wanted is there, and everything that follows it.
    pub is_finished: bool,
    /// What keeps it.
    pub trouble: Option<String>,
}

/// The board.
#[derive(Debug)]
pub struct Board {
    standing: Mutex<ChainStanding>,
    news: Mutex<VecDeque<ChainItem>>,
    /// The number of the newest news, for those who wait.
    newest: watch::Sender<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self { standing: Mutex::default(), news: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl Board {
    /// How it stands.
    pub fn standing(&self) -> ChainStanding {
        self.lock().clone()
    }

    /// The number of the newest news; 0 before the first.
    pub fn news_newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// News with a higher number than this one, as soon as there is some.
    pub async fn news_after(&self, sequence: u64) -> ChainBatch {
        // The sender lives as long as the board.
        let mut newest = self.newest.subscribe();
        drop(newest.wait_for(|newest| *newest > sequence).await);
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let items: Vec<ChainItem> = news.iter().filter(|item| item.sequence > sequence).cloned().collect();
        let oldest = items.first().map_or(sequence + 1, |item| item.sequence);
        ChainBatch { missed_count: oldest - sequence - 1, items }
    }

    /// Takes over what an earlier process had reached, until this one goes further.
    pub(crate) fn recall(&self, control: &Control) -> Result<(), Error> {
        let reached = |component: &str| {
            let checkpoint = control.checkpoint(&CheckpointKey::btc(component, "10m"))?;
            Ok::<_, Error>(checkpoint.and_then(|checkpoint| checkpoint.reached.bucket))
        };
        let (prices, metrics) = (reached(components::COMPOSER)?, reached(components::METRICS)?);
        self.change(|standing| {
            standing.price_bucket = standing.price_bucket.or(prices);
            standing.metrics_bucket = standing.metrics_bucket.or(metrics);
        });
        Ok(())
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut ChainStanding)) {
        change(&mut self.lock());
    }

    /// Tells news. Who hears them finds the standing moved on: rows are read up to where it says.
    pub(crate) fn tell(&self, time: Time, told: ChainNews) {
        tracing::debug!(?told, "chain");
        if let ChainNews::PrimitiveReady { through, .. } = &told {
            self.change(|standing| standing.primitive_bucket = Some(*through));
        }
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = news.back().map_or(0, |last| last.sequence) + 1;
        if news.len() >= NEWS_MAX {
            news.pop_front();
        }
        news.push_back(ChainItem { sequence, time, news: told });
        drop(news);
        self.newest.send_replace(sequence);
    }

    // Each change is one assignment; a panic leaves whole values.
    fn lock(&self) -> MutexGuard<'_, ChainStanding> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for readers who come late.
    use super::*;

    fn reorganised(fork_height: u32) -> ChainNews {
        ChainNews::Reorganised { fork_height, blocks: 1 }
    }

    #[tokio::test]
    async fn news_come_in_order_and_what_is_gone_is_counted() {
        let board = Board::default();
        assert_eq!(board.news_newest(), 0);
        let waiting = board.news_after(0);
        let telling = async { board.tell(Time(7), reorganised(1)) };
        let (batch, ()) = tokio::join!(waiting, telling);
        let first = ChainItem { sequence: 1, time: Time(7), news: reorganised(1) };
        assert_eq!(batch, ChainBatch { missed_count: 0, items: vec![first] });
        for height in 2..=300 {
            board.tell(Time(8), reorganised(height));
        }
        let late = board.news_after(1).await;
        assert_eq!((late.missed_count, late.items.len(), late.items[0].sequence), (43, NEWS_MAX, 45));
        assert_eq!(board.news_after(299).await.items.len(), 1);
        assert_eq!(board.news_newest(), 300);
    }
    #[test]
    fn the_standing_is_moved_on_by_the_time_news_are_heard() {
        let board = Board::default();
        board.tell(Time(1), ChainNews::PrimitiveReady { from: Time(0), through: Time(600) });
        assert_eq!(board.standing().primitive_bucket, Some(Time(600)));
    }
}
