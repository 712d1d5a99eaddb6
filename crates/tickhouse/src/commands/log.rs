//! `tickhouse log`: looks into the raw log without disturbing a running process.

use clap::{Args, Subcommand};
use model::{LogPosition, VenueId};
use rawlog::{Record, RecordKind, inspect};

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
