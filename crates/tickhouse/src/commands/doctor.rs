//! `tickhouse doctor`: checks what an operator would check at night.

mod chain;
mod exchange;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use notify::disk::{DiskState, DiskWatch};

use super::Place;
use crate::Done;
use crate::config::{Config, btc, settings};
use crate::folder::{Markets, check_markets, running};
use crate::output::line;

/// Check configuration, folders, disk, port, the Bitcoin node and its files, each price source, and for each exchange: name, REST,
/// clock and stream.
///
/// Each line says ok or look; a look comes with its remedy. Ends with 3 if something should be looked at.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Ask neither node nor exchanges
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    place: Place,
}

/// What one check found: all is well, or what to look at and what to do.
type Finding = Result<String, String>;

/// What was found.
struct Report {
    findings: usize,
}

impl Report {
    fn tell(&mut self, what: &str, finding: Finding) {
        match finding {
            Ok(good) => line(format!("ok    {what}: {good}")),
            Err(bad) => {
                self.findings += 1;
                line(format!("look  {what}: {bad}"));
            }
        }
    }
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = self.place.load()?;
        let directory = self.place.directory()?;
        let mut report = Report { findings: 0 };
        let venues = settings::enabled_venues(&config);
        let process = running(&directory);
        report.tell("configuration", check_recorded(&config));
        report.tell("data folder", check_folder(&directory));
        match check_markets(&directory, Markets::Real) {
            Ok(Some(mark)) => report.tell("markets", Ok(mark)),
            Ok(None) => {}
            // The demo's folder is what it should be, as long as nobody means to record real markets there.
            Err(error) if !venues.is_empty() => report.tell("markets", Err(error.to_string())),
            Err(_) => report.tell("markets", Ok("simulated, of the demo".into())),
        }
        report.tell("disk", check_disk(&config, &directory));
        let logs = config.text("telemetry.directory");
        if !logs.is_empty() {
            report.tell("log files", check_folder(Path::new(logs)));
        }
        match &process {
            Some(process) => {
                report.tell("process", Ok(format!("{} serves http://{}", process.pid, process.address)));
            }
            None => report.tell("port", check_port(&config)),
        }
        report.tell("messages", Ok(messages(&config)));
        report.tell("raw log", check_log(&directory.join("log")));
        if config.truth("btc.enabled")
            && let Some(finding) = chain::block_files(&config)
        {
            report.tell("block files", finding);
        }
        if !self.offline {
            if config.truth("btc.enabled") {
                report.tell("bitcoin node", chain::node(&config).await);
            }
            if config.truth("price.enabled") {
                for (what, finding) in Box::pin(chain::prices(&config, &directory)).await {
                    report.tell(&what, finding);
                }
            }
            for venue in venues {
                for (what, finding) in Box::pin(exchange::check(&config, venue)).await {
                    report.tell(&format!("{venue} {what}"), finding);
                }
            }
        }
        Ok(if report.findings == 0 { Done::Clean } else { Done::Findings })
    }
}

fn check_recorded(config: &Config) -> Finding {
    let mut names: Vec<String> = settings::enabled_venues(config).iter().map(ToString::to_string).collect();
    names.extend(btc::beside_venues(config));
    if names.is_empty() {
        return Err(
            "no venue is enabled: set enabled = true under a [venues.…] heading, [btc] or [price] of tickhouse.toml, \
             which `tickhouse init` writes"
                .into(),
        );
    }
    Ok(format!("good; it records {}", names.join(", ")))
}

/// Who is told; whether it arrives is left to `tickhouse notify test`, which sends something.
fn messages(config: &Config) -> String {
    let settings = settings::notify(config);
    let targets = [("Telegram", settings.telegram.is_some()), ("a webhook", settings.webhook.is_some())];
    let named: Vec<&str> =
        targets.into_iter().filter(|(_, is_told)| *is_told).map(|(name, _)| name).collect();
    if named.is_empty() {
        "nobody is told of anything; see [notify]".into()
    } else {
        format!("{} is told; `tickhouse notify test` sends a message", named.join(" and "))
    }
}

/// The folder itself, or the one it would be made in, takes files.
fn check_folder(directory: &Path) -> Finding {
    let shown = directory.display();
    let (place, words) = if directory.exists() {
        (directory, format!("{shown} is writable"))
    } else {
        (existing(directory), format!("{shown} does not exist yet and can be made"))
    };
    if !place.is_dir() {
        return Err(format!("{} is no folder: move it away, or choose another with --data", place.display()));
    }
    let probe = place.join(format!(".tickhouse-doctor-{}", std::process::id()));
    let written = std::fs::write(&probe, b"probe").and_then(|()| std::fs::remove_file(&probe));
    written.map_err(|error| {
        format!(
            "{} cannot be written to: {error}; make it writable for this user, or choose another with --data",
            place.display()
        )
    })?;
    Ok(words)
}

/// The nearest folder above that exists.
fn existing(directory: &Path) -> &Path {
    let above = directory.ancestors().find(|place| place.exists() && !place.as_os_str().is_empty());
    above.unwrap_or(Path::new("."))
}

fn check_disk(config: &Config, directory: &Path) -> Finding {
    let place = existing(directory);
    let free = fs4::available_space(place).map_err(|error| error.to_string())? >> 20;
    let reserve = config.number("rawlog.disk_reserve_mib");
    let text = format!("{} GiB free, capture stops below {reserve} MiB", gib(free));
    let total = fs4::total_space(place).map_err(|error| error.to_string())?;
    let mut watch = DiskWatch::new(settings::disk(config));
    if watch.see(Duration::ZERO, (free << 20, total), false).state != DiskState::Ok {
        return Err(format!("{text}: make room, or lower disk_warn_gib and disk_warn_percent of [data]"));
    }
    Ok(text)
}

fn gib(mib: u64) -> String {
    format!("{:.1}", mib as f64 / 1_024.0)
}

fn check_port(config: &Config) -> Finding {
    let address: SocketAddr =
        config.text("serve.address").parse().map_err(|_| "serve.address is no address".to_owned())?;
    TcpListener::bind(address).map(|_| format!("{address} is free")).map_err(|error| {
        format!("{address}: {error}; stop who listens there, or choose another with [serve] address")
    })
}

fn check_log(directory: &Path) -> Finding {
    if !directory.exists() {
        return Ok("none yet".into());
    }
    let segments = rawlog::inspect::segments(directory).map_err(|error| error.to_string())?;
    let mib: u64 = segments.iter().map(|segment| segment.bytes).sum::<u64>() >> 20;
    let count = segments.len();
    let noun = if count == 1 { "segment" } else { "segments" };
    Ok(format!("{count} {noun}, {mib} MiB; `tickhouse log verify` checks every record"))
}
