//! Asks about numbered streams that stay silent after nobody carried them. Whether trades were missed shows by a jump of the next
//! trade's number, but a quiet market may take an hour to its next trade. What an answer means is left to `refine`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use model::Nanos;
use runtime::Stop;
use tokio::sync::watch;
use venues::{HistoryAsk, TradeIds};

use crate::board::Carriage;
use crate::connection::Surroundings;
use crate::listing::Selection;
use crate::rest::{Desk, Priority};

/// How often silences are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a stream may take to say something by itself.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The same at the start of the process, when there is much else to ask.
const FIRST_SILENCE_MAX: Duration = Duration::from_mins(1);
/// Questions of one venue on their way at once.
const RUNNING_MAX: usize = 8;
/// A question may wait so long for its turn.
const TURN_MAX: Duration = Duration::from_mins(10);

/// The silences of one venue.
pub(crate) struct Lulls {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) selection: watch::Receiver<Option<Arc<Selection>>>,
}

/// A stream that has yet to say something.
#[derive(Clone, Debug)]
struct Lull {
    spell: u64,
    since: Nanos,
    is_asked: bool,
}

/// What is known of every stream's silence. Pure.
#[derive(Debug, Default)]
struct Watch(BTreeMap<Box<str>, Lull>);

impl Watch {
    /// Streams to be asked about now.
    fn due(&mut self, carriages: Vec<Carriage>, now: Nanos) -> Vec<Carriage> {
        let mut due = Vec::new();
        for carriage in carriages {
            if !carriage.is_carried {
                continue;
            }
            let fresh = Lull { spell: carriage.spells, since: now, is_asked: false };
            let lull = self.0.entry(carriage.key.clone()).or_insert_with(|| fresh.clone());
            if lull.spell != carriage.spells {
                *lull = fresh;
            }
            let longest = if carriage.spells > 1 { SILENCE_MAX } else { FIRST_SILENCE_MAX };
            if carriage.last_received >= lull.since {
                lull.is_asked = true;
            } else if !lull.is_asked && since(lull.since, now) >= longest {
                lull.is_asked = true;
                due.push(carriage);
            }
        }
        due
    }

    /// Asking failed: the silence begins anew.
    fn again(&mut self, key: &str, now: Nanos) {
        if let Some(lull) = self.0.get_mut(key) {
            (lull.since, lull.is_asked) = (now, false);
        }
    }
}

impl Lulls {
    /// Asks until told to stop.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), String> {
        if self.around.venue.facts().trade_ids != TradeIds::Contiguous {
            return Ok(());
        }
        let mut watch = Watch::default();
        let mut waiting: Vec<Carriage> = Vec::new();
        let mut running: FuturesUnordered<BoxFuture<'_, (Carriage, bool)>> = FuturesUnordered::new();
        loop {
            waiting.extend(watch.due(self.around.board.carriages(), self.around.journal.now()));
            while running.len() < RUNNING_MAX
                && let Some(carriage) = waiting.pop()
            {
                // It may have spoken while it waited, and told everything by its number.
                if self.around.board.last_received(&carriage.key) > Some(carriage.last_received) {
                    continue;
                }
                running.push(Box::pin(self.ask(carriage)));
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                Some((carriage, is_answered)) = running.next() => {
                    if !is_answered {
                        watch.again(&carriage.key, self.around.journal.now());
                    }
                }
                () = runtime::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Asks for the newest trades, which go into the log. False if it should be asked again.
    async fn ask(&self, carriage: Carriage) -> (Carriage, bool) {
        let selection = self.selection.borrow().clone().unwrap_or_default();
        let request = selection.listed.get(&carriage.instrument).map(|instrument| {
            self.around.venue.history(&HistoryAsk::RecentTrades { instrument, channel: carriage.channel })
        });
        let Some(Ok(request)) = request else { return (carriage, true) };
        let priority = if carriage.spells > 1 { Priority::Lull } else { Priority::History };
        let answer = self.desk.ask(self.around.id(), request, priority, TURN_MAX).await;
        let is_answered = answer.is_ok_and(|reply| reply.is_ok() || reply.is_final_refusal());
        (carriage, is_answered)
    }
}

fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    //! Cases for silences, at given seconds.
    use super::*;
    use model::{Channel, InstrumentId};

    fn at(seconds: i64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    fn carriage(spells: u64, is_carried: bool, last_received: i64) -> Carriage {
        let instrument: InstrumentId = "binance:BTC-USDT".parse().unwrap();
        let last_received = at(last_received);
        Carriage { key: "k".into(), channel: Channel::Trades, instrument, is_carried, spells, last_received }
    }

    /// The seconds at which a stream is asked about, looked at every second.
    fn asked(seconds: i64, state: impl Fn(i64) -> (u64, bool, i64)) -> Vec<i64> {
        let mut watch = Watch::default();
        (0..seconds)
            .filter(|second| {
                let (spells, is_carried, last_received) = state(*second);
                !watch.due(vec![carriage(spells, is_carried, last_received)], at(*second)).is_empty()
            })
            .collect()
    }

    #[test]
    fn a_stream_that_speaks_after_an_interruption_is_not_asked_about() {
        assert_eq!(asked(100, |second| (2, true, if second < 14 { -1 } else { 14 })), [10]);
        assert_eq!(asked(100, |second| (2, true, if second < 7 { -1 } else { 7 })), [0; 0]);
        assert_eq!(asked(200, |_| (1, true, -1)), [60], "at the start there is much else to ask");
    }

    #[test]
    fn each_interruption_is_asked_about_once() {
        // Carried by nobody from 20 to 40, and for a blink at 70.
        let state = |second| match second {
            0..20 => (2, true, 5),
            20..40 => (2, false, 5),
            40..70 => (3, true, 5),
            _ => (4, true, 5),
        };
        assert_eq!(asked(200, state), [50, 80]);
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again() {
        let mut watch = Watch::default();
        let due = |watch: &mut Watch, second| !watch.due(vec![carriage(2, true, -1)], at(second)).is_empty();
        assert!(!due(&mut watch, 0) && due(&mut watch, 10) && !due(&mut watch, 25));
        watch.again("k", at(30));
        assert!(!due(&mut watch, 39) && due(&mut watch, 40));
    }
}
