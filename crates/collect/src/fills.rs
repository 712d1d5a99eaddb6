//! Asks the venue for trades that are missing, page by page, and writes what became of each hole. Which ids are still
//! absent afterwards is left to `refine`, who reads the answers from the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Channel, Event, Gap, GapCause, Instrument, Nanos, Timeframe};
use rawlog::{Outcome, RecordKind};
use runtime::{Backoff, Stop};
use tokio::sync::{Notify, watch};
use venues::{HistoryAsk, HistoryRefusal, RestRequest};

use crate::answer;
use crate::connection::Surroundings;
use crate::fill_queue::{FillQueue, Job};
use crate::listing::Selection;
use crate::rest::{Desk, Priority, Reply};

/// Ids asked for with one question, where the venue's page is not smaller.
const PAGE: i64 = 1_000;
/// The longest wait between tries.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// An answer without the ids that were seen on streams is believed after so many tries.
const SHORTS_MAX: u32 = 5;
/// A job makes way for others after so many pages.
const PAGES_IN_A_ROW: usize = 20;

/// The holes of one venue.
pub(crate) struct Fills {
    around: Arc<Surroundings>,
    desk: Arc<Desk>,
    selection: watch::Receiver<Option<Arc<Selection>>>,
    queue: Mutex<FillQueue>,
    news: Notify,
    seed: u64,
}

/// How far a job came.
enum Progress {
    /// Everything was asked for and answered.
    Done,
    /// The ids before this were asked for and answered.
    Through(i64),
    /// The page brought nothing new, though later ids were seen: REST lags behind the streams, or has them not.
    Short,
    /// The venue no longer gives it.
    TooOld,
}

impl Fills {
    /// No holes yet.
    pub(crate) fn new(
        around: Arc<Surroundings>,
        desk: Arc<Desk>,
        selection: watch::Receiver<Option<Arc<Selection>>>,
        seed: u64,
    ) -> Self {
        Self { around, desk, selection, queue: Mutex::default(), news: Notify::new(), seed }
    }

    /// Takes a hole; one that finds no room is dropped and counted, for `refine` asks again.
    pub(crate) fn add(&self, gap: Gap) {
        if self.lock().add(gap, self.around.bounds.wishes_max) {
            self.news.notify_one();
        } else {
            metrics::counter!("tickhouse_wishes_dropped_total", "venue" => self.around.id().as_str())
                .increment(1);
        }
    }

    /// Fills holes until told to stop.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), String> {
        let mut selection = self.selection.clone();
        tokio::select! {
            () = stop.requested() => return Ok(()),
            known = selection.wait_for(Option::is_some) => if known.is_err() { return Ok(()) },
        }
        loop {
            let job = self.lock().take();
            let work = async {
                if let Some(job) = job {
                    self.fill(job).await
                } else {
                    self.news.notified().await;
                    Ok(())
                }
            };
            tokio::select! {
                () = stop.requested() => return Ok(()),
                done = work => done?,
            }
        }
    }

    async fn fill(&self, mut job: Job) -> Result<(), String> {
        // Another worker may take the next one.
        if self.lock().is_waiting() {
            self.news.notify_one();
        }
        let selection = self.selection.borrow().clone().unwrap_or_default();
        let Some(instrument) = selection.listed.get(&job.instrument) else {
            return self.settle(job.gaps, GapCause::Refused.as_str()).await;
        };
        let first_wait = self.around.bounds.retry_wait;
        let mut backoff = Backoff::new(first_wait, first_wait.max(RETRY_MAX), self.seed);
        let mut stuck_since = self.around.journal.now();
        let (mut page_count, mut refusals, mut shorts) = (0, 0, 0);
        loop {
            let request = match question(&self.around, &job, instrument) {
                Ok(request) => request,
                Err(refusal) => return self.settle(job.gaps, cause(refusal).as_str()).await,
            };
            let answer = self
                .desk
                .ask(self.around.id(), request.clone(), priority(&job), self.around.bounds.fill_max)
                .await;
            match answer.map(|reply| self.read(&job, instrument, &request, &reply)) {
                Ok(Ok(Progress::Done)) => return self.settle(job.gaps, DONE).await,
                Ok(Ok(Progress::Through(next))) => {
                    job = self.advance(job, next).await?;
                    stuck_since = self.around.journal.now();
                    (refusals, shorts) = (0, 0);
                    backoff.reset();
                    page_count += 1;
                    if page_count >= PAGES_IN_A_ROW && self.lock().is_waiting() {
                        self.lock().put_back(job);
                        return Ok(());
                    }
                    continue;
                }
                Ok(Ok(Progress::TooOld)) => {
                    return self.settle(job.gaps, GapCause::BeyondHistory.as_str()).await;
                }
                Ok(Ok(Progress::Short)) => {
                    shorts += 1;
                    if shorts >= self.around.bounds.refusals_max.min(SHORTS_MAX) {
                        return self.settle(job.gaps, DONE).await;
                    }
                }
                Ok(Err(Refused { what, is_final })) => {
                    refusals += 1;
                    tracing::warn!(
                        instrument = job.instrument.as_str(),
                        path = request.path,
                        "hole not filled: {what}"
                    );
                    if is_final || refusals >= self.around.bounds.refusals_max {
                        return self.settle(job.gaps, GapCause::Refused.as_str()).await;
                    }
                }
                Err(error) => {
                    tracing::info!(instrument = job.instrument.as_str(), "hole not filled yet: {error}");
                }
            }
            if since(stuck_since, self.around.journal.now()) > self.around.bounds.fill_max {
                // Nobody refused, nobody answered: the hole stays open, and `refine` asks again.
                for gap in &job.gaps {
                    self.lock().settle(gap);
                }
                return Ok(());
            }
            runtime::sleep(backoff.next_wait()).await;
        }
    }

    /// Tells how far an answer brings the job.
    fn read(
        &self,
        job: &Job,
        instrument: &Instrument,
        request: &RestRequest,
        reply: &Reply,
    ) -> Result<Progress, Refused> {
        let mut newest: Option<i64> = None;
        if !reply.is_ok() && self.around.venue.says_too_old(&reply.body) {
            return Ok(Progress::TooOld);
        }
        answer::read(self.around.venue, std::slice::from_ref(instrument), &request.purpose, reply, |event| {
            if let Event::Trade(trade) = event {
                newest = newest.max(trade.trade_id);
            }
        })
        .map_err(|what| Refused { what, is_final: reply.is_final_refusal() })?;
        Ok(match (job.ids, newest) {
            (Some((first, last)), Some(newest)) if newest >= first && newest < last => {
                Progress::Through(newest + 1)
            }
            (Some((_, last)), newest) if newest.is_none_or(|newest| newest < last) => Progress::Short,
            _ => Progress::Done,
        })
    }

    /// Goes on behind what was answered; holes that lie before it are settled.
    async fn advance(&self, mut job: Job, next: i64) -> Result<Job, String> {
        let (settled, open): (Vec<Gap>, Vec<Gap>) =
            job.gaps.drain(..).partition(|gap| gap.last_id.is_some_and(|last| last < next));
        self.settle(settled, DONE).await?;
        job.gaps = open;
        job.ids = job.ids.map(|(_, last)| (next, last));
        Ok(job)
    }

    async fn settle(&self, gaps: Vec<Gap>, result: &str) -> Result<(), String> {
        for gap in gaps {
            let outcome = Outcome::of(&gap, result);
            let journal = &self.around.journal;
            let record = journal.record(Some(self.around.id()), 0, RecordKind::Outcome, outcome.to_payload());
            journal.write(record).await.map_err(|closed| closed.to_string())?;
            metrics::counter!("tickhouse_fills_total", "venue" => self.around.id().as_str(),
                "result" => result.to_owned())
            .increment(1);
            self.lock().settle(&gap);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, FillQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a hole that was asked for in full.
const DONE: &str = "done";

/// The venue answered something else than what was asked.
struct Refused {
    what: String,
    /// Asking again is of no use.
    is_final: bool,
}

fn question(
    around: &Surroundings,
    job: &Job,
    instrument: &Instrument,
) -> Result<RestRequest, HistoryRefusal> {
    around.venue.history(&match job.ids {
        None if job.channel == Channel::Klines => {
            let (start, end) = job.span();
            HistoryAsk::Klines { instrument, timeframe: Timeframe::MINUTE, start, end }
        }
        Some((first, last)) => HistoryAsk::TradesFromId {
            instrument,
            channel: job.channel,
            first_id: first,
            count: last.saturating_sub(first).saturating_add(1).clamp(1, PAGE) as u32,
        },
        None => HistoryAsk::RecentTrades { instrument, channel: job.channel },
    })
}

/// Missing trades cannot wait; klines can.
fn priority(job: &Job) -> Priority {
    if job.channel == Channel::Klines { Priority::Poll } else { Priority::Repair }
}

fn cause(refusal: HistoryRefusal) -> GapCause {
    match refusal {
        HistoryRefusal::NotOffered => GapCause::Refused,
        HistoryRefusal::TooOld => GapCause::BeyondHistory,
    }
}

fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}
