//! What had passed by at an earlier place: read back from the raw log. What is done with it is left to `serve`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use model::time::SECOND;
use model::{Event, Instrument, InstrumentId, LogPosition, Time};
use rawlog::{Answer, Log, Record, RecordKind};
use tables::{Past, SeenTrades, StoreError, TradeKey};
use venues::{Decoder, Frame, Origin, Purpose};

use crate::board::Board;
use crate::house::VenueLookup;

/// How far a record may stand in the log from its place by receipt: connections hand over in batches, and wait for room.
const DISORDER_MAX: i64 = 5 * SECOND;
/// Records looked through for one place: few first, and more if those do not reach back far enough.
pub(crate) const SPANS: [u64; 3] = [20_000, 150_000, 1_000_000];
/// How often it is looked whether refining has caught up with the log.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Records read at a time.
const READ_MAX: usize = 4_096;

/// Reads the log back.
#[derive(Clone)]
pub(crate) struct LogPast {
    pub(crate) log: Log,
    pub(crate) board: Arc<Board>,
    pub(crate) lookup: VenueLookup,
    /// Records up to here are not told as news: their rows must be with the store before anyone relies on them.
    pub(crate) caught_up_at: LogPosition,
    pub(crate) spans: [u64; 3],
}

impl Past for LogPast {
    fn seen(
        &self,
        instrument: &InstrumentId,
        position: LogPosition,
    ) -> BoxFuture<'_, Result<Option<SeenTrades>, StoreError>> {
        let (past, instrument) = (self.clone(), instrument.clone());
        async move {
            while past.board.refined() < past.caught_up_at {
                runtime::sleep(LOOK_EVERY).await;
            }
            let work = move || {
                let read = |span: &u64| past.read(&instrument, position, *span).transpose();
                past.spans.iter().find_map(read).transpose()
            };
            runtime::tasks::blocking(work).await.map_err(StoreError::Failed)?
        }
        .boxed()
    }
}

/// Trades of one instrument out of records.
struct Sieve {
    decoder: Box<dyn Decoder>,
    instrument: InstrumentId,
    /// Receipt and key, oldest record first.
    kept: VecDeque<(Time, TradeKey)>,
}

impl LogPast {
    fn read(
        &self,
        instrument: &InstrumentId,
        position: LogPosition,
        span: u64,
    ) -> Result<Option<SeenTrades>, StoreError> {
        let first = self.log.first_position();
        let Some(venue) = (self.lookup)(instrument.venue()) else { return Ok(None) };
        if position < first || position > self.log.written() {
            return Ok(None);
        }
        let after = LogPosition(position.0.saturating_sub(span).max(first.0 - 1));
        let mut reader = match self.log.reader(after) {
            Ok(reader) => reader,
            // Retention was quicker.
            Err(rawlog::Error::Trimmed { .. }) => return Ok(None),
            Err(error) => return Err(StoreError::Failed(error.to_string())),
        };
        let listed =
            self.board.venue(instrument.venue()).map(|venue| venue.instruments()).unwrap_or_default();
        let mut sieve: Option<Sieve> = None;
        let (mut begin, mut records) = (None, Vec::with_capacity(READ_MAX));
        loop {
            records.clear();
            reader
                .next_blocking(&mut records, READ_MAX, Duration::ZERO)
                .map_err(|error| StoreError::Failed(format!("read the raw log back: {error}")))?;
            if records.is_empty() {
                return Ok(None);
            }
            for record in &records {
                begin = begin.or((after.0 > 0).then(|| record.received.to_time()));
                let sieve = sieve.get_or_insert_with(|| {
                    Sieve::new(venue.decoder(record.received), instrument.clone(), &listed)
                });
                if record.position >= position {
                    // A damaged record was passed over.
                    let is_there = record.position == position;
                    return Ok(is_there.then(|| sieve.seen(record, begin)).flatten());
                }
                sieve.take(record);
            }
        }
    }
}

impl Sieve {
    fn new(mut decoder: Box<dyn Decoder>, instrument: InstrumentId, listed: &[Instrument]) -> Self {
        decoder.learn(listed);
        Self { decoder, instrument, kept: VecDeque::new() }
    }

    fn take(&mut self, record: &Record) {
        let received = record.received.to_time();
        let keys = self.keys(record);
        self.kept.extend(keys.into_iter().map(|key| (received, key)));
        let oldest = received.plus_micros(-2 * DISORDER_MAX);
        while self.kept.front().is_some_and(|(received, _)| *received < oldest) {
            self.kept.pop_front();
        }
    }

    /// What had come with this record, if what was read from `begin` on suffices to tell.
    fn seen(&mut self, record: &Record, begin: Option<Time>) -> Option<SeenTrades> {
        let received = record.received.to_time();
        let since = received.plus_micros(-DISORDER_MAX);
        if begin.is_some_and(|begin| begin.plus_micros(DISORDER_MAX) > since) {
            return None;
        }
        let within = self.keys(record);
        let before = std::mem::take(&mut self.kept).into_iter().map(|(_, key)| key).collect();
        Some(SeenTrades { since, before, within, received })
    }

    fn keys(&mut self, record: &Record) -> Vec<TradeKey> {
        if record.venue != Some(self.instrument.venue()) {
            return Vec::new();
        }
        let answer =
            (record.kind == RecordKind::Answer).then(|| Answer::from_payload(&record.payload)).flatten();
        let purpose = answer.as_ref().and_then(|answer| Purpose::from_text(&answer.purpose));
        let frame = match (record.kind, &answer, &purpose) {
            (RecordKind::Text | RecordKind::Binary, ..) => {
                Frame { payload: &record.payload, received: record.received, origin: Origin::Stream }
            }
            // As `house` leaves them out, they were not seen.
            (_, _, Some(Purpose::Newest { .. } | Purpose::History(_))) => return Vec::new(),
            (_, Some(answer), Some(purpose)) if (200..300).contains(&answer.status) => {
                Frame { payload: &answer.body, received: record.received, origin: Origin::Rest(purpose) }
            }
            _ => return Vec::new(),
        };
        let mut keys = Vec::new();
        let instrument = &self.instrument;
        let _nothing_of_what_is_broken = self.decoder.decode(&frame, &mut |event| {
            if let Event::Trade(trade) = event
                && trade.instrument == *instrument
            {
                keys.extend(TradeKey::of(&trade));
            }
        });
        keys
    }
}
