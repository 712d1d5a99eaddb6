//! How fast records are appended and read back: `cargo bench -p rawlog`.
//!
//! Each round handles 30,000 records with payloads of 200 bytes, in a log of its own in a temporary folder.

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use model::{LogPosition, Nanos, VenueId};
use rawlog::{Log, LogSettings, NewRecord, RecordKind, SegmentForm};
use runtime::{SystemClock, Tasks};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const RECORDS: u64 = 30_000;
const PAYLOAD_BYTES: usize = 200;

fn main() {
    divan::main();
}

struct Bench {
    runtime: Arc<Runtime>,
    tasks: Tasks,
    log: Log,
    _folder: TempDir,
}

impl Bench {
    fn open(runtime: &Arc<Runtime>) -> Self {
        Self::with(runtime, |_| {})
    }

    fn with(runtime: &Arc<Runtime>, change: impl FnOnce(&mut LogSettings)) -> Self {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let tasks = Tasks::new();
        let mut settings = LogSettings { archive: false, ..LogSettings::new(folder.path()) };
        change(&mut settings);
        let _within = runtime.enter();
        let (log, _) = Log::open(settings, SystemClock::shared(), &tasks).expect("an empty folder opens");
        Self { runtime: Arc::clone(runtime), tasks, log, _folder: folder }
    }

    fn append(&self, records: &[NewRecord], at_once: usize) {
        let last = LogPosition(self.log.written().0 + records.len() as u64);
        self.runtime.block_on(async {
            if at_once == 1 {
                for record in records {
                    self.log.append(record.clone()).await.expect("the log is open");
                }
            } else {
                for records in records.chunks(at_once) {
                    self.log.append_many(records.to_vec()).await.expect("the log is open");
                }
            }
            self.log.wait_durable(last).await.expect("the log is open");
        });
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runtime.block_on(self.tasks.close(Duration::from_secs(5)));
    }
}

fn runtime() -> Arc<Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    Arc::new(built.expect("a runtime starts"))
}

fn records() -> Vec<NewRecord> {
    let record = |number| NewRecord {
        received: Nanos(1_723_104_000_000_000_000 + number),
        venue: VenueId::known("binance-futures"),
        connection: 7,
        kind: RecordKind::Text,
        payload: vec![b'x'; PAYLOAD_BYTES].into(),
    };
    (0..RECORDS as i64).map(record).collect()
}

/// From the first append until all is durable.
#[divan::bench(args = [1, 64], sample_count = 10, sample_size = 1)]
fn append_until_durable(bencher: Bencher, at_once: usize) {
    let (runtime, records) = (runtime(), records());
    bencher
        .counter(ItemsCount::new(RECORDS))
        .counter(BytesCount::new(RECORDS as usize * PAYLOAD_BYTES))
        .with_inputs(|| Bench::open(&runtime))
        .bench_local_values(|bench| {
            bench.append(&records, at_once);
            bench
        });
}

/// From the first append until the first segments, 30,000 records in all, are archives that were read back.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn seal(bencher: Bencher) {
    let (runtime, records) = (runtime(), records());
    bencher
        .counter(ItemsCount::new(RECORDS))
        .counter(BytesCount::new(RECORDS as usize * PAYLOAD_BYTES))
        .with_inputs(|| {
            Bench::with(&runtime, |settings| {
                settings.archive = true;
                settings.segment_bytes = 1 << 20;
            })
        })
        .bench_local_values(|bench| {
            bench.append(&records, 64);
            // The last segment stays as it is: it is still written.
            while bench.log.segments().iter().filter(|one| one.form == SegmentForm::Raw).count() > 1 {
                bench.runtime.block_on(runtime::sleep(Duration::from_millis(1)));
            }
            bench
        });
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn read(bencher: Bencher) {
    let (runtime, records) = (runtime(), records());
    let bench = Bench::open(&runtime);
    bench.append(&records, 64);
    bencher
        .counter(ItemsCount::new(RECORDS))
        .counter(BytesCount::new(RECORDS as usize * PAYLOAD_BYTES))
        .bench_local(|| {
            let mut reader = bench.log.reader(LogPosition(0)).expect("nothing was trimmed");
            let mut found = Vec::new();
            while reader.position().0 < RECORDS {
                found.clear();
                reader.next_blocking(&mut found, 4_096, Duration::from_secs(1)).expect("records are read");
            }
            reader.position()
        });
}
