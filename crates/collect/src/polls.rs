//! What is asked again and again: the venue's clock, its listing, and whatever else it says over REST only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use model::Nanos;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use runtime::{Backoff, Stop};
use tokio::sync::watch;
use venues::{Poll, Purpose, RestRequest};

use crate::connection::Surroundings;
use crate::known::Known;
use crate::listing::{self, Selection};
use crate::rest::{AskError, Desk, Priority, Reply};
use crate::settings::VenueSettings;

/// Polls of one venue on their way at once; others wait for their turn.
const RUNNING_MAX: usize = 8;
/// A failed poll is tried again after this at the latest.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How often we look whether an earlier listing is known by now.
const REMEMBER_EVERY: Duration = Duration::from_millis(200);

/// How every trouble with the listing begins.
const TROUBLE: &str = "listing:";

/// The polls of one venue.
pub(crate) struct Polls {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) settings: VenueSettings,
    /// How often the listing is asked for; the venue's own pace if absent.
    pub(crate) listing_every: Option<Duration>,
    pub(crate) known: Arc<dyn Known>,
    pub(crate) selection: watch::Sender<Option<Arc<Selection>>>,
    pub(crate) seed: u64,
}

enum Done {
    Listing(Box<Result<model::Listing, String>>),
    Answer(Box<Result<Reply, AskError>>),
}

/// When each question is due, by its path.
struct Schedule {
    due: BTreeMap<String, (Poll, Nanos)>,
    random: StdRng,
}

impl Schedule {
    /// Takes over the questions; those known keep their time, new ones are spread over their span.
    fn replace(&mut self, polls: Vec<Poll>, now: Nanos) {
        let mut due = BTreeMap::new();
        for poll in polls {
            let path = poll.request.path.clone();
            let time = match self.due.remove(&path) {
                Some((_, time)) => time,
                // The clock and the listing were asked for just now.
                None if is_own(&poll) => plus(now, poll.every),
                None => plus(now, poll.every.mul_f64(self.random.random_range(0.0..1.0))),
            };
            due.insert(path, (poll, time));
        }
        self.due = due;
    }

    /// A question whose time has come; it is due again one span later, a little jittered.
    fn take_due(&mut self, now: Nanos) -> Option<Poll> {
        let (_, (poll, time)) = self.due.iter_mut().find(|(_, (_, time))| *time <= now)?;
        *time = plus(now, poll.every.mul_f64(self.random.random_range(0.95..1.05)));
        Some(poll.clone())
    }

    /// The listing is asked for earlier than planned, though not before a moment.
    fn hasten_listing(&mut self, not_before: Nanos, now: Nanos) {
        for (poll, time) in self.due.values_mut() {
            if poll.request.purpose == Purpose::Listing {
                *time = (*time).min(Nanos(not_before.0.max(now.0)));
            }
        }
    }

    /// Clock and listing are asked for at once.
    fn ask_own_now(&mut self, now: Nanos) {
        for (_, time) in self.due.values_mut().filter(|(poll, _)| is_own(poll)) {
            *time = now;
        }
    }

    /// A question failed and is asked again soon.
    fn retry(&mut self, path: &str, now: Nanos) {
        if let Some((poll, time)) = self.due.get_mut(path) {
            let wait = poll.every.min(RETRY_MAX).mul_f64(self.random.random_range(0.5..1.0));
            *time = (*time).min(plus(now, wait));
        }
    }
}

fn is_own(poll: &Poll) -> bool {
    matches!(poll.request.purpose, Purpose::ServerTime | Purpose::Listing)
}

impl Polls {
    /// Gets a listing first, then polls until told to stop. What the venue listed before serves until it answers: after
    /// a ban that may take long, and meanwhile nothing would be collected.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), String> {
        tokio::select! {
            biased;
            () = self.remember() => {}
            () = self.fetch_first(&stop) => {}
        }
        if !stop.is_requested() {
            self.poll(stop).await;
        }
        Ok(())
    }

    /// Resolves once the listing of an earlier time is taken up.
    async fn remember(&self) {
        let venue = self.around.id();
        loop {
            let instruments = self.known.listed(venue);
            let listing = model::Listing {
                venue,
                instruments,
                is_complete: true,
                next_page: None,
                received_time: self.around.journal.now().to_time(),
            };
            let selection = listing::choose(self.around.venue, &self.settings, listing);
            if !selection.chosen.is_empty() && self.selection.borrow().is_none() {
                tracing::info!(
                    venue = venue.as_str(),
                    instruments = selection.chosen.len(),
                    "the earlier listing serves until the venue answers"
                );
                let selection = Selection { is_remembered: true, ..selection };
                self.selection.send_replace(Some(Arc::new(selection)));
                return;
            }
            runtime::sleep(REMEMBER_EVERY).await;
        }
    }

    async fn fetch_first(&self, stop: &Stop) {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1), self.seed);
        while self.selection.borrow().is_none() {
            if self.around.board.skew().is_none()
                && let Some(request) = self.clock_question()
            {
                let answer = self.ask(request, RETRY_MAX).await;
                self.learn_clock(&answer);
            }
            match listing::fetch(self.around.venue, &self.desk).await {
                Ok(listing) => self.choose(listing),
                Err(error) => {
                    self.around.board.trouble(format!("{TROUBLE} {error}"));
                    if !stop.sleep(backoff.next_wait()).await {
                        return;
                    }
                }
            }
        }
    }

    async fn poll(&self, stop: Stop) {
        let mut schedule = Schedule { due: BTreeMap::new(), random: StdRng::seed_from_u64(self.seed) };
        let mut running: FuturesUnordered<BoxFuture<'_, (String, Done)>> = FuturesUnordered::new();
        let mut listed = self.around.journal.now();
        schedule.replace(self.questions(), listed);
        if self.is_remembered() {
            schedule.ask_own_now(listed);
        }
        loop {
            while running.len() < RUNNING_MAX
                && let Some(poll) = schedule.take_due(self.around.journal.now())
            {
                running.push(Box::pin(self.carry_out(poll)));
            }
            let done = tokio::select! {
                () = stop.requested() => return,
                Some(done) = running.next() => done,
                () = self.around.doubt.notified() => {
                    schedule.hasten_listing(plus(listed, self.around.bounds.listing_doubt_min), self.around.journal.now());
                    continue;
                }
                () = runtime::sleep(Duration::from_millis(250)) => continue,
            };
            let now = self.around.journal.now();
            let is_failed = match done.1 {
                Done::Listing(listing) => match *listing {
                    Ok(listing) => {
                        self.choose(listing);
                        listed = now;
                        schedule.replace(self.questions(), now);
                        false
                    }
                    Err(error) => {
                        self.around.board.trouble(format!("{TROUBLE} {error}"));
                        true
                    }
                },
                Done::Answer(answer) => !answer.is_ok_and(|reply| reply.is_ok()),
            };
            if is_failed {
                metrics::counter!("tickhouse_polls_failed_total", "venue" => self.around.id().as_str())
                    .increment(1);
                schedule.retry(&done.0, now);
            }
        }
    }

    async fn carry_out(&self, poll: Poll) -> (String, Done) {
        let path = poll.request.path.clone();
        if poll.request.purpose == Purpose::Listing {
            return (path, Done::Listing(Box::new(listing::fetch(self.around.venue, &self.desk).await)));
        }
        let is_clock = poll.request.purpose == Purpose::ServerTime;
        let answer = self.ask(poll.request, poll.every.max(RETRY_MAX)).await;
        if is_clock {
            self.learn_clock(&answer);
        }
        (path, Done::Answer(Box::new(answer)))
    }

    async fn ask(&self, request: RestRequest, wait_max: Duration) -> Result<Reply, AskError> {
        self.desk.ask(self.around.id(), request, Priority::Poll, wait_max).await
    }

    /// The venue's clock minus the middle of question and answer.
    fn learn_clock(&self, answer: &Result<Reply, AskError>) {
        let Ok(reply) = answer else { return };
        let time =
            Some(&reply.body).filter(|_| reply.is_ok()).and_then(|body| self.around.venue.server_time(body));
        if let Some(time) = time {
            let skew = reply.skew(time);
            self.around.board.set_skew(skew);
            self.desk.set_skew(skew);
        }
    }

    fn choose(&self, listing: model::Listing) {
        let selection = listing::choose(self.around.venue, &self.settings, listing);
        let before = self.selection.borrow().clone();
        if let Some(before) = &before
            && !before.is_remembered
            && listing::is_landslide(before, &selection)
        {
            let text = "most instruments are gone from it, which is taken for a mistake of the venue";
            self.around.board.trouble(format!("{TROUBLE} {text}"));
            return;
        }
        if !selection.unknown.is_empty()
            && before
                .as_ref()
                .is_none_or(|before| before.is_remembered || before.unknown != selection.unknown)
        {
            tracing::warn!(venue = self.around.id().as_str(), symbols = ?selection.unknown,
                "the venue does not trade these symbols now; check their spelling and its listing");
        }
        self.around.board.set_unknown_symbols(selection.unknown.clone());
        self.around.board.calm(|trouble| trouble.starts_with(TROUBLE));
        self.selection.send_replace(Some(Arc::new(selection)));
    }

    fn is_remembered(&self) -> bool {
        self.selection.borrow().as_ref().is_some_and(|selection| selection.is_remembered)
    }

    fn questions(&self) -> Vec<Poll> {
        let selection = self.selection.borrow().clone().unwrap_or_default();
        let (book, other) = listing::channels(&self.settings);
        let channels: Vec<_> = other.into_iter().chain(book).collect();
        let mut polls = self.around.venue.polls(&selection.chosen, &channels);
        if let Some(every) = self.listing_every {
            for poll in polls.iter_mut().filter(|poll| poll.request.purpose == Purpose::Listing) {
                poll.every = every;
            }
        }
        polls
    }

    fn clock_question(&self) -> Option<RestRequest> {
        let polls = self.around.venue.polls(&[], &[]);
        polls.into_iter().map(|poll| poll.request).find(|request| request.purpose == Purpose::ServerTime)
    }
}

fn plus(time: Nanos, wait: Duration) -> Nanos {
    Nanos(time.0.saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    //! Cases for the schedule.
    use super::*;

    fn poll(path: &str, seconds: u64, purpose: Purpose) -> Poll {
        Poll {
            request: RestRequest { path: path.into(), weight: 1, purpose },
            every: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn questions_are_spread_and_come_again() {
        let mut schedule = Schedule { due: BTreeMap::new(), random: StdRng::seed_from_u64(1) };
        let polls: Vec<Poll> = (0..100)
            .map(|number| poll(&format!("/{number}"), 60, Purpose::OpenInterest { symbol: "".into() }))
            .collect();
        schedule.replace(polls.clone(), Nanos(0));
        let mut counts = Vec::new();
        for second in 0..600 {
            let now = Nanos(second * 1_000_000_000);
            // A new listing in the middle of it disturbs nothing.
            if second == 300 {
                schedule.replace(polls.clone(), now);
            }
            counts.push(std::iter::from_fn(|| schedule.take_due(now)).count());
        }
        assert!(counts.iter().all(|count| *count < 12), "{counts:?}");
        let total: usize = counts.iter().sum();
        assert!((950..=1_050).contains(&total), "{total}");
    }

    #[test]
    fn a_failed_question_is_asked_again_soon() {
        let mut schedule = Schedule { due: BTreeMap::new(), random: StdRng::seed_from_u64(1) };
        schedule.replace(vec![poll("/listing", 600, Purpose::Listing)], Nanos(0));
        let at = |seconds: i64| Nanos(seconds * 1_000_000_000);
        assert_eq!(schedule.take_due(at(599)), None);
        assert!(schedule.take_due(at(600)).is_some());
        schedule.retry("/listing", at(601));
        assert_eq!(schedule.take_due(at(610)), None);
        assert!(schedule.take_due(at(632)).is_some());
    }
}
