//! Asks a host until it answers: waits out bans, tries again with growing waits, gives up after many tries, ends when told to.
//! What is asked, and what an answer means, is left to the callers.

use std::time::Duration;

use model::VenueId;
use runtime::{Backoff, Clock, Stop};
use venues::RestRequest;

use crate::rest::{AskError, Desk, Priority, Reply};
use crate::settings::Bounds;

/// A question may wait so long for its turn; then it is looked whether the host is banned, and it is asked again.
const TURN_MAX: Duration = Duration::from_mins(10);
/// The end of a ban is looked at this often: another answer may have moved it.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait between tries.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Why a question found no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// We were told to stop.
    Stopped,
    /// All tries failed; the last failure.
    GaveUp(String),
}

/// What asking used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Questions that were answered, refusals among them.
    pub(crate) questions: u64,
    /// Weight of these questions.
    pub(crate) weight: u64,
    /// Bytes of the answers.
    pub(crate) bytes: u64,
    /// Questions that were refused or failed.
    pub(crate) refusals: u64,
    /// How long bans were waited out.
    pub(crate) banned: Duration,
}

/// One who asks one host.
pub(crate) struct Patience<'a> {
    desk: &'a Desk,
    venue: VenueId,
    bounds: &'a Bounds,
    clock: &'a dyn Clock,
    stop: &'a Stop,
    backoff: Backoff,
    pub(crate) used: Used,
}

impl<'a> Patience<'a> {
    /// Nothing asked yet; `bounds` say how often, and how long to wait in between, the seed by how much waits differ.
    pub(crate) fn new(
        (desk, venue): (&'a Desk, VenueId),
        bounds: &'a Bounds,
        (clock, seed): (&'a dyn Clock, u64),
        stop: &'a Stop,
    ) -> Self {
        let backoff = Backoff::new(bounds.retry_wait, RETRY_MAX.max(bounds.retry_wait), seed);
        Self { desk, venue, bounds, clock, stop, backoff, used: Used::default() }
    }

    /// An answer, whatever its status.
    pub(crate) async fn answer(
        &mut self,
        request: &RestRequest,
        priority: Priority,
    ) -> Result<Reply, NoAnswer> {
        loop {
            self.wait_for_ban().await?;
            let asked = self.desk.ask(self.venue, request.clone(), priority, TURN_MAX);
            let answer = tokio::select! {
                answer = asked => answer,
                () = self.stop.requested() => return Err(NoAnswer::Stopped),
            };
            match answer {
                Ok(reply) => {
                    self.used.questions += 1;
                    self.used.weight += u64::from(request.weight);
                    self.used.bytes += reply.body.len() as u64;
                    return Ok(reply);
                }
                Err(AskError::Expired) => {
                    tracing::info!(path = request.path, "still waits for its turn in the budget of its host");
                }
                Err(error) => self.failed(&request.path, error.to_string()).await?,
            }
        }
    }

    /// An answer was of use: the next failure is the first again.
    pub(crate) fn satisfied(&mut self) {
        self.backoff.reset();
    }

    /// An answer was none: waits before the next try, or gives up.
    pub(crate) async fn failed(&mut self, path: &str, what: String) -> Result<(), NoAnswer> {
        self.used.refusals += 1;
        if self.backoff.tries() + 1 >= self.bounds.refusals_max {
            return Err(NoAnswer::GaveUp(what));
        }
        tracing::debug!(venue = %self.venue, path, "asked again: {what}");
        self.pause().await
    }

    /// Waits as before another try.
    pub(crate) async fn pause(&mut self) -> Result<(), NoAnswer> {
        let wait = self.backoff.next_wait();
        if self.stop.sleep(wait).await { Ok(()) } else { Err(NoAnswer::Stopped) }
    }

    async fn wait_for_ban(&mut self) -> Result<(), NoAnswer> {
        while let Some(until) = self.desk.banned() {
            let left = u64::try_from(until.0.saturating_sub(self.clock.time().0)).unwrap_or(0);
            let wait = Duration::from_micros(left.max(1_000)).min(LOOK_EVERY);
            if !self.stop.sleep(wait).await {
                return Err(NoAnswer::Stopped);
            }
            self.used.banned += wait;
        }
        if self.stop.is_requested() { Err(NoAnswer::Stopped) } else { Ok(()) }
    }
}
