//! The durable log: every frame as it came, with its receipt time, before anything else happens to it.

pub mod record;

pub use record::{Answer, NewRecord, Outcome, Record, RecordKind};
