//! A whole chain in one pass: blocks by ascending height, buckets as soon as no later block can fall into them.

use std::collections::BTreeMap;

use model::{ChainBucket, Time, bucket_start};

use crate::chain::buckets::{BlockInput, Carry};
use crate::chain::flows::Flows;

/// Buckets from blocks that come by ascending height. Holds a few buckets, whatever the length of the chain.
///
/// A header's time must lie after the median of the eleven before it, and that median never falls. So a bucket is finished
/// once the median time has left it, and this gives what [`super::build`] gives of all blocks at once.
#[derive(Debug)]
pub struct BucketStream {
    length: i64,
    carry: Option<Carry>,
    /// The bucket to hand out next; `None` before the first block.
    next: Option<Time>,
    open: BTreeMap<Time, Flows>,
    /// Buffers of buckets handed out.
    spare: Vec<Flows>,
}

impl BucketStream {
    /// From the first block of a chain on.
    pub fn new(length: i64) -> Self {
        Self { length, carry: None, next: None, open: BTreeMap::new(), spare: Vec::new() }
    }

    /// Takes the next block, and hands out what is finished by it.
    pub fn take(&mut self, block: &BlockInput<'_>, emit: &mut dyn FnMut(ChainBucket)) {
        if block.height == 0 {
            return;
        }
        let bucket = bucket_start(block.time, self.length);
        self.open.entry(bucket).or_insert_with(|| self.spare.pop().unwrap_or_default()).add(block);
        self.close_before(bucket_start(block.median_time, self.length), emit);
    }

    /// Hands out everything through a bucket, and at least through that of the last block.
    pub fn finish(mut self, through: Time, emit: &mut dyn FnMut(ChainBucket)) -> Option<Carry> {
        let last = self.open.keys().next_back().copied();
        let end = last.map_or(through, |last| last.max(through)).plus_micros(self.length);
        self.close_before(end, emit);
        self.carry
    }

    /// The bucket that comes next, if a block was seen.
    pub fn next_bucket(&self) -> Option<Time> {
        self.next.or_else(|| self.open.keys().next().copied())
    }

    /// Buckets that hold a block and wait for more.
    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    fn close_before(&mut self, end: Time, emit: &mut dyn FnMut(ChainBucket)) {
        let Some(mut bucket) = self.next_bucket() else { return };
        while bucket < end {
            let mut flows = self.open.remove(&bucket).unwrap_or_else(|| self.spare.pop().unwrap_or_default());
            flows.close(bucket, &mut self.carry, emit);
            self.spare.push(flows);
            bucket = bucket.plus_micros(self.length);
            self.next = Some(bucket);
        }
    }
}
