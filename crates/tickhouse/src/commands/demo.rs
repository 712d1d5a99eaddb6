//! `tickhouse demo`: simulated exchanges and the platform in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use model::VenueId;
use runtime::{SystemClock, Tasks};
use simulate::node::{NodeSettings, NodeSource};
use simulate::{Ports, Sim, SimSettings, World, receivers};

use super::{WrongUse, asked_to_end, parse_duration, parse_filter, start_logs};
use crate::Done;
use crate::config::{Config, Value};
use crate::folder::{DEMO_DIRECTORY, Markets, running};
use crate::output::line;
use crate::wiring::{House, close, wait};

/// Venues of the demo.
const VENUES: &[&str] = &["binance", "binance-futures", "bybit", "bybit-linear"];

/// Minutes of venue bars fetched at start: five days, forty candles of 173 minutes.
const HISTORY_MINUTES: u64 = 7_200;

/// Blocks of the simulated node at the start: three days.
const DEMO_BLOCKS: u32 = 432;
/// How often it finds another one.
const DEMO_MINES_EVERY: Duration = Duration::from_secs(30);

/// Simulated exchanges and everything else, in one process, on loopback.
#[derive(Args)]
pub(crate) struct Demo {
    /// Port to serve on; 0 for a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Data folder
    #[arg(long, value_name = "DIR", default_value = DEMO_DIRECTORY)]
    data: PathBuf,
    /// Seed of the simulated markets
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults of the simulated exchanges, such as drop=0.001,cut=30s, or all
    #[arg(long, default_value = "", value_name = "LIST")]
    faults: String,
    /// Close after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Instruments per exchange
    #[arg(long, default_value_t = 4)]
    instruments: usize,
    /// Trades, quotes and book updates per second over all exchanges
    #[arg(long, default_value_t = 400.0)]
    rate: f64,
    /// Log filter
    #[arg(long, default_value = "warn", value_name = "FILTER", value_parser = parse_filter)]
    log: String,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let mut config = Config::without_file()?;
        config.set("telemetry.filter", Value::Text(self.log.clone()), "demo");
        let _guard = start_logs(&config)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        // Before a folder is made for blocks; of a demo that runs already the house says more.
        if running(&self.data).is_none() {
            let _free = serve::Port::open(address).await.context("start serving")?;
        }
        let exchanges = Tasks::new();
        // Another demo's blocks are its own; and what is wrong with the folder is for the house to say.
        let kept = running(&self.data).is_none().then(|| self.data.join("simulated-node"));
        let mut started = simulate::start(self.world(kept.clone())?, SystemClock::shared(), &exchanges).await;
        if started.is_err() && kept.is_some() {
            started = simulate::start(self.world(None)?, SystemClock::shared(), &exchanges).await;
        }
        let sim = started.context("start the simulated exchanges")?;
        point_at(&mut config, &sim, address);
        let house = House::start(&config, &self.data, Markets::Simulated, SystemClock::shared()).await?;
        self.greet(&house);
        let over = async {
            let ended = async {
                match self.duration {
                    Some(duration) => runtime::sleep(duration).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = ended => {}
                () = asked_to_end() => {}
                () = report(&house) => {}
            }
        };
        let has_failed = wait(&house, over).await;
        let result = close(house, has_failed).await;
        exchanges.close_together(Duration::from_millis(200)).await;
        result
    }

    /// The simulated exchanges, and a node that keeps its blocks in a folder if there is one.
    fn world(&self, kept_blocks: Option<PathBuf>) -> anyhow::Result<SimSettings> {
        Ok(SimSettings {
            seed: self.seed,
            world: World::Generated {
                instruments_per_venue: self.instruments,
                events_per_second: self.rate,
                venues: VENUES.iter().filter_map(|name| VenueId::known(name)).collect(),
                with_books: true,
            },
            ports: Ports::Any,
            faults: simulate::parse_faults(&self.faults).map_err(WrongUse)?,
            node: Some(NodeSettings {
                source: NodeSource::Generated { blocks: DEMO_BLOCKS, first_time: None },
                seed: self.seed,
                mine_every: Some(DEMO_MINES_EVERY),
                // The chain that the tables of this folder know.
                blocks_folder: kept_blocks,
                goes_on: true,
                ..NodeSettings::default()
            }),
            ..SimSettings::default()
        })
    }

    fn greet(&self, house: &House) {
        let address = house.address();
        line("Tickhouse demo: simulated exchanges, recorded and served live. Nothing leaves this machine.");
        line(format!(
            "  exchanges   {} ({} instruments each, seed {})",
            VENUES.join(", "),
            self.instruments,
            self.seed
        ));
        line(format!("  data        {}", house.directory().display()));
        line(format!("  page        http://{address}/"));
        line(format!("  candles     curl 'http://{address}/api/v1/data/klines/BTCUSDT?timeframe=1'"));
        line(format!("  live        ws://{address}/ws/stream"));
        let name = own_name();
        let is_usual = self.data.as_os_str() == DEMO_DIRECTORY;
        let place = if is_usual { String::new() } else { format!(" --data {}", self.data.display()) };
        line(format!(
            "  chain       {name} sql{place} \"select bucket, block_count, fees_sat_10m, price_close_usd from btc_primitive_10m \
             order by bucket desc limit 6\""
        ));
        line(format!("  interface   http://{address}/docs"));
        line(format!("  sql         {name} sql{place} \"select count(*) from trades\""));
        line(format!(
            "  also        {name} status{place}; likewise: tail BTCUSDT, log inspect   (Ctrl-C to close)"
        ));
    }
}

/// Points the configuration at the simulated exchanges, all instruments, all channels.
fn point_at(config: &mut Config, sim: &Sim, address: SocketAddr) {
    config.set("serve.address", Value::Text(address.to_string()), "demo");
    // Whatever the environment names: simulated rows stay in the demo's own folder.
    config.set("lake.location", Value::Text(String::new()), "demo");
    config.set("collect.klines_history_minutes", Value::Number(HISTORY_MINUTES), "demo");
    config.set("refine.flush_s", Value::Number(5), "demo");
    // Whoever the environment names is not told of markets that are none.
    let receivers = sim.receivers();
    let secret = |text: &str| Value::Secret(notify::Secret::new(text));
    config.set("notify.telegram_api", Value::Text(receivers.telegram_api()), "demo");
    config.set("notify.telegram_token", secret(receivers::TELEGRAM_TOKEN), "demo");
    config.set("notify.telegram_chat_id", Value::Text(receivers::TELEGRAM_CHAT_ID.into()), "demo");
    config.set("notify.webhook", secret(&receivers.webhook_url()), "demo");
    config.set("notify.webhook_token", secret(receivers::WEBHOOK_TOKEN), "demo");
    if let Some(node) = sim.node() {
        let mut set = |name: &str, value: Value| config.set(&format!("btc.{name}"), value, "demo");
        set("enabled", Value::Truth(true));
        set("network", Value::Text("regtest".into()));
        set("url", Value::Text(node.address()));
        set("cookie", Value::Text(node.cookie_path().display().to_string()));
        set("user", Value::Text(String::new()));
        set("blocks_folder", Value::Text(String::new()));
        set("zmq", Value::Text(String::new()));
    }
    let places = sim.price_endpoints().into_iter().map(|(source, rest)| format!("{source}={rest}"));
    config.set("price.enabled", Value::Truth(true), "demo");
    config.set("price.places", Value::Words(places.collect()), "demo");
    for (venue, rest, stream) in sim.endpoints() {
        let mut set = |name: &str, value: Value| config.set(&format!("venues.{venue}.{name}"), value, "demo");
        set("enabled", Value::Truth(true));
        set("rest", Value::Text(rest));
        set("stream", Value::Text(stream));
        set("books", Value::Words(vec!["all".into()]));
    }
}

/// How the program is called here: by its name where the shell would find it, else as it was called this time.
fn own_name() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|folder| folder.join("tickhouse").is_file());
    let called = std::env::args().next().filter(|_| !is_found);
    called.unwrap_or_else(|| "tickhouse".into())
}

/// A line now and then, so that a watcher sees it live.
async fn report(house: &House) {
    let mut before = 0;
    loop {
        runtime::sleep(Duration::from_secs(10)).await;
        let status = house.status();
        let group = model::digits::group;
        line(format!(
            "  {} trades recorded (+{}); {} records in the raw log, {} of them in the tables; {} MiB of memory{}",
            group(status.trades_total),
            group(status.trades_total.saturating_sub(before)),
            group(status.log.written.0),
            group(status.committed.0),
            status.memory_bytes >> 20,
            if status.log.state == "ok" { String::new() } else { format!("; RAW LOG: {}", status.log.state) },
        ));
        before = status.trades_total;
    }
}
