//! Reads the log while it is written, across segments and their forms.

use std::sync::Arc;
use std::time::Duration;

use model::LogPosition;
use runtime::clock::Stopwatch;

use crate::cursor::{Cursor, Sink};
use crate::error::Error;
use crate::index::Segment;
use crate::log::Shared;
use crate::record::Record;
use crate::segment::Damage;

/// Damage entries kept until they are taken.
const DAMAGE_MAX: usize = 1024;

/// Follows the log from a position on.
///
/// Payloads are slices of what was read at once (up to 1 MiB): copy what is to be kept for long.
#[derive(Debug)]
pub struct LogReader {
    log: Arc<Shared>,
    state: State,
}

/// What moves while reading.
#[derive(Debug)]
struct State {
    position: u64,
    place: Option<Place>,
    damage: Vec<Damage>,
}

#[derive(Debug)]
struct Place {
    segment: Arc<Segment>,
    cursor: Cursor,
}

impl LogReader {
    pub(crate) fn new(log: Arc<Shared>, after: LogPosition) -> Result<Self, Error> {
        let last = log.written.get();
        if after.0 > last {
            return Err(Error::Beyond { after, last: LogPosition(last) });
        }
        if let Some(first) = log.index.first().filter(|first| after.0 + 1 < *first) {
            return Err(Error::Trimmed { after, first: LogPosition(first) });
        }
        Ok(Self { log, state: State { position: after.0, place: None, damage: Vec::new() } })
    }

    /// Position of the newest record handed out, or passed over as damaged.
    pub fn position(&self) -> LogPosition {
        LogPosition(self.state.position)
    }

    /// Appends up to `count_max` records to `records`, waiting at most `wait_max` for the first. False when the log is
    /// closed and everything was handed out; true without a record when the time was over.
    pub fn next_blocking(
        &mut self,
        records: &mut Vec<Record>,
        count_max: usize,
        wait_max: Duration,
    ) -> Result<bool, Error> {
        let (watch, before) = (Stopwatch::start(), records.len());
        loop {
            self.state.fill(&self.log, records, before + count_max)?;
            if records.len() > before {
                return Ok(true);
            }
            if self.is_drained() {
                return Ok(false);
            }
            let rest = wait_max.saturating_sub(watch.elapsed());
            if rest.is_zero() || count_max == 0 {
                return Ok(true);
            }
            self.log.written.wait_blocking(self.state.position + 1, Some(rest));
        }
    }

    /// As [`LogReader::next_blocking`], for tasks. May be dropped while waiting: nothing is passed over.
    pub async fn next(
        &mut self,
        records: &mut Vec<Record>,
        count_max: usize,
        wait_max: Duration,
    ) -> Result<bool, Error> {
        let (watch, before) = (Stopwatch::start(), records.len());
        loop {
            self.read_ahead(records, count_max).await?;
            if records.len() > before {
                return Ok(true);
            }
            if self.is_drained() {
                return Ok(false);
            }
            let rest = wait_max.saturating_sub(watch.elapsed());
            if rest.is_zero() || count_max == 0 {
                return Ok(true);
            }
            runtime::clock::within(rest, self.log.written.wait(self.state.position + 1)).await;
        }
    }

    /// Damage passed over since last asked. Every piece was logged as well.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.state.damage)
    }

    fn is_drained(&self) -> bool {
        self.log.written.is_closed() && self.state.position >= self.log.written.get()
    }

    async fn read_ahead(&mut self, records: &mut Vec<Record>, count_max: usize) -> Result<(), Error> {
        let next = self.state.position + 1;
        if next > self.log.written.get() {
            return Ok(());
        }
        if self.log.index.holding(next).is_some_and(|segment| !segment.is_sealed()) {
            // The segment being written is in the page cache.
            return self.state.fill(&self.log, records, records.len() + count_max);
        }
        // Older ones may have to come from the disk, or be decompressed. If this task is dropped meanwhile, its place is
        // lost but not its position.
        let position = self.state.position;
        let mut state =
            std::mem::replace(&mut self.state, State { position, place: None, damage: Vec::new() });
        let log = Arc::clone(&self.log);
        let work = move || {
            let mut found = Vec::new();
            let result = state.fill(&log, &mut found, count_max);
            (state, found, result)
        };
        let (state, mut found, result) = runtime::tasks::blocking(work).await.map_err(Error::Thread)?;
        self.state = state;
        records.append(&mut found);
        result
    }
}

impl State {
    /// Reads what is there, until `records` holds `count_max`.
    fn fill(&mut self, log: &Shared, records: &mut Vec<Record>, count_max: usize) -> Result<(), Error> {
        while records.len() < count_max && self.position < log.written.get() {
            let Some(mut place) =
                self.place.take().map_or_else(|| self.find(log), |place| Ok(Some(place)))?
            else {
                continue;
            };
            // Asked first: a sealed segment does not grow between this and its end.
            let is_sealed = place.segment.is_sealed();
            let end = place.segment.end();
            let (before, damage_count) = (place.cursor.next(), self.damage.len());
            let mut sink = Sink { records, count_max, after: self.position, damage: &mut self.damage };
            let result = place.cursor.read(end, &mut sink);
            let next = place.cursor.next();
            self.position = self.position.max(next - 1);
            self.report(log, damage_count);
            result?;
            let is_done = is_sealed && end.last.is_some_and(|last| next > last);
            if !is_done {
                self.place = Some(place);
                if next == before {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The place of the next record; `None` after passing over a segment that can not be opened as one.
    fn find(&mut self, log: &Shared) -> Result<Option<Place>, Error> {
        let mut tries = 0;
        loop {
            let Some(segment) = log.index.holding(self.position + 1) else {
                let first = LogPosition(log.index.first().unwrap_or_default());
                return Err(Error::Trimmed { after: LogPosition(self.position), first });
            };
            match segment.cursor() {
                Ok(cursor) => return Ok(Some(Place { segment, cursor })),
                // Archived or deleted since it was looked up.
                Err(error) if error.is_missing_file() && tries < 10 => tries += 1,
                Err(Error::Damaged { path, offset, reason }) if segment.is_sealed() => {
                    let (first, last) = (LogPosition(self.position + 1), LogPosition(segment.last()));
                    self.position = last.0;
                    let damage_count = self.damage.len();
                    self.damage.push(Damage { path, offset, bytes: segment.bytes(), first, last, reason });
                    self.report(log, damage_count);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn report(&mut self, log: &Shared, known_count: usize) {
        for damage in &self.damage[known_count..] {
            log.counters.count_damaged(damage.record_count());
            tracing::error!(
                segment = %damage.path.display(),
                offset = damage.offset,
                bytes = damage.bytes,
                first = %damage.first,
                last = %damage.last,
                reason = damage.reason,
                "damage in the raw log was passed over"
            );
        }
        let surplus = self.damage.len().saturating_sub(DAMAGE_MAX);
        self.damage.drain(..surplus);
    }
}
