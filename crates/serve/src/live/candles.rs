//! Candle subscriptions: a forming candle is sent on change at most four times a second, a closed or revised one always.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use model::{Bar, BarState, Gap, GapState, Time, Timeframe};
use tables::{CandleAnswer, CandleAsk, StoreError, TimeRange};

use super::hub::{Done, State};
use super::messages;
use super::outbox::CandleKey;
use super::pace::{CandleListener, HISTORY_PACE};
use super::routes::{Reader, Route};
use super::words::Names;
use crate::dto::candle::DataStatus;
use crate::refusal::Refusal;

impl State {
    /// A client wants a series.
    pub(super) fn join_candles(
        &mut self,
        reader: &Arc<Reader>,
        names: &Arc<Names>,
        wanted: (Timeframe, usize),
    ) {
        let (timeframe, asked) = wanted;
        let key = (names.id.clone(), timeframe);
        let topic = self.route(names).candles.entry(timeframe).or_default();
        topic.leave(reader.id);
        let is_live = false;
        topic.listeners.push(CandleListener {
            reader: Arc::clone(reader),
            asked,
            got: 0,
            is_live,
            is_loading: false,
            was_fetching: false,
        });
        self.ask_initial(reader.id, key, asked);
    }

    fn ask_initial(&mut self, reader: u64, key: CandleKey, asked: usize) {
        // Even a client that wants no history must learn how complete its first candle is.
        let ask = CandleAsk { instrument: key.0.clone(), timeframe: key.1, range: None, limit: asked.max(1) };
        let candles = Arc::clone(&self.house.doors.candles);
        self.ask(async move { candles.candles(ask).await }, move |answer| Done::Initial {
            reader,
            key,
            answer,
        });
    }

    /// The candles a series starts with are here, or history was looked for again.
    pub(super) fn initial_here(
        &mut self,
        reader: u64,
        key: &CandleKey,
        answer: Result<CandleAnswer, StoreError>,
    ) {
        let is_fetching = self.house.doors.status.is_fetching_history(&key.0);
        let Some(route) = self.routes.get_mut(&key.0) else { return };
        let names = Arc::clone(&route.names);
        let Some(topic) = route.candles.get_mut(&key.1) else { return };
        let Some(listener) = topic.listeners.iter_mut().find(|one| one.reader.id == reader) else { return };
        match answer {
            Ok(answer) => {
                let has_all = answer.candles.len() >= listener.asked || reaches_listing(&names, &answer);
                // When fetching ends, the last bars may still be on their way through the log: one more look.
                let was_fetching = std::mem::replace(&mut listener.was_fetching, is_fetching);
                listener.is_loading = !has_all && (is_fetching || was_fetching);
                let is_news =
                    !listener.is_live || answer.candles.len() > listener.got || !listener.is_loading;
                listener.got = answer.candles.len();
                if listener.is_loading {
                    self.pace.loading.push((reader, key.clone()));
                }
                self.pace.is_fetching |= is_fetching;
                if listener.asked > 0 && is_news {
                    let status = initial_status(&answer, is_fetching || listener.is_loading);
                    let text = messages::initial(&names, key.1, &answer.candles, status);
                    listener.reader.outbox.forget(key);
                    listener.reader.outbox.say(text);
                }
                let newest = answer.candles.last().map(|candle| candle.bar.open_time);
                topic.open_time = topic.open_time.max(newest);
            }
            Err(error) => listener.reader.outbox.say(messages::error(None, &Refusal::from(error))),
        }
        // What changed while the question was under way.
        if let Some(listener) = topic.listeners.iter_mut().find(|one| one.reader.id == reader) {
            listener.is_live = true;
        }
        topic.forming = None;
        self.pace.touch(key.clone(), topic);
    }

    /// A 1-minute bar changed: so did every series above it.
    pub(super) fn pass_bar(&mut self, bar: &Bar) {
        if bar.timeframe != Timeframe::MINUTE {
            return;
        }
        let Some(route) = self.routes.get_mut(&bar.instrument) else { return };
        let mut finals = Vec::new();
        for (&timeframe, topic) in &mut route.candles {
            let bucket = timeframe.bucket_start(bar.open_time);
            let bucket_end = timeframe.bucket_end(bucket);
            let is_last_minute = bucket_end == Timeframe::MINUTE.bucket_end(bar.open_time);
            let is_past = topic.open_time.is_some_and(|newest| bucket < newest);
            match bar.state {
                BarState::Closed if is_last_minute => {
                    topic.closing_count += 1;
                    finals.push((timeframe, bucket, true));
                }
                _ if is_past => finals.push((timeframe, bucket, false)),
                _ => self.pace.touch((bar.instrument.clone(), timeframe), topic),
            }
        }
        for (timeframe, bucket, is_closing) in finals {
            self.ask_final((bar.instrument.clone(), timeframe), bucket, is_closing);
        }
    }

    fn ask_final(&mut self, key: CandleKey, open_time: Time, is_closing: bool) {
        let range = Some(TimeRange { start: open_time, end: open_time.plus_micros(1) });
        let ask = CandleAsk { instrument: key.0.clone(), timeframe: key.1, range, limit: 1 };
        // A burst of late trades asks once for each candle it touches.
        if !is_closing && !self.finals_asked.insert((key.clone(), open_time)) {
            return;
        }
        let candles = Arc::clone(&self.house.doors.candles);
        self.ask(async move { candles.candles(ask).await }, move |answer| Done::Final {
            key,
            open_time,
            is_closing,
            answer,
        });
    }

    /// A closed or revised candle is here.
    pub(super) fn final_here(
        &mut self,
        key: &CandleKey,
        (open_time, is_closing): (Time, bool),
        answer: Result<CandleAnswer, StoreError>,
    ) {
        self.finals_asked.remove(&(key.clone(), open_time));
        let is_fetching = self.house.doors.status.is_fetching_history(&key.0);
        let Some(route) = self.routes.get_mut(&key.0) else { return };
        let Some(topic) = route.candles.get_mut(&key.1) else { return };
        if is_closing {
            topic.closing_count = topic.closing_count.saturating_sub(1);
        }
        match answer {
            Ok(answer) => {
                let found = answer.candles.iter().find(|candle| candle.bar.open_time == open_time);
                if let Some(candle) = found
                    && topic.closed.as_ref() != Some(candle)
                {
                    let status = DataStatus::of(std::slice::from_ref(candle), is_fetching);
                    let text = messages::candle(&route.names, candle, status);
                    for listener in topic.live() {
                        listener.reader.outbox.put_final(key, open_time, &text);
                    }
                    topic.open_time = topic.open_time.max(Some(open_time));
                    topic.closed = Some(candle.clone());
                }
            }
            Err(error) => {
                tracing::warn!(instrument = %key.0, timeframe = %key.1, %error, "a closed candle is not sent");
            }
        }
        self.pace.touch(key.clone(), topic);
    }

    /// Sends what is due.
    pub(super) fn send_due(&mut self) {
        let now = self.pace.watch.elapsed();
        while self.pace.due.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((_, key))) = self.pace.due.pop() else { break };
            self.send_newest(&key, now);
        }
        if self.pace.watches_history() && self.pace.history_wait().is_zero() {
            self.pace.history_due = now + HISTORY_PACE;
            self.look_at_history();
        }
    }

    // Whoever was told that history is being fetched hears when that is over, and gets the candles it still lacks.
    fn look_at_history(&mut self) {
        let status = Arc::clone(&self.house.doors.status);
        self.pace.is_fetching = false;
        for (id, route) in self.routes.iter_mut().filter(|(_, route)| !route.candles.is_empty()) {
            let is_fetching = status.is_fetching_history(id);
            self.pace.is_fetching |= is_fetching;
            if std::mem::replace(&mut route.was_fetching, is_fetching) != is_fetching {
                for (timeframe, topic) in &mut route.candles {
                    self.pace.touch((id.clone(), *timeframe), topic);
                }
            }
        }
        for (reader, key) in std::mem::take(&mut self.pace.loading) {
            let topic = self.routes.get(&key.0).and_then(|route| route.candles.get(&key.1));
            let listener = topic.and_then(|topic| topic.listeners.iter().find(|one| one.reader.id == reader));
            if let Some(asked) = listener.map(|listener| listener.asked) {
                self.ask_initial(reader, key, asked);
            }
        }
    }

    fn send_newest(&mut self, key: &CandleKey, now: Duration) {
        let is_fetching = self.house.doors.status.is_fetching_history(&key.0);
        self.pace.is_fetching |= is_fetching;
        let Some(route) = self.routes.get_mut(&key.0) else { return };
        route.was_fetching |= is_fetching;
        let Route { names, candles, .. } = route;
        let Some(topic) = candles.get_mut(&key.1) else { return };
        topic.is_due = false;
        // The candle before is still being asked for, and comes first.
        if topic.closing_count > 0 {
            return;
        }
        let Some(candle) = self.house.doors.candles.newest(&key.0, key.1) else { return };
        let open_time = candle.bar.open_time;
        let before = topic.open_time.filter(|before| *before < open_time);
        let is_told =
            |before: Time| topic.closed.as_ref().is_some_and(|closed| closed.bar.open_time >= before);
        if let Some(before) = before
            && topic.forming.is_some()
            && !is_told(before)
        {
            topic.open_time = Some(open_time);
            topic.closing_count += 1;
            self.ask_final(key.clone(), before, true);
            return;
        }
        topic.open_time = topic.open_time.max(Some(open_time));
        let status = DataStatus::of(std::slice::from_ref(&candle), is_fetching);
        let state = (candle, status);
        if topic.forming.as_ref() == Some(&state) || topic.closed.as_ref() == Some(&state.0) {
            return;
        }
        let text = messages::candle(names, &state.0, status);
        let is_forming = state.0.bar.state == BarState::Forming;
        for listener in topic.live() {
            if is_forming {
                listener.reader.outbox.put_forming(key, open_time, &text);
            } else {
                listener.reader.outbox.put_final(key, open_time, &text);
            }
        }
        topic.last_sent = Some(now);
        if !is_forming {
            topic.closed = Some(state.0.clone());
        }
        topic.forming = Some(state);
    }

    /// A hole was found, filled or given up: the verdict over the candles it lies in may have changed.
    pub(super) fn pass_gap(&mut self, gap: &Gap) {
        let Some(route) = self.routes.get_mut(&gap.instrument) else { return };
        let mut told = Vec::new();
        for (timeframe, topic) in &mut route.candles {
            let key = (gap.instrument.clone(), *timeframe);
            if let Some(closed) = topic.closed.as_ref().map(|candle| candle.bar.open_time)
                && closed <= gap.last_time
                && gap.first_time < timeframe.bucket_end(closed)
            {
                told.push((key.clone(), closed));
            }
            self.pace.touch(key, topic);
        }
        for (key, open_time) in told {
            self.ask_final(key, open_time, false);
        }
    }

    /// Items were missed: every series may have changed.
    pub(super) fn touch_all(&mut self) {
        for (id, route) in &mut self.routes {
            for (timeframe, topic) in &mut route.candles {
                self.pace.touch((id.clone(), *timeframe), topic);
            }
        }
    }
}

// A young instrument has no more history than this.
fn reaches_listing(names: &Names, answer: &CandleAnswer) -> bool {
    let first = answer.candles.first().map(|candle| candle.bar.open_time);
    matches!((names.listed_time, first), (Some(listed), Some(first)) if first <= listed)
}

fn initial_status(answer: &CandleAnswer, is_fetching: bool) -> DataStatus {
    let status = DataStatus::of(&answer.candles, is_fetching);
    if !answer.candles.is_empty() {
        return status;
    }
    let is_open = |gap: &Gap| gap.state == GapState::Open;
    DataStatus {
        gap_recovery: answer.coverage.gaps.iter().any(is_open),
        data_quality: answer.coverage.quality.as_str(),
        ..status
    }
}
