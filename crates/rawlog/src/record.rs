//! What the raw log keeps: frames as they came, and what happened around them.
//!
//! The form on disk is left to `segment`; who writes what is said at each kind.

use bytes::Bytes;
use model::{Gap, LogPosition, Nanos, VenueId};

/// Kind of a record. The numbers are the form on disk and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// The process started; connections of earlier sessions are gone. Payload: version text.
    Session = 1,
    /// A connection was opened. Payload: its URL.
    Opened = 2,
    /// The connection now carries exactly these streams. Payload: stream keys, one per line.
    Carries = 3,
    /// A text frame as received.
    Text = 4,
    /// A binary frame as received.
    Binary = 5,
    /// A text message as sent by us.
    Sent = 6,
    /// The connection is gone. Payload: why.
    Closed = 7,
    /// A REST answer. Payload: see [`Answer`].
    Answer = 8,
    /// Time passed. No payload. Written four times a second, so that what depends on time depends on the log alone.
    Tick = 9,
    /// What became of a wish to fill a hole. Payload: see [`Outcome`].
    Outcome = 10,
    /// A stream is mute though data is due. Payload: the stream's key.
    Mute = 11,
    /// Capture stood still (full disk) until now. Payload: why.
    Resumed = 12,
}

impl RecordKind {
    /// The kind with that number on disk.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Session,
            2 => Self::Opened,
            3 => Self::Carries,
            4 => Self::Text,
            5 => Self::Binary,
            6 => Self::Sent,
            7 => Self::Closed,
            8 => Self::Answer,
            9 => Self::Tick,
            10 => Self::Outcome,
            11 => Self::Mute,
            12 => Self::Resumed,
            _ => return None,
        })
    }

    /// The name shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Opened => "opened",
            Self::Carries => "carries",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Sent => "sent",
            Self::Closed => "closed",
            Self::Answer => "answer",
            Self::Tick => "tick",
            Self::Outcome => "outcome",
            Self::Mute => "mute",
            Self::Resumed => "resumed",
        }
    }
}

/// A record on its way in; the log gives it its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// When it happened, by our clock.
    pub received: Nanos,
    /// Venue; `None` for records of the house itself.
    pub venue: Option<VenueId>,
    /// Connection, unique within a session; 0 for REST and the house itself.
    pub connection: u32,
    /// Kind.
    pub kind: RecordKind,
    /// Bytes as the kind says.
    pub payload: Bytes,
}

/// A record with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Place: one more for each record, from 1.
    pub position: LogPosition,
    /// When it happened, by our clock.
    pub received: Nanos,
    /// Venue; `None` for records of the house itself.
    pub venue: Option<VenueId>,
    /// Connection, unique within a session.
    pub connection: u32,
    /// Kind.
    pub kind: RecordKind,
    /// Bytes as the kind says.
    pub payload: Bytes,
}

/// Payload of [`RecordKind::Answer`]: purpose, status and path on a line each, then the body as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the question was for, `venues::Purpose` as text.
    pub purpose: String,
    /// HTTP status.
    pub status: u16,
    /// Path and query of the question.
    pub path: String,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// As kept.
    pub fn to_payload(&self) -> Bytes {
        let mut payload = format!("{}\n{}\n{}\n", self.purpose, self.status, self.path).into_bytes();
        payload.extend_from_slice(&self.body);
        payload.into()
    }

    /// Reads what `to_payload` wrote.
    pub fn from_payload(payload: &Bytes) -> Option<Self> {
        let mut rest = 0;
        let mut line = || {
            let length = payload.get(rest..)?.iter().position(|byte| *byte == b'\n')?;
            let text = std::str::from_utf8(payload.get(rest..rest + length)?).ok()?.to_owned();
            rest += length + 1;
            Some(text)
        };
        let (purpose, status, path) = (line()?, line()?.parse().ok()?, line()?);
        Some(Self { purpose, status, path, body: payload.slice(rest..) })
    }
}

/// Payload of [`RecordKind::Outcome`]: what became of filling a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Instrument id as text.
    pub instrument: String,
    /// Channel name.
    pub channel: String,
    /// First id asked for, where ids are numbers.
    pub first_id: Option<i64>,
    /// Last id asked for.
    pub last_id: Option<i64>,
    /// Venue time of the last event before the hole, microseconds.
    pub first_time: i64,
    /// `done` when the venue was asked for all of it and answered; else the name of a `model::GapCause`.
    pub result: String,
}

impl Outcome {
    /// What became of a hole: `result` is `done`, or the name of a source or a cause.
    pub fn of(gap: &Gap, result: &str) -> Self {
        Self {
            instrument: gap.instrument.to_string(),
            channel: gap.channel.as_str().into(),
            first_id: gap.first_id,
            last_id: gap.last_id,
            first_time: gap.first_time.0,
            result: result.into(),
        }
    }

    /// As kept: one field per line.
    pub fn to_payload(&self) -> Bytes {
        let id = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}",
            self.instrument,
            self.channel,
            id(self.first_id),
            id(self.last_id),
            self.first_time,
            self.result
        )
        .into()
    }

    /// Reads what `to_payload` wrote.
    pub fn from_payload(payload: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(payload).ok()?.split('\n');
        let mut next = || lines.next().map(str::to_owned);
        let (instrument, channel) = (next()?, next()?);
        let mut id = || match next()?.as_str() {
            "" => Some(None),
            digits => digits.parse().ok().map(Some),
        };
        let (first_id, last_id) = (id()?, id()?);
        Some(Self {
            instrument,
            channel,
            first_id,
            last_id,
            first_time: next()?.parse().ok()?,
            result: next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    //! Cases for payloads.
    use super::*;

    #[test]
    fn payloads_round_trip() {
        let answer = Answer {
            purpose: "trades BTCUSDT".into(),
            status: 200,
            path: "/api/v3/aggTrades?symbol=BTCUSDT".into(),
            body: Bytes::from_static(b"[\n]"),
        };
        assert_eq!(Answer::from_payload(&answer.to_payload()), Some(answer));
        let outcome = Outcome {
            instrument: "binance:BTC-USDT".into(),
            channel: "trades".into(),
            first_id: Some(7),
            last_id: None,
            first_time: -1,
            result: "done".into(),
        };
        assert_eq!(Outcome::from_payload(&outcome.to_payload()), Some(outcome));
        assert_eq!(Answer::from_payload(&Bytes::from_static(b"trades\nx\n/\n")), None);
    }
}
