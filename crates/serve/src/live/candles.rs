//! Candle subscriptions: a forming candle is sent on change at most four times a second, a closed or revised one always.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use model::{Bar, BarState, GapState, Time, Timeframe};
use tables::{Candle, CandleAnswer, CandleAsk, CoverageAnswer, DataQuality, StoreError, TimeRange};

use super::hub::{Done, State};
use super::messages;
use super::outbox::CandleKey;
use super::pace::{CandleListener, HISTORY_PACE};
use super::routes::{Reader, Route};
use super::words::Names;
use crate::dto::candle::{DataStatus, quality};
use crate::refusal::Refusal;

/// How long after the start of the process missing history counts as being fetched.
const HISTORY_SECONDS: i64 = 120;

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
        let status = self.house.status();
        let Some(route) = self.routes.get_mut(&key.0) else { return };
        let names = Arc::clone(&route.names);
        let Some(topic) = route.candles.get_mut(&key.1) else { return };
        let Some(listener) = topic.listeners.iter_mut().find(|one| one.reader.id == reader) else { return };
        match answer {
            Ok(answer) => {
                let phase =
                    status.instruments.iter().find(|line| line.instrument == key.0).map(|line| line.phase);
                let uptime = crate::dto::status::uptime_seconds(&status);
                let is_young =
                    uptime < HISTORY_SECONDS || phase == Some("waiting") || answer.coverage.is_repairing;
                let has_all = answer.candles.len() >= listener.asked || reaches_listing(&names, &answer);
                listener.is_loading = !has_all && is_young;
                let is_news =
                    !listener.is_live || answer.candles.len() > listener.got || !listener.is_loading;
                listener.got = answer.candles.len();
                if listener.is_loading {
                    self.pace.loading.push((reader, key.clone()));
                }
                if listener.asked > 0 && is_news {
                    let data_status =
                        data_status(&answer.candles, Some(&answer.coverage), listener.is_loading);
                    let text = messages::initial(&names, key.1, &answer.candles, data_status);
                    listener.reader.outbox.forget(key);
                    listener.reader.outbox.say(text);
                }
                let newest = answer.candles.last().map(|candle| candle.bar.open_time);
                topic.open_time = topic.open_time.max(newest);
                route.coverage = Some(answer.coverage);
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
                    let status =
                        data_status(std::slice::from_ref(candle), Some(&answer.coverage), topic.is_loading());
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
        if !self.pace.loading.is_empty() && self.pace.history_wait().is_zero() {
            self.pace.history_due = now + HISTORY_PACE;
            for (reader, key) in std::mem::take(&mut self.pace.loading) {
                let asked =
                    self.routes.get(&key.0).and_then(|route| route.candles.get(&key.1)).and_then(|topic| {
                        topic.listeners.iter().find(|one| one.reader.id == reader).map(|one| one.asked)
                    });
                if let Some(asked) = asked {
                    self.ask_initial(reader, key, asked);
                }
            }
        }
    }

    fn send_newest(&mut self, key: &CandleKey, now: Duration) {
        let Some(route) = self.routes.get_mut(&key.0) else { return };
        let Route { names, candles, coverage, .. } = route;
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
        let status = data_status(std::slice::from_ref(&candle), coverage.as_ref(), topic.is_loading());
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

    /// A hole was found, filled or given up: the verdict over the newest candles may have changed.
    pub(super) fn pass_gap(&mut self, gap: &model::Gap) {
        let Some(route) = self.routes.get_mut(&gap.instrument) else { return };
        if route.candles.is_empty() {
            return;
        }
        match &mut route.coverage_asked {
            Some(is_due_again) => *is_due_again = true,
            None => self.ask_coverage(&gap.instrument.clone()),
        }
    }

    fn ask_coverage(&mut self, id: &model::InstrumentId) {
        let Some(route) = self.routes.get_mut(id) else { return };
        let spans = route.candles.iter().filter_map(|(timeframe, topic)| {
            topic.open_time.map(|start| TimeRange { start, end: timeframe.bucket_end(start) })
        });
        let Some(range) = spans.reduce(|left, right| TimeRange {
            start: left.start.min(right.start),
            end: left.end.max(right.end),
        }) else {
            return;
        };
        route.coverage_asked = Some(false);
        let (coverage, id) = (Arc::clone(&self.house.doors.coverage), id.clone());
        let asked = id.clone();
        self.ask(
            async move { Ok(coverage.coverage(&asked, model::Channel::Trades, range).await) },
            move |answer| Done::Coverage { id, answer },
        );
    }

    /// Coverage is here.
    pub(super) fn coverage_here(
        &mut self,
        id: &model::InstrumentId,
        answer: Result<CoverageAnswer, StoreError>,
    ) {
        let Some(route) = self.routes.get_mut(id) else { return };
        let is_due_again = route.coverage_asked.take() == Some(true);
        if let Ok(answer) = answer {
            route.coverage = Some(answer);
        }
        for (timeframe, topic) in &mut route.candles {
            self.pace.touch((id.clone(), *timeframe), topic);
        }
        if is_due_again {
            self.ask_coverage(id);
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

fn data_status(candles: &[Candle], coverage: Option<&CoverageAnswer>, is_loading: bool) -> DataStatus {
    let verdict: DataQuality = quality(candles, coverage);
    let is_open = |gap: &model::Gap| gap.state == GapState::Open;
    DataStatus {
        historical_loading: is_loading,
        gap_recovery: coverage
            .is_some_and(|coverage| coverage.is_repairing || coverage.gaps.iter().any(is_open)),
        data_quality: verdict.as_str(),
    }
}
