//! Keeps the lake tidy in the background: merging, checkpoints, old commit entries, files nobody needs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use deltalake::logstore::object_store::{Error as ObjectError, ObjectMeta, path::Path};
use deltalake::operations::vacuum::{Clock as VacuumClock, VacuumMode};
use futures::{StreamExt, TryStreamExt};
use model::Time;
use runtime::{Clock, Restart, Stop, Tasks};

use crate::engine::Engine;
use crate::error::{Error, failed};
use crate::log::{is_checkpoint, version_of};
use crate::shelf::{House, Shelf};
use crate::{VacuumReport, compact};

/// How often files and commit entries that nobody needs are looked for.
const CLEAN_EVERY: Duration = Duration::from_hours(1);

/// Starts the background task.
pub(crate) fn start(house: &Arc<House>, engine: &Arc<Engine>, tasks: &Tasks) {
    let (house, engine) = (Arc::clone(house), Arc::clone(engine));
    tasks.start("lake.upkeep", Restart::WithBackoff { tries_max: 1_000 }, move |stop| {
        let (house, engine) = (Arc::clone(&house), Arc::clone(&engine));
        async move { run(&house, &engine, &stop).await.map_err(|error| error.to_string()) }
    });
}

async fn run(house: &Arc<House>, engine: &Engine, stop: &Stop) -> Result<(), Error> {
    let mut cleaned = house.now();
    let shared = Arc::clone(house);
    // Runs too short for a round below would never shorten the log that each start reads.
    engine.run(async move { checkpoints(&shared).await }).await?;
    while stop.sleep(house.settings.compact_every).await {
        let is_time_to_clean = house.now().0 - cleaned.0 >= CLEAN_EVERY.as_micros() as i64;
        let shared = Arc::clone(house);
        let round = engine.start_work(async move {
            let report = compact::compact(&shared).await?;
            if report.merges > 0 {
                tracing::debug!(?report, "merged files");
            }
            checkpoints(&shared).await?;
            if is_time_to_clean {
                let report = clean(&shared).await?;
                tracing::info!(?report, "cleaned the lake");
            }
            Ok::<_, Error>(())
        });
        tokio::select! {
            // A merge that is cut off has committed nothing; its files are found by the next cleaning.
            () = stop.requested() => return Ok(()),
            ended = round => ended.map_err(Error::Failed)??,
        }
        if is_time_to_clean {
            cleaned = house.now();
        }
    }
    Ok(())
}

/// Writes the checkpoints that are due.
pub(crate) async fn checkpoints(house: &House) -> Result<(), Error> {
    for shelf in &house.shelves {
        let version = house.capture(shelf).version;
        if version.saturating_sub(house.checkpoint(shelf)) >= house.settings.checkpoint_every {
            checkpoint(house, shelf).await?;
        }
    }
    Ok(())
}

async fn checkpoint(house: &House, shelf: &Shelf) -> Result<(), Error> {
    let doing = format!("write a checkpoint of table {}", shelf.table.name);
    let handle = shelf.log.load().await?;
    let version = handle.version().unwrap_or(0);
    deltalake::checkpoints::create_checkpoint(&handle, None).await.map_err(failed(doing))?;
    house.set_checkpoint(shelf, version);
    Ok(())
}

/// Deletes what nobody needs any more.
pub(crate) async fn clean(house: &House) -> Result<VacuumReport, Error> {
    let mut report = VacuumReport::default();
    for shelf in &house.shelves {
        report.files_deleted += vacuum(house, shelf).await?;
        report.log_files_deleted += prune_log(house, shelf).await?;
    }
    Ok(report)
}

/// Deletes data files that no version of interest needs, orphans of broken writes among them.
///
/// The crate only names them: it would write two commits of its own, and those of others would have to wait for it.
/// What is being written meanwhile is younger than the retention; what was committed meanwhile is looked up once more.
async fn vacuum(house: &House, shelf: &Shelf) -> Result<usize, Error> {
    let doing = || format!("clean table {}", shelf.table.name);
    let path = |file: &str| house.place.path(shelf.table.name.as_str(), file);
    let handle = shelf.log.load().await?;
    let retention = chrono::Duration::from_std(house.settings.vacuum_retention).map_err(failed(doing()))?;
    let (_, named) = handle
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(retention)
        .with_enforce_retention_duration(false)
        .with_keep_versions(&house.pins(shelf))
        .with_clock(Arc::new(HouseClock(Arc::clone(&house.clock))))
        .with_dry_run(true)
        .await
        .map_err(failed(doing()))?;
    // The crate also names files that an earlier cleaning deleted.
    let listed = house.place.store.list(Some(&path(""))).map_ok(|found| found.location);
    let there: HashSet<Path> = listed.try_collect().await.map_err(failed(doing()))?;
    let active = house.capture(shelf).files;
    let active: HashSet<Path> = active.iter().map(|file| path(&file.path)).collect();
    let mut old: Vec<Path> = named.files_deleted.iter().map(|file| path(file)).collect();
    old.retain(|file| there.contains(file) && !active.contains(file));
    delete(house, old).await.map_err(failed(doing()))
}

async fn delete(house: &House, paths: Vec<Path>) -> Result<usize, ObjectError> {
    let count = paths.len();
    let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
    house.place.store.delete_stream(paths).try_collect::<Vec<_>>().await?;
    Ok(count)
}

struct HouseClock(Arc<dyn Clock>);

impl std::fmt::Debug for HouseClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HouseClock")
    }
}

impl VacuumClock for HouseClock {
    fn current_timestamp_millis(&self) -> i64 {
        self.0.time().millis()
    }
}

/// Deletes commit entries and checkpoints that are older than the last checkpoint and than what is kept.
///
/// The last checkpoint holds everything the entries before it say, so the table opens without them; only their
/// versions can no longer be read. With pinned versions everything from the checkpoint below the oldest pin stays.
pub(crate) async fn prune_log(house: &House, shelf: &Shelf) -> Result<usize, Error> {
    let name = shelf.table.name;
    let doing = || format!("prune the log of table {name}");
    let folder = house.place.path(name.as_str(), "_delta_log");
    let entries: Vec<ObjectMeta> =
        house.place.store.list(Some(&folder)).try_collect().await.map_err(failed(doing()))?;
    let mut checkpoints: Vec<u64> = entries
        .iter()
        .filter(|entry| is_checkpoint(&entry.location))
        .filter_map(|entry| version_of(&entry.location))
        .collect();
    checkpoints.sort_unstable();
    let oldest_pin = house.pins(shelf).into_iter().min().unwrap_or(u64::MAX);
    let Some(base) = checkpoints.into_iter().rfind(|version| *version <= oldest_pin) else { return Ok(0) };
    let keep = i64::try_from(house.settings.log_keep.as_micros()).unwrap_or(i64::MAX);
    let oldest = Time(house.now().0.saturating_sub(keep));
    let is_old = |entry: &ObjectMeta| entry.last_modified.timestamp_micros() < oldest.0;
    let mut old: Vec<(u64, Path)> = entries
        .iter()
        .filter(|entry| is_old(entry))
        .filter_map(|entry| Some((version_of(&entry.location)?, entry.location.clone())))
        .filter(|(version, _)| *version < base)
        .collect();
    // Oldest first: a pruning that breaks off leaves a log without holes.
    old.sort();
    delete(house, old.into_iter().map(|(_, path)| path).collect()).await.map_err(failed(doing()))
}
