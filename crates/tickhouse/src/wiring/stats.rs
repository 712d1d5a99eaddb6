//! Tells the log now and then what the process uses and has done, so that a log file alone shows how a night went.

use std::sync::Arc;
use std::time::Duration;

use model::status::StreamHealth;
use runtime::{Restart, Tasks};
use tables::{HouseStatus, StatusSource};

/// Starts telling; without a rhythm nothing is told.
pub(crate) fn start(state: Arc<dyn StatusSource>, every: Option<Duration>, tasks: &Tasks) {
    let Some(every) = every else { return };
    tasks.start("stats", Restart::WithBackoff { tries_max: 8 }, move |stop| {
        let state = Arc::clone(&state);
        async move {
            while stop.sleep(every).await {
                tell(&state.status());
            }
            Ok(())
        }
    });
}

fn tell(status: &HouseStatus) {
    let streams = || status.venues.iter().flat_map(|venue| &venue.streams);
    let is_troubled = |health| matches!(health, StreamHealth::Mute | StreamHealth::Down);
    tracing::info!(
        trades = status.trades_total,
        frames = status.venues.iter().map(|venue| venue.frames_total).sum::<u64>(),
        undecodable = status.undecodable_total,
        streams = streams().count(),
        in_trouble = streams().filter(|stream| is_troubled(stream.health)).count(),
        gaps_open = status.instruments.iter().map(|line| line.gaps_open).sum::<usize>(),
        gaps_missing = status.instruments.iter().map(|line| line.gaps_missing).sum::<usize>(),
        rows_buffered = status.rows_buffered.0,
        log = status.log.state,
        log_mib = status.log.bytes >> 20,
        memory_mib = status.memory_bytes >> 20,
        cpu_seconds = status.cpu_seconds,
        disk_free_percent = status.disk_free_percent,
        "statistics"
    );
}
