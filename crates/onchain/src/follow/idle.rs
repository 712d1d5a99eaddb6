//! What is done while no block comes: time goes on, and what failed is tried again.

use collect::bitcoin_node::NodeWord;
use control::{CheckpointKey, Reached};
use model::Time;
use model::time::DAY;

use super::{QUIET, Turn, Worker};
use crate::components;
use crate::error::Error;

/// A node whose last block is older than this is not up to date, whatever it says: nothing is known of the time since.
const TIP_AGE_MAX: i64 = DAY;

impl Worker {
    /// Nothing came for a while: the timeline goes on by the clock where the node is up to date.
    pub(super) async fn quiet(&self, turn: &mut Turn) -> Result<(), Error> {
        let now = self.doors.clock.time();
        // The node's chain is shorter now, and it has nothing in place of what left.
        if turn.fork.is_some() && self.chain.node.state().word == NodeWord::Connected {
            self.flush(turn).await?;
        }
        self.forgive(turn)?;
        if self.is_fresh(turn, now) {
            let step = turn.ledger.next_step()?;
            let built = turn.buckets.tick(now, step).await?;
            self.tell_built(built);
            self.tell_scheduled(turn, now)?;
        }
        self.beats.alive(components::PRIMITIVE)?;
        self.derive(turn).await?;
        self.tell_standing(turn)
    }

    /// No block comes any more: what follows blocks is brought to its end.
    pub(super) async fn finish(&self, turn: &mut Turn) -> Result<(), Error> {
        loop {
            turn.coins.mend(&turn.ledger.active()).await;
            if turn.is_gathering() {
                self.gather(turn).await?;
                continue;
            }
            self.derive(turn).await?;
            self.tell_standing(turn)?;
            if turn.failing.is_none() {
                self.chain.board.change(|standing| standing.is_finished = true);
                return Ok(());
            }
            runtime::clock::sleep(QUIET).await;
        }
    }

    /// Notes through where the clock has brought the timeline, whether a block or time itself did.
    fn tell_scheduled(&self, turn: &mut Turn, now: Time) -> Result<(), Error> {
        let last = turn.buckets.last();
        if last.is_none() || last == turn.scheduled {
            return Ok(());
        }
        let sequence = turn.ledger.next_step()?.saturating_sub(1);
        let reached = Reached { sequence, bucket: last, ..Reached::default() };
        self.doors.control.checkpoint_reached(
            &CheckpointKey::btc(components::SCHEDULER, "10m"),
            &reached,
            now,
        )?;
        turn.scheduled = last;
        Ok(())
    }

    /// Whether time since the last block is known to be empty.
    fn is_fresh(&self, turn: &Turn, now: Time) -> bool {
        let is_recent = turn
            .ledger
            .tip()
            .is_some_and(|tip| now.0.saturating_sub(i64::from(tip.time) * model::time::SECOND) < TIP_AGE_MAX);
        // A node that does not answer may have blocks of that time.
        is_recent && self.chain.node.state().word == NodeWord::Connected && self.is_caught_up(turn)
    }
}
