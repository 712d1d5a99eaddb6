//! The commands, one file each.

mod alone;
mod backfill;
mod bars;
mod btc;
mod config;
mod demo;
mod doctor;
mod follow;
mod init;
mod log;
mod notify;
mod past;
mod price;
mod registry;
mod run;
mod sim;
mod sql;
pub(crate) mod status;
mod tail;
mod verify;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::Done;
use crate::config::Config;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Simulated exchanges and everything else, in one process, on loopback
    Demo(demo::Demo),
    /// The platform against the exchanges of tickhouse.toml
    Run(run::Run),
    /// Write a commented tickhouse.toml
    Init(init::Init),
    /// Check configuration, folder, disk, clock, port and exchanges
    Doctor(doctor::Doctor),
    /// Take history from the venues' public archives and over REST
    Backfill(backfill::Backfill),
    /// Look whether the past is whole, and fill what lacks
    Verify(verify::Verify),
    /// Follow a Bitcoin node's chain
    Btc(btc::Btc),
    /// Bring the price of Bitcoin up to date, and compose it
    Price(price::Price),
    /// Compute metrics of the chain
    Metrics(price::MetricsCommand),
    /// Switch metrics and price sources on and off
    Registry(registry::Registry),
    /// What the running process is doing
    Status(status::Status),
    /// Show or check the configuration
    Config(config::ConfigCommand),
    /// Ask in SQL
    Sql(sql::Sql),
    /// Follow live trades, quotes or candles
    Tail(tail::Tail),
    /// Look into the raw log
    Log(log::Log),
    /// Try out whether messages arrive
    Notify(notify::NotifyCommand),
    /// Fake exchanges, seeded, with faults, or a recording played back
    Sim(Box<sim::Sim>),
}

/// Which configuration and folder a command means.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Place {
    /// Configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

impl Place {
    /// The configuration, checked.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config.as_deref())?)
    }

    /// The data folder.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        Ok(crate::folder::meant(self.data.clone(), self.load()?.directory()))
    }
}

/// The command line asked for something that makes no sense.
#[derive(Debug)]
pub(crate) struct WrongUse(pub(crate) String);

impl fmt::Display for WrongUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUse {}

/// Carries out a command.
pub(crate) fn run(command: Command) -> anyhow::Result<Done> {
    match command {
        Command::Demo(demo) => wait(demo.run()),
        Command::Run(run) => wait(run.run()),
        Command::Init(init) => init.run(),
        Command::Doctor(doctor) => wait(doctor.run()),
        Command::Backfill(backfill) => wait(Box::pin(backfill.run())),
        Command::Verify(verify) => wait(Box::pin(verify.run())),
        Command::Btc(btc) => wait(Box::pin(btc.run())),
        Command::Price(price) => wait(Box::pin(price.run())),
        Command::Metrics(metrics) => wait(Box::pin(metrics.run())),
        Command::Registry(registry) => registry.run(),
        Command::Status(status) => wait(status.run()),
        Command::Config(config) => config.run(),
        Command::Sql(sql) => wait(sql.run()),
        Command::Tail(tail) => wait(tail.run()),
        Command::Log(log) => log.run(),
        Command::Notify(notify) => wait(notify.run()),
        Command::Sim(sim) => wait(sim.run()),
    }
}

fn wait<F: Future<Output = anyhow::Result<Done>>>(work: F) -> anyhow::Result<Done> {
    // One provider for the whole house; a second install is refused and harmless.
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tickhouse").build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(300));
    result
}

/// Reads `500ms`, `20s`, `5m`, `2h` or `1d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is no duration: write 500ms, 20s, 5m, 2h or 1d");
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
    let number: f64 = text[..at].parse().map_err(|_| refuse())?;
    let seconds = match &text[at..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(refuse()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| refuse())
}

/// Sends log lines where the configuration says; the guard is to be dropped last.
pub(crate) fn start_logs(config: &Config) -> anyhow::Result<runtime::telemetry::LogGuard> {
    let settings = crate::config::settings::telemetry(config);
    if let Some(directory) = &settings.directory {
        std::fs::create_dir_all(directory).with_context(|| {
            format!(
                "folder {} for log files cannot be made: name another as telemetry.directory",
                directory.display()
            )
        })?;
    }
    runtime::telemetry::start_logs(&settings).map_err(anyhow::Error::msg)
}

/// Reads a log filter such as `info` or `info,collect=debug`.
pub(crate) fn parse_filter(text: &str) -> Result<String, String> {
    let refuse = |what| format!("{what}: use error, warn, info or debug, or info,collect=debug");
    runtime::telemetry::check_filter(text).map(|()| text.to_owned()).map_err(refuse)
}

/// Resolves when the user or the system asks the process to end. Listens from the call on, not from the first waiting.
pub(crate) fn asked_to_end() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let listeners = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let waits = listeners.into_iter().flatten().map(|mut listener| {
            Box::pin(async move {
                listener.recv().await;
            })
        });
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            // Without a listener the signal ends the process as it always does.
            return std::future::pending().await;
        }
        futures::future::select_all(waits).await;
    }
}
