//! Buckets of ten minutes or longer from blocks. Which blocks to hand in, and what to write where, is left to `onchain`.
//!
//! A block belongs where its header's time falls. Headers are not in order: a later block may re-open an earlier bucket, and
//! then every bucket from there on is to be built anew, because states are those of the highest block up to a bucket's end.

use model::{BlockFacts, BlockHash, ChainBucket, Time, Work, bucket_start};

use crate::chain::flows::Flows;

/// What a bucket wants to know of a block. Fees are borrowed; nothing else is large.
#[derive(Clone, Copy, Debug)]
pub struct BlockInput<'a> {
    /// Blocks before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// The header's time.
    pub time: Time,
    /// Median of the header's time and those of the ten before; only [`super::BucketStream`] looks at it.
    pub median_time: Time,
    /// Work of the chain up to and with it.
    pub chainwork: Work,
    /// Its difficulty.
    pub difficulty: f64,
    /// How often the subsidy has halved.
    pub halving_epoch: u32,
    /// Outputs in the UTXO set with it.
    pub supply_total_sat: Option<i64>,
    /// Nominal subsidy.
    pub issued_sat: i64,
    /// Outputs of the coinbase.
    pub coinbase_sat: i64,
    /// Subsidy and fees that the miner did not take.
    pub unclaimed_sat: i64,
    /// Outputs without the coinbase's.
    pub total_out_sat: i64,
    /// Those that do not return to a script of their own transaction's inputs.
    pub transferred_sat: i64,
    /// Transactions with the coinbase.
    pub tx_count: i64,
    /// Inputs without the coinbase's.
    pub input_count: i64,
    /// Outputs, the coinbase's included.
    pub output_count: i64,
    /// Transactions with a witness, without the coinbase.
    pub segwit_tx_count: i64,
    /// Bytes of the block.
    pub size_bytes: i64,
    /// Weight of the block.
    pub weight_wu: i64,
    /// Its virtual size, rounded up.
    pub vsize_vb: i64,
    /// Bytes of transactions without the coinbase.
    pub tx_size_total_bytes: i64,
    /// Weight of transactions without the coinbase.
    pub tx_weight_total_wu: i64,
    /// What each transaction but the coinbase paid, in any order.
    pub fees: &'a [i64],
}

impl<'a> From<&'a BlockFacts> for BlockInput<'a> {
    fn from(facts: &'a BlockFacts) -> Self {
        let BlockFacts { place, network, sums, supply_total_sat, .. } = facts;
        Self {
            height: place.height,
            hash: place.header.hash,
            time: place.time(),
            median_time: Time(i64::from(place.median_time) * model::time::SECOND),
            chainwork: place.chainwork,
            difficulty: place.header.difficulty(),
            halving_epoch: network.halving_epoch(place.height),
            supply_total_sat: *supply_total_sat,
            issued_sat: facts.issued_sat(),
            coinbase_sat: sums.coinbase_sat,
            unclaimed_sat: facts.unclaimed_sat(),
            total_out_sat: sums.total_out_sat,
            transferred_sat: sums.transferred_sat,
            tx_count: sums.tx_count,
            input_count: sums.input_count,
            output_count: sums.output_count,
            segwit_tx_count: sums.segwit_tx_count,
            size_bytes: sums.size_bytes,
            weight_wu: sums.weight_wu,
            vsize_vb: sums.vsize_vb(),
            tx_size_total_bytes: sums.tx_size_total_bytes,
            tx_weight_total_wu: sums.tx_weight_total_wu,
            fees: &sums.fees,
        }
    }
}

/// The state of a chain that an empty bucket repeats: that of the highest block so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carry {
    /// Height of the highest block.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Work up to it.
    pub chainwork: Work,
    /// Its difficulty.
    pub difficulty: f64,
    /// How often the subsidy had halved.
    pub halving_epoch: u32,
    /// Outputs in the UTXO set with it.
    pub supply_total_sat: Option<i64>,
}

impl Carry {
    /// The state a block leaves behind.
    pub fn of_block(block: &BlockInput<'_>) -> Self {
        Self {
            height: block.height,
            hash: block.hash,
            chainwork: block.chainwork,
            difficulty: block.difficulty,
            halving_epoch: block.halving_epoch,
            supply_total_sat: block.supply_total_sat,
        }
    }

    /// The state at the end of a bucket: what the next one is built on.
    pub fn of_bucket(bucket: &ChainBucket) -> Self {
        Self {
            height: bucket.best_block_height_last,
            hash: bucket.best_block_hash_last,
            chainwork: bucket.chainwork_last,
            difficulty: bucket.difficulty_last,
            halving_epoch: bucket.halving_epoch,
            supply_total_sat: bucket.supply_total_sat,
        }
    }
}

/// Which buckets, and how long they are. Moments within a bucket stand for its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Start of the first bucket.
    pub from: Time,
    /// Start of the last bucket.
    pub through: Time,
    /// Microseconds of a bucket: [`model::BUCKET`], or an hour, or a day.
    pub length: i64,
}

/// Builds all buckets of a span, and hands back the state at its end.
///
/// `carry` is the state at the end of the bucket before the span; without one nothing is known before the first block, and the
/// first bucket is that block's. Blocks may come in any order and are put in order in place; those outside the span and the
/// first block of a chain, which moves nothing and lies years before the second on some networks, are left out.
///
/// Medians are true medians over all that lies in the bucket, so hours and days have theirs when they are built from blocks.
pub fn build(
    span: Span,
    carry: Option<Carry>,
    blocks: &mut [BlockInput<'_>],
    emit: &mut dyn FnMut(ChainBucket),
) -> Option<Carry> {
    blocks.sort_unstable_by_key(|block| (bucket_start(block.time, span.length), block.height));
    let (from, through) = (bucket_start(span.from, span.length), bucket_start(span.through, span.length));
    let mut carry = carry;
    let mut flows = Flows::default();
    let mut rest = blocks
        .iter()
        .filter(|block| block.height > 0 && bucket_start(block.time, span.length) >= from)
        .peekable();
    let mut bucket = from;
    while bucket <= through {
        while let Some(block) = rest.next_if(|block| bucket_start(block.time, span.length) == bucket) {
            flows.add(block);
        }
        flows.close(bucket, &mut carry, emit);
        bucket = match (carry, rest.peek()) {
            (None, None) => break,
            // Nothing is known yet: go to where the chain begins.
            (None, Some(first)) => bucket_start(first.time, span.length),
            (Some(_), _) => bucket.plus_micros(span.length),
        };
    }
    carry
}
