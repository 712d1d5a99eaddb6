//! `tickhouse status`: what the running process is doing, or that none runs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use control::{Control, Job};
use model::digits::group;
use serde_json::{Value, json};

use super::Place;
use super::bars::words;
use super::follow::describe;
use crate::Done;
use crate::folder::{Running, running};
use crate::output::line;

/// Clocks that differ by more are worth a look.
const SKEW_MICROS_MAX: i64 = 1_000_000;
/// Endpoints named for each venue.
const ENDPOINTS_NAMED_MAX: usize = 4;
/// Streams named one by one per venue; of more, only how many.
const STREAMS_NAMED_MAX: usize = 8;

/// What the running process is doing. Ends with 3 if none runs or something is wrong.
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
            let text = format!(
                "no tickhouse runs in {}: start one with `tickhouse demo` or `tickhouse run`, or name its folder with --data",
                directory.display()
            );
            line(if self.json { json!({ "running": false, "message": text }).to_string() } else { text });
            return Ok(Done::Findings);
        };
        let mut status = ask(&process, "status").await?.unwrap_or_default();
        status["btc"] = ask(&process, "btc/health").await?.unwrap_or_default();
        let jobs = jobs(&directory)?;
        status["jobs"] = jobs
            .iter()
            .map(|job| {
                json!({ "job": job.id, "state": job.state.as_str(),
            "what": describe(job), "progress": words(&job.progress) })
            })
            .collect();
        let findings = findings(&status);
        if self.json {
            line(&status);
        } else {
            line(summary(&status, &process).trim_end());
            for job in &jobs {
                let state = job.state.as_str();
                line(format!("  job {} {state}: {}; {}", job.id, describe(job), words(&job.progress)));
            }
            for finding in &findings {
                line(format!("! {finding}"));
            }
        }
        Ok(if findings.is_empty() { Done::Clean } else { Done::Findings })
    }
}

/// Work on the past that commands handed to the process.
fn jobs(directory: &Path) -> anyhow::Result<Vec<Job>> {
    let file = directory.join("control.sqlite");
    let control = Control::open(file).context("open the control state")?;
    control.open_jobs().context("read the jobs")
}

/// What the process says at a path of its interface; `None` where it has nothing there.
pub(super) async fn ask(process: &Running, path: &str) -> anyhow::Result<Option<Value>> {
    let answer = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?
        .get(format!("http://{}/api/v1/{path}", process.address))
        .send()
        .await
        .with_context(|| format!("ask process {} at {}", process.pid, process.address))?;
    if path != "status" && answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !answer.status().is_success() {
        anyhow::bail!(
            "process {} answers {}: `serve.rest` may be off, and this command needs it",
            process.pid,
            answer.status()
        );
    }
    answer.json().await.map(Some).context("read the status")
}

/// A few lines for a person, and a table of venues.
fn summary(status: &Value, process: &Running) -> String {
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), group);
    let mib = |value: &Value| value.as_u64().unwrap_or_default() >> 20;
    let cpu = status["cpu_seconds"].as_f64().unwrap_or_default();
    let uptime = status["uptime_seconds"].as_i64().unwrap_or_default();
    let core_percent = if uptime > 0 { 100.0 * cpu / uptime as f64 } else { 0.0 };
    let markets = if status["is_simulated"] == true { "simulated markets" } else { "real markets" };
    let undecodable = status["undecodable_total"].as_u64().unwrap_or_default();
    let mut text = format!(
        "tickhouse {} at http://{}/ (process {}, up {})\n",
        status["version"].as_str().unwrap_or("?"),
        process.address,
        process.pid,
        span(uptime),
    );
    let mut add = |name: &str, words: String| {
        let _infallible = writeln!(text, "  {name:<9}{words}");
    };
    add(
        "data",
        format!(
            "{}, {markets}; disk free {} ({:.0} %)",
            status["directory"].as_str().unwrap_or("?"),
            size(status["disk_free_bytes"].as_u64().unwrap_or_default()),
            status["disk_free_percent"].as_f64().unwrap_or_default(),
        ),
    );
    add("trades", format!("{} recorded", number(&status["trades_total"])));
    add(
        "raw log",
        format!(
            "{} records, {} of them synced, {} MiB{}",
            number(&status["log"]["written"]),
            number(&status["log"]["durable"]),
            mib(&status["log"]["bytes"]),
            if undecodable > 0 {
                format!("; {} could not be decoded and are kept", counted(undecodable, "frame"))
            } else {
                String::new()
            },
        ),
    );
    add(
        "tables",
        format!(
            "committed through record {}; {} of {} rows wait for the next commit",
            number(&status["lake"]["committed"]),
            number(&status["lake"]["rows_buffered"]),
            number(&status["lake"]["rows_buffered_max"]),
        ),
    );
    if status["btc"].is_object() {
        add("chain", chain_line(&status["btc"]));
    }
    add("process", format!("{} MiB of memory, {core_percent:.0} % of a core", mib(&status["memory_bytes"])));
    text.push_str(&venue_table(status));
    text
}

/// How far the chain is followed.
pub(super) fn chain_line(health: &Value) -> String {
    let number = |name: &str| health[name].as_u64().map_or_else(|| "-".to_owned(), group);
    format!(
        "block {} of {}, {} behind",
        number("last_raw_height"),
        number("node_tip_height"),
        number("lag_blocks")
    )
}

/// What is wrong with the chain and what follows it.
pub(super) fn chain_findings(health: &Value) -> Vec<String> {
    let reasons = health["reasons"].as_array().into_iter().flatten();
    reasons.filter_map(Value::as_str).map(|reason| format!("btc: {reason}")).collect()
}

fn venue_table(status: &Value) -> String {
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), group);
    let mut rows = vec![
        ["venue", "instruments", "streams", "connections", "frames", "clock skew", "REST budget"]
            .map(str::to_owned),
    ];
    for venue in status["venues"].as_array().into_iter().flatten() {
        let name = venue["venue"].as_str().unwrap_or("?");
        let of_venue = |instrument: &&Value| instrument["venue"] == name;
        let instruments = status["instruments"].as_array().into_iter().flatten().filter(of_venue).count();
        let skew = venue["clock_skew_micros"].as_i64();
        rows.push([
            name.to_owned(),
            instruments.to_string(),
            venue["streams"].as_array().map_or(0, Vec::len).to_string(),
            number(&venue["connection_count"]),
            number(&venue["frames_total"]),
            skew.map_or_else(|| "not known".to_owned(), |skew| format!("{} ms", skew / 1_000)),
            format!("{} of {}", number(&venue["rest_weight_used"]), number(&venue["rest_weight_max"])),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in &rows {
        let _infallible = write!(text, "  {:<width$}", row[0], width = width(0));
        for (column, field) in row.iter().enumerate().skip(1) {
            let _infallible = write!(text, "  {field:>width$}", width = width(column));
        }
        text.push('\n');
    }
    text.push_str(&endpoint_lines(status));
    text
}

/// The endpoints that cost most, a line for each venue that was asked anything.
fn endpoint_lines(status: &Value) -> String {
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), group);
    let mut text = String::new();
    for venue in status["venues"].as_array().into_iter().flatten() {
        let endpoints: Vec<String> = venue["rest_endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .take(ENDPOINTS_NAMED_MAX)
            .map(|endpoint| {
                let path = endpoint["path"].as_str().unwrap_or("?");
                format!(
                    "{path} {} ({} now)",
                    number(&endpoint["weight_total"]),
                    number(&endpoint["weight_used"])
                )
            })
            .collect();
        if !endpoints.is_empty() {
            let name = venue["venue"].as_str().unwrap_or("?");
            let told = venue["rest_weight_told"].as_u64();
            let told =
                told.map_or_else(String::new, |told| format!("; the venue counts {} now", group(told)));
            let _infallible = writeln!(text, "  {name} weight: {}{told}", endpoints.join(", "));
        }
    }
    text
}

/// What an operator should look at, each with what to do.
fn findings(status: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let state = status["log"]["state"].as_str().unwrap_or("ok");
    if state != "ok" {
        found.push(format!("raw log: {state}"));
    }
    let (rows, rows_max) = (&status["lake"]["rows_buffered"], &status["lake"]["rows_buffered_max"]);
    if rows_max.as_u64() > Some(0) && rows.as_u64() >= rows_max.as_u64() {
        found.push("tables: no more rows may wait, commits fail or are too slow; the rest waits in the log: look at the disk and the log".into());
    }
    let disk = status["disk_state"].as_str().unwrap_or("ok");
    if disk != "ok" {
        let free = status["disk_free_percent"].as_f64().unwrap_or_default();
        let days = status["disk_days_left"].as_f64();
        let days = days.map_or_else(String::new, |days| {
            format!(", enough for {days:.1} days at the pace of the last day")
        });
        found.push(format!("disk: {disk}, {free:.1} % free{days}: make room before capture stops"));
    }
    if let Some(trouble) = status["commit_trouble"].as_str() {
        found.push(format!("tables: rows cannot be committed and wait in the raw log: {trouble}"));
    }
    found.extend(chain_findings(&status["btc"]));
    for venue in status["venues"].as_array().into_iter().flatten() {
        findings_of_venue(venue, &mut found);
    }
    for instrument in status["instruments"].as_array().into_iter().flatten() {
        let missing = instrument["gaps_missing"].as_u64().unwrap_or_default();
        if missing > 0 {
            let name = instrument["instrument"].as_str().unwrap_or("?");
            let holes = counted(missing, "hole");
            found.push(format!("{name}: {holes} could not be filled: see table gaps, state = 'missing'"));
        }
    }
    found
}

fn findings_of_venue(venue: &Value, found: &mut Vec<String>) {
    let name = venue["venue"].as_str().unwrap_or("?");
    if let Some(trouble) = venue["trouble"].as_str() {
        found.push(format!("{name}: {trouble}"));
    }
    if let Some(skew) = venue["clock_skew_micros"].as_i64().filter(|skew| skew.abs() > SKEW_MICROS_MAX) {
        let direction = if skew > 0 { "behind" } else { "before" };
        found.push(format!(
            "{name}: our clock is {:.1} s {direction} the venue's: set it by NTP",
            skew.abs() as f64 / 1e6
        ));
    }
    if let Some(until) = venue["banned_until"].as_i64().and_then(model::Time::from_millis) {
        found.push(format!("{name}: REST stands still until {until}, as the venue asked"));
    }
    for health in ["mute", "down"] {
        let streams = venue["streams"].as_array().into_iter().flatten();
        let keys: Vec<&str> = streams
            .filter(|stream| stream["health"] == health)
            .filter_map(|stream| stream["key"].as_str())
            .collect();
        if keys.len() > STREAMS_NAMED_MAX {
            let first = keys[..STREAMS_NAMED_MAX].join(", ");
            found.push(format!("{name}: {} streams are {health}: {first} and others", keys.len()));
        } else {
            found.extend(keys.iter().map(|key| format!("{name}: stream {key} is {health}")));
        }
    }
}

/// `1 hole`, `2 holes`, `1,234 holes`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", group(number), if number == 1 { "" } else { "s" })
}

/// Bytes as MiB, or as GiB where there are many.
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 10_240 { format!("{} MiB", group(mib)) } else { format!("{} GiB", group(mib >> 10)) }
}

/// Seconds in their two largest units.
fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let (mut rest, mut words) = (seconds.max(0), Vec::new());
    for (size, unit) in units {
        if rest >= size && words.len() < 2 {
            words.push(format!("{} {unit}", rest / size));
            rest %= size;
        } else if !words.is_empty() {
            break;
        }
    }
    if words.is_empty() { "0 s".into() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    //! Cases for what a person reads.
    use super::*;

    #[test]
    fn numbers_and_spans_read_well() {
        assert_eq!(
            [counted(0, "hole"), counted(1, "hole"), counted(1_234, "hole")],
            ["0 holes", "1 hole", "1,234 holes"]
        );
        for (seconds, words) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(span(seconds), words);
        }
    }

    #[test]
    fn a_wrong_clock_and_a_full_disk_are_findings() {
        let mut status = json!({
            "log": { "state": "ok" }, "lake": { "rows_buffered": 1, "rows_buffered_max": 10 }, "disk_free_percent": 40.0,
            "venues": [{ "venue": "bybit", "clock_skew_micros": -200_000, "streams": [{ "key": "a", "health": "live" }] }],
            "instruments": [{ "instrument": "bybit:BTC-USDT", "gaps_missing": 0 }],
        });
        assert_eq!(findings(&status), [""; 0]);
        (status["disk_free_percent"], status["disk_state"]) = (json!(3.0), json!("low"));
        status["disk_days_left"] = json!(2.04);
        status["venues"][0]["clock_skew_micros"] = json!(2_500_000);
        status["venues"][0]["streams"][0]["health"] = json!("mute");
        status["instruments"][0]["gaps_missing"] = json!(1);
        let found = findings(&status);
        assert_eq!(found.len(), 4, "{found:#?}");
        for (index, words) in
            ["3.0 % free, enough for 2.0 days", "2.5 s behind", "stream a is mute", "1 hole could not"]
                .iter()
                .enumerate()
        {
            assert!(found[index].contains(words), "{found:#?}");
        }
    }
}
