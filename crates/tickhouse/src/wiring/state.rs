//! The state of the house, gathered from its rooms.

use std::path::PathBuf;
use std::sync::Arc;

use model::Time;
use rawlog::{Log, LogState, RecoveryReport};
use runtime::Clock;
use tables::{HouseStatus, LogStatus, StatusSource, TableStore};

use crate::folder::Markets;

/// Where the numbers come from.
pub(crate) struct State {
    pub(crate) started: Time,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) markets: Markets,
    pub(crate) directory: PathBuf,
    pub(crate) collector: collect::Collector,
    pub(crate) refine: refine::Refine,
    pub(crate) log: Log,
    pub(crate) store: Arc<dyn TableStore>,
}

impl StatusSource for State {
    fn status(&self) -> HouseStatus {
        HouseStatus {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            now: self.clock.time(),
            is_simulated: self.markets == Markets::Simulated,
            directory: self.directory.clone(),
            venues: self.collector.status(),
            instruments: self.refine.instrument_lines(),
            log: LogStatus {
                written: self.log.written(),
                durable: self.log.durable(),
                bytes: self.log.bytes(),
                state: match self.log.state() {
                    LogState::Open => "ok".into(),
                    LogState::DiskFull { free_bytes } => format!(
                        "disk_full: {} MiB free, capture stands still until there is more",
                        free_bytes >> 20
                    ),
                    LogState::Closed => "closed".into(),
                },
            },
            refined: self.refine.refined(),
            committed: self.refine.committed(),
            rows_buffered: self.store.buffered(),
            trades_total: self.refine.trades_total(),
            undecodable_total: self.refine.undecodable_total(),
            memory_bytes: memory_bytes(),
            cpu_seconds: cpu_seconds(),
            disk_free_percent: disk_free_percent(&self.directory),
        }
    }
}

/// Resident memory of this process; 0 where the system does not tell.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}

/// Processor time of this process, user and system; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; fields are counted behind it. Ticks are hundredths on Linux.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks =
        |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).unwrap_or_default();
    (f64::from(ticks(11)) + f64::from(ticks(12))) / 100.0
}

/// Free space of the disk that holds the folder, per cent; 100 where the system does not tell.
fn disk_free_percent(directory: &std::path::Path) -> f64 {
    match (fs4::available_space(directory), fs4::total_space(directory)) {
        (Ok(free), Ok(total)) if total > 0 => free as f64 * 100.0 / total as f64,
        _ => 100.0,
    }
}

/// Logs what the raw log repaired at its start.
pub(crate) fn tell_recovery(report: &RecoveryReport) {
    tracing::info!(?report, "raw log opened");
}

/// Lends the control state to the collector's budgets.
pub(crate) struct Budgets(pub(crate) control::Control);
