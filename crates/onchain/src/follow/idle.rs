//! What is done while no block comes: time goes on, and what failed is tried again.

use control::{CheckpointKey, Reached};
use model::Time;
use model::time::DAY;

use super::{Turn, Worker};
use crate::components;
use crate::error::Error;

/// A node whose last block is older than this is not up to date, whatever it says: nothing is known of the time since.
const TIP_AGE_MAX: i64 = DAY;

impl Worker {
    /// Nothing came for a while: the timeline goes on by the clock where the node is up to date.
    pub(super) async fn quiet(&self, turn: &mut Turn) -> Result<(), Error> {
        let now = self.doors.clock.time();
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
        is_recent && self.is_caught_up(turn)
    }
}
