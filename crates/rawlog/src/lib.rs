//! The durable log: every frame as it came, with its receipt time, before anything else happens to it.
//!
//! What the frames mean is left to `venues`, what becomes of them to `refine`; one process per folder is the binary's
//! business.

mod archive;
pub mod blocks;
pub mod counts;
mod cursor;
pub mod error;
mod frame;
mod index;
pub mod inspect;
mod keeper;
pub mod log;
mod progress;
pub mod reader;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod settings;
mod sync;
mod waiting;
mod writer;

pub use blocks::{BlockBytes, BlockSegments, BlockSpot, free as free_blocks, read as read_block};
pub use counts::LogCounts;
pub use error::{Error, LogClosed};
pub use log::{Log, LogState};
pub use reader::LogReader;
pub use record::{Answer, NewRecord, Outcome, Record, RecordKind};
pub use recovery::{RecoveryReport, TornTail};
pub use segment::{Damage, SegmentForm, SegmentInfo};
pub use settings::{DiskSpace, LogSettings, SystemDisk};
