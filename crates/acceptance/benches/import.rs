//! How fast a file of a venue's archive becomes rows and bars: a month of ten million aggregated trades, zipped, into a lake
//! on disk; beside it what unpacking and Polars take for the same file.
//!
//! `cargo bench -p acceptance --bench import`; `TICKHOUSE_BENCH_ROWS` chooses another count of rows.
#![expect(clippy::disallowed_methods, reason = "benches measure in real time")]
#![expect(clippy::disallowed_macros, reason = "a bench prints")]

#[path = "import/file.rs"]
mod file;
#[path = "import/peers.rs"]
mod peers;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use collect::archive::unpack;
use futures::TryStreamExt;
use lake::{Lake, LakeSettings};
use model::{Instrument, Time, VenueId};
use refine::import::{ImportAsk, ImportDoors, ImportReport, import};
use runtime::SystemClock;
use tables::{IdAsk, QueryLimits, TABLES, TableName, TimeRange};
use venues::archive::{ArchiveData, ArchiveFile, Archives, Packing, Period};

const ROUNDS: usize = 3;
/// The month of the file.
const MONTH: &str = "2026-10";

/// Candles without stored bars.
const CANDLES: &str = "SELECT date_bin(interval '1 hour', venue_time, timestamp '1970-01-01T00:00:00Z') AS start, \
                       first_value(price ORDER BY venue_time, trade_id), max(price), min(price), \
                       last_value(price ORDER BY venue_time, trade_id), sum(quantity) FROM trades \
                       WHERE instrument = 'binance-futures:BTC-USDT-PERP' GROUP BY 1";

fn main() {
    let rows: u64 =
        std::env::var("TICKHOUSE_BENCH_ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let zip = folder.join(format!("BTCUSDT-aggTrades-{MONTH}-{rows}.zip"));
    if !zip.exists() {
        file::write(&zip, rows);
    }
    let bytes = std::fs::metadata(&zip).expect("the file was made").len();
    println!("{rows} trades in {:.1} MB", bytes as f64 / 1e6);
    for _ in 0..ROUNDS {
        let before = Usage::now();
        let unpacked = unpack(&zip, Packing::Zip, count).expect("a whole file");
        before.report("unpacking alone", rows);
        assert!(unpacked > bytes);
        take_in(&zip, rows);
        peers::polars(&zip, rows, folder);
    }
}

fn count(rows: &mut dyn Read) -> u64 {
    let mut chunk = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match rows.read(&mut chunk).expect("a whole file") {
            0 => return bytes,
            count => bytes += count as u64,
        }
    }
}

fn take_in(zip: &Path, rows: u64) {
    let folder = tempfile::TempDir::new_in(zip.parent().expect("in a folder")).expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let settings = LakeSettings::at(folder.path().to_string_lossy());
    let lake = runtime.block_on(Lake::open(settings, SystemClock::shared(), TABLES)).expect("a lake");
    let doors = ImportDoors { store: lake.store(), bulk: lake.bulk(), runtime: runtime.handle().clone() };
    // The kernel starts counting the peak anew.
    let _may_be_denied = std::fs::write("/proc/self/clear_refs", "5");
    let before = Usage::now();
    let report = import_file(&doors, zip);
    before.report("import", rows);
    let infos = lake.table_infos();
    let of = |name| infos.iter().find(|info| info.name == name).expect("a table");
    let (trades, bars) = (of(TableName::Trades), of(TableName::Bars));
    assert_eq!((report.added, trades.rows, bars.rows), (rows, rows, report.bars));
    println!(
        "  {} files, {:.2} bytes a trade, {} bars; {} MiB resident at most",
        trades.files,
        trades.bytes as f64 / rows as f64,
        report.bars,
        peak_bytes() >> 20
    );
    look_through(&lake, &runtime, rows);
    peers::candles(folder.path());
}

/// Reads what was written: its ids from footers and from rows, and an hour's candles from trades.
fn look_through(lake: &Lake, runtime: &tokio::runtime::Runtime, rows: u64) {
    let month = Period::parse(MONTH).expect("a month");
    for is_deep in [false, true] {
        let ask = IdAsk {
            table: TableName::Trades,
            instrument: "binance-futures:BTC-USDT-PERP".parse().expect("an id"),
            range: TimeRange { start: month.start_time(), end: month.end_time() },
            is_deep,
        };
        let before = Usage::now();
        let files = runtime.block_on(lake.ids().ids(ask)).expect("an answer");
        before.report(if is_deep { "  ids from rows" } else { "  ids from footers" }, rows);
        assert_eq!(files.iter().map(|file| file.runs.count()).sum::<u64>(), rows);
    }
    for _twice in 0..2 {
        let before = Usage::now();
        let candles = runtime.block_on(async {
            let stream = lake.query().query(CANDLES, QueryLimits::default()).await.expect("a plan");
            stream.batches.try_collect::<Vec<_>>().await.expect("rows")
        });
        before.report("  candles of an hour by SQL from trades", rows);
        assert_eq!(candles.iter().map(RecordBatch::num_rows).sum::<usize>(), 31 * 24);
    }
}

fn import_file(doors: &ImportDoors, zip: &Path) -> ImportReport {
    let venue = VenueId::known("binance-futures").and_then(venues::venue).expect("a venue");
    let archives: &dyn Archives = venue.archives().expect("it has archives");
    let period = Period::parse(MONTH).expect("a month");
    let file: ArchiveFile = archives.file(ArchiveData::Trades, "BTCUSDT", period).expect("such files");
    let id = "binance-futures:BTC-USDT-PERP".parse().expect("an id");
    let instrument = Arc::new(Instrument::named(id, "BTCUSDT"));
    let received = Time::parse("2026-11-02").expect("a day");
    let ask = ImportAsk { archives, file: &file, instrument: &instrument, received, frontier: None };
    let done = unpack(zip, Packing::Zip, |bytes| import(doors, &ask, bytes));
    done.expect("a whole file").expect("good rows")
}

/// Time and processor of this process, at a moment.
struct Usage {
    at: Instant,
    cpu: f64,
}

impl Usage {
    fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_seconds() }
    }

    fn report(&self, name: &str, rows: u64) {
        let (wall, cpu) = (self.at.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        println!("{}", line(name, rows, (wall, cpu)));
    }
}

fn line(name: &str, rows: u64, (wall, cpu): (f64, f64)) -> String {
    let million = rows as f64 / 1e6;
    format!(
        "{name}: {wall:.2} s, {cpu:.2} s of processor; {:.2} M rows/s, {:.2} M rows/s per core",
        million / wall,
        million / cpu
    )
}

/// What this process has used of all processors.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = text.rsplit(") ").next().unwrap_or_default();
    let ticks = behind_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}
