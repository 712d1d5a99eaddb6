//! One source, page after page: what to ask next, how far an answer reaches, and when to look again.

use std::ops::Range;
use std::sync::Arc;

use model::time::MINUTE;
use model::{BUCKET, PriceSource, Time, VenueId, bucket_of};
use runtime::{Clock, Stop};
use venues::prices::{CandleAnswer, CandlePage, CandleSource, NoCandles};

use super::{PriceEnd, PriceError, PriceMode, PricePage, PriceReport, PriceSourceSettings, PriceTaker};
use crate::patience::{NoAnswer, Patience};
use crate::rest::{Desk, Priority};
use crate::settings::Bounds;

/// How long the last candle of ten minutes is waited for; then the ten minutes are taken as they are.
const LATE_MAX: i64 = 2 * MINUTE;
/// Pieces of one page; a venue that cuts its answers shorter than this is not understood.
const PIECES_MAX: usize = 64;
/// What is over so recently is asked for before others ask for the past.
const LIVE: i64 = 6 * BUCKET;

/// Fetches one source; cheap to clone.
#[derive(Clone)]
pub struct PriceFetcher {
    source: &'static dyn CandleSource,
    settings: Arc<PriceSourceSettings>,
    venue: VenueId,
    desk: Arc<Desk>,
    bounds: Arc<Bounds>,
    clock: Arc<dyn Clock>,
}

/// What was brought for a question.
pub(super) struct Brought {
    pub(super) page: CandlePage,
    pub(super) span: Range<Time>,
    pub(super) received: Time,
    /// The end of the last ten minutes that were over and settled when the venue answered.
    pub(super) over: Time,
}

/// Why a question brought nothing.
pub(super) struct Failure {
    why: PriceEnd,
    question: String,
    span: Range<Time>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.question, self.why)
    }
}

impl From<NoAnswer> for PriceEnd {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Stopped => Self::Stopped,
            NoAnswer::GaveUp(what) => Self::GaveUp(what),
        }
    }
}

impl PriceFetcher {
    pub(super) fn new(
        source: &'static dyn CandleSource,
        settings: PriceSourceSettings,
        (venue, desk): (VenueId, Arc<Desk>),
        (bounds, clock): (Arc<Bounds>, Arc<dyn Clock>),
    ) -> Self {
        Self { source, settings: Arc::new(settings), venue, desk, bounds, clock }
    }

    /// The source.
    pub fn source(&self) -> PriceSource {
        self.settings.source
    }

    /// How it is fetched.
    pub fn settings(&self) -> &PriceSourceSettings {
        &self.settings
    }

    /// Brings everything up to now: from ten minutes before the checkpoint, or from where the source begins. A source that
    /// is not enabled or fed from elsewhere is not asked.
    pub async fn catch_up(
        &self,
        checkpoint: Option<Time>,
        taker: &mut dyn PriceTaker,
        stop: &Stop,
    ) -> Result<PriceReport, PriceError> {
        let mut report = PriceReport { skipped: self.skipped(), ..PriceReport::default() };
        if report.skipped.is_some() {
            return Ok(report);
        }
        let mut patience = self.patience(stop);
        let ended = self.pages(checkpoint, taker, (&mut patience, &mut report), stop).await;
        let used = patience.used;
        (report.questions, report.refusals, report.banned) = (used.questions, used.refusals, used.banned);
        match ended {
            Ok(()) => Ok(report),
            Err((why, open)) => {
                let (question, span) = open.unzip();
                Err(PriceError { source: self.source(), question, span, why, report })
            }
        }
    }

    /// Catches up again and again until told to stop, or until a page is not taken. What else goes wrong is told to the
    /// taker, and tried again.
    pub async fn follow(
        &self,
        mut checkpoint: Option<Time>,
        taker: &mut dyn PriceTaker,
        stop: &Stop,
    ) -> Result<(), PriceError> {
        loop {
            let report = match self.catch_up(checkpoint, taker, stop).await {
                Ok(report) => {
                    taker.looked();
                    report
                }
                Err(PriceError { why: PriceEnd::Stopped, .. }) => return Ok(()),
                Err(error @ PriceError { why: PriceEnd::NotTaken(_), .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(source = %error.source, "{error}");
                    taker.failed(&error);
                    error.report
                }
            };
            checkpoint = report.through.or(checkpoint);
            if !stop.sleep(self.settings.poll_every).await {
                return Ok(());
            }
        }
    }

    /// One who asks this source's host.
    pub(super) fn patience<'a>(&'a self, stop: &'a Stop) -> Patience<'a> {
        let seed = u64::from(self.venue.number());
        Patience::new((&self.desk, self.venue), &self.bounds, (&*self.clock, seed), stop)
    }

    /// Ends of ten minutes up to which candles are settled.
    pub(super) fn settled(&self) -> Time {
        self.settled_at(self.now())
    }

    fn settled_at(&self, now: Time) -> Time {
        bucket_of(now.plus_micros(-(self.source.facts().settles.as_micros() as i64)))
    }

    /// Minutes of a candle.
    pub(super) fn child_minutes(&self) -> u16 {
        self.source.facts().child_minutes
    }

    fn skipped(&self) -> Option<&'static str> {
        if !self.settings.enabled {
            return Some("the source is not enabled");
        }
        (self.settings.mode == PriceMode::Remote).then_some("the source is fed from elsewhere")
    }

    /// Now, by the venue's clock where it is known.
    fn now(&self) -> Time {
        self.clock.time().plus_micros(self.desk.skew().unwrap_or(0))
    }

    async fn pages(
        &self,
        checkpoint: Option<Time>,
        taker: &mut dyn PriceTaker,
        (patience, report): (&mut Patience<'_>, &mut PriceReport),
        stop: &Stop,
    ) -> Result<(), (PriceEnd, Option<(String, Range<Time>)>)> {
        let mut from = self.start(checkpoint);
        loop {
            let end = self.settled();
            if from >= end || report.through.or(checkpoint).is_some_and(|through| through >= end) {
                return Ok(());
            }
            let brought = self.ask(&(from..end), patience).await;
            let Brought { page, span, received, over } =
                brought.map_err(|failure| (failure.why, Some((failure.question, failure.span))))?;
            // What the venue has not come to yet is no silence of its.
            let through = self.through(&page, &span, end.min(over));
            let mut candles = page.candles;
            candles.retain(|candle| candle.is_closed && candle.open_time < through);
            let is_progress = report.through.or(checkpoint).is_none_or(|before| through > before);
            if !is_progress || through <= from {
                return Ok(());
            }
            report.pages += 1;
            report.candles += candles.len() as u64;
            report.refused += page.refused.len() as u64;
            let page = PricePage {
                source: self.source(),
                candles,
                child_minutes: self.child_minutes(),
                refused: page.refused,
                from,
                through,
                received,
            };
            let taken = tokio::select! {
                taken = taker.take(page) => taken,
                () = stop.requested() => return Err((PriceEnd::Stopped, None)),
            };
            taken.map_err(|what| (PriceEnd::NotTaken(what), None))?;
            report.through = Some(through);
            from = through;
        }
    }

    fn start(&self, checkpoint: Option<Time>) -> Time {
        match checkpoint {
            Some(checkpoint) => bucket_of(checkpoint).plus_micros(-BUCKET),
            None if self.settings.auto_historical_backfill => bucket_of(self.settings.historical_start),
            None => self.settled().plus_micros(-BUCKET),
        }
    }

    /// Up to where an answer settles what happened. At the edge to now, silence may mean that the venue is late: there only
    /// what shows counts, and the last ten minutes only with their last candle, unless that is long overdue.
    fn through(&self, page: &CandlePage, span: &Range<Time>, edge: Time) -> Time {
        let candles = &page.candles;
        let open = candles.iter().find(|candle| !candle.is_closed).map(|candle| bucket_of(candle.open_time));
        let limit = open.unwrap_or(span.end).min(span.end);
        if span.end < edge {
            return limit;
        }
        let Some(last) = candles.iter().rfind(|candle| candle.is_closed) else { return span.start };
        let bucket = bucket_of(last.open_time);
        let end = bucket.plus_micros(BUCKET);
        let has_last = last.open_time.plus_micros(i64::from(self.child_minutes()) * MINUTE) == end;
        let is_overdue = page.now >= end.plus_micros(LATE_MAX);
        limit.min(if has_last || is_overdue { end } else { bucket })
    }

    /// Asks for as much of a span as one page holds, until it is answered.
    pub(super) async fn ask(
        &self,
        wanted: &Range<Time>,
        patience: &mut Patience<'_>,
    ) -> Result<Brought, Failure> {
        let question = self.source.question(self.settings.place(), wanted, self.now());
        let span = question.span;
        let mut whole = CandlePage::default();
        let mut piece = span.clone();
        let mut now: Option<Time> = None;
        for _ in 0..PIECES_MAX {
            let (page, received) = self.piece(&piece, patience).await?;
            whole.refused.extend(page.refused);
            whole.outside_count += page.outside_count;
            // What is still to be asked for lies before.
            whole.candles.splice(0..0, page.candles);
            // The newest candles came first.
            whole.now = *now.get_or_insert(page.now);
            let Some(rest) = page.rest else {
                let over = self.settled_at(whole.now);
                return Ok(Brought { page: whole, span, received, over });
            };
            piece = rest;
        }
        let why = PriceEnd::GaveUp(format!("the venue cuts its answers into more than {PIECES_MAX} pieces"));
        Err(Failure { why, question: question.request.path, span })
    }

    async fn piece(
        &self,
        wanted: &Range<Time>,
        patience: &mut Patience<'_>,
    ) -> Result<(CandlePage, Time), Failure> {
        let now = self.now();
        let mut request = self.source.question(self.settings.place(), wanted, now).request;
        // A piece need not end where ten minutes do.
        request.path = self.source.path(self.settings.place(), wanted, now);
        let is_live = wanted.end.plus_micros(LIVE) > now;
        let priority = if is_live { Priority::Poll } else { Priority::History };
        let fail = |why| Failure { why, question: request.path.clone(), span: wanted.clone() };
        loop {
            let reply = patience.answer(&request, priority).await.map_err(|why| fail(why.into()))?;
            let (source, span, received) = (self.source, wanted.clone(), reply.received.to_time());
            let dated = reply.dated;
            // Ten thousand rows take milliseconds.
            let read = runtime::tasks::blocking(move || {
                let answer = CandleAnswer { status: reply.status, body: &reply.body, received, dated };
                source.read(&answer, &span)
            });
            let read = read.await.unwrap_or_else(|error| Err(NoCandles::Malformed(error)));
            match read {
                Ok(page) => {
                    patience.satisfied();
                    return Ok((page, received));
                }
                Err(error) if error.passes() => {
                    patience
                        .failed(&request.path, error.to_string())
                        .await
                        .map_err(|why| fail(why.into()))?;
                }
                Err(error) => return Err(fail(PriceEnd::Refused(error.to_string()))),
            }
        }
    }
}
