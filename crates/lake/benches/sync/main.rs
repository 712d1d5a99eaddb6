//! How fast a chain as long as Bitcoin's comes into the tables, and whether its length slows it down: blocks a second along the way,
//! memory, files, a new start, and single blocks at the tip. Then all buckets from the tables.
//!
//! `steps` and `buckets` after the name of the bench choose these alone. `TICKHOUSE_BENCH_BLOCKS` is the length of the chain.
#![expect(clippy::disallowed_macros, reason = "a bench prints")]

mod buckets;
mod steps;

use std::path::Path;
use std::sync::Arc;

use control::Control;
use lake::{Lake, LakeSettings};
use onchain::{BlockFolder, Doors};
use runtime::SystemClock;
use tables::{TABLES, TableName};

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|word| word == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    if is_wanted("steps") {
        runtime.block_on(steps::report());
    }
    if is_wanted("buckets") {
        runtime.block_on(buckets::report());
    }
}

/// How long the chain is, unless the environment says otherwise.
fn blocks(usual: u32) -> u32 {
    std::env::var("TICKHOUSE_BENCH_BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A lake in a folder.
async fn lake(folder: &Path) -> Lake {
    let settings = LakeSettings::at(folder.join("lake").display().to_string());
    Lake::open(settings, SystemClock::shared(), TABLES).await.expect("a lake")
}

/// What following works with, over that lake. Neither bytes nor coins of blocks are kept.
fn doors(lake: &Lake, folder: &Path) -> Doors {
    Doors {
        steps: lake.steps(),
        store: lake.store(),
        control: Control::open(folder.join("control.sqlite")).expect("control state"),
        clock: SystemClock::shared(),
        blocks: BlockFolder { path: folder.join("blocks"), is_kept: false },
        coins: None,
    }
}

/// Memory held now and at most, in MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    (of("VmRSS:").unwrap_or(0) >> 10, of("VmHWM:").unwrap_or(0) >> 10)
}

/// Processor time of all threads so far, in milliseconds: other than the time on the wall it does not know of others' work.
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // Counted in hundredths of a second on every usual kernel.
    (ticks(11) + ticks(12)) * 10
}

/// Files and commit entries of the tables of the chain, those in the tables and those on disk.
fn tell_files(lake: &Lake, folder: &Path) {
    for info in lake.table_infos() {
        let is_of_chain =
            matches!(info.name, TableName::BtcBlocks | TableName::BtcPrimitiveBlock | TableName::BtcBuckets);
        if !is_of_chain {
            continue;
        }
        let table = folder.join("lake").join(info.name.as_str());
        let (data, data_bytes) = count(&table, "parquet", true);
        let (log, log_bytes) = count(&table.join("_delta_log"), "", false);
        println!(
            "  {:22} {:8} rows, {:5} files of {:6.1} MB; on disk {data:5} files of {:6.1} MB, {log:5} log files of {:5.1} MB, version {}",
            info.name.as_str(),
            info.rows,
            info.files,
            info.bytes as f64 / 1e6,
            data_bytes as f64 / 1e6,
            log_bytes as f64 / 1e6,
            info.version,
        );
    }
}

/// Number and size of the files of a folder with this ending, its parts included but for the log.
fn count(folder: &Path, ending: &str, is_deep: bool) -> (usize, u64) {
    let (mut files, mut bytes) = (0, 0);
    let Ok(entries) = std::fs::read_dir(folder) else { return (0, 0) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && is_deep && path.file_name().is_none_or(|name| name != "_delta_log") {
            let (more, of_bytes) = count(&path, ending, true);
            (files, bytes) = (files + more, bytes + of_bytes);
        } else if path.is_file() && path.to_string_lossy().ends_with(ending) {
            (files, bytes) = (files + 1, bytes + entry.metadata().map_or(0, |found| found.len()));
        }
    }
    (files, bytes)
}

/// Index and keeper of buckets share it.
type Active = Arc<std::sync::RwLock<chain::HeaderIndex>>;
