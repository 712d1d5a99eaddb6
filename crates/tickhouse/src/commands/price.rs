//! `tickhouse price` and `tickhouse metrics`: what runs beside the chain, once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use collect::NoBudgetStore;
use collect::prices::push::{self, PushSettings};
use collect::prices::{PriceDesk, PriceReport};
use model::{PriceSource, Time};
use onchain::{Metrics, Prices};
use runtime::tasks::Stopper;
use runtime::{SystemClock, Tasks};

use super::alone::Alone;
use super::{Place, WrongUse, asked_to_end, start_logs};
use crate::Done;
use crate::config::{btc, settings};
use crate::output::line;
use crate::wiring::{Budgets, chain};

/// What to do when a process works in the folder.
const INSTEAD: &str =
    "it does this by itself if price.enabled and btc.enabled are set; see tickhouse btc status";

/// The price of Bitcoin.
#[derive(Args)]
pub(crate) struct Price {
    #[command(subcommand)]
    what: PriceWhat,
}

#[derive(Subcommand)]
enum PriceWhat {
    /// Bring price sources up to date
    Ingest(Ingest),
    /// Compose one price of many, from what changed on or from the beginning
    Compose(Again),
    /// Gather ten minutes of a venue from its stream and post them to another Tickhouse
    ///
    /// What is gathered and where it goes is told by PRICE_WS_SOURCE, PRICE_WS_SYMBOL, PRICE_WS_CHILD_INTERVAL,
    /// PRICE_WS_OUTPUT_MODE=remote_push, PRICE_WS_REMOTE_INGEST_URL and PRICE_WS_REMOTE_INGEST_TOKEN; PRICE_WS_STREAM_BASE and
    /// PRICE_WS_API_BASE name another Binance than the usual one.
    Push(Place),
}

#[derive(Args)]
struct Ingest {
    /// Every source that is enabled
    #[arg(long, conflicts_with = "source")]
    all_enabled: bool,
    /// One source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// End when everything is brought; else go on until asked to end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Again {
    /// Everything anew
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// Metrics of the chain.
#[derive(Args)]
pub(crate) struct MetricsCommand {
    #[command(subcommand)]
    what: MetricsWhat,
}

#[derive(Subcommand)]
enum MetricsWhat {
    /// Compute the enabled metrics, from what changed on or from the beginning
    Run(Again),
}

impl Price {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        match self.what {
            PriceWhat::Ingest(ingest) => ingest.run().await,
            PriceWhat::Push(place) => push_rows(&place).await,
            PriceWhat::Compose(again) => {
                let alone = Alone::open(&again.place, INSTEAD).await?;
                let prices = Prices::new(alone.doors.clone());
                if again.all {
                    prices.forget()?;
                }
                compose(&prices).await?;
                alone.tidy().await?;
                Ok(Done::Clean)
            }
        }
    }
}

/// How often it is said what was posted.
const PUSH_SHOWN_EVERY: Duration = Duration::from_mins(10);

async fn push_rows(place: &Place) -> anyhow::Result<Done> {
    let config = place.load()?;
    // What is no text is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = PushSettings::from_variables(variables).map_err(|error| WrongUse(error.to_string()))?;
    let settings = settings.ok_or_else(|| {
        WrongUse(
            "nothing says what to gather: set PRICE_WS_OUTPUT_MODE=remote_push and the other PRICE_WS_ variables"
                .to_owned(),
        )
    })?;
    // A refused token is told at once, and every time.
    let _guard = start_logs(&config)?;
    let tasks = Tasks::new();
    let store = (Arc::new(NoBudgetStore) as _, SystemClock::shared());
    let desk = PriceDesk::open(&settings::collect(&config), store, None, &tasks)
        .context("prepare the price source")?;
    let status = push::start(settings, &desk, &tasks).context("start to gather")?;
    // Whoever reads the line may send a signal at once.
    let told_to_end = asked_to_end();
    line("gathering and posting until asked to end");
    let show = async {
        loop {
            runtime::clock::sleep(PUSH_SHOWN_EVERY).await;
            let through = status.through().map_or("nothing yet".to_owned(), |time| format!("through {time}"));
            line(format!(
                "{} rows posted, {through}; {} refused, {} failures, {} reconnects",
                status.posted(),
                status.refused(),
                status.failures(),
                status.reconnects()
            ));
        }
    };
    let house = tasks.house_stop();
    tokio::select! {
        () = show => {}
        () = told_to_end => {}
        () = house.requested() => {}
    }
    let failure = tasks.failure();
    let _late = tasks.close_together(Duration::from_secs(2)).await;
    match failure {
        Some(why) => Err(anyhow::anyhow!("gathering broke off: {why}")),
        None => Ok(Done::Clean),
    }
}

async fn compose(prices: &Prices) -> anyhow::Result<()> {
    let said = match prices.compose().await.context("compose prices")? {
        Some(composed) => format!("prices composed from {} through {}", composed.from, composed.through),
        None => "no price is to be composed".to_owned(),
    };
    line(said);
    Ok(())
}

impl Ingest {
    async fn run(self) -> anyhow::Result<Done> {
        if !self.all_enabled && self.source.is_none() {
            return Err(WrongUse("name --source NAME or --all-enabled".to_owned()).into());
        }
        let alone = Alone::open(&self.place, INSTEAD).await?;
        let rows = alone.control.price_sources().context("read the price sources")?;
        let (places, now) = (btc::places(&alone.config)?, SystemClock::shared().time());
        let mut wanted = Vec::new();
        for row in &rows {
            let is_wanted = match &self.source {
                Some(name) => row.source_name == *name,
                None => row.is_enabled,
            };
            if is_wanted {
                let settings = onchain::settings_of(row).map_err(anyhow::Error::msg)?;
                wanted.push(chain::placed(settings, &places, now));
            }
        }
        if wanted.is_empty() {
            let names: Vec<&str> = rows.iter().map(|row| row.source_name.as_str()).collect();
            let text = format!("no such price source, or none is enabled; there are {}", names.join(", "));
            return Err(WrongUse(text).into());
        }
        let (tasks, stopper) = (Tasks::new(), Stopper::default());
        let store = (Arc::new(Budgets(alone.control.clone())) as _, SystemClock::shared());
        let desk = PriceDesk::open(&settings::collect(&alone.config), store, None, &tasks)
            .context("prepare price sources")?;
        let prices = Arc::new(Prices::new(alone.doors.clone()));
        let mut done = Done::Clean;
        if self.once {
            let stop = stopper.watch();
            for settings in wanted {
                let source = settings.source;
                let brought = tokio::select! {
                    brought = onchain::ingest_once(&alone.doors, &prices, (&desk, settings), &stop) => brought,
                    () = asked_to_end() => {
                        line(format!("stopped at {source}; run it again to go on"));
                        done = Done::Findings;
                        break;
                    }
                };
                if let Err(why) = brought.map(|report| line(brought_line(source, &report))) {
                    done = Done::Findings;
                    line(format!("look  {source}: {why}"));
                }
            }
        } else {
            for settings in wanted {
                onchain::ingest(&alone.doors, &prices, (&desk, settings), tasks.house_stop(), &tasks)
                    .map_err(anyhow::Error::msg)?;
            }
            onchain::compose_alone(&alone.doors, &prices, &Arc::default(), &tasks);
            // Whoever reads the line may send a signal at once.
            let told_to_end = asked_to_end();
            line("bringing prices until asked to end");
            told_to_end.await;
        }
        stopper.stop();
        let _late = tasks.close_together(Duration::from_secs(3)).await;
        compose(&prices).await?;
        alone.tidy().await?;
        Ok(done)
    }
}

/// What one source brought.
fn brought_line(source: PriceSource, report: &PriceReport) -> String {
    match &report.skipped {
        Some(why) => format!("ok    {source}: not asked, {why}"),
        None => format!(
            "ok    {source}: {} candles, {} refused, {} questions",
            report.candles, report.refused, report.questions
        ),
    }
}

impl MetricsCommand {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let MetricsWhat::Run(again) = self.what;
        let alone = Alone::open(&again.place, INSTEAD).await?;
        let metrics = Metrics::new(alone.doors.clone());
        if again.all {
            metrics.forget(Some(Time(0)))?;
        }
        let Some(computed) = metrics.compute().await.context("compute metrics")? else {
            line("no metric is to be computed");
            return Ok(Done::Clean);
        };
        line(format!("metrics computed from {} through {}", computed.from, computed.through));
        for (name, reason) in &computed.failed {
            line(format!("look  {name}: {reason}"));
        }
        alone.tidy().await?;
        Ok(if computed.failed.is_empty() { Done::Clean } else { Done::Findings })
    }
}
