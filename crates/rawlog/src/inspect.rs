//! Read-only access to a log folder without a running process.

use std::path::Path;

use model::LogPosition;

use crate::error::Error;
use crate::record::Record;
use crate::segment::{Damage, SegmentInfo};

/// The segments in a log folder, oldest first.
pub fn segments(directory: &Path) -> Result<Vec<SegmentInfo>, Error> {
    let _ = directory;
    todo!()
}

/// The records of a folder after `after`. Ends at the newest record; asked again later it goes on with what came since.
pub fn records(directory: &Path, after: LogPosition) -> Result<Records, Error> {
    let _ = (directory, after);
    todo!()
}

/// Iterates records of a folder, see [`records`].
#[derive(Debug)]
pub struct Records(());

impl Records {
    /// Damage passed over since last asked.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        todo!()
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

/// What `verify` found in one segment.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// The segment.
    pub segment: SegmentInfo,
    /// Records whose checksum holds.
    pub good_count: u64,
    /// Records lost, by place.
    pub damage: Vec<Damage>,
}

/// Checks every checksum of every segment.
pub fn verify(directory: &Path) -> Result<Vec<SegmentReport>, Error> {
    let _ = directory;
    todo!()
}
