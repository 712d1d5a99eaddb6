//! A log written by hand.

use bytes::Bytes;
use model::{Decimal, LogPosition, Nanos, VenueId};
use rawlog::{Answer, NewRecord, Outcome, Record, RecordKind};

/// The venue whose trades have names.
pub(crate) const BYBIT: &str = "bybit-linear";

pub(crate) fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Records in the making. Times are milliseconds since the epoch.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) records: Vec<Record>,
    pub(crate) now_ms: i64,
    venue: VenueId,
}

impl Script {
    /// A session of one venue that lists BTC and ETH; connection 1 carries the trades of both.
    pub(crate) fn started(venue: &str) -> Self {
        Self::bare(venue).open(1, &["BTC@trades", "ETH@trades"])
    }

    /// A session of one venue that lists BTC and ETH.
    pub(crate) fn bare(venue: &str) -> Self {
        let script = Self { records: Vec::new(), now_ms: 0, venue: VenueId::known(venue).unwrap() };
        script.session().answer("listing", "list BTC ETH")
    }

    pub(crate) fn venue(mut self, venue: &str) -> Self {
        self.venue = VenueId::known(venue).unwrap();
        self
    }

    pub(crate) fn at(mut self, now_ms: i64) -> Self {
        self.now_ms = now_ms;
        self
    }

    fn push(mut self, connection: u32, kind: RecordKind, payload: impl Into<Bytes>) -> Self {
        let has_venue = !matches!(kind, RecordKind::Session | RecordKind::Tick | RecordKind::Resumed);
        self.records.push(Record {
            position: LogPosition(self.records.len() as u64 + 1),
            received: Nanos(self.now_ms * 1_000_000),
            venue: has_venue.then_some(self.venue),
            connection,
            kind,
            payload: payload.into(),
        });
        self
    }

    pub(crate) fn session(self) -> Self {
        self.push(0, RecordKind::Session, "test")
    }

    pub(crate) fn open(self, connection: u32, keys: &[&str]) -> Self {
        self.push(connection, RecordKind::Opened, "wss://test").carries(connection, keys)
    }

    pub(crate) fn carries(self, connection: u32, keys: &[&str]) -> Self {
        self.push(connection, RecordKind::Carries, keys.join("\n"))
    }

    pub(crate) fn closed(self, connection: u32) -> Self {
        self.push(connection, RecordKind::Closed, "reset")
    }

    pub(crate) fn frame(self, connection: u32, words: &str) -> Self {
        self.push(connection, RecordKind::Text, words.to_owned())
    }

    /// A frame of connection 1.
    pub(crate) fn say(self, words: &str) -> Self {
        self.frame(1, words)
    }

    /// Numbered trades of BTC in one frame each, a millisecond of venue time apart, price 100, quantity 1.
    pub(crate) fn trades(self, ids: impl IntoIterator<Item = i64>, first_ms: i64) -> Self {
        ids.into_iter().enumerate().fold(self, |script, (index, id)| {
            let at = first_ms + index as i64;
            script.say(&format!("trade BTC {id} {at} 100 1"))
        })
    }

    pub(crate) fn answer(self, purpose: &str, body: &str) -> Self {
        let body = Bytes::from(body.to_owned());
        let answer = Answer { purpose: purpose.into(), status: 200, path: "/".into(), body };
        self.push(0, RecordKind::Answer, answer.to_payload())
    }

    pub(crate) fn outcome(
        self,
        instrument: &str,
        ids: Option<(i64, i64)>,
        first_ms: i64,
        result: &str,
    ) -> Self {
        let outcome = Outcome {
            instrument: instrument.into(),
            channel: "trades".into(),
            first_id: ids.map(|ids| ids.0),
            last_id: ids.map(|ids| ids.1),
            first_time: first_ms * 1_000,
            result: result.into(),
        };
        self.push(0, RecordKind::Outcome, outcome.to_payload())
    }

    /// What became of asking for klines of BTC.
    pub(crate) fn klines_outcome(self, first_ms: i64, result: &str) -> Self {
        let outcome = Outcome {
            instrument: format!("{}:BTC-USDT", self.venue),
            channel: "klines".into(),
            first_id: None,
            last_id: None,
            first_time: first_ms * 1_000,
            result: result.into(),
        };
        self.push(0, RecordKind::Outcome, outcome.to_payload())
    }

    pub(crate) fn mute(self, key: &str) -> Self {
        self.push(1, RecordKind::Mute, key.to_owned())
    }

    pub(crate) fn resumed(self) -> Self {
        self.push(0, RecordKind::Resumed, "disk was full")
    }

    pub(crate) fn tick(self) -> Self {
        self.push(0, RecordKind::Tick, "")
    }

    /// Lets that many milliseconds pass, with a tick every 250.
    pub(crate) fn pass(mut self, ms: i64) -> Self {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms = (self.now_ms + 250).min(end);
            self = self.tick();
        }
        self
    }

    /// The records as they are handed to a real log.
    pub(crate) fn new_records(&self) -> Vec<NewRecord> {
        let new = |record: &Record| NewRecord {
            received: record.received,
            venue: record.venue,
            connection: record.connection,
            kind: record.kind,
            payload: record.payload.clone(),
        };
        self.records.iter().map(new).collect()
    }
}
