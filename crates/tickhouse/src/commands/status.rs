//! `tickhouse status`: what the running process is doing, or that none runs.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::Place;
use crate::Done;
use crate::folder::running;
use crate::output::line;

/// What the running process is doing. Ends with 3 if something is wrong.
#[derive(Args)]
pub(crate) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let directory = self.place.directory()?;
        let Some(process) = running(&directory) else {
            line(format!(
                "no tickhouse runs in {}: start one with `tickhouse demo` or `tickhouse run`, or name its folder with --data",
                directory.display()
            ));
            return Ok(Done::Findings);
        };
        let status: Value = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?
            .get(format!("http://{}/api/v1/status", process.address))
            .send()
            .await
            .with_context(|| format!("ask process {} at {}", process.pid, process.address))?
            .json()
            .await
            .context("read the status")?;
        let findings = findings(&status);
        if self.json {
            line(&status);
        } else {
            line(format!(
                "tickhouse {} in {} (process {})",
                process.address,
                directory.display(),
                process.pid
            ));
            line(summary(&status).trim_end());
            for finding in &findings {
                line(format!("! {finding}"));
            }
        }
        Ok(if findings.is_empty() { Done::Clean } else { Done::Findings })
    }
}

/// A few lines for a person.
pub(crate) fn summary(status: &Value) -> String {
    let mut text = String::new();
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), group);
    let data = if status["data"].is_object() { &status["data"] } else { status };
    let _infallible = writeln!(
        text,
        "  trades {}   log {} records ({} durable, {} MiB)   lake at {}   buffered {} rows",
        number(&data["trades_total"]),
        number(&data["log"]["written"]),
        number(&data["log"]["durable"]),
        data["log"]["bytes"].as_u64().unwrap_or_default() >> 20,
        number(&data["lake"]["committed"]),
        number(&data["lake"]["rows_buffered"]),
    );
    let _infallible = writeln!(
        text,
        "  memory {} MiB   cpu {:.1} s   disk free {:.1} %",
        data["memory_bytes"].as_u64().unwrap_or_default() >> 20,
        data["cpu_seconds"].as_f64().unwrap_or_default(),
        data["disk_free_percent"].as_f64().unwrap_or_default(),
    );
    for venue in data["venues"].as_array().into_iter().flatten() {
        let streams = venue["streams"].as_array().map_or(0, Vec::len);
        let _infallible = writeln!(
            text,
            "  {:<16} {} connections, {streams} streams, {} frames, clock skew {} ms, REST weight {}/{}",
            venue["venue"].as_str().unwrap_or("?"),
            number(&venue["connection_count"]),
            number(&venue["frames_total"]),
            venue["clock_skew_micros"]
                .as_i64()
                .map_or_else(|| "?".to_owned(), |skew| (skew / 1_000).to_string()),
            number(&venue["rest_weight_used"]),
            number(&venue["rest_weight_max"]),
        );
    }
    text
}

/// What an operator should look at.
fn findings(status: &Value) -> Vec<String> {
    let data = if status["data"].is_object() { &status["data"] } else { status };
    let mut found = Vec::new();
    let state = data["log"]["state"].as_str().unwrap_or("ok");
    if state != "ok" {
        found.push(format!("raw log: {state}"));
    }
    for venue in data["venues"].as_array().into_iter().flatten() {
        let name = venue["venue"].as_str().unwrap_or("?");
        if let Some(trouble) = venue["trouble"].as_str() {
            found.push(format!("{name}: {trouble}"));
        }
        if let Some(until) = venue["banned_until"].as_i64().and_then(model::Time::from_millis) {
            found.push(format!("{name}: REST stands still until {until}"));
        }
        for stream in venue["streams"].as_array().into_iter().flatten() {
            let health = stream["health"].as_str().unwrap_or("live");
            if matches!(health, "mute" | "down") {
                found.push(format!("{name}: stream {} is {health}", stream["key"].as_str().unwrap_or("?")));
            }
        }
    }
    for instrument in data["instruments"].as_array().into_iter().flatten() {
        let missing = instrument["gaps_missing"].as_u64().unwrap_or_default();
        if missing > 0 {
            let name = instrument["instrument"].as_str().unwrap_or("?");
            found.push(format!("{name}: {missing} holes cannot be filled"));
        }
    }
    found
}

/// 1234567 as 1,234,567.
pub(crate) fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
