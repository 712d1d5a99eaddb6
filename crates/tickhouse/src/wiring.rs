//! Puts the rooms together, and takes them apart in order: stop collecting, finish the log, checkpoint, let readers go.

pub(crate) mod chain;
mod desk;
mod disk;
mod state;
mod stats;
mod stored;
mod telling;

pub(crate) use state::{Budgets, cpu_seconds};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use model::VenueId;
use rawlog::Log;
use runtime::clock::{Stopwatch, within};
use runtime::telemetry::Metrics;
use runtime::{Clock, Stop, Tasks};

use crate::Done;
use crate::commands::asked_to_end;
use crate::config::{Config, settings};
use crate::folder::{Folder, Markets, check_markets, running};

/// A running platform.
pub(crate) struct House {
    folder: Folder,
    log: Log,
    refine: refine::Refine,
    state: Arc<state::State>,
    address: SocketAddr,
    rooms: Rooms,
    telling: telling::Telling,
    /// Trades that were recorded before this process.
    trades_before: u64,
}

/// Tasks by room, so that they close in order.
#[derive(Default)]
struct Rooms {
    log: Tasks,
    lake: Tasks,
    refine: Tasks,
    collect: Tasks,
    history: Tasks,
    /// The followed chain and its prices.
    chain: Tasks,
    serve: Tasks,
    notify: Tasks,
    /// Those who look how the other rooms are.
    watch: Tasks,
}

impl Rooms {
    /// Those without which the house cannot stand.
    fn needed(&self) -> [&Tasks; 7] {
        let Self { log, lake, refine, collect, history, chain, serve, .. } = self;
        [log, lake, refine, collect, history, chain, serve]
    }
}

/// Wishes that may wait for the collector.
const WISHES_MAX: usize = 65_536;

/// Longest closing, all rooms together; three seconds with the threads that end after it.
const CLOSING_MAX: Duration = Duration::from_millis(2_200);
/// Of it, for connections to say goodbye.
const CONNECTIONS_MAX: Duration = Duration::from_millis(500);
/// Of it, for what they brought to be written and synced.
const WRITING_MAX: Duration = Duration::from_millis(400);
/// Every room gets at least so long, whatever those before it took.
const ROOM_MIN: Duration = Duration::from_millis(50);

impl House {
    /// Opens the folder and starts every room.
    pub(crate) async fn start(
        config: &Config,
        directory: &Path,
        markets: Markets,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let rooms = Rooms::default();
        let port = serve::Port::open(settings::serve(config).address).await.context("start serving");
        let port = match port {
            // Nothing is begun, no folder is made. Of a folder in use it says more who is in it.
            Err(error) if running(directory).is_none() => {
                telling::Telling::start(config, &clock, &rooms.notify)?.tell_failed_start(&error).await;
                return Err(error);
            }
            port => port,
        };
        let folder = Folder::open(directory, markets)?;
        let port = port?;
        let telling = telling::Telling::start(config, &clock, &rooms.notify)?;
        // Tasks end when nobody is left to ask them to.
        let (told, _tellers) = (telling.clone(), rooms.notify.clone());
        let opened = Self::open(config, (folder, markets), clock, (rooms, telling), port).await;
        if let Err(error) = &opened {
            told.tell_failed_start(error).await;
        }
        opened
    }

    async fn open(
        config: &Config,
        (folder, markets): (Folder, Markets),
        clock: Arc<dyn Clock>,
        (rooms, telling): (Rooms, telling::Telling),
        port: serve::Port,
    ) -> anyhow::Result<Self> {
        let lake_settings = settings::lake(config, &folder.path("lake"));
        // Tables elsewhere may be those of a folder with other markets.
        if let Some(above) = Path::new(&lake_settings.location).parent() {
            check_markets(above, markets).context("the tables named as lake.location")?;
        }
        let metrics = Metrics::install().map_err(anyhow::Error::msg)?;
        serve::describe_metrics();

        let lake = lake::Lake::open(lake_settings, Arc::clone(&clock), tables::TABLES)
            .await
            .context("open the lake")?;
        let mut log_settings = settings::rawlog(config, &folder.path("log"));
        // A log that was emptied by hand must not count from 1 again: the tables would take its rows for stored ones.
        log_settings.not_before = lake.store().positions().into_values().max().unwrap_or_default();
        let (log, recovery) =
            Log::open(log_settings, Arc::clone(&clock), &rooms.log).context("open the raw log")?;
        state::tell_recovery(&recovery);
        if let Some(process) = folder.take_unclosed() {
            telling.tell(&notify::words::unclean_end(process, !recovery.torn.is_empty(), clock.time()));
        }
        lake.start_upkeep(&rooms.lake);

        let (wishes, wished) = runtime::queue("wishes", WISHES_MAX);
        let doors =
            refine::Doors { log: log.clone(), store: lake.store(), wishes, clock: Arc::clone(&clock) };
        let refine = refine::start(settings::refine(config, &folder.path("state")), doors, &rooms.refine)
            .context("start refining")?;
        let trades_before = refine.counts().trades_total;

        let control =
            control::Control::open(folder.path("control.sqlite")).context("open the control state")?;
        let doors = collect::Doors {
            log: log.clone(),
            clock: Arc::clone(&clock),
            budget_store: Arc::new(state::Budgets(control.clone())),
            known: Arc::new(stored::Stored { store: lake.store(), market: refine.market() }),
            wishes: wished,
        };
        let collector =
            collect::start(settings::collect(config), doors, &rooms.collect).context("start collecting")?;

        let followed =
            chain::start(config, &folder, (&lake, &control, &clock), (collector.history(), &rooms.chain))?;
        let desk = desk::open(config, followed, &clock);
        let past =
            past((config, &telling), &folder, (&lake, control.clone(), &clock), (&collector, &refine))?;
        let keeper = history::Keeper::start(settings::keeper(config), past, &rooms.history);

        let state = Arc::new(state::State {
            keeper,
            started: clock.time(),
            clock: Arc::clone(&clock),
            markets,
            directory: folder.root().to_path_buf(),
            disk: disk::Disk::new(folder.root(), settings::disk(config)),
            collector,
            refine: refine.clone(),
            log: log.clone(),
            store: lake.store(),
        });
        let doors =
            serve::Doors { chain: desk, control: Some(control), ..readers(&lake, &refine, &state, metrics) };
        let started = clock.time();
        let address = serve::start(settings::serve(config), doors, clock, port, &rooms.serve).address;
        stats::start(Arc::clone(&state) as _, settings::stats_every(config), &rooms.serve);
        folder.announce(address)?;
        telling.follow(config, &state, &rooms.watch);
        let venues = settings::enabled_venues(config);
        let place = folder.root().display().to_string();
        telling.tell(&notify::words::started(env!("CARGO_PKG_VERSION"), &place, &venues, started));
        Ok(Self { folder, log, refine, state, address, rooms, telling, trades_before })
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
    pub(crate) fn failures(&self) -> [Stop; 7] {
        self.rooms.needed().map(Tasks::house_stop)
    }

    /// Closes in order and says what was written, while those who are not looking are told. Whatever does not end in time is
    /// left to the next start.
    pub(crate) async fn close(self) -> Closing {
        // What the rooms do while they close is no trouble.
        self.rooms.watch.close_together(ROOM_MIN).await;
        let failure = self.rooms.needed().into_iter().find_map(Tasks::failure);
        self.telling.tell_stop(&self.state, failure.as_deref());
        let (closing, ()) = tokio::join!(self.close_rooms(), self.telling.farewell());
        self.rooms.notify.close_together(ROOM_MIN).await;
        closing
    }

    async fn close_rooms(&self) -> Closing {
        let Rooms { log, lake, refine, collect, history, chain, serve, .. } = &self.rooms;
        let watch = Stopwatch::start();
        let left = || CLOSING_MAX.saturating_sub(watch.elapsed()).max(ROOM_MIN);
        // With a full disk, what waits for the log would be lost: the reserve was kept for it.
        self.log.spend_reserve();
        // What is being taken in of the past is not seen before it is whole: the next start begins with it anew.
        let (mut late, _cut_off, _blocks_cut_off) = tokio::join!(
            collect.close_together(CONNECTIONS_MAX),
            history.close_together(CONNECTIONS_MAX),
            chain.close_together(CONNECTIONS_MAX)
        );
        let written = async {
            while !self.log.is_idle() {
                runtime::sleep(Duration::from_millis(5)).await;
            }
            // A log that closed by itself has said why.
            let _closed_already = self.log.wait_durable(self.log.written()).await;
        };
        if within(WRITING_MAX, written).await.is_none() {
            tracing::warn!("the disk takes long to write what waits for the log");
        }
        let (late_refining, late_serving) = tokio::join!(refine.close(left()), serve.close(left()));
        late.extend(late_refining);
        late.extend(late_serving);
        late.extend(lake.close(left()).await);
        late.extend(log.close(left()).await);
        let trades_total = self.refine.counts().trades_total;
        Closing {
            seconds: watch.elapsed().as_secs_f64(),
            records: self.log.written().0,
            lost_count: self.log.counts().lost_count,
            log_bytes: self.log.bytes(),
            trades_new: trades_total.saturating_sub(self.trades_before),
            trades_total,
            committed: self.refine.committed().0,
            late,
        }
    }
}

/// What was written, for the last line on the terminal.
#[derive(Debug)]
pub(crate) struct Closing {
    seconds: f64,
    records: u64,
    lost_count: u64,
    log_bytes: u64,
    trades_new: u64,
    trades_total: u64,
    committed: u64,
    late: Vec<String>,
}

impl std::fmt::Display for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use model::digits::group;
        write!(
            f,
            "closed: {} trades recorded ({} in all), {} records in the raw log ({} MiB), tables committed through {} ({:.1} s)",
            group(self.trades_new),
            group(self.trades_total),
            group(self.records),
            self.log_bytes >> 20,
            group(self.committed),
            self.seconds,
        )?;
        let waiting = self.records.saturating_sub(self.committed);
        if waiting > 0 {
            write!(f, "; the last {} records are replayed at the next start", group(waiting))?;
        }
        if !self.late.is_empty() {
            write!(f, "; left unfinished to the next start: {}", self.late.join(", "))?;
        }
        if self.lost_count > 0 {
            write!(
                f,
                "; THE DISK IS FULL: {} records could not be written and are lost; make room and start again, what the \
                 exchanges number is fetched then",
                group(self.lost_count)
            )?;
        }
        Ok(())
    }
}

/// What looking after the past works with.
fn past(
    (config, telling): (&Config, &telling::Telling),
    folder: &Folder,
    (lake, control, clock): (&lake::Lake, control::Control, &Arc<dyn Clock>),
    (collector, refine): (&collect::Collector, &refine::Refine),
) -> anyhow::Result<history::KeeperDoors> {
    Ok(history::KeeperDoors {
        doors: history::Doors {
            store: lake.store(),
            bulk: lake.bulk(),
            query: lake.query(),
            ids: lake.ids(),
            control,
            clock: Arc::clone(clock),
            raw_trades: Arc::new(settings::raw_trades(config)),
        },
        sites: sites(config, folder)?,
        desk: collector.history(),
        refine: refine.clone(),
        listener: telling.ear(),
    })
}

/// What readers are answered from.
fn readers(
    lake: &lake::Lake,
    refine: &refine::Refine,
    state: &Arc<state::State>,
    metrics: Metrics,
) -> serve::Doors {
    serve::Doors {
        feed: refine.feed(),
        past: refine.past(),
        candles: refine.candles(),
        coverage: refine.coverage(),
        market: refine.market(),
        store: lake.store(),
        query: lake.query(),
        status: Arc::clone(state) as Arc<dyn tables::StatusSource>,
        chain: None,
        control: None,
        metrics: Arc::new(move || metrics.render()),
    }
}

/// The archives of the venues that are collected from.
fn sites(
    config: &Config,
    folder: &Folder,
) -> anyhow::Result<HashMap<VenueId, Arc<collect::archive::ArchiveSite>>> {
    let mut sites = HashMap::new();
    for venue in settings::enabled_venues(config) {
        let site = collect::archive::ArchiveSite::open(settings::archive(config, venue, folder))
            .with_context(|| format!("open the archive of {venue}"))?;
        sites.extend(site.map(|site| (venue, Arc::new(site))));
    }
    Ok(sites)
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

/// Closes in order and says what was written; an error if a room had failed. Asked to end once more, the process does
/// at once: the next start mends what that leaves behind, as after a power cut.
pub(crate) async fn close(house: House, has_failed: bool) -> anyhow::Result<Done> {
    let again = asked_to_end();
    crate::output::line("closing (Ctrl-C again ends at once)");
    let closing = tokio::select! {
        closing = house.close() => closing,
        () = again => {
            crate::output::line("closed at once: what was written is safe, the next start replays the rest from the log");
            std::process::exit(1)
        }
    };
    let has_losses = closing.lost_count > 0;
    crate::output::line(closing);
    if has_failed {
        anyhow::bail!("a task failed for good, see the log above: nothing recorded is lost, start again");
    }
    Ok(if has_losses { Done::Findings } else { Done::Clean })
}
