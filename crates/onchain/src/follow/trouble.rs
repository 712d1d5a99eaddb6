//! What stands in the way of following, told and taken back.

use collect::bitcoin_node::NodeWord;
use control::CheckpointKey;
use runtime::clock::Stopwatch;

use super::{Turn, Worker};
use crate::components;
use crate::error::Error;

impl Worker {
    pub(super) fn tell_failure(&self, error: &Error) {
        tracing::error!(%error, "following the chain stopped at its last safe block; trying again");
        self.chain.board.change(|standing| standing.trouble = Some(error.to_string()));
        let key = CheckpointKey::btc(components::RAW, "block");
        let now = self.doors.clock.time();
        if let Err(error) = self.doors.control.checkpoint_failed(&key, &error.to_string(), now) {
            tracing::error!(%error, "the failure could not be noted");
        }
    }

    /// What stood in the way is over once the node answers and no block of it is missing: it is not told until the next one.
    pub(super) fn forgive(&self, turn: &Turn) -> Result<(), Error> {
        if self.chain.node.state().word != NodeWord::Connected || !self.is_caught_up(turn) {
            return Ok(());
        }
        if self.chain.board.standing().trouble.is_some() {
            self.chain.board.change(|standing| standing.trouble = None);
        }
        // An earlier process may have noted it.
        let noted = self.doors.control.checkpoint(&CheckpointKey::btc(components::RAW, "block"))?;
        if noted.is_some_and(|noted| noted.status == "error") {
            turn.ledger.tell_reached()?;
        }
        Ok(())
    }

    pub(super) fn tell_underived(
        &self,
        turn: &mut Turn,
        component: &str,
        error: &Error,
    ) -> Result<(), Error> {
        tracing::error!(component, %error, "not derived from the chain; trying again, blocks go on");
        if turn.failing.replace(Stopwatch::start()).is_none() {
            turn.failures += 1;
        }
        let told = (turn.failures, format!("{component}: {error}"));
        self.chain.board.change(|standing| standing.underived = Some(told));
        let key = CheckpointKey::btc(component, "10m");
        Ok(self.doors.control.checkpoint_failed(&key, &error.to_string(), self.doors.clock.time())?)
    }
}
