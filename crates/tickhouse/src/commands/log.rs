//! `tickhouse log`: looks into the raw log without disturbing a running process.

use clap::{Args, Subcommand};
use model::{LogPosition, VenueId};
use rawlog::{Record, RecordKind, SegmentForm, inspect};

use super::{Place, WrongUse};
use crate::Done;
use crate::output::line;

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
        /// Only this kind: text, answer, opened, closed, …
        #[arg(long)]
        kind: Option<String>,
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
                let venue = venue
                    .map(|name| {
                        VenueId::known(&name).ok_or_else(|| WrongUse(format!("unknown venue {name:?}")))
                    })
                    .transpose()?;
                let mut left = count.unwrap_or(usize::MAX);
                for record in inspect::records(&place.directory()?.join("log"), LogPosition(after))? {
                    if left == 0 {
                        break;
                    }
                    let record = record?;
                    let is_wanted = venue.is_none_or(|venue| record.venue == Some(venue))
                        && kind.as_deref().is_none_or(|kind| record.kind.as_str() == kind);
                    if is_wanted {
                        line(as_json(&record));
                        left -= 1;
                    }
                }
                Ok(Done::Clean)
            }
        }
    }
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
    let directory = place.directory()?.join("log");
    for segment in inspect::segments(&directory)? {
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
    for report in inspect::verify(&place.directory()?.join("log"))? {
        let path = report.segment.path.display();
        line(format!("{path}: {} records good, {} damaged places", report.good_count, report.damage.len()));
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
