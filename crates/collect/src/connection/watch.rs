//! What a connection does about silence: names mute streams, cures them, or gives itself up.

use std::time::Duration;

use bytes::Bytes;
use model::Nanos;
use rawlog::{NewRecord, RecordKind};
use tokio_tungstenite::tungstenite::Message;

use super::Connection;
use super::meters::mute_gauge;
use crate::silence::{Cause, Mute, Verdict};

/// After so much silence we ask the other side for a sign of life; after as much again it counts as gone.
const IDLE_MAX: Duration = Duration::from_secs(15);

impl Connection {
    pub(super) async fn watch(&mut self, now: Nanos) {
        if since(self.last_sign, now) > 2 * IDLE_MAX {
            self.end = Some(format!("no sign of life for {} s", 2 * IDLE_MAX.as_secs()));
            return;
        }
        if since(self.last_sign, now) > IDLE_MAX && !std::mem::replace(&mut self.is_probed, true) {
            self.say(Message::Ping(Bytes::new())).await;
        }
        match self.silence.look(now) {
            None => {}
            Some(Verdict::Mutes(mutes)) => {
                for mute in mutes {
                    self.on_mute(mute, now);
                    self.cure(mute, now);
                }
            }
            Some(Verdict::Hush(mutes)) => {
                let silent = mutes.iter().map(|mute| mute.silent).min().unwrap_or_default();
                for mute in &mutes {
                    self.on_mute(*mute, now);
                }
                let what = format!("connection {} fell silent, {} streams", self.link.number, mutes.len());
                self.around.board.trouble(what);
                let reason = format!("all busy streams were silent for {:.1} s", silent.as_secs_f64());
                self.link.show(|state| state.wants_successor = Some(reason));
            }
        }
        if self.meters.has_data && !self.may_take_over && self.silence.is_every_busy_one_heard() {
            self.may_take_over = true;
            self.link.show(|state| state.may_take_over = true);
        }
        self.doubt(now);
        self.keep_histories();
    }

    pub(super) fn on_data(&mut self, key: &str, now: Nanos) {
        let Some(index) = self.requests.find(key) else { return };
        self.requests.saw(index, now);
        if self.silence.saw(index, now) {
            self.speak_well(index);
            tracing::info!(
                venue = self.name(),
                connection = self.link.number,
                stream = key,
                "the stream speaks again"
            );
        }
        if !std::mem::replace(&mut self.meters.has_data, true) {
            self.link.show(|state| state.has_data = true);
        }
    }

    pub(super) fn on_mute(&mut self, mute: Mute, now: Nanos) {
        self.requests.hold(mute.index).set_mute(true);
        let key = self.requests.stream(mute.index).key.clone();
        if mute.cures > 0 {
            return;
        }
        self.around.doubt.notify_one();
        let why = match mute.cause {
            Cause::NoFirstData => "no first data",
            Cause::Fell => "fell silent",
        };
        tracing::warn!(
            venue = self.name(),
            connection = self.link.number,
            stream = &*key,
            silent_seconds = (mute.silent.as_secs_f64() * 10.0).round() / 10.0,
            "mute stream: {why}"
        );
        metrics::counter!("tickhouse_stream_mutes_total", "venue" => self.name()).increment(1);
        mute_gauge(self.around.id(), &key).set(1.0);
        self.write_mute(key, now);
    }

    fn write_mute(&mut self, key: Box<str>, now: Nanos) {
        let record = NewRecord {
            received: now,
            venue: Some(self.around.id()),
            connection: self.link.number,
            kind: RecordKind::Mute,
            payload: Bytes::from(String::from(key)),
        };
        self.batch.push(record);
    }

    /// The stream is not mute any more, or nobody wants it.
    pub(super) fn speak_well(&mut self, index: usize) {
        if self.requests.hold(index).set_mute(false) {
            let key = self.requests.stream(index).key.clone();
            mute_gauge(self.around.id(), &key).set(0.0);
        }
    }

    /// What is carried anew is still mute until it speaks: without numbers, what it misses meanwhile would be lost.
    pub(super) fn write_mutes(&mut self, now: Nanos) {
        for index in 0..self.requests.stream_count() {
            if self.silence.is_mute(index) && self.requests.hold(index).is_carried() {
                self.write_mute(self.requests.stream(index).key.clone(), now);
            }
        }
    }

    /// First the stream is asked for anew, then the whole connection is replaced.
    pub(super) fn cure(&mut self, mute: Mute, now: Nanos) {
        let key = self.requests.stream(mute.index).key.clone();
        if mute.cures == 0 {
            self.renew(&key, now);
        } else {
            let reason = format!("{key} stays mute");
            self.link.show(|state| {
                state.wants_successor.get_or_insert(reason);
            });
        }
    }

    pub(super) fn keep_histories(&mut self) {
        for index in 0..self.requests.stream_count() {
            self.requests.hold(index).cell().keep_history(self.silence.history(index));
        }
    }
}

/// Time between two moments; none where they are the wrong way round.
pub(super) fn since(earlier: Nanos, later: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}
