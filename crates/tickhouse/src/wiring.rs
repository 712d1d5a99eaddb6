//! Puts the rooms together, and takes them apart in order: stop collecting, finish the log, checkpoint, let readers go.

mod state;
mod stats;

pub(crate) use state::cpu_seconds;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rawlog::Log;
use runtime::telemetry::Metrics;
use runtime::{Clock, Stop, Tasks};

use crate::config::{Config, settings};
use crate::folder::{Folder, Markets};

/// A running platform.
pub(crate) struct House {
    folder: Folder,
    log: Log,
    refine: refine::Refine,
    state: Arc<state::State>,
    address: SocketAddr,
    rooms: Rooms,
}

/// Tasks by room, so that they close in order.
#[derive(Default)]
struct Rooms {
    log: Tasks,
    lake: Tasks,
    refine: Tasks,
    collect: Tasks,
    serve: Tasks,
}

/// Wishes that may wait for the collector.
const WISHES_MAX: usize = 65_536;

/// Longest wait for one task to end.
const CLOSE_EACH_MAX: Duration = Duration::from_secs(2);

impl House {
    /// Opens the folder and starts every room.
    pub(crate) async fn start(
        config: &Config,
        directory: &Path,
        markets: Markets,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let folder = Folder::open(directory, markets)?;
        let metrics = Metrics::install().map_err(anyhow::Error::msg)?;
        serve::describe_metrics();
        let rooms = Rooms::default();

        let lake = lake::Lake::open(
            settings::lake(config, &folder.path("lake")),
            Arc::clone(&clock),
            tables::TABLES,
        )
        .await
        .context("open the lake")?;
        let mut log_settings = settings::rawlog(config, &folder.path("log"));
        // A log that was emptied by hand must not count from 1 again: the tables would take its rows for stored ones.
        log_settings.not_before = lake.store().positions().into_values().max().unwrap_or_default();
        let (log, recovery) =
            Log::open(log_settings, Arc::clone(&clock), &rooms.log).context("open the raw log")?;
        state::tell_recovery(&recovery);
        lake.start_upkeep(&rooms.lake);

        let (wishes, wished) = runtime::queue("wishes", WISHES_MAX);
        let doors =
            refine::Doors { log: log.clone(), store: lake.store(), wishes, clock: Arc::clone(&clock) };
        let refine = refine::start(settings::refine(config, &folder.path("state")), doors, &rooms.refine)
            .context("start refining")?;

        let control =
            control::Control::open(folder.path("control.sqlite")).context("open the control state")?;
        let doors = collect::Doors {
            log: log.clone(),
            clock: Arc::clone(&clock),
            budget_store: Arc::new(state::Budgets(control)),
            wishes: wished,
        };
        let collector =
            collect::start(settings::collect(config), doors, &rooms.collect).context("start collecting")?;

        let state = Arc::new(state::State {
            started: clock.time(),
            clock: Arc::clone(&clock),
            markets,
            directory: folder.root().to_path_buf(),
            collector,
            refine: refine.clone(),
            log: log.clone(),
            store: lake.store(),
        });
        let doors = serve::Doors {
            feed: refine.feed(),
            past: refine.past(),
            candles: refine.candles(),
            coverage: refine.coverage(),
            market: refine.market(),
            store: lake.store(),
            query: lake.query(),
            status: Arc::clone(&state) as Arc<dyn tables::StatusSource>,
            metrics: Arc::new(move || metrics.render()),
        };
        let server = serve::start(settings::serve(config), doors, clock, &rooms.serve)
            .await
            .context("start serving")?;
        let address = server.address;
        stats::start(Arc::clone(&state) as _, settings::stats_every(config), &rooms.serve);
        folder.announce(address)?;
        Ok(Self { folder, log, refine, state, address, rooms })
    }

    /// Where readers connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The data folder.
    pub(crate) fn directory(&self) -> &Path {
        self.folder.root()
    }

    /// The state of the house.
    pub(crate) fn status(&self) -> tables::HouseStatus {
        tables::StatusSource::status(&*self.state)
    }

    /// Each resolves when its room cannot go on.
    pub(crate) fn failures(&self) -> [Stop; 5] {
        let Rooms { log, lake, refine, collect, serve } = &self.rooms;
        [log, lake, refine, collect, serve].map(Tasks::house_stop)
    }

    /// Closes in order and says what was written.
    pub(crate) async fn close(self) -> Closing {
        let mut late = self.rooms.collect.close(CLOSE_EACH_MAX).await;
        let through = self.log.written();
        let _closed_already = self.log.wait_durable(through).await;
        late.extend(self.rooms.refine.close(CLOSE_EACH_MAX).await);
        let status = self.status();
        late.extend(self.rooms.serve.close(CLOSE_EACH_MAX).await);
        late.extend(self.rooms.lake.close(CLOSE_EACH_MAX).await);
        late.extend(self.rooms.log.close(CLOSE_EACH_MAX).await);
        Closing {
            records: through.0,
            log_bytes: status.log.bytes,
            trades: self.refine.counts().trades_total,
            committed: self.refine.committed().0,
            late,
        }
    }
}

/// What was written, for the last line on the terminal.
#[derive(Debug)]
pub(crate) struct Closing {
    records: u64,
    log_bytes: u64,
    trades: u64,
    committed: u64,
    late: Vec<String>,
}

impl std::fmt::Display for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::commands::status::group;
        write!(
            f,
            "closed: {} trades recorded, raw log at record {} ({} MiB), tables committed through {}",
            group(self.trades),
            group(self.records),
            self.log_bytes >> 20,
            group(self.committed),
        )?;
        if self.committed < self.records {
            write!(f, "; the rest is in the log and will be replayed at the next start")?;
        }
        if !self.late.is_empty() {
            write!(f, "; cut off: {}", self.late.join(", "))?;
        }
        Ok(())
    }
}

/// Waits until `over`, or until a room cannot go on; true if a room failed.
pub(crate) async fn wait(house: &House, over: impl Future<Output = ()>) -> bool {
    let failures = house.failures();
    let failed = futures::future::select_all(failures.iter().map(|stop| Box::pin(stop.requested())));
    tokio::select! {
        () = over => false,
        _ = failed => true,
    }
}

/// Closes in order and says what was written; an error if a room had failed.
pub(crate) async fn close(house: House, has_failed: bool) -> anyhow::Result<()> {
    let closing = house.close().await;
    crate::output::line(closing);
    if has_failed {
        anyhow::bail!("a task failed for good, see the log above: nothing recorded is lost, start again");
    }
    Ok(())
}
