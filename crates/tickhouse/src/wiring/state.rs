//! The state of the house, gathered from its rooms.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use collect::{BudgetState, BudgetStore, EndpointState};
use control::{Budget, BudgetEndpoint};
use model::status::{StreamHealth, VenueStatus};
use model::{Channel, InstrumentId, Time};
use rawlog::{Log, LogState, RecoveryReport};
use runtime::Clock;
use tables::{HouseStatus, InstrumentStatusLine, LogStatus, StatusSource, TableStore};

use super::disk::Disk;
use crate::folder::Markets;

/// Where the numbers come from.
pub(crate) struct State {
    pub(crate) started: Time,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) markets: Markets,
    pub(crate) directory: PathBuf,
    pub(crate) disk: Disk,
    pub(crate) collector: collect::Collector,
    pub(crate) keeper: history::Keeper,
    pub(crate) refine: refine::Refine,
    pub(crate) log: Log,
    pub(crate) store: Arc<dyn TableStore>,
}

impl StatusSource for State {
    fn status(&self) -> HouseStatus {
        let mut venues = self.collector.status();
        tell_unknown(&mut venues, &self.collector.unknown_symbols());
        let log = self.log.state();
        let disk = self.disk.look(matches!(log, LogState::DiskFull { .. }));
        let counts = self.refine.counts();
        HouseStatus {
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            now: self.clock.time(),
            is_simulated: self.markets == Markets::Simulated,
            directory: self.directory.clone(),
            instruments: self.lines(&venues),
            venues,
            log: LogStatus {
                written: self.log.written(),
                durable: self.log.durable(),
                bytes: self.log.bytes(),
                state: match log {
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
            trades_total: counts.trades_total,
            undecodable_total: counts.undecodable_total,
            memory_bytes: memory_bytes(),
            cpu_seconds: cpu_seconds(),
            disk_free_percent: disk.free_percent,
            disk_free_bytes: disk.free_bytes,
            disk_state: disk.state.as_str(),
            disk_days_left: disk.days_left,
            commit_trouble: self.refine.commit_trouble(),
        }
    }

    fn is_fetching_history(&self, instrument: &InstrumentId) -> bool {
        self.collector.is_fetching_klines(instrument)
    }
}

/// Wanted symbols that no listing holds are trouble too, unless there is greater.
fn tell_unknown(venues: &mut [VenueStatus], unknown: &[String]) {
    for venue in venues.iter_mut().filter(|venue| venue.trouble.is_none()) {
        let symbols: Vec<&str> = unknown
            .iter()
            .filter_map(|line| line.strip_prefix(venue.venue.as_str())?.strip_prefix(": "))
            .collect();
        if !symbols.is_empty() {
            let text = "is not listed there: check the spelling under instruments and books";
            venue.trouble = Some(format!("{} {text}", symbols.join(", ")));
        }
    }
}

impl State {
    /// Where each instrument is in its life, from what refining knows and what collecting sees.
    fn lines(&self, venues: &[VenueStatus]) -> Vec<InstrumentStatusLine> {
        let healths: HashMap<&InstrumentId, StreamHealth> = venues
            .iter()
            .flat_map(|venue| &venue.streams)
            .filter(|stream| matches!(stream.channel, Channel::Trades | Channel::RawTrades))
            .filter_map(|stream| Some((stream.instrument.as_ref()?, stream.health)))
            .collect();
        let line = |line: refine::InstrumentLine| InstrumentStatusLine {
            phase: phase(
                healths.get(&line.instrument).copied(),
                line.gaps_open > 0,
                self.keeper.phase(&line.instrument),
                self.is_fetching_history(&line.instrument),
            ),
            instrument: line.instrument,
            symbol: line.symbol,
            trades_total: line.trades_total,
            last_trade_time: line.last_trade_time,
            last_trade_id: line.last_trade_id,
            gaps_open: line.gaps_open,
            gaps_missing: line.gaps_missing,
        };
        self.refine.lines().into_iter().map(line).collect()
    }
}

/// Where an instrument is in its life, the worst first; one of [`tables::PHASES`].
fn phase(
    health: Option<StreamHealth>,
    has_open_gap: bool,
    past: Option<history::Phase>,
    is_fetching_history: bool,
) -> &'static str {
    match health {
        Some(StreamHealth::Mute) => "mute",
        None | Some(StreamHealth::Down) => "down",
        Some(_) if has_open_gap => "gap_recovery",
        Some(_) if past.is_some() => past.map_or("", history::Phase::as_str),
        Some(_) if is_fetching_history => "historical_load",
        Some(StreamHealth::Waiting) => "waiting",
        Some(StreamHealth::Live) => "streaming",
    }
}

/// Resident memory of this process; 0 where the system does not tell.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}

/// Processor time of this process, user and system; 0 where the system does not tell.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; fields are counted behind it. Ticks are hundredths on Linux.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks =
        |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).unwrap_or_default();
    (f64::from(ticks(11)) + f64::from(ticks(12))) / 100.0
}

/// Logs what the raw log repaired at its start.
pub(crate) fn tell_recovery(report: &RecoveryReport) {
    tracing::info!(
        first = report.first.0,
        last = report.last.0,
        segments = report.segment_count,
        "raw log opened"
    );
    for torn in &report.torn {
        tracing::warn!(
            segment = %torn.segment.display(),
            offset = torn.offset,
            bytes = torn.bytes,
            kept = ?torn.kept,
            "the newest segment was not written whole: its torn end was cut and kept beside it"
        );
    }
}

/// Lends the control state to the collector's budgets.
pub(crate) struct Budgets(pub(crate) control::Control);

impl BudgetStore for Budgets {
    fn load(&self) -> Vec<BudgetState> {
        let budgets = self.0.load_budgets().unwrap_or_else(|error| {
            tracing::error!(%error, "REST budgets of the last run are not known");
            Vec::new()
        });
        let endpoint = |known: BudgetEndpoint| EndpointState {
            path: known.path,
            questions: known.questions,
            weight: known.weight,
            bans: known.bans,
            recent: known.recent,
            recent_time: known.recent_time,
        };
        let state = |budget: Budget| BudgetState {
            host: budget.host,
            window_start: budget.window_start,
            weight_used: budget.weight_used,
            banned_until: budget.banned_until,
            endpoints: budget.endpoints.into_iter().map(endpoint).collect(),
        };
        budgets.into_iter().map(state).collect()
    }

    fn save(&self, state: &BudgetState) {
        let endpoint = |known: &EndpointState| BudgetEndpoint {
            path: known.path.clone(),
            questions: known.questions,
            weight: known.weight,
            bans: known.bans,
            recent: known.recent,
            recent_time: known.recent_time,
        };
        let budget = Budget {
            host: state.host.clone(),
            window_start: state.window_start,
            weight_used: state.weight_used,
            banned_until: state.banned_until,
            endpoints: state.endpoints.iter().map(endpoint).collect(),
        };
        if let Err(error) = self.0.save_budget(&budget) {
            tracing::error!(%error, host = budget.host, "REST budget could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for phases.
    use super::*;

    #[test]
    fn the_worst_phase_of_an_instrument_is_told() {
        use StreamHealth::{Down, Live, Mute, Waiting};
        use history::Phase::ArchiveRecovery;
        for (health, has_open_gap, past, is_fetching, expect) in [
            (Some(Live), false, None, false, "streaming"),
            (Some(Live), false, None, true, "historical_load"),
            (Some(Live), false, Some(ArchiveRecovery), true, "archive_recovery"),
            (Some(Live), true, Some(ArchiveRecovery), true, "gap_recovery"),
            (Some(Waiting), false, None, false, "waiting"),
            (Some(Waiting), false, None, true, "historical_load"),
            (Some(Mute), true, Some(ArchiveRecovery), true, "mute"),
            (Some(Down), true, None, true, "down"),
            (None, false, None, false, "down"),
        ] {
            let found = phase(health, has_open_gap, past, is_fetching);
            assert_eq!(found, expect, "{health:?} {has_open_gap} {past:?} {is_fetching}");
            assert!(tables::PHASES.contains(&found));
        }
    }
}
