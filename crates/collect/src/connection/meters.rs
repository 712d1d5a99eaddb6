//! Counters of one connection, handed on once per batch.

use model::VenueId;

use crate::board::Board;

/// Shows 1 while the stream is mute.
pub(super) fn mute_gauge(venue: VenueId, key: &str) -> metrics::Gauge {
    metrics::gauge!("tickhouse_stream_mute", "venue" => venue.as_str(), "stream" => key.to_owned())
}

/// What one connection counted.
pub(super) struct Meters {
    frames: metrics::Counter,
    bytes: metrics::Counter,
    unknown: metrics::Counter,
    /// Requests that the venue refused.
    pub(super) refused: metrics::Counter,
    frame_count: u64,
    byte_count: u64,
    unknown_count: u64,
    /// Whether any stream brought anything.
    pub(super) has_data: bool,
}

impl Meters {
    pub(super) fn new(venue: VenueId) -> Self {
        let venue = venue.as_str();
        Self {
            frames: metrics::counter!("tickhouse_frames_total", "venue" => venue),
            bytes: metrics::counter!("tickhouse_bytes_total", "venue" => venue),
            unknown: metrics::counter!("tickhouse_frames_unknown_total", "venue" => venue),
            refused: metrics::counter!("tickhouse_requests_refused_total", "venue" => venue),
            frame_count: 0,
            byte_count: 0,
            unknown_count: 0,
            has_data: false,
        }
    }

    pub(super) fn saw(&mut self, bytes: usize) {
        self.frame_count += 1;
        self.byte_count += bytes as u64;
    }

    pub(super) fn unknown(&mut self) {
        self.unknown_count += 1;
    }

    pub(super) fn flush(&mut self, board: &Board) {
        if self.frame_count == 0 {
            return;
        }
        board.count(self.frame_count, self.byte_count, self.unknown_count);
        self.frames.increment(self.frame_count);
        self.bytes.increment(self.byte_count);
        self.unknown.increment(self.unknown_count);
        (self.frame_count, self.byte_count, self.unknown_count) = (0, 0, 0);
    }
}
