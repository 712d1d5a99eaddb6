//! One fetching on its way: asks a question until it is answered, refused for good or given up, and hands rows over. Which
//! questions, in which order, is left to `trades`, `grid` and `settled`.

use futures::FutureExt;
use model::{Event, GapCause, Instrument, Time};
use runtime::Stop;
use venues::{HistoryAsk as Question, HistoryRefusal, Purpose, RestRequest};

use super::{HistoryAsk, HistoryDesk, HistoryEnd, HistoryPost, HistoryReport, HistoryWish, Lacking, Taken};
use crate::answer;
use crate::patience::{NoAnswer, Patience};
use crate::rest::Priority;

/// A fetching ended early.
pub(super) struct End(pub(super) HistoryEnd);

impl From<NoAnswer> for End {
    fn from(why: NoAnswer) -> Self {
        Self(match why {
            NoAnswer::Stopped => HistoryEnd::Stopped,
            NoAnswer::GaveUp(what) => HistoryEnd::GaveUp(what),
        })
    }
}

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
    desk: &'a HistoryDesk,
    take: &'a mut (dyn FnMut(Vec<Event>) -> Taken + Send),
    stop: &'a Stop,
    pub(super) patience: Patience<'a>,
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
        let seed =
            ask.instrument.symbol.bytes().fold(7, |seed: u64, byte| seed * 31 % 1_000_003 + u64::from(byte));
        let venue = post.venue.facts().id;
        let about = (&*desk.clock, seed);
        Self {
            post,
            instrument: &ask.instrument,
            desk,
            take,
            stop,
            patience: Patience::new((&post.desk, venue), &desk.bounds, about, stop),
            report: HistoryReport { rest: Some(ask.wish.clone()), ..HistoryReport::default() },
        }
    }

    pub(super) fn into_report(mut self) -> HistoryReport {
        let used = self.patience.used;
        (self.report.questions, self.report.weight, self.report.bytes) =
            (used.questions, used.weight, used.bytes);
        (self.report.refusals, self.report.banned) = (used.refusals, used.banned);
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
            let reply = self.patience.answer(&request, Priority::History).await?;
            if !reply.is_ok() && self.post.venue.says_too_old(&reply.body) {
                self.patience.satisfied();
                return Ok(Page::TooOld);
            }
            let mut rows = Vec::new();
            let instruments = std::slice::from_ref(self.instrument);
            let read = answer::read(self.post.venue, instruments, &request.purpose, &reply, |event| {
                rows.push(event);
            });
            match read {
                Ok(()) => {
                    self.patience.satisfied();
                    return Ok(Page::Rows(rows));
                }
                Err(what) if reply.is_final_refusal() => {
                    self.patience.used.refusals += 1;
                    return Err(End(HistoryEnd::Refused(what)));
                }
                Err(what) => self.patience.failed(&request.path, what).await?,
            }
        }
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
            let reply = self.patience.answer(&request, Priority::History).boxed().await?;
            let time = Some(&reply.body).filter(|_| reply.is_ok());
            if let Some(time) = time.and_then(|body| self.post.venue.server_time(body)) {
                self.post.desk.set_skew(reply.skew(time));
                self.patience.satisfied();
                return Ok(());
            }
            if reply.is_final_refusal() {
                return Err(End(HistoryEnd::Refused(format!("status {} to {}", reply.status, request.path))));
            }
            self.patience.failed(&request.path, format!("status {}", reply.status)).await?;
        }
    }
}
