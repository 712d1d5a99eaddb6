//! Asks one venue host over REST: a bounded queue by priority, the host's budget, a deadline for each question, and every
//! answer into the raw log. What is asked, and whether to ask again, is left to the callers.

mod words;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::status::RestStatus;
use model::{Time, VenueId};
use rawlog::{Answer, RecordKind};
use runtime::clock::within;
use runtime::{Restart, Stop, Tasks};
use tokio::sync::{Notify, oneshot};
use venues::{RestLimits, RestRequest};

use crate::budget::{Budget, BudgetState, BudgetStore, Told};
use crate::client::with_causes;
use crate::journal::Journal;
use crate::settings::Bounds;

pub(crate) use words::{AskError, Priority, Reply};

struct Job {
    venue: VenueId,
    request: RestRequest,
    answer: oneshot::Sender<Result<Reply, AskError>>,
}

struct State {
    lanes: [VecDeque<Job>; Priority::COUNT],
    budget: Budget,
    saved: Option<BudgetState>,
    saved_time: Time,
    skew: Option<i64>,
}

/// The place where one host is asked.
pub(crate) struct Desk {
    origin: String,
    used_header: Option<&'static str>,
    client: reqwest::Client,
    journal: Journal,
    store: Arc<dyn BudgetStore>,
    bounds: Bounds,
    state: Mutex<State>,
    news: Notify,
}

enum Next {
    Run(Box<Job>),
    WaitFor(Duration),
    Idle,
}

const LANES: [Priority; Priority::COUNT] =
    [Priority::Repair, Priority::Book, Priority::Poll, Priority::Lull, Priority::Doubt, Priority::History];

/// Budgets are written at most so often, bans at once.
const SAVE_EVERY_MICROS: i64 = 1_000_000;

/// When a budget is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    WhenDue,
    Now,
}

impl Desk {
    /// A desk for an origin such as `https://api.binance.com`, and the client that asks it.
    pub(crate) fn new(
        (origin, client): (&str, reqwest::Client),
        limits: RestLimits,
        (journal, store): (Journal, Arc<dyn BudgetStore>),
        kept: &[BudgetState],
        bounds: &Bounds,
    ) -> Arc<Self> {
        let mut budget = Budget::new(origin.to_owned(), limits, bounds.rest_share);
        if let Some(state) = kept.iter().find(|state| state.host == origin) {
            budget.restore(state);
        }
        Arc::new(Self {
            origin: origin.to_owned(),
            used_header: limits.used_header,
            client,
            journal,
            store,
            bounds: bounds.clone(),
            state: Mutex::new(State {
                lanes: Default::default(),
                saved: Some(budget.state()),
                budget,
                saved_time: Time(0),
                skew: None,
            }),
            news: Notify::new(),
        })
    }

    /// The origin asked.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Starts the workers.
    pub(crate) fn start(self: &Arc<Self>, tasks: &Tasks) {
        for number in 0..self.bounds.questions_max.max(1) {
            let desk = Arc::clone(self);
            let name = format!("collect.rest.{number}.{}", self.origin);
            tasks.start(name, Restart::WithBackoff { tries_max: 100 }, move |stop| {
                let desk = Arc::clone(&desk);
                async move { desk.work(stop).await }
            });
        }
    }

    /// Asks, waiting at most so long for turn and answer together.
    pub(crate) async fn ask(
        &self,
        venue: VenueId,
        request: RestRequest,
        priority: Priority,
        wait_max: Duration,
    ) -> Result<Reply, AskError> {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            let lane = &mut state.lanes[priority as usize];
            // Those who asked may have gone away meanwhile.
            if lane.len() >= self.bounds.questions_waiting_max {
                lane.retain(|job| !job.answer.is_closed());
            }
            if lane.len() >= self.bounds.questions_waiting_max {
                return Err(AskError::Crowded);
            }
            lane.push_back(Job { venue, request, answer: sender });
        }
        self.news.notify_one();
        match within(wait_max, answer).await {
            None => Err(AskError::Expired),
            Some(Err(_gone)) => Err(AskError::Failed("the worker ended".into())),
            Some(Ok(answer)) => answer,
        }
    }

    /// Tells the venue's clock against ours, for windows that follow the venue's minute.
    pub(crate) fn set_skew(&self, micros: i64) {
        let now = self.journal.clock().time();
        let mut state = self.lock();
        state.budget.set_skew(micros, now);
        state.skew = Some(micros);
    }

    /// What it was told to be.
    pub(crate) fn skew(&self) -> Option<i64> {
        self.lock().skew
    }

    /// How the budget stands.
    pub(crate) fn status(&self) -> RestStatus {
        let now = self.journal.clock().time();
        self.lock().budget.status(now)
    }

    /// Whether answers are kept in a log.
    pub(crate) fn records(&self) -> bool {
        self.journal.records()
    }

    /// Writes a record of something that was learned elsewhere.
    pub(crate) async fn write(&self, venue: VenueId, kind: RecordKind, payload: Bytes) -> Result<(), String> {
        let record = self.journal.record(Some(venue), 0, kind, payload);
        self.journal.write(record).await.map_err(|closed| closed.to_string())
    }

    /// Until when the host is not asked.
    pub(crate) fn banned(&self) -> Option<Time> {
        let now = self.journal.clock().time();
        self.lock().budget.banned(now)
    }

    async fn work(&self, stop: Stop) -> Result<(), String> {
        loop {
            let next = self.next(self.journal.clock().time());
            let job = match next {
                Next::Run(job) => job,
                Next::WaitFor(wait) => {
                    tokio::select! {
                        () = stop.requested() => break,
                        () = self.news.notified() => {}
                        () = runtime::sleep(wait) => {}
                    }
                    continue;
                }
                Next::Idle => {
                    tokio::select! {
                        () = stop.requested() => break,
                        () = self.news.notified() => {}
                    }
                    continue;
                }
            };
            tokio::select! {
                () = stop.requested() => break,
                () = self.run(*job) => {}
            }
        }
        // The next process counts on with what was asked to the end.
        self.save(Keep::Now).await;
        Ok(())
    }

    fn next(&self, now: Time) -> Next {
        let mut state = self.lock();
        let State { lanes, budget, .. } = &mut *state;
        let mut ready: Option<Time> = None;
        // Others need not wait until a pool that is not theirs has room.
        let mut full: Vec<usize> = Vec::new();
        for priority in LANES {
            let (lane, ceiling) = (&mut lanes[priority as usize], priority.ceiling(&self.bounds));
            let mut at = 0;
            while let Some(job) = lane.get(at) {
                let is_waiting = !full.is_empty()
                    && budget.pool(&job.request.path).is_some_and(|pool| full.contains(&pool));
                if job.answer.is_closed() {
                    let _nobody_waits_for_it = lane.remove(at);
                } else if is_waiting {
                    at += 1;
                } else {
                    match budget.try_take((&job.request.path, job.request.weight), ceiling, now) {
                        Ok(endpoint) => {
                            self.count(endpoint, job.request.weight);
                            return lane.remove(at).map_or(Next::Idle, |job| Next::Run(Box::new(job)));
                        }
                        Err(wait) => {
                            ready = Some(ready.map_or(wait.until, |other| other.min(wait.until)));
                            let Some(pool) = wait.pool else { break };
                            full.push(pool);
                        }
                    }
                }
            }
        }
        ready.map_or(Next::Idle, |time| {
            let micros = u64::try_from(time.0.saturating_sub(now.0)).unwrap_or(0);
            // Looked at again each second at least, should the clock have been set.
            Next::WaitFor(Duration::from_micros(micros.clamp(1_000, 1_000_000)))
        })
    }

    fn count(&self, endpoint: &str, weight: u32) {
        let (host, endpoint) = (self.origin.clone(), endpoint.to_owned());
        metrics::counter!("tickhouse_rest_weight_total", "host" => host.clone(), "endpoint" => endpoint.clone())
            .increment(u64::from(weight));
        metrics::counter!("tickhouse_rest_questions_total", "host" => host, "endpoint" => endpoint)
            .increment(1);
    }

    async fn run(&self, job: Job) {
        let answer = match within(self.bounds.answer_max, self.fetch(&job)).await {
            Some(answer) => answer,
            None => Err(AskError::Failed(format!(
                "{}: no answer within {:?}",
                job.request.path, self.bounds.answer_max
            ))),
        };
        let origin = self.origin.clone();
        match answer {
            Ok((reply, told)) => {
                metrics::counter!("tickhouse_rest_answers_total", "host" => origin,
                    "status" => reply.status.to_string())
                .increment(1);
                let now = self.journal.clock().time();
                let is_ban = self.lock().budget.saw(&told, (&job.request.path, now));
                if is_ban {
                    metrics::counter!("tickhouse_rest_bans_total", "host" => self.origin.clone())
                        .increment(1);
                    tracing::warn!(host = self.origin, status = told.status, retry_after = ?told.retry_after,
                        "the venue told us to stop asking");
                }
                self.save(Keep::WhenDue).await;
                let record = rawlog::NewRecord {
                    received: reply.received,
                    venue: Some(job.venue),
                    connection: 0,
                    kind: RecordKind::Answer,
                    payload: Answer {
                        purpose: job.request.purpose.to_text(),
                        status: reply.status,
                        path: job.request.path,
                        body: reply.body.clone(),
                    }
                    .to_payload(),
                };
                // Written before it is handed on, so that what follows from it stands behind it in the log.
                let result = match self.journal.write(record).await {
                    Ok(()) => Ok(reply),
                    Err(closed) => Err(AskError::Failed(closed.to_string())),
                };
                let _asker_may_be_gone = job.answer.send(result);
            }
            Err(error) => {
                metrics::counter!("tickhouse_rest_failures_total", "host" => origin).increment(1);
                let _asker_may_be_gone = job.answer.send(Err(error));
            }
        }
    }

    async fn fetch(&self, job: &Job) -> Result<(Reply, Told), AskError> {
        let path = &job.request.path;
        let failed = |error: reqwest::Error| AskError::Failed(format!("{path}: {}", with_causes(&error)));
        let sent = self.journal.now();
        let url = format!("{}{path}", self.origin);
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let told = Told {
            status: response.status().as_u16(),
            weight_used: self.used_header.and_then(header).and_then(|text| text.trim().parse().ok()),
            retry_after: header("retry-after")
                .and_then(|text| text.trim().parse::<f64>().ok())
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        };
        let dated = header("date").and_then(words::date);
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.bounds.answer_bytes_max {
                let most = self.bounds.answer_bytes_max;
                return Err(AskError::Failed(format!("{path}: the answer is longer than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let (body, received) = (body.freeze(), self.journal.now());
        Ok((Reply { status: told.status, body, sent, received, dated }, told))
    }

    /// Keeps the budget: a ban at once, the weight now and then.
    async fn save(&self, keep: Keep) {
        let (state, status) = {
            let now = self.journal.clock().time();
            let mut inner = self.lock();
            let state = inner.budget.state();
            let is_ban = inner.saved.as_ref().is_none_or(|saved| saved.banned_until != state.banned_until);
            let is_old = now.0.saturating_sub(inner.saved_time.0) >= SAVE_EVERY_MICROS;
            let is_wanted = is_old || keep == Keep::Now;
            let is_due = is_ban || (is_wanted && inner.saved.as_ref() != Some(&state));
            if is_due {
                inner.saved = Some(state.clone());
                inner.saved_time = now;
            }
            (is_due.then_some(state), inner.budget.status(now))
        };
        let host = || self.origin.clone();
        metrics::gauge!("tickhouse_rest_weight_used", "host" => host()).set(f64::from(status.weight_used));
        metrics::gauge!("tickhouse_rest_weight_max", "host" => host()).set(f64::from(status.weight_max));
        if let Some(told) = status.weight_told {
            metrics::gauge!("tickhouse_rest_weight_told", "host" => host()).set(f64::from(told));
        }
        if let Some(state) = state {
            let store = Arc::clone(&self.store);
            if let Err(error) = runtime::tasks::blocking(move || store.save(&state)).await {
                tracing::error!(host = self.origin, error, "the request budget could not be kept");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
