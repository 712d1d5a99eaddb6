//! The commands, one file each.

mod config;
mod demo;
mod doctor;
mod init;
mod log;
mod run;
mod sim;
mod sql;
pub(crate) mod status;
mod tail;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Fake exchanges, seeded, with faults, or a recording played back
    Sim(sim::Sim),
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
        Command::Status(status) => wait(status.run()),
        Command::Config(config) => config.run(),
        Command::Sql(sql) => wait(sql.run()),
        Command::Tail(tail) => wait(tail.run()),
        Command::Log(log) => log.run(),
        Command::Sim(sim) => wait(sim.run()),
    }
}

fn wait<F: Future<Output = anyhow::Result<Done>>>(work: F) -> anyhow::Result<Done> {
    // One provider for the whole house; a second install is refused and harmless.
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tickhouse").build()?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(500));
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

/// Resolves when the user or the system asks the process to end.
pub(crate) async fn asked_to_end() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ended = interrupt.await;
        return;
    };
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
