//! A log in a folder of its own, and the records to put into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::{LogPosition, Nanos, VenueId};
use rawlog::{Log, LogReader, LogSettings, NewRecord, Record, RecordKind, RecoveryReport};
use runtime::{Clock, Tasks};
use tempfile::TempDir;

/// Long enough for anything that should happen at once, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

impl HandClock {
    pub(crate) fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_nanos() as i64, Ordering::Relaxed);
    }
}

pub(crate) struct World {
    folder: TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) tasks: Tasks,
    pub(crate) log: Log,
    pub(crate) report: RecoveryReport,
}

/// Settings for tests: small, no archive, no reserve.
pub(crate) fn settings(directory: &Path) -> LogSettings {
    LogSettings { archive: false, disk_reserve_bytes: 0, ..LogSettings::new(directory) }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut LogSettings)) -> Self {
        Self::open(TempDir::new().unwrap(), change)
    }

    fn open(folder: TempDir, change: impl FnOnce(&mut LogSettings)) -> Self {
        let mut settings = settings(folder.path());
        change(&mut settings);
        let tasks = Tasks::new();
        let clock = Arc::new(HandClock(AtomicI64::new(1_723_104_000_000_000_000)));
        let (log, report) = Log::open(settings, Arc::clone(&clock) as Arc<dyn Clock>, &tasks).unwrap();
        Self { folder, clock, tasks, log, report }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// Closes the log in order and leaves its folder.
    pub(crate) async fn close(self) -> TempDir {
        let late = self.tasks.close(SOON).await;
        assert!(late.is_empty(), "{late:?}");
        self.folder
    }

    pub(crate) async fn reopen(self, change: impl FnOnce(&mut LogSettings)) -> Self {
        Self::open(self.close().await, change)
    }

    /// Opens a folder somebody prepared.
    pub(crate) fn over(folder: TempDir) -> Self {
        Self::open(folder, |_| {})
    }

    pub(crate) fn over_with(folder: TempDir, change: impl FnOnce(&mut LogSettings)) -> Self {
        Self::open(folder, change)
    }

    /// Appends the records with these numbers and waits until they are durable.
    pub(crate) async fn append(&self, numbers: std::ops::Range<u64>) {
        let count = numbers.end - numbers.start;
        let last = self.log.written().0 + count;
        self.log.append_many(numbers.map(record).collect()).await.unwrap();
        let durable = runtime::clock::within(SOON, self.log.wait_durable(LogPosition(last))).await;
        durable.expect("records become durable soon").unwrap();
    }

    /// Everything after a position, through a fresh reader.
    pub(crate) fn read(&self, after: u64) -> Vec<Record> {
        drain(&mut self.log.reader(LogPosition(after)).unwrap(), self.log.written())
    }

    pub(crate) fn files(&self, extension: &str) -> Vec<PathBuf> {
        files(self.directory(), extension)
    }
}

pub(crate) fn drain(reader: &mut LogReader, through: LogPosition) -> Vec<Record> {
    let mut records = Vec::new();
    while reader.position() < through {
        let before = reader.position();
        reader.next_blocking(&mut records, 333, SOON).unwrap();
        assert!(reader.position() > before, "nothing came after {before}");
    }
    records
}

pub(crate) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found.to_str().unwrap().starts_with(extension)))
        .collect();
    found.sort();
    found
}

/// Waits until something holds; it must soon.
#[track_caller]
pub(crate) fn eventually(holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let watch = runtime::clock::Stopwatch::start();
        while !holds() {
            assert!(watch.elapsed() < SOON, "it does not come to hold: {place}");
            runtime::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The record with a number; many shapes, always the same for the same number.
pub(crate) fn record(number: u64) -> NewRecord {
    let venue = VenueId::all().nth(number as usize % VenueId::all().len());
    let kind = RecordKind::from_number((number % 12) as u8 + 1).unwrap();
    let payload = match number % 7 {
        0 => String::new(),
        1 => "long ".repeat(40 + (number % 50) as usize),
        _ => format!(r#"{{"e":"aggTrade","a":{number},"p":"61837.63000000","q":"0.02"}}"#),
    };
    NewRecord {
        received: Nanos(1_723_104_000_000_000_000 + number as i64 * 1_000),
        venue: venue.filter(|_| !number.is_multiple_of(5)),
        connection: (number % 3) as u32,
        kind,
        payload: payload.into(),
    }
}

/// Asserts that these are the records from `first` on, numbered by their positions.
#[track_caller]
pub(crate) fn assert_records(records: &[Record], positions: impl IntoIterator<Item = u64>) {
    let positions: Vec<u64> = positions.into_iter().collect();
    let found: Vec<u64> = records.iter().map(|record| record.position.0).collect();
    let place = found.iter().zip(&positions).position(|(found, wanted)| found != wanted);
    let place = place.unwrap_or(found.len().min(positions.len()));
    assert!(
        found == positions,
        "{} for {} records; at index {place} stands {:?}, not {:?}",
        found.len(),
        positions.len(),
        found.get(place),
        positions.get(place)
    );
    for found in records {
        let wanted = record(found.position.0);
        let wanted = Record {
            position: found.position,
            received: wanted.received,
            venue: wanted.venue,
            connection: wanted.connection,
            kind: wanted.kind,
            payload: wanted.payload,
        };
        assert_eq!(*found, wanted);
    }
}
