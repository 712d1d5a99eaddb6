//! The form of one record in a raw segment, version 1. Files and folders are left to `segment`.
//!
//! All numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | CRC32C of everything behind it |
//! | 4..8 | payload length |
//! | 8..16 | receipt time, nanoseconds |
//! | 16..20 | low half of the position |
//! | 20..24 | connection |
//! | 24 | venue code, 0 for the house itself |
//! | 25 | kind |
//! | 26..28 | zero |
//! | 28.. | payload |
//!
//! The position follows from the segment's name and the record's place in it; its low half stands here as well, so that
//! records behind a damaged stretch keep their positions.

use std::ops::Range;

use bytes::Bytes;
use model::{LogPosition, Nanos, VenueId};

use crate::record::{NewRecord, Record, RecordKind};

/// Bytes before the payload.
pub(crate) const HEAD_BYTES: usize = 28;

/// Longest payload. Four letters of text read as a length are beyond it, so a search for records passes text quickly.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 256 << 20;

pub(crate) fn venue_code(venue: Option<VenueId>) -> u8 {
    venue.map_or(0, VenueId::number)
}

/// The venue of a code; a code that was never given comes back.
pub(crate) fn venue_of_code(code: u8) -> Result<Option<VenueId>, u8> {
    if code == 0 {
        return Ok(None);
    }
    VenueId::of_number(code).map(Some).ok_or(code)
}

/// What stands at the start of some bytes.
#[derive(Debug)]
pub(crate) enum Look {
    /// A whole record.
    Whole(Frame),
    /// Perhaps a record, of so many bytes in all.
    Short(usize),
    /// No record, for this reason.
    Bad(&'static str),
}

/// A whole record, its payload named by place.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: usize,
    pub(crate) sequence: u32,
    received: Nanos,
    connection: u32,
    venue: Option<VenueId>,
    kind: RecordKind,
    payload: Range<usize>,
}

impl Frame {
    /// The record, its payload a slice of the bytes it was found in, `start` bytes from their start.
    pub(crate) fn into_record(self, bytes: &Bytes, start: usize, position: LogPosition) -> Record {
        Record {
            position,
            received: self.received,
            venue: self.venue,
            connection: self.connection,
            kind: self.kind,
            payload: bytes.slice(start + self.payload.start..start + self.payload.end),
        }
    }
}

/// Appends a record. A payload longer than allowed is cut; the caller counts that.
pub(crate) fn encode(bytes: &mut Vec<u8>, position: LogPosition, record: &NewRecord) {
    let payload = &record.payload[..record.payload.len().min(PAYLOAD_BYTES_MAX)];
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&record.received.0.to_le_bytes());
    bytes.extend_from_slice(&(position.0 as u32).to_le_bytes());
    bytes.extend_from_slice(&record.connection.to_le_bytes());
    bytes.extend_from_slice(&[venue_code(record.venue), record.kind as u8, 0, 0]);
    bytes.extend_from_slice(payload);
    let checksum = crc32c::crc32c(&bytes[start + 4..]);
    bytes[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Length and low position of what may be a record; `None` where the head rules it out.
pub(crate) fn peek(head: &[u8]) -> Option<(usize, u32)> {
    let length = u32_at(head, 4) as usize;
    let fits = head.len() >= HEAD_BYTES
        && head[26..28] == [0, 0]
        && length <= PAYLOAD_BYTES_MAX
        && RecordKind::from_number(head[25]).is_some()
        && venue_of_code(head[24]).is_ok();
    fits.then(|| (HEAD_BYTES + length, u32_at(head, 16)))
}

/// Reads the record at the start of `bytes`.
pub(crate) fn look(bytes: &[u8]) -> Look {
    if bytes.len() < HEAD_BYTES {
        return Look::Short(HEAD_BYTES);
    }
    let length = u32_at(bytes, 4) as usize;
    if length > PAYLOAD_BYTES_MAX {
        return Look::Bad("length is beyond the longest record");
    }
    let end = HEAD_BYTES + length;
    if bytes.len() < end {
        return Look::Short(end);
    }
    if crc32c::crc32c(&bytes[4..end]) != u32_at(bytes, 0) {
        return Look::Bad("checksum differs");
    }
    let Some(kind) = RecordKind::from_number(bytes[25]) else { return Look::Bad("kind is unknown") };
    let Ok(venue) = venue_of_code(bytes[24]) else { return Look::Bad("venue is unknown") };
    Look::Whole(Frame {
        bytes: end,
        sequence: u32_at(bytes, 16),
        received: Nanos(u64_at(bytes, 8).cast_signed()),
        connection: u32_at(bytes, 20),
        venue,
        kind,
        payload: HEAD_BYTES..end,
    })
}

/// The position at or after `next` whose low half is `sequence`, if it is not after `last`.
pub(crate) fn position_of(sequence: u32, next: u64, last: u64) -> Option<u64> {
    let position = next.checked_add(u64::from(sequence.wrapping_sub(next as u32)))?;
    (position <= last).then_some(position)
}

#[cfg(test)]
mod tests {
    //! Cases for the form of a record.
    use super::*;
    use proptest::prelude::*;

    /// As they stand in logs that were written; lines are only ever added here.
    #[test]
    fn codes_on_disk_stay() {
        let written = [
            "alpaca",
            "binance",
            "binance-futures",
            "bitfinex",
            "bitget",
            "bitstamp",
            "bybit",
            "bybit-linear",
            "coinbase",
            "mexc",
            "okx",
            "okx-swap",
        ];
        for (code, name) in (1..).zip(written) {
            assert_eq!(venue_of_code(code), Ok(VenueId::known(name)), "{name}");
            assert_eq!(venue_code(VenueId::known(name)), code, "{name}");
        }
        assert_eq!((venue_of_code(0), venue_of_code(255)), (Ok(None), Err(255)));
    }

    #[test]
    fn positions_are_found_across_the_turn_of_their_low_half() {
        let turn = 1_u64 << 32;
        assert_eq!(position_of(3, turn - 2, turn + 10), Some(turn + 3));
        assert_eq!(position_of(u32::MAX, turn - 1, turn + 10), Some(turn - 1));
        assert_eq!(position_of(11, turn - 2, turn + 10), None);
    }

    fn any_record() -> impl Strategy<Value = NewRecord> {
        (
            any::<i64>(),
            0..=VenueId::all().len(),
            any::<u32>(),
            1_u8..=12,
            prop::collection::vec(any::<u8>(), 0..300),
        )
            .prop_map(|(received, venue, connection, kind, payload)| NewRecord {
                received: Nanos(received),
                venue: venue_of_code(venue as u8).unwrap(),
                connection,
                kind: RecordKind::from_number(kind).unwrap(),
                payload: payload.into(),
            })
    }

    proptest! {
        #[test]
        fn records_round_trip(record in any_record(), position in any::<u64>()) {
            let mut bytes = Vec::new();
            encode(&mut bytes, LogPosition(position), &record);
            prop_assert_eq!(bytes.len(), HEAD_BYTES + record.payload.len());
            let bytes = Bytes::from(bytes);
            let Look::Whole(frame) = look(&bytes) else { panic!("no record") };
            prop_assert_eq!(frame.sequence, position as u32);
            let read = frame.into_record(&bytes, 0, LogPosition(position));
            prop_assert_eq!((read.received, read.venue, read.connection), (record.received, record.venue, record.connection));
            prop_assert_eq!((read.kind, read.payload), (record.kind, record.payload));
        }

        #[test]
        fn a_changed_byte_is_found(record in any_record(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut bytes = Vec::new();
            encode(&mut bytes, LogPosition(7), &record);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(!matches!(look(&bytes), Look::Whole(_)));
        }

        #[test]
        fn nonsense_is_no_record_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(!matches!(look(&bytes), Look::Whole(_)));
            let _ = peek(&bytes);
        }
    }
}
