//! `tickhouse log`: looks into the raw log without disturbing a running process.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};
use model::{LogPosition, VenueId};
use rawlog::{Damage, Record, RecordKind, SegmentForm, inspect};

use super::status::counted;
use super::{Place, WrongUse};
use crate::Done;
use crate::output::{aside, line};

/// Look into the raw log.
#[derive(Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List segments: positions, times, sizes
    Inspect {
        #[command(flatten)]
        place: Place,
    },
    /// Print records, one JSON object per line
    Cat {
        #[command(flatten)]
        place: Place,
        /// Begin after this position
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Print at most so many
        #[arg(long)]
        count: Option<usize>,
        /// Only this venue
        #[arg(long)]
        venue: Option<String>,
        /// Only this kind: text, answer, opened, carries, closed, mute, tick, …
        #[arg(long, value_parser = parse_kind)]
        kind: Option<RecordKind>,
    },
    /// Check every checksum; ends with 3 if a record is damaged
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

impl Log {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        match self.what {
            What::Inspect { place } => inspect_log(&place),
            What::Verify { place } => verify_log(&place),
            What::Cat { place, after, count, venue, kind } => {
                let unknown =
                    |name: &str| WrongUse(format!("unknown venue {name:?}: use one of {}", VenueId::names()));
                let venue =
                    venue.map(|name| VenueId::known(&name).ok_or_else(|| unknown(&name))).transpose()?;
                cat(&place, after, count.unwrap_or(usize::MAX), &Chosen { venue, kind })
            }
        }
    }
}

/// Which records are printed.
struct Chosen {
    venue: Option<VenueId>,
    kind: Option<RecordKind>,
}

fn parse_kind(text: &str) -> Result<RecordKind, String> {
    let kinds: Vec<RecordKind> = (0..=u8::MAX).filter_map(RecordKind::from_number).collect();
    kinds.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        format!("no records are of that kind: use one of {}", names.join(", "))
    })
}

/// The log of the folder that is meant; it must be there.
fn folder(place: &Place) -> anyhow::Result<PathBuf> {
    let directory = place.directory()?;
    let log = directory.join("log");
    if !log.is_dir() {
        bail!("no raw log in {}: name the data folder with --data", directory.display());
    }
    Ok(log)
}

fn cat(place: &Place, after: u64, count_max: usize, chosen: &Chosen) -> anyhow::Result<Done> {
    let mut records = inspect::records(&folder(place)?, LogPosition(after))?;
    let (mut left, mut lost) = (count_max, 0);
    while left > 0
        && let Some(record) = records.next()
    {
        let record = record?;
        for damage in records.take_damage() {
            lost += 1;
            tell_damage(&damage);
        }
        let is_wanted = chosen.venue.is_none_or(|venue| record.venue == Some(venue))
            && chosen.kind.is_none_or(|kind| record.kind == kind);
        if is_wanted {
            line(as_json(&record));
            left -= 1;
        }
    }
    for damage in records.take_damage() {
        lost += 1;
        tell_damage(&damage);
    }
    Ok(if lost == 0 { Done::Clean } else { Done::Findings })
}

/// Beside the records, so that a reader of standard output gets nothing but JSON.
fn tell_damage(damage: &Damage) {
    aside(format!(
        "records {} – {} are damaged at byte {}: {}; `tickhouse log verify` says more",
        damage.first.0, damage.last.0, damage.offset, damage.reason
    ));
}

fn as_json(record: &Record) -> serde_json::Value {
    let payload = match std::str::from_utf8(&record.payload) {
        Ok(text) if record.kind != RecordKind::Binary => serde_json::json!(text),
        _ => serde_json::json!({ "bytes": record.payload.len() }),
    };
    serde_json::json!({
        "position": record.position.0,
        "received_ns": record.received.0,
        "received": record.received.to_time().to_string(),
        "venue": record.venue.map(VenueId::as_str),
        "connection": record.connection,
        "kind": record.kind.as_str(),
        "payload": payload,
    })
}

fn inspect_log(place: &Place) -> anyhow::Result<Done> {
    for segment in inspect::segments(&folder(place)?)? {
        let form = match segment.form {
            SegmentForm::Raw => "raw",
            SegmentForm::Archive => "mcap",
        };
        line(format!(
            "{:>12} – {:<12} {form:<5} {:>12} bytes  {}  {}",
            segment.first.0,
            segment.last.0,
            segment.bytes,
            segment.created.to_time(),
            segment.path.display()
        ));
    }
    Ok(Done::Clean)
}

fn verify_log(place: &Place) -> anyhow::Result<Done> {
    let mut damaged = 0;
    for report in inspect::verify(&folder(place)?)? {
        let path = report.segment.path.display();
        line(format!(
            "{path}: {} good, {}",
            counted(report.good_count, "record"),
            match report.damage.len() {
                0 => "no damage".to_owned(),
                count => counted(count as u64, "damaged place"),
            }
        ));
        if report.tail_bytes > 0 {
            line(format!(
                "  {} bytes behind the last whole record: being written now, or torn when the process ended",
                report.tail_bytes
            ));
        }
        for damage in &report.damage {
            damaged += 1;
            line(format!(
                "  at byte {} ({} bytes): {}; records {} – {} are lost, the tables keep what they hold of them",
                damage.offset, damage.bytes, damage.reason, damage.first.0, damage.last.0
            ));
        }
    }
    Ok(if damaged == 0 { Done::Clean } else { Done::Findings })
}
