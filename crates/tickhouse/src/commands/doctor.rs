//! `tickhouse doctor`: checks what an operator would check at night.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use model::{Nanos, VenueId};
use runtime::{Clock, SystemClock};

use super::Place;
use crate::Done;
use crate::config::{Config, settings};
use crate::folder::running;
use crate::output::line;

/// Check configuration, folder, disk, clock, port and exchanges. Ends with 3 if something should be looked at.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Do not ask the exchanges
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    place: Place,
}

/// What was found.
struct Report {
    findings: usize,
}

impl Report {
    fn tell(&mut self, what: &str, result: Result<String, String>) {
        match result {
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
        report.tell("configuration", check_venues(&venues));
        report.tell("data folder", check_folder(&directory));
        report.tell("disk", check_disk(&config, &directory));
        let process = running(&directory);
        match &process {
            Some(process) => {
                report.tell("process", Ok(format!("{} serves {}", process.pid, process.address)));
            }
            None => report.tell("port", check_port(&config)),
        }
        report.tell("raw log", check_log(&directory.join("log")));
        if !self.offline {
            for venue in venues {
                report.tell(&format!("exchange {venue}"), check_venue(&config, venue).await);
            }
        }
        Ok(if report.findings == 0 { Done::Clean } else { Done::Findings })
    }
}

fn check_venues(venues: &[VenueId]) -> Result<String, String> {
    if venues.is_empty() {
        return Err("good, but no venue is enabled: set enabled = true under [venues.…]".into());
    }
    Ok(venues.iter().map(|venue| venue.as_str()).collect::<Vec<_>>().join(", "))
}

fn check_folder(directory: &Path) -> Result<String, String> {
    let shown = directory.display();
    if !directory.exists() {
        return Ok(format!("{shown} does not exist yet, it will be made"));
    }
    let probe = directory.join("doctor.probe");
    std::fs::write(&probe, b"probe").map_err(|error| format!("{shown} is not writable: {error}"))?;
    std::fs::remove_file(&probe).map_err(|error| format!("{shown}: {error}"))?;
    Ok(format!("{shown} is writable"))
}

fn check_disk(config: &Config, directory: &Path) -> Result<String, String> {
    let place = directory.ancestors().find(|place| place.exists() && !place.as_os_str().is_empty());
    let free =
        fs4::available_space(place.unwrap_or(Path::new("."))).map_err(|error| error.to_string())? >> 20;
    let reserve = config.number("rawlog.disk_reserve_mib");
    let text = format!("{free} MiB free, capture stops below {reserve} MiB");
    if free < reserve.saturating_mul(4) { Err(format!("{text}: make room")) } else { Ok(text) }
}

fn check_port(config: &Config) -> Result<String, String> {
    let address: SocketAddr = config.text("serve.address").parse().map_err(|_| "is no address".to_owned())?;
    TcpListener::bind(address)
        .map(|_| format!("{address} is free"))
        .map_err(|error| format!("{address}: {error}; choose another with [serve] address"))
}

fn check_log(directory: &Path) -> Result<String, String> {
    if !directory.exists() {
        return Ok("none yet".into());
    }
    let segments = rawlog::inspect::segments(directory).map_err(|error| error.to_string())?;
    Ok(format!("{} segments", segments.len()))
}

async fn check_venue(config: &Config, id: VenueId) -> Result<String, String> {
    let venue = venues::venue(id).ok_or("is not collected by this version")?;
    let rest = match config.text(&format!("venues.{id}.rest")) {
        "" => venue.facts().endpoints.rest,
        origin => origin,
    };
    let clock = SystemClock;
    let asked = clock.now();
    let request = venue.listing(None);
    let answer = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|error| error.to_string())?
        .get(format!("{rest}{}", request.path))
        .send()
        .await
        .map_err(|error| {
            format!("{rest} does not answer: {error}; check the network, or set its rest and stream origins")
        })?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("{rest} answers {status}"));
    }
    let Nanos(took) = Nanos(clock.now().0 - asked.0);
    Ok(format!("{rest} answers within {} ms", took / 1_000_000))
}
