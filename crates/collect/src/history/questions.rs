//! One fetching on its way: asks a question until it is answered, refused for good or given up, and hands rows over. Which
//! questions, in which order, is left to `trades`, `grid` and `settled`.

use std::time::Duration;

use futures::FutureExt;
use model::{Event, GapCause, Instrument, Time};
use runtime::{Backoff, Stop};
use venues::{HistoryAsk as Question, HistoryRefusal, Purpose, RestRequest};

use super::{HistoryAsk, HistoryDesk, HistoryEnd, HistoryPost, HistoryReport, HistoryWish, Lacking, Taken};
use crate::answer;
use crate::rest::{AskError, Priority, Reply};
use crate::settings::Bounds;

/// A question may wait so long for its turn; then it is looked whether the host is banned, and it is asked again.
const TURN_MAX: Duration = Duration::from_mins(10);
/// The end of a ban is looked at this often: another answer may have moved it.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait between tries.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// A fetching ended early.
pub(super) struct End(pub(super) HistoryEnd);

/// What came of a question.
pub(super) enum Page {
    /// The venue's rows.
    Rows(Vec<Event>),
    /// It no longer gives that range.
    TooOld,
    /// It has no such question.
    NotOffered,
}

/// One fetching.
pub(super) struct Fetching<'a> {
    pub(super) post: &'a HistoryPost,
    pub(super) instrument: &'a Instrument,
    bounds: &'a Bounds,
    desk: &'a HistoryDesk,
    take: &'a mut (dyn FnMut(Vec<Event>) -> Taken + Send),
    stop: &'a Stop,
    backoff: Backoff,
    pub(super) report: HistoryReport,
}

impl<'a> Fetching<'a> {
    pub(super) fn new(
        desk: &'a HistoryDesk,
        post: &'a HistoryPost,
        ask: &'a HistoryAsk,
        take: &'a mut (dyn FnMut(Vec<Event>) -> Taken + Send),
        stop: &'a Stop,
    ) -> Self {
        let bounds = &*desk.bounds;
        let seed =
            ask.instrument.symbol.bytes().fold(7, |seed: u64, byte| seed * 31 % 1_000_003 + u64::from(byte));
        Self {
            post,
            instrument: &ask.instrument,
            bounds,
            desk,
            take,
            stop,
            backoff: Backoff::new(bounds.retry_wait, RETRY_MAX.max(bounds.retry_wait), seed),
            report: HistoryReport { rest: Some(ask.wish.clone()), ..HistoryReport::default() },
        }
    }

    pub(super) fn into_report(self) -> HistoryReport {
        self.report
    }

    /// Fetches everything that is wanted.
    pub(super) async fn run(&mut self, wish: HistoryWish) -> Result<(), End> {
        self.learn_clock().await?;
        match wish {
            HistoryWish::TradeIds { first, last } => self.trades_by_id(first, last).await,
            HistoryWish::TradesByTime { range } => self.trades_by_time(range).await,
            HistoryWish::Klines { timeframe, range } => self.klines(timeframe, range).await,
            HistoryWish::Funding { range } => self.funding(range).await,
            HistoryWish::OpenInterest { period, range } => self.open_interest(period, range).await,
        }
    }

    /// Now, by the venue's clock.
    pub(super) fn venue_time(&self) -> Time {
        self.desk.clock.time().plus_micros(self.post.desk.skew().unwrap_or(0))
    }

    /// What is left, should the fetching end here; `None` when nothing is.
    pub(super) fn left(&mut self, wish: Option<HistoryWish>) {
        self.report.rest = wish;
    }

    /// Notes a span that the venue does not have, together with the one before if they touch.
    pub(super) fn lack_span(&mut self, (start, end): (Time, Time), cause: GapCause) {
        if let Some(last) = self.report.lacking.last_mut()
            && last.cause == cause
            && last.ids.is_none()
            && last.times.1 == Some(start)
        {
            last.times.1 = Some(end);
            return;
        }
        self.report.lacking.push(Lacking { ids: None, times: (Some(start), Some(end)), cause });
    }

    /// Hands rows over and waits until they are taken.
    pub(super) async fn hand(&mut self, rows: Vec<Event>) -> Result<(), End> {
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len() as u64;
        let taking = (self.take)(rows);
        tokio::select! {
            taken = taking => taken.map_err(|what| End(HistoryEnd::NotTaken(what)))?,
            () = self.stop.requested() => return Err(End(HistoryEnd::Stopped)),
        }
        self.report.rows += count;
        Ok(())
    }

    /// Asks a question until it is answered.
    pub(super) async fn ask(&mut self, question: &Question<'_>) -> Result<Page, End> {
        match self.post.venue.history(question) {
            Ok(request) => self.ask_request(request).await,
            Err(HistoryRefusal::NotOffered) => Ok(Page::NotOffered),
            Err(HistoryRefusal::TooOld) => Ok(Page::TooOld),
        }
    }

    async fn ask_request(&mut self, mut request: RestRequest) -> Result<Page, End> {
        request.purpose = Purpose::History(Box::new(request.purpose));
        loop {
            let Some(reply) = self.reply(&request).await? else { continue };
            if !reply.is_ok() && self.post.venue.says_too_old(&reply.body) {
                self.backoff.reset();
                return Ok(Page::TooOld);
            }
            let mut rows = Vec::new();
            let instruments = std::slice::from_ref(self.instrument);
            let read = answer::read(self.post.venue, instruments, &request.purpose, &reply, |event| {
                rows.push(event);
            });
            match read {
                Ok(()) => {
                    self.backoff.reset();
                    return Ok(Page::Rows(rows));
                }
                Err(what) if reply.is_final_refusal() => {
                    self.report.refusals += 1;
                    return Err(End(HistoryEnd::Refused(what)));
                }
                Err(what) => self.failed(&request.path, what).await?,
            }
        }
    }

    /// One try to get an answer; `None` if it is to be tried again.
    async fn reply(&mut self, request: &RestRequest) -> Result<Option<Reply>, End> {
        self.wait_for_ban().await?;
        let venue = self.post.venue.facts().id;
        let asked = self.post.desk.ask(venue, request.clone(), Priority::History, TURN_MAX);
        let answer = tokio::select! {
            answer = asked => answer,
            () = self.stop.requested() => return Err(End(HistoryEnd::Stopped)),
        };
        match answer {
            Ok(reply) => {
                self.report.questions += 1;
                self.report.weight += u64::from(request.weight);
                self.report.bytes += reply.body.len() as u64;
                Ok(Some(reply))
            }
            Err(AskError::Expired) => {
                tracing::info!(path = request.path, "still waits for its turn in the budget of its host");
                Ok(None)
            }
            Err(error) => {
                self.failed(&request.path, error.to_string()).await?;
                Ok(None)
            }
        }
    }

    async fn failed(&mut self, path: &str, what: String) -> Result<(), End> {
        self.report.refusals += 1;
        if self.backoff.tries() + 1 >= self.bounds.refusals_max {
            return Err(End(HistoryEnd::GaveUp(what)));
        }
        tracing::debug!(path, "asked again: {what}");
        self.pause().await
    }

    /// Waits as before another try.
    pub(super) async fn pause(&mut self) -> Result<(), End> {
        let wait = self.backoff.next_wait();
        if self.stop.sleep(wait).await { Ok(()) } else { Err(End(HistoryEnd::Stopped)) }
    }

    async fn wait_for_ban(&mut self) -> Result<(), End> {
        while let Some(until) = self.post.desk.banned() {
            let left = u64::try_from(until.0.saturating_sub(self.desk.clock.time().0)).unwrap_or(0);
            let wait = Duration::from_micros(left.max(1_000)).min(LOOK_EVERY);
            if !self.stop.sleep(wait).await {
                return Err(End(HistoryEnd::Stopped));
            }
            self.report.banned += wait;
        }
        if self.stop.is_requested() { Err(End(HistoryEnd::Stopped)) } else { Ok(()) }
    }

    /// Asks for the venue's clock, if nobody did yet: windows of budgets turn by it, and bars close by it.
    async fn learn_clock(&mut self) -> Result<(), End> {
        if self.post.desk.skew().is_some() {
            return Ok(());
        }
        let polls = self.post.venue.polls(&[], &[]);
        let request =
            polls.into_iter().map(|poll| poll.request).find(|one| one.purpose == Purpose::ServerTime);
        let Some(request) = request else { return Ok(()) };
        loop {
            let Some(reply) = self.reply(&request).boxed().await? else { continue };
            let time = Some(&reply.body).filter(|_| reply.is_ok());
            if let Some(time) = time.and_then(|body| self.post.venue.server_time(body)) {
                self.post.desk.set_skew(reply.skew(time));
                self.backoff.reset();
                return Ok(());
            }
            if reply.is_final_refusal() {
                return Err(End(HistoryEnd::Refused(format!("status {} to {}", reply.status, request.path))));
            }
            self.failed(&request.path, format!("status {}", reply.status)).await?;
        }
    }
}
