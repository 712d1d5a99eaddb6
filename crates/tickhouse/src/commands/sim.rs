//! `tickhouse sim`: fake exchanges, or a recording played back by them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use model::VenueId;
use runtime::{SystemClock, Tasks};
use serde_json::json;
use simulate::node::{NodeSettings, NodeSource};
use simulate::{ArchiveSettings, Ports, SimSettings, World};

use super::{WrongUse, asked_to_end, parse_duration, parse_filter};
use crate::Done;
use crate::output::line;

/// Fake exchanges on loopback, seeded, with faults; or a recording played back.
#[derive(Args)]
pub(crate) struct Sim {
    /// First port; each venue takes the next one. Free ports if absent
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
    /// Seed of the markets and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Venues, by comma
    #[arg(long, value_delimiter = ',', default_value = "binance,binance-futures,bybit,bybit-linear")]
    venues: Vec<String>,
    /// Instruments per venue
    #[arg(long, default_value_t = 12)]
    instruments: usize,
    /// Trades, quotes and book updates per second over all venues
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// Trades a day on each instrument, on average, instead of a rate; without order books. For worlds with a long past
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["rate", "replay", "load"])]
    trades_per_day: Option<f64>,
    /// How far back the exchanges know history
    #[arg(long, default_value = "60d", value_name = "DURATION", value_parser = parse_duration)]
    history: Duration,
    /// What is wrong with the archives of each exchange, such as missing=2,hole=50,duplicate=50
    #[arg(long, default_value = "", value_name = "LIST")]
    defects: String,
    /// Write what is wrong where to this file
    #[arg(long, value_name = "FILE")]
    defects_report: Option<PathBuf>,
    /// Keep made archive files in this folder
    #[arg(long, value_name = "DIR")]
    archive_folder: Option<PathBuf>,
    /// Archives hold files of days only
    #[arg(long)]
    days_only: bool,
    /// Play back these recordings (*.jsonl or *.jsonl.zst)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// Send so many prebuilt frames of trades, quotes and bars per second over all venues instead of living markets; for
    /// measurements
    #[arg(long, value_name = "RATE", conflicts_with = "replay")]
    load: Option<u64>,
    /// Speed of playing back; 0 for as fast as readers take it
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Faults, such as drop=0.001,cut=30s,mute=BTCUSDT@20s+15s, or all
    #[arg(long, default_value = "")]
    faults: String,
    /// Add a Bitcoin node with so many generated blocks, the last of them about now
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["chain", "load"])]
    blocks: Option<u32>,
    /// Add a Bitcoin node with the recorded chain of this folder
    #[arg(long, value_name = "DIR", conflicts_with = "load")]
    chain: Option<PathBuf>,
    /// So many blocks of the recorded chain have come, stale ones counted; the others come on command. All if absent
    #[arg(long, value_name = "COUNT", requires = "chain")]
    arrived: Option<usize>,
    /// The node mines a block so often
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    mine_every: Option<Duration>,
    /// The node writes its block and undo files to this folder
    #[arg(long, value_name = "DIR")]
    node_files: Option<PathBuf>,
    /// The node publishes its blocks over ZeroMQ
    #[arg(long)]
    zmq: bool,
    /// Write every trade that happened to this file
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Log filter
    #[arg(long, default_value = "warn", value_name = "FILTER", value_parser = parse_filter)]
    log: String,
}

impl Sim {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let _guard = runtime::telemetry::start_logs(&runtime::telemetry::LogSettings {
            filter: self.log.clone(),
            ..Default::default()
        })
        .map_err(anyhow::Error::msg)?;
        let tasks = Tasks::new();
        if let Some(rate) = self.load {
            return self.blast(rate, &tasks).await;
        }
        let sim = simulate::start(self.settings()?, SystemClock::shared(), &tasks)
            .await
            .context("start the exchanges")?;
        let mut venues = serde_json::Map::new();
        for (venue, rest, stream) in sim.endpoints() {
            venues.insert(venue.to_string(), json!({ "rest": rest, "stream": stream }));
        }
        let mut prices = serde_json::Map::new();
        for (source, rest) in sim.price_endpoints() {
            prices.insert(source.to_string(), json!(rest));
        }
        line(json!({
            "ready": true,
            "venues": venues,
            "prices": prices,
            "admin": sim.admin_address(),
            "archive": sim.archive_address(),
            "receivers": sim.receivers().report(),
            "node": sim.node().map(simulate::node::Node::report),
        }));
        let house = tasks.house_stop();
        tokio::select! {
            () = self.over() => {}
            () = asked_to_end() => {}
            () = house.requested() => {}
        }
        tasks.close_together(Duration::from_secs(2)).await;
        Ok(Done::Clean)
    }

    /// Prebuilt frames until the end, then a line that says how many.
    async fn blast(&self, rate: u64, tasks: &Tasks) -> anyhow::Result<Done> {
        let ids = self.venue_ids()?;
        let (mut venues, mut loads) = (serde_json::Map::new(), Vec::new());
        for (place, venue) in ids.iter().enumerate() {
            let port = self.port_base.map_or(Some(0), |base| base.checked_add(u16::try_from(place).ok()?));
            let settings = simulate::load::LoadSettings {
                venue: *venue,
                port: port.ok_or_else(|| WrongUse("--port-base is too high for so many venues".into()))?,
                events_per_second: rate / ids.len() as u64,
                instruments: self.instruments,
            };
            let load = simulate::load::start(settings, SystemClock::shared(), tasks)
                .await
                .context("start the load")?;
            let address = load.address();
            let at = json!({ "rest": format!("http://{address}"), "stream": format!("ws://{address}") });
            venues.insert(venue.to_string(), at);
            loads.push(load);
        }
        line(json!({ "ready": true, "venues": venues, "admin": "" }));
        tokio::select! {
            () = self.over() => {}
            () = asked_to_end() => {}
        }
        for load in &loads {
            load.flow(false);
        }
        let sum = |sent: fn(&simulate::load::Load) -> u64| loads.iter().map(sent).sum::<u64>();
        line(json!({
            "trades_sent": sum(simulate::load::Load::trades_sent),
            "quotes_sent": sum(simulate::load::Load::quotes_sent),
            "bars_sent": sum(simulate::load::Load::bars_sent),
            "cpu_seconds": crate::wiring::cpu_seconds(),
        }));
        tasks.close(Duration::from_secs(1)).await;
        Ok(Done::Clean)
    }

    /// Resolves when `--for` is over; never without it.
    async fn over(&self) {
        match self.duration {
            Some(duration) => runtime::sleep(duration).await,
            None => std::future::pending().await,
        }
    }

    fn venue_ids(&self) -> Result<Vec<VenueId>, WrongUse> {
        let simulated: Vec<&str> = venues::VENUES.iter().map(|venue| venue.facts().id.as_str()).collect();
        let named = |name: &String| {
            VenueId::known(name).filter(|_| simulated.contains(&name.as_str())).ok_or_else(|| {
                WrongUse(format!("no venue {name:?} is simulated: use {}", simulated.join(", ")))
            })
        };
        self.venues.iter().map(named).collect()
    }

    fn node(&self) -> Option<NodeSettings> {
        let source = match (&self.chain, self.blocks) {
            (Some(path), _) => NodeSource::Folder { path: path.clone(), arrived: self.arrived },
            (None, None) if self.mine_every.is_none() && self.node_files.is_none() && !self.zmq => {
                return None;
            }
            (None, blocks) => NodeSource::Generated { blocks: blocks.unwrap_or_default(), first_time: None },
        };
        Some(NodeSettings {
            source,
            seed: self.seed,
            mine_every: self.mine_every,
            blocks_folder: self.node_files.clone(),
            publishes: self.zmq,
            ..NodeSettings::default()
        })
    }

    fn settings(&self) -> anyhow::Result<SimSettings> {
        let venues = self.venue_ids()?;
        let world = match self.trades_per_day {
            _ if !self.replay.is_empty() => World::Recording { files: self.replay.clone() },
            Some(trades) => World::with_past(venues, self.instruments, trades),
            None => World::Generated {
                instruments_per_venue: self.instruments,
                events_per_second: self.rate,
                venues,
                with_books: true,
            },
        };
        let archive = ArchiveSettings {
            folder: self.archive_folder.clone(),
            defects: simulate::parse_defects(&self.defects).map_err(WrongUse)?,
            report: self.defects_report.clone(),
            with_months: !self.days_only,
        };
        Ok(SimSettings {
            seed: self.seed,
            world,
            ports: self.port_base.map_or(Ports::Any, Ports::Base),
            speed: self.speed,
            faults: simulate::parse_faults(&self.faults).map_err(WrongUse)?,
            truth: self.truth.clone(),
            history: self.history,
            archive,
            node: self.node(),
            ..SimSettings::default()
        })
    }
}
