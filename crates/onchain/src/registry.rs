//! Keeps a running process in step with the registries, whoever changes them: what is lent to SQL, and which price sources are asked.
//!
//! Commands change the file from another process, so it is read every few seconds. What is to be computed again is noted with the change
//! itself; computing it is left to the follower.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use collect::prices::PriceSourceSettings;
use control::{Control, MetricRow, PriceSourceRow};
use model::PriceSource;
use runtime::{Restart, Stop, Stopper, Tasks};
use tables::lent::{NamedView, SmallTable};

use crate::error::Error;
use crate::{lent, settings_of};

/// How often the registries are read.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Lends small tables and views to SQL, in place of those lent before.
pub type Lend = Box<dyn Fn(Vec<SmallTable>, Vec<NamedView>) + Send + Sync>;
/// Starts to ask a source, until it is told to stop.
pub type StartSource = Box<dyn Fn(PriceSourceSettings, Stop) -> Result<(), String> + Send + Sync>;

/// What the registries hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    metrics: Vec<MetricRow>,
    sources: Vec<PriceSourceRow>,
    canonical: Option<u8>,
}

impl Held {
    fn read(control: &Control) -> Result<Self, Error> {
        Ok(Self {
            metrics: control.metrics()?,
            sources: control.price_sources()?,
            canonical: control.canonical_method()?,
        })
    }
}

/// The registries as the running process follows them.
pub struct Registry {
    control: Control,
    lend: Lend,
    /// `None` where no price is kept.
    start: Option<StartSource>,
    /// What was followed last. Held while it is read, so that an older reading does not overtake a newer one.
    held: tokio::sync::Mutex<Option<Held>>,
    running: std::sync::Mutex<BTreeMap<PriceSource, (PriceSourceSettings, Stopper)>>,
}

impl Registry {
    /// Lends what is registered now, and starts the sources that are on. Settings that cannot be understood are an error.
    pub fn open(control: Control, lend: Lend, start: Option<StartSource>) -> Result<Arc<Self>, String> {
        let held = Held::read(&control).map_err(|error| error.to_string())?;
        let registry = Self {
            control,
            lend,
            start,
            held: tokio::sync::Mutex::default(),
            running: std::sync::Mutex::default(),
        };
        let (small, views) = lent(&registry.control).map_err(|error| error.to_string())?;
        (registry.lend)(small, views);
        for row in &held.sources {
            registry.keep_source(row)?;
        }
        *registry.held.try_lock().map_err(|error| error.to_string())? = Some(held);
        Ok(Arc::new(registry))
    }

    /// Follows changes for as long as the house stands.
    pub fn follow(self: &Arc<Self>, tasks: &Tasks) {
        let registry = Arc::clone(self);
        tasks.start("onchain.registry", Restart::WithBackoff { tries_max: 100 }, move |stop| {
            let registry = Arc::clone(&registry);
            async move {
                while stop.sleep(LOOK_EVERY).await {
                    // A file that is busy now can be read in a moment; until then all goes on as it was.
                    if let Err(error) = registry.look().await {
                        tracing::warn!(%error, "the registries could not be read");
                    }
                }
                Ok(())
            }
        });
    }

    /// The sources that are kept now, with what is registered of them.
    pub fn running(&self) -> Vec<PriceSourceSettings> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().map(|(settings, _)| settings.clone()).collect()
    }

    /// Reads the registries, and follows what changed: at once after a change by this process.
    pub async fn look(&self) -> Result<(), Error> {
        let mut held = self.held.lock().await;
        let control = self.control.clone();
        let was = held.clone();
        let read = runtime::tasks::blocking(move || {
            let now = Held::read(&control)?;
            let is_known = was.is_some_and(|was| was == now);
            Ok::<_, Error>(if is_known { None } else { Some((now, lent(&control)?)) })
        });
        let Some((now, (small, views))) = read.await.map_err(Error::Broken)?? else { return Ok(()) };
        tracing::info!("a registry changed: what is lent to SQL and which sources are asked follows it");
        (self.lend)(small, views);
        for row in &now.sources {
            // A source whose settings are not understood goes on as before.
            if let Err(error) = self.keep_source(row) {
                tracing::error!(error, "a price source stays as it was");
            }
        }
        *held = Some(now);
        Ok(())
    }

    /// Starts, stops or restarts a source, as its row says.
    fn keep_source(&self, row: &PriceSourceRow) -> Result<(), String> {
        let Some(start) = &self.start else { return Ok(()) };
        let settings = settings_of(row)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let was = running.get(&settings.source);
        if was.is_some_and(|(was, _)| *was == settings) || (was.is_none() && !settings.enabled) {
            return Ok(());
        }
        if let Some((was, stopper)) = running.remove(&settings.source) {
            stopper.stop();
            tracing::info!(source = %was.source, "a price source is asked no more as it was");
        }
        if settings.enabled {
            let stopper = Stopper::default();
            start(settings.clone(), stopper.watch())?;
            running.insert(settings.source, (settings, stopper));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Cases for changes that another process made.
    use std::sync::Mutex;

    use control::PriceSourceRow;
    use model::Time;

    use super::*;

    type Started = Arc<Mutex<Vec<(PriceSourceSettings, Stop)>>>;

    struct World {
        registry: Arc<Registry>,
        /// As another process opens it.
        other: Control,
        started: Started,
        lent: Arc<Mutex<Vec<Vec<NamedView>>>>,
        _folder: tempfile::TempDir,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let open = || Control::open(folder.path().join("control.sqlite")).unwrap();
        let (own, other) = (open(), open());
        let row = |name: &str, is_enabled| PriceSourceRow {
            source_name: name.to_owned(),
            is_enabled,
            market_type: "spot".to_owned(),
            config_json: "{}".to_owned(),
            updated_time: Time(0),
        };
        own.seed_price_sources(&[row("bitstamp", true), row("okx", false)], Time(0)).unwrap();
        own.seed_metrics(&crate::metric_seeds(Time(0)), Time(0)).unwrap();
        let (started, lent) = (Started::default(), Arc::new(Mutex::new(Vec::new())));
        let (keep_started, keep_lent) = (Arc::clone(&started), Arc::clone(&lent));
        let lend: Lend = Box::new(move |_, views| keep_lent.lock().unwrap().push(views));
        let start: StartSource = Box::new(move |settings, stop| {
            keep_started.lock().unwrap().push((settings, stop));
            Ok(())
        });
        let registry = Registry::open(own, lend, Some(start)).unwrap();
        World { registry, other, started, lent, _folder: folder }
    }

    impl World {
        /// The sources that were started, and whether they still run.
        fn sources(&self) -> Vec<(String, bool)> {
            let started = self.started.lock().unwrap();
            started.iter().map(|(one, stop)| (one.source.to_string(), !stop.is_requested())).collect()
        }

        fn lent_count(&self) -> usize {
            self.lent.lock().unwrap().len()
        }
    }

    fn told(sources: &[(&str, bool)]) -> Vec<(String, bool)> {
        sources.iter().map(|(name, runs)| ((*name).to_owned(), *runs)).collect()
    }

    #[tokio::test]
    async fn a_switch_by_another_process_starts_and_stops_sources() {
        let world = world();
        assert_eq!((world.sources(), world.lent_count()), (told(&[("bitstamp", true)]), 1));
        world.registry.look().await.unwrap();
        assert_eq!((world.sources().len(), world.lent_count()), (1, 1), "nothing changed");
        world.other.enable_price_source("okx", true, Time(1)).unwrap();
        world.other.enable_price_source("bitstamp", false, Time(1)).unwrap();
        world.registry.look().await.unwrap();
        assert_eq!(world.sources(), told(&[("bitstamp", false), ("okx", true)]));
        world.other.enable_price_source("bitstamp", true, Time(2)).unwrap();
        world.registry.look().await.unwrap();
        assert_eq!(world.sources(), told(&[("bitstamp", false), ("okx", true), ("bitstamp", true)]));
    }

    #[tokio::test]
    async fn other_settings_restart_a_source_and_wrong_ones_leave_it_alone() {
        let world = world();
        world.other.configure_price_source("bitstamp", r#"{"poll_s": 7}"#, Time(1)).unwrap();
        world.registry.look().await.unwrap();
        assert_eq!(world.sources(), told(&[("bitstamp", false), ("bitstamp", true)]));
        assert_eq!(world.started.lock().unwrap()[1].0.poll_every, Duration::from_secs(7));
        world.other.configure_price_source("bitstamp", r#"{"poll_s": 0}"#, Time(2)).unwrap();
        world.registry.look().await.unwrap();
        assert_eq!(world.sources(), told(&[("bitstamp", false), ("bitstamp", true)]));
    }

    #[tokio::test]
    async fn another_canonical_price_is_lent_without_a_new_start() {
        let world = world();
        let method = |lent: &[NamedView]| {
            let canonical = lent.iter().find(|view| view.name == "mq_btc_price_10m").unwrap();
            canonical.sql.clone()
        };
        let before = method(&world.lent.lock().unwrap()[0]);
        world.other.choose_canonical_method(1).unwrap();
        world.registry.look().await.unwrap();
        assert_eq!(world.lent_count(), 2);
        assert_ne!(method(&world.lent.lock().unwrap()[1]), before);
    }

    #[tokio::test]
    async fn a_switch_has_everything_computed_again() {
        let world = world();
        assert_eq!(world.other.dirty(crate::metrics::PART).unwrap(), None);
        world.other.enable_metric("nvt", Some("1h"), false, Time(1)).unwrap();
        world.registry.look().await.unwrap();
        assert!(world.other.dirty(crate::metrics::PART).unwrap().is_some());
        assert_eq!(world.lent_count(), 2);
    }
}
