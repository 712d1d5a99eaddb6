//! Reads the stream, folds its minutes, and asks for those that it did not bring. Rows leave in their order, none twice.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use derivations::price::{DataSourceMode, TenMinutes};
use futures::StreamExt;
use model::{BUCKET, Nanos, Time, VenuePrice, bucket_of};
use runtime::clock::within;
use runtime::{Backoff, Clock, Sender, Stop};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;
use venues::prices::KlineLane;

use super::{PushSettings, PushStatus};
use crate::prices::{PriceDesk, PriceFetcher};
use crate::settings::Bounds;
use crate::socket::{self, Socket};
use crate::trust::Trust;

/// The venue cuts every connection after a day; ours leave before.
const LIFETIME: Duration = Duration::from_hours(23);
/// How long the farewell may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// After a question that failed, the next waits so long.
const ASK_AGAIN: i64 = 10 * model::time::SECOND;

/// The lane.
pub(super) struct Lane {
    settings: Arc<PushSettings>,
    bounds: Bounds,
    trust: Trust,
    clock: Arc<dyn Clock>,
    fetcher: PriceFetcher,
    rows: Sender<VenuePrice>,
    status: PushStatus,
    /// A restarted task takes up where the one before ended.
    state: Mutex<Option<State>>,
}

/// What was folded, and how far rows have left.
struct State {
    reader: KlineLane,
    fold: TenMinutes,
    /// Start of the ten minutes that leave next.
    next: Time,
    /// No question before then.
    ask_after: Time,
}

/// Why reading ended.
enum End {
    Stopped,
    Cut(String),
}

impl Lane {
    pub(super) fn new(
        settings: &Arc<PushSettings>,
        desk: &PriceDesk,
        fetcher: PriceFetcher,
        (rows, status): (Sender<VenuePrice>, PushStatus),
    ) -> Self {
        Self {
            settings: Arc::clone(settings),
            bounds: desk.bounds().clone(),
            trust: desk.trust(),
            clock: Arc::clone(desk.clock()),
            fetcher,
            rows,
            status,
            state: Mutex::new(None),
        }
    }

    pub(super) async fn run(&self, stop: Stop) -> Result<(), String> {
        let mut kept = self.state.lock().await;
        let state = kept.get_or_insert_with(|| State {
            reader: KlineLane::new(&self.settings.symbol),
            fold: TenMinutes::new(self.settings.source, self.fetcher.child_minutes()),
            // What is over of the ten minutes that are running, and of those before, is asked for.
            next: bucket_of(self.clock.time().plus_micros(-micros(self.settings.look_back))),
            ask_after: Time(0),
        });
        let url = state.reader.url(&self.settings.stream_base);
        let mut backoff = Backoff::new(self.bounds.reconnect.0, self.bounds.reconnect.1, 3);
        loop {
            let opened = tokio::select! {
                () = stop.requested() => return Ok(()),
                opened = Box::pin(socket::open(&url, &self.bounds, &self.trust)) => opened,
            };
            let why = match opened {
                Err(why) => why,
                Ok(mut socket) => {
                    backoff.reset();
                    let end = self.read(&mut socket, state, &stop).await;
                    let _peer_may_be_gone = within(FAREWELL_MAX, socket.close(None)).await;
                    match end {
                        End::Stopped => return Ok(()),
                        End::Cut(why) => why,
                    }
                }
            };
            self.status.0.reconnects.fetch_add(1, Ordering::Relaxed);
            tracing::info!(url, why, "the price stream ended, it is opened again");
            // Without a stream rows still come, over REST.
            let wait = backoff.next_wait();
            if !self.advance(state, &stop).await || !stop.sleep(wait).await {
                return Ok(());
            }
        }
    }

    /// Reads until the connection ends.
    async fn read(&self, socket: &mut Socket, state: &mut State, stop: &Stop) -> End {
        let opened = self.clock.now();
        let mut last_sign = opened;
        loop {
            let read = tokio::select! {
                biased;
                () = stop.requested() => return End::Stopped,
                read = socket.next() => Some(read),
                () = runtime::sleep(self.settings.look_every) => None,
            };
            let now = self.clock.now();
            match read {
                None => {}
                Some(Some(Ok(Message::Close(_))) | None) => return End::Cut("the venue closed".into()),
                Some(Some(Err(error))) => return End::Cut(socket::explain(&error)),
                Some(Some(Ok(message))) => {
                    last_sign = now;
                    if let Message::Text(text) = message {
                        self.take(text.as_bytes(), now, state);
                    }
                }
            }
            if !self.advance(state, stop).await {
                return End::Stopped;
            }
            if since(last_sign, now) > self.settings.silence_max {
                return End::Cut("nothing came for too long".into());
            }
            if since(opened, now) > LIFETIME {
                return End::Cut("it is nearly a day old".into());
            }
        }
    }

    fn take(&self, payload: &[u8], now: Nanos, state: &mut State) {
        match state.reader.read(payload, now) {
            Ok(Some(candle)) if candle.open_time >= state.next => {
                state.fold.take(&candle, now.to_time(), DataSourceMode::Stream);
            }
            // What has left is not told twice.
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(source = %self.settings.source, "a frame of the price stream: {error}");
            }
        }
    }

    /// Lets go what is over, and asks for what it lacks; false if told to stop, or if nobody takes rows any more.
    async fn advance(&self, state: &mut State, stop: &Stop) -> bool {
        loop {
            let (now, end) = (self.clock.time(), state.next.plus_micros(BUCKET));
            if !state.fold.is_complete(state.next) {
                let late = micros(self.settings.late_max);
                if now < end.plus_micros(late).max(state.ask_after) {
                    return true;
                }
                let edge = bucket_of(now.plus_micros(-late));
                if !self.repair(state, &(state.next..edge), stop).await {
                    state.ask_after = now.plus_micros(ASK_AGAIN);
                    return !stop.is_requested();
                }
                continue;
            }
            if !self.let_go(state, stop).await {
                return false;
            }
        }
    }

    /// Lets the next ten minutes go, whatever they lack.
    async fn let_go(&self, state: &mut State, stop: &Stop) -> bool {
        let row = state.fold.take_row(state.next);
        state.next = state.next.plus_micros(BUCKET);
        let Some(row) = row else { return true };
        tokio::select! {
            () = stop.requested() => false,
            sent = self.rows.send(row) => sent.is_ok(),
        }
    }

    /// Asks for candles of a span and lets go all of it that was answered. False if there was no answer, or if by the venue's clock not all
    /// of it is over: then ours is ahead, and what it has of the last minutes is not all there will be.
    async fn repair(&self, state: &mut State, span: &Range<Time>, stop: &Stop) -> bool {
        let mut patience = self.fetcher.patience(stop);
        let brought = match self.fetcher.ask(span, &mut patience).await {
            Ok(brought) => brought,
            Err(failure) => {
                let (source, failure) = (self.settings.source, failure.to_string());
                tracing::warn!(%source, failure, "what the price stream lacks could not be asked for");
                return false;
            }
        };
        self.status.0.repaired.fetch_add(1, Ordering::Relaxed);
        for candle in &brought.page.candles {
            state.fold.take(candle, brought.received, DataSourceMode::Rest);
        }
        while state.next < brought.span.end.min(brought.over) {
            if !self.let_go(state, stop).await {
                return false;
            }
        }
        state.next >= brought.span.end
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}
