//! The sums of one bucket while its blocks are added.

use model::time::SECOND;
use model::{BlockHash, ChainBucket, Time, Work};

use crate::chain::buckets::{BlockInput, Carry};
use crate::chain::median::median;

/// What the blocks of one bucket add up to. Blocks are added by ascending height; buffers are kept from bucket to bucket.
#[derive(Debug, Default)]
pub(super) struct Flows {
    sums: Sums,
    fees: Vec<i64>,
    intervals: Vec<i64>,
    /// Header time of the block added last.
    newest: Option<Time>,
    highest: Option<Carry>,
}

#[derive(Debug, Default)]
struct Sums {
    block_count: i64,
    issued_sat: i64,
    fees_sat: i64,
    coinbase_sat: i64,
    unclaimed_sat: i64,
    total_out_sat: i64,
    transferred_sat: i64,
    tx_count: i64,
    tx_count_ex_coinbase: i64,
    input_count: i64,
    output_count: i64,
    segwit_tx_count: i64,
    size_bytes: i64,
    weight_wu: i64,
    vsize_vb: i64,
    tx_size_total_bytes: i64,
    tx_weight_total_wu: i64,
}

impl Flows {
    /// Adds a block that is higher than all added before.
    pub(super) fn add(&mut self, block: &BlockInput<'_>) {
        let sums = &mut self.sums;
        sums.block_count += 1;
        sums.issued_sat += block.issued_sat;
        sums.fees_sat += block.fees.iter().sum::<i64>();
        sums.coinbase_sat += block.coinbase_sat;
        sums.unclaimed_sat += block.unclaimed_sat;
        sums.total_out_sat += block.total_out_sat;
        sums.transferred_sat += block.transferred_sat;
        sums.tx_count += block.tx_count;
        sums.tx_count_ex_coinbase += block.tx_count - 1;
        sums.input_count += block.input_count;
        sums.output_count += block.output_count;
        sums.segwit_tx_count += block.segwit_tx_count;
        sums.size_bytes += block.size_bytes;
        sums.weight_wu += block.weight_wu;
        sums.vsize_vb += block.vsize_vb;
        sums.tx_size_total_bytes += block.tx_size_total_bytes;
        sums.tx_weight_total_wu += block.tx_weight_total_wu;
        self.fees.extend_from_slice(block.fees);
        if let Some(before) = self.newest.replace(block.time) {
            self.intervals.push((block.time.0 - before.0).div_euclid(SECOND));
        }
        self.highest = Some(Carry::of_block(block));
    }

    /// Hands out the bucket, with states moved on if a block here is higher than all before, and starts the next one empty.
    /// Nothing is handed out as long as no block was ever seen.
    pub(super) fn close(
        &mut self,
        bucket: Time,
        carry: &mut Option<Carry>,
        emit: &mut dyn FnMut(ChainBucket),
    ) {
        if let Some(highest) = self.highest.take()
            && carry.is_none_or(|carry| highest.height > carry.height)
        {
            *carry = Some(highest);
        }
        if let Some(state) = carry {
            let mut row = blank(bucket, state);
            self.fill(&mut row);
            emit(row);
        }
        self.sums = Sums::default();
        self.fees.clear();
        self.intervals.clear();
        self.newest = None;
    }

    fn fill(&mut self, row: &mut ChainBucket) {
        let sums = &self.sums;
        row.block_count = sums.block_count;
        row.issued_sat = sums.issued_sat;
        row.fees_sat = sums.fees_sat;
        row.miner_revenue_sat = sums.coinbase_sat;
        row.unclaimed_sat = sums.unclaimed_sat;
        row.total_out_sat = sums.total_out_sat;
        row.transferred_sat = sums.transferred_sat;
        row.tx_count = sums.tx_count;
        row.tx_count_ex_coinbase = sums.tx_count_ex_coinbase;
        row.input_count = sums.input_count;
        row.output_count = sums.output_count;
        row.segwit_tx_count = sums.segwit_tx_count;
        row.block_size_total_bytes = sums.size_bytes;
        row.block_weight_total_wu = sums.weight_wu;
        row.block_vsize_total_vb = sums.vsize_vb;
        row.tx_size_total_bytes = sums.tx_size_total_bytes;
        row.tx_weight_total_wu = sums.tx_weight_total_wu;
        let total: i64 = self.intervals.iter().sum();
        row.block_interval_mean_sec = ratio(total, self.intervals.len() as i64);
        row.block_interval_median_sec = median(&mut self.intervals);
        row.median_fee_sat = median(&mut self.fees);
        set_means(row);
    }
}

/// A bucket in which nothing happened.
pub(super) fn blank(bucket: Time, state: &Carry) -> ChainBucket {
    let Carry { height, hash, chainwork, difficulty, halving_epoch, supply_total_sat } = *state;
    let (best_block_hash_last, chainwork_last): (BlockHash, Work) = (hash, chainwork);
    ChainBucket {
        bucket,
        block_count: 0,
        issued_sat: 0,
        fees_sat: 0,
        miner_revenue_sat: 0,
        unclaimed_sat: 0,
        total_out_sat: 0,
        transferred_sat: 0,
        tx_count: 0,
        tx_count_ex_coinbase: 0,
        input_count: 0,
        output_count: 0,
        segwit_tx_count: 0,
        block_size_total_bytes: 0,
        block_weight_total_wu: 0,
        block_vsize_total_vb: 0,
        tx_size_total_bytes: 0,
        tx_weight_total_wu: 0,
        supply_total_sat,
        difficulty_last: difficulty,
        chainwork_last,
        best_block_height_last: height,
        best_block_hash_last,
        halving_epoch,
        block_interval_mean_sec: None,
        block_interval_median_sec: None,
        avg_fee_sat: None,
        median_fee_sat: None,
        avg_feerate_sat_vb: None,
        segwit_share: None,
        tx_size_mean_bytes: None,
        block_size_mean_bytes: None,
    }
}

/// The means that follow from the sums of a bucket, of whatever length.
pub(super) fn set_means(row: &mut ChainBucket) {
    row.avg_fee_sat = ratio(row.fees_sat, row.tx_count_ex_coinbase);
    row.avg_feerate_sat_vb = ratio(row.fees_sat.saturating_mul(4), row.tx_weight_total_wu);
    row.segwit_share = ratio(row.segwit_tx_count, row.tx_count_ex_coinbase);
    row.tx_size_mean_bytes = ratio(row.tx_size_total_bytes, row.tx_count_ex_coinbase);
    row.block_size_mean_bytes = ratio(row.block_size_total_bytes, row.block_count);
}

fn ratio(above: i64, below: i64) -> Option<f64> {
    (below > 0).then(|| above as f64 / below as f64)
}
