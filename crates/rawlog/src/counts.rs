//! What an open log counts. Showing it is left to whoever asks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use model::Nanos;

use crate::frame;
use crate::record::NewRecord;

/// What a log counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Records written.
    pub record_count: u64,
    /// Bytes written, heads included.
    pub bytes: u64,
    /// Write calls.
    pub write_count: u64,
    /// Syncs to disk.
    pub sync_count: u64,
    /// Times the disk was full.
    pub disk_full_count: u64,
    /// Records that were queued when the log closed, and for which the disk had no room at all.
    pub lost_count: u64,
    /// Records that readers could not read because of damage; each reader counts for itself.
    pub damaged_count: u64,
    /// Payloads cut because they were longer than a record may be.
    pub cut_count: u64,
    /// Receipt time of the newest record; zero before the first.
    pub newest: Nanos,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
    disk_full: AtomicU64,
    lost: AtomicU64,
    damaged: AtomicU64,
    cut: AtomicU64,
    newest: AtomicI64,
}

impl Counters {
    pub(crate) fn count_write(&self, records: &[NewRecord], bytes: usize) {
        self.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        let cut = records.iter().filter(|record| record.payload.len() > frame::PAYLOAD_BYTES_MAX).count();
        self.cut.fetch_add(cut as u64, Ordering::Relaxed);
        if let Some(record) = records.last() {
            self.newest.store(record.received.0, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_full(&self) {
        self.disk_full.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_lost(&self, records: usize) {
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_damaged(&self, records: u64) {
        self.damaged.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> LogCounts {
        LogCounts {
            record_count: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            write_count: self.writes.load(Ordering::Relaxed),
            sync_count: self.syncs.load(Ordering::Relaxed),
            disk_full_count: self.disk_full.load(Ordering::Relaxed),
            lost_count: self.lost.load(Ordering::Relaxed),
            damaged_count: self.damaged.load(Ordering::Relaxed),
            cut_count: self.cut.load(Ordering::Relaxed),
            newest: Nanos(self.newest.load(Ordering::Relaxed)),
        }
    }
}
