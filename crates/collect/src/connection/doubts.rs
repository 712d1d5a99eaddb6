//! Asks the venue whether a silent stream missed anything, and takes its word.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use model::{Event, InstrumentId, Nanos, Time};
use tokio::sync::watch;
use venues::HistoryAsk;

use super::Connection;
use crate::answer;
use crate::doubts::{Finding, Purse, by_venue, due, finding, is_told_by_trades};
use crate::listing::Selection;
use crate::rest::{Desk, Priority};

/// How long an answer may take, turn included: a later one would be too late.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Questions of one connection on their way at once.
const QUESTIONS_MAX: usize = 16;

/// Where a venue's connections ask.
pub(crate) struct Asker {
    pub(crate) desk: Arc<Desk>,
    pub(crate) selection: watch::Receiver<Option<Arc<Selection>>>,
    pub(crate) purse: Mutex<Purse>,
}

/// What the venue showed: when it was asked, and the times of its newest trades.
pub(super) struct Shown {
    instrument: InstrumentId,
    trades: Option<(Nanos, Vec<Time>)>,
}

pub(super) type Question = BoxFuture<'static, Shown>;

impl Connection {
    /// Asks about silences that are out of the ordinary.
    pub(super) fn doubt(&mut self, now: Nanos) {
        if self.around.board.skew().is_none() {
            return;
        }
        let mut asked = BTreeSet::new();
        for doubt in self.silence.doubts(now) {
            let stream = self.requests.stream(doubt.index);
            if due(stream.channel).is_none() {
                continue;
            }
            let Some(instrument) = stream.instrument.clone() else { continue };
            if !asked.contains(&instrument) {
                if self.questions.len() >= QUESTIONS_MAX {
                    continue;
                }
                let Some(question) = self.question(&instrument, now) else { continue };
                self.questions.push(question);
                asked.insert(instrument);
            }
            self.silence.asked(doubt);
        }
    }

    fn question(&self, instrument: &InstrumentId, now: Nanos) -> Option<Question> {
        let asker = Arc::clone(&self.asker);
        let selection = asker.selection.borrow().clone()?;
        let listed = selection.listed.get(instrument)?.clone();
        let request = self.around.venue.history(&HistoryAsk::NewestTrades { instrument: &listed }).ok()?;
        if !asker.purse.lock().unwrap_or_else(PoisonError::into_inner).take(request.weight, now) {
            return None;
        }
        let (around, instrument) = (Arc::clone(&self.around), instrument.clone());
        let work = async move {
            let purpose = request.purpose.clone();
            let answer = asker.desk.ask(around.id(), request, Priority::Doubt, ANSWER_MAX).await;
            let trades = answer.ok().and_then(|reply| {
                let mut times = Vec::new();
                let is_read =
                    answer::read(around.venue, std::slice::from_ref(&listed), &purpose, &reply, |event| {
                        if let Event::Trade(trade) = event {
                            times.push(trade.venue_time);
                        }
                    });
                is_read.ok().map(|()| (reply.sent, times))
            });
            Shown { instrument, trades }
        };
        Some(work.boxed())
    }

    /// What the venue showed makes silent streams of that instrument mute, or quiet.
    pub(super) fn take_shown(&mut self, shown: Shown) {
        let (Some((sent, trades)), Some(skew)) = (shown.trades, self.around.board.skew()) else { return };
        let now = self.around.journal.now();
        for index in 0..self.requests.stream_count() {
            let stream = self.requests.stream(index);
            if stream.instrument.as_ref() != Some(&shown.instrument) {
                continue;
            }
            let Some(since) = self.silence.doubted_since(index).filter(|since| *since < sent) else {
                continue;
            };
            let span = (by_venue(since, skew), by_venue(sent, skew));
            let channel = stream.channel;
            let finding = finding(channel, span, &trades);
            metrics::counter!("tickhouse_stream_doubts_total", "venue" => self.name(), "finding" => finding.as_str())
                .increment(1);
            match finding {
                Finding::Missed => {
                    if let Some(mute) = self.silence.missed(index, now) {
                        self.on_mute(mute, now);
                        self.cure(mute, now);
                    }
                }
                Finding::Quiet => self.silence.was_quiet(index, is_told_by_trades(channel)),
                Finding::Unclear => {}
            }
        }
    }
}
