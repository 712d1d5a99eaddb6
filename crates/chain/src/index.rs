//! The headers of the followed chain, packed: what is asked of them again and again, 100 bytes a block. Which chain is
//! followed is left to the caller.

use std::collections::HashMap;
use std::ops::Range;

use model::{BlockHash, BlockHeader, BlockPlace, Work};

use crate::error::Error;
use crate::header::{MEDIAN_SPAN, median_time};
use crate::work;

/// What the index knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedBlock {
    /// Blocks before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Its header's time, seconds since 1970.
    pub time: u32,
    /// Its target in its compact form.
    pub bits: u32,
    /// Median of its time and those of the ten before.
    pub median_time: u32,
    /// Work of the chain up to and with it.
    pub chainwork: Work,
}

impl IndexedBlock {
    /// The block as a link behind another one: of its header, the version, the root and the nonce are not known.
    pub fn as_link(&self, previous: BlockHash) -> BlockPlace {
        let header = BlockHeader {
            hash: self.hash,
            previous,
            version: 0,
            merkle_root: BlockHash::default(),
            time: self.time,
            bits: self.bits,
            nonce: 0,
        };
        BlockPlace { header, height: self.height, median_time: self.median_time, chainwork: self.chainwork }
    }
}

/// The chain from some height on, most often from the first block.
#[derive(Clone, Debug, Default)]
pub struct HeaderIndex {
    first_height: u32,
    /// Blocks at its beginning that were put before the first one.
    before_count: usize,
    hashes: Vec<BlockHash>,
    times: Vec<u32>,
    bits: Vec<u32>,
    median_times: Vec<u32>,
    /// Latest header time up to each block: unlike the times themselves it never goes back.
    latest_times: Vec<u32>,
    chainworks: Vec<Work>,
    /// Places by the low end of their hash, which is as good as random.
    by_hash: HashMap<u64, u32>,
    /// The bits of the last block, and what work they stand for: they change once a fortnight.
    work_of: (u32, Work),
}

impl HeaderIndex {
    /// Nothing yet; the first block to come decides where it begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks in it.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The highest block.
    pub fn tip(&self) -> Option<IndexedBlock> {
        self.at(self.hashes.len().checked_sub(1)?)
    }

    /// The block at a height.
    pub fn get(&self, height: u32) -> Option<IndexedBlock> {
        self.at(height.checked_sub(self.first_height)? as usize)
    }

    /// The hash at a height.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.hashes.get(height.checked_sub(self.first_height)? as usize).copied()
    }

    /// The height of a block on the chain.
    pub fn height_of(&self, hash: &BlockHash) -> Option<u32> {
        let place = *self.by_hash.get(&low_end(hash))? as usize;
        if self.hashes.get(place) == Some(hash) {
            return Some(self.first_height + place as u32);
        }
        // Two hashes with the same low end: not seen yet, and dear only when it happens.
        let place = self.hashes.iter().position(|other| other == hash)?;
        Some(self.first_height + place as u32)
    }

    /// The place that a header would have behind the tip. Refuses one that follows another block, or goes back behind the
    /// median of times. An empty index takes only a first header.
    pub fn place_next(&self, header: BlockHeader) -> Result<BlockPlace, Error> {
        let work = self.work_of_bits(header.bits);
        let Some(tip) = self.tip() else {
            if header.previous != BlockHash::default() {
                return Err(Error::Header(format!(
                    "{} is no first header, and nothing is known before it",
                    header.hash
                )));
            }
            return Ok(BlockPlace { header, height: 0, median_time: header.time, chainwork: work });
        };
        if header.previous != tip.hash {
            return Err(Error::Header(format!(
                "{} follows {}, not {} at height {}",
                header.hash, header.previous, tip.hash, tip.height
            )));
        }
        if self.knows_median() && header.time <= tip.median_time {
            return Err(Error::Header(format!(
                "the time {} of {} is not after the median {} of the headers before it",
                header.time, header.hash, tip.median_time
            )));
        }
        let median_time = median_time(header.time, &self.times);
        Ok(BlockPlace { header, height: tip.height + 1, median_time, chainwork: tip.chainwork.plus(work) })
    }

    /// Takes a place that follows the tip. The first one may stand anywhere.
    pub fn push(&mut self, place: &BlockPlace) -> Result<(), Error> {
        match self.tip() {
            None => self.first_height = place.height,
            Some(tip) if place.height == tip.height + 1 && place.header.previous == tip.hash => {}
            Some(tip) => {
                return Err(Error::Header(format!(
                    "{} at height {} does not follow {} at height {}",
                    place.header.hash, place.height, tip.hash, tip.height
                )));
            }
        }
        let number = self.hashes.len() as u32;
        self.by_hash.insert(low_end(&place.header.hash), number);
        self.hashes.push(place.header.hash);
        self.times.push(place.header.time);
        self.bits.push(place.header.bits);
        self.median_times.push(place.median_time);
        let latest = self.latest_times.last().copied().unwrap_or(0);
        self.latest_times.push(latest.max(place.header.time));
        self.chainworks.push(place.chainwork);
        if self.work_of.0 != place.header.bits {
            self.work_of = (place.header.bits, work::of_bits(place.header.bits));
        }
        Ok(())
    }

    /// Places a header behind the tip and takes it.
    pub fn extend(&mut self, header: BlockHeader) -> Result<BlockPlace, Error> {
        let place = self.place_next(header)?;
        self.push(&place)?;
        Ok(place)
    }

    /// The lowest height but for the blocks that were put before the others; `None` if nothing else is in it.
    pub fn first_height(&self) -> Option<u32> {
        (self.len() > self.before_count).then(|| self.first_height + self.before_count as u32)
    }

    /// The highest block that was not only put before the others.
    pub fn own_tip(&self) -> Option<IndexedBlock> {
        self.tip().filter(|_| self.len() > self.before_count)
    }

    /// The earliest and the latest header time, in seconds since 1970, but for the first block of a network and those that were
    /// put before the others.
    pub fn time_span(&self) -> Option<(u32, u32)> {
        let first = self.before_count.max(usize::from(self.first_height == 0));
        // A time is later than the median before it, so that none is earlier than all of the first eleven.
        let earliest = *self.times.get(first..)?.iter().take(MEDIAN_SPAN).min()?;
        let latest = *self.latest_times.last()?;
        if first.checked_sub(1).is_none_or(|before| self.latest_times[before] < latest) {
            return Some((earliest, latest));
        }
        // Hardly more than the first few blocks: later ones are later than all before.
        Some((earliest, *self.times[first..].iter().max()?))
    }

    /// Puts blocks before the first one, as they are needed where a chain begins amid another: the median of times looks at ten.
    pub fn put_before(&mut self, before: &[BlockPlace]) -> Result<(), Error> {
        let mut whole = Self::new();
        for place in before {
            whole.push(place)?;
        }
        whole.before_count = before.len();
        for number in 0..self.len() {
            let Some(block) = self.at(number) else { continue };
            let previous = whole.tip().map(|tip| (tip.height + 1, tip.hash));
            if previous.is_some_and(|(height, _)| height != block.height) {
                return Err(Error::Header(format!(
                    "the headers put before {} at height {} do not end below it",
                    block.hash, block.height
                )));
            }
            whole.push(&block.as_link(previous.map(|(_, hash)| hash).unwrap_or_default()))?;
        }
        *self = whole;
        Ok(())
    }

    /// Lets go of all blocks above a height.
    pub fn rewind(&mut self, height: u32) {
        let count = (height + 1).saturating_sub(self.first_height) as usize;
        for hash in self.hashes.iter().skip(count) {
            self.by_hash.remove(&low_end(hash));
        }
        self.before_count = self.before_count.min(count);
        self.hashes.truncate(count);
        self.times.truncate(count);
        self.bits.truncate(count);
        self.median_times.truncate(count);
        self.latest_times.truncate(count);
        self.chainworks.truncate(count);
    }

    /// The blocks whose header times lie in a span of seconds, by height. Times go back and forth, so that heights may be
    /// left out between.
    pub fn blocks_within(&self, seconds: Range<u32>) -> impl Iterator<Item = IndexedBlock> + '_ {
        let first = self.latest_times.partition_point(|time| *time < seconds.start);
        // A time is later than the median before it, so that from there on all lie behind the span.
        let last = 1 + self.median_times.partition_point(|time| *time < seconds.end);
        (first..last.min(self.times.len()))
            .filter(move |number| seconds.contains(&self.times[*number]))
            .filter_map(|number| self.at(number))
    }

    fn at(&self, number: usize) -> Option<IndexedBlock> {
        Some(IndexedBlock {
            height: self.first_height + number as u32,
            hash: *self.hashes.get(number)?,
            time: self.times[number],
            bits: self.bits[number],
            median_time: self.median_times[number],
            chainwork: self.chainworks[number],
        })
    }

    /// Whether the medians are those of eleven headers, which they are not yet behind a beginning amid the chain.
    fn knows_median(&self) -> bool {
        self.first_height == 0 || self.times.len() >= MEDIAN_SPAN
    }

    fn work_of_bits(&self, bits: u32) -> Work {
        if self.work_of.0 == bits { self.work_of.1 } else { work::of_bits(bits) }
    }
}

fn low_end(hash: &BlockHash) -> u64 {
    hash.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
