//! What lies on disk and in memory: bytes per recorded trade after merging, and the memory that merging takes.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lake::{Lake, LakeSettings};
use model::{Condition, Decimal, InstrumentId, LogPosition, Nanos, Side, Source, Time, Trade};
use runtime::SystemClock;
use serde_json::Value;
use tables::{RowBatch, Rows, TABLES, TableName};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Prints the size of every Binance recording, of all of one venue in one lake, and of everything.
///
/// Whole files count, with footers and indexes; the commit log does not. Each recording is a lake of its own first:
/// some ten thousand trades in one file, or two where midnight lies within, so the fixed part of a file weighs more
/// than in a day of real use.
pub(crate) fn report() {
    let Some(folder) = std::env::var_os("TICKHOUSE_RECORDINGS").filter(|named| !named.is_empty()) else {
        println!("sizes: skipped, TICKHOUSE_RECORDINGS is not set");
        return;
    };
    let mut everything = Vec::new();
    for venue in ["binance", "binance-futures"] {
        let mut of_venue = Vec::new();
        for file in recordings(&Path::new(&folder).join(venue)) {
            let trades = trades(venue, &file);
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // A handful of trades says nothing but how long a footer is.
            if trades.len() >= 1_000 {
                measure(&format!("{venue}/{}", name.trim_end_matches(".jsonl.zst")), &trades);
            }
            of_venue.extend(trades);
        }
        measure(&format!("all of {venue}"), &of_venue);
        everything.extend(of_venue);
    }
    measure("everything", &everything);
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "zst"));
    files.sort();
    files
}

/// The trades of a recording; of its aggregated ones, if it has no others.
fn trades(venue: &str, file: &Path) -> Vec<Trade> {
    let opened = std::fs::File::open(file).expect("the recording opens");
    let mut text = String::new();
    zstd::Decoder::new(opened).expect("zstd").read_to_string(&mut text).expect("text");
    let (mut raw, mut aggregated) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("one JSON object per line");
        let data = line["data"].as_str().and_then(|data| serde_json::from_str::<Value>(data).ok());
        let (Some(data), Some(received)) = (data, line["at_ns"].as_i64()) else { continue };
        let payload = if data["data"].is_object() { &data["data"] } else { &data };
        match payload["e"].as_str() {
            Some("trade") => raw.push(trade(venue, payload, "t", received)),
            Some("aggTrade") => aggregated.push(trade(venue, payload, "a", received)),
            _ => {}
        }
    }
    if raw.is_empty() { aggregated } else { raw }
}

fn trade(venue: &str, payload: &Value, id: &str, received: i64) -> Trade {
    let symbol = payload["s"].as_str().expect("a symbol");
    let quotes = ["USDT", "BUSD", "USDC", "BTC", "BNB", "ETH"];
    let (base, quote) = quotes
        .iter()
        .find_map(|quote| Some((symbol.strip_suffix(quote)?, *quote)))
        .unwrap_or((symbol, "USDT"));
    let kind = if venue == "binance" { "" } else { "-PERP" };
    let instrument: InstrumentId = format!("{venue}:{base}-{quote}{kind}").parse().expect("a valid id");
    let decimal =
        |name: &str| -> Decimal { payload[name].as_str().expect("a text").parse().expect("a decimal") };
    let is_market = payload["X"].as_str().is_none_or(|kind| kind == "MARKET");
    Trade {
        instrument,
        venue_time: Time::from_millis(payload["T"].as_i64().expect("a time")).expect("a time of our age"),
        trade_id: payload[id].as_i64(),
        venue_trade_id: None,
        price: decimal("p"),
        quantity: decimal("q"),
        taker_side: if payload["m"] == true { Side::Sell } else { Side::Buy },
        first_trade_id: payload["f"].as_i64(),
        last_trade_id: payload["l"].as_i64(),
        condition: if is_market { Condition::Market } else { Condition::Other },
        received_time: Nanos(received).to_time(),
        source: Source::Stream,
    }
}

fn measure(name: &str, trades: &[Trade]) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = TempDir::new().expect("a folder");
    let mut settings = LakeSettings::at(folder.path().to_string_lossy());
    settings.settle_after = Duration::ZERO;
    let lake = runtime.block_on(Lake::open(settings, SystemClock::shared(), TABLES)).expect("a lake");
    let store = lake.store();
    for (flush, part) in trades.chunks(10_000).enumerate() {
        let rows = Rows::Trades(part.to_vec());
        let position = LogPosition(1 + flush as u64);
        let positions = vec![position; rows.len()];
        store
            .append(RowBatch { table: TableName::Trades, batch: rows.to_batch(), positions })
            .expect("room in the buffer");
        runtime.block_on(store.commit(position)).expect("a commit");
    }
    let bytes = |lake: &Lake| {
        let infos = lake.table_infos();
        let info = infos.iter().find(|info| info.name == TableName::Trades).expect("trades");
        assert_eq!(info.rows as usize, trades.len());
        (info.bytes, info.files)
    };
    let (flushed, _) = bytes(&lake);
    runtime.block_on(lake.compact_now()).expect("a merge");
    let (merged, files) = bytes(&lake);
    let each = |bytes: u64| bytes as f64 / trades.len() as f64;
    println!(
        "{name}: {} trades, {:.2} bytes each merged ({merged} bytes in {files} files), {:.2} as flushed",
        trades.len(),
        each(merged),
        each(flushed),
    );
}

/// Prints the most memory this process had while 16 files were merged, and before.
pub(crate) fn memory(lake: &Lake, runtime: &Runtime) {
    let before = peak_bytes();
    // The kernel starts counting the peak anew.
    let is_reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let report = runtime.block_on(lake.compact_now()).expect("a merge");
    println!(
        "merging {} rows of {} files: {} MiB resident at most{}, {} MiB before",
        report.rows,
        report.files_before,
        peak_bytes() >> 20,
        if is_reset { "" } else { " since the start" },
        before >> 20,
    );
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}
