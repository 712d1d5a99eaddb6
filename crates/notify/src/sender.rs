//! One task for each target: takes what its desk gives out, sends it, and waits as long as the target wants.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Nanos;
use runtime::{Backoff, Clock, Stop, TokioClock};
use tokio::sync::Notify;

use crate::client::Outcome;
use crate::desk::{Desk, Next, Rules};
use crate::letter::Letter;
use crate::message::Message;
use crate::telegram::Telegram;
use crate::webhook::Webhook;

/// First and longest wait after a target did not take a letter, unless it says how long.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Somebody who is told.
pub(crate) enum Target {
    Telegram(Telegram),
    Webhook(Webhook),
}

impl Target {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Telegram(_) => "telegram",
            Self::Webhook(_) => "webhook",
        }
    }

    pub(crate) async fn send(&mut self, letter: &Letter) -> Outcome {
        match self {
            Self::Telegram(telegram) => telegram.send(letter).await,
            Self::Webhook(webhook) => webhook.send(letter).await,
        }
    }
}

/// What waits for one target; the house lays messages in, the target's task takes letters out.
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Goes only forward.
    clock: TokioClock,
}

struct Inner {
    desk: Desk,
    /// Whether a letter is on its way.
    is_sending: bool,
}

impl Outbox {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            inner: Mutex::new(Inner { desk: Desk::new(rules), is_sending: false }),
            changed: Notify::new(),
            clock: TokioClock::starting_at(Nanos(0)),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now().0.unsigned_abs())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays a message in. Never waits for the target.
    pub(crate) fn take(&self, message: Message) {
        self.lock().desk.take(message, self.now());
        self.changed.notify_one();
    }

    /// Nothing is gathered any more: all goes as soon as it can.
    pub(crate) fn close(&self) {
        self.lock().desk.close();
        self.changed.notify_one();
    }

    /// Whether everything was sent, or given up.
    pub(crate) fn is_done(&self) -> bool {
        let inner = self.lock();
        !inner.is_sending && inner.desk.is_empty()
    }

    fn next(&self) -> Next {
        let mut inner = self.lock();
        let next = inner.desk.next(self.now());
        inner.is_sending = matches!(next, Next::Send(_));
        next
    }

    /// What became of the letter that was on its way.
    fn settle(&self, settled: impl FnOnce(&mut Desk, Duration)) {
        let mut inner = self.lock();
        settled(&mut inner.desk, self.now());
        inner.is_sending = false;
    }

    fn measure(&self, name: &'static str) {
        let inner = self.lock();
        metrics::gauge!("tickhouse_notify_waiting", "target" => name).set(inner.desk.waiting_count() as f64);
        metrics::counter!("tickhouse_notify_lost_total", "target" => name).absolute(inner.desk.lost_total());
    }
}

/// Sends until the end is asked for.
pub(crate) async fn run(mut target: Target, outbox: Arc<Outbox>, stop: Stop) -> Result<(), String> {
    let mut backoff = Backoff::new(WAITS.0, WAITS.1, 23);
    let mut is_troubled = false;
    let name = target.name();
    loop {
        outbox.measure(name);
        let letter = match outbox.next() {
            Next::Send(letter) => *letter,
            Next::Wait(wait) => {
                tokio::select! {
                    () = outbox.changed.notified() => {}
                    is_over = stop.sleep(wait) => if !is_over { return Ok(()) },
                }
                continue;
            }
            Next::Idle => {
                tokio::select! {
                    () = outbox.changed.notified() => {}
                    () = stop.requested() => return Ok(()),
                }
                continue;
            }
        };
        let outcome = tokio::select! {
            outcome = target.send(&letter) => outcome,
            () = stop.requested() => return Ok(()),
        };
        let trouble = match outcome {
            Outcome::Taken => {
                metrics::counter!("tickhouse_notify_sent_total", "target" => name).increment(letter.count);
                outbox.settle(|_, _| {});
                backoff.reset();
                None
            }
            Outcome::Later { wait, why } => {
                let wait = wait.unwrap_or_else(|| backoff.next_wait());
                outbox.settle(|desk, now| desk.put_back(letter, wait, now));
                Some((why, "tried again"))
            }
            Outcome::Refused(why) => {
                outbox.settle(|desk, _| desk.give_up(&letter));
                Some((why, "given up"))
            }
        };
        tell(name, trouble, &mut is_troubled);
    }
}

/// Says once that messages do not arrive, and once that they do again.
fn tell(target: &'static str, trouble: Option<(String, &str)>, is_troubled: &mut bool) {
    let was_troubled = std::mem::replace(is_troubled, trouble.is_some());
    match trouble {
        Some((error, then)) => {
            metrics::counter!("tickhouse_notify_failures_total", "target" => target).increment(1);
            if was_troubled {
                tracing::debug!(target_name = target, error, then, "a message was not taken");
            } else {
                tracing::warn!(
                    target_name = target,
                    error,
                    then,
                    "a message was not taken; further ones are not logged until one is"
                );
            }
        }
        None if was_troubled => tracing::info!(target_name = target, "messages are taken again"),
        None => {}
    }
}
