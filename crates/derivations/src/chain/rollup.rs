//! Hours and days from ten minutes. Medians, which parts do not determine, are left to [`super::build`] with a longer bucket.

use model::{ChainBucket, Time, bucket_start};

use crate::chain::buckets::Carry;
use crate::chain::flows::{blank, set_means};

/// Longer buckets from ascending shorter ones, the last as far as its parts go.
///
/// Flows are summed, states are those of the last part, means are made anew from the sums. What parts do not determine is
/// absent: the median fee, and both block intervals, since most neighbours lie in different parts. [`super::build`] with the
/// longer bucket's length makes those from blocks; every other field is the same either way.
pub fn rollup<'a>(
    parts: impl IntoIterator<Item = &'a ChainBucket>,
    length: i64,
    emit: &mut dyn FnMut(ChainBucket),
) {
    let mut sum: Option<ChainBucket> = None;
    for part in parts {
        let bucket = bucket_start(part.bucket, length);
        if let Some(done) = sum.take_if(|sum| sum.bucket != bucket) {
            emit(finished(done));
        }
        let sum = sum.get_or_insert_with(|| blank(bucket, &Carry::of_bucket(part)));
        add(sum, part, bucket);
    }
    if let Some(last) = sum {
        emit(finished(last));
    }
}

fn add(sum: &mut ChainBucket, part: &ChainBucket, bucket: Time) {
    let mut next = blank(bucket, &Carry::of_bucket(part));
    next.block_count = sum.block_count + part.block_count;
    next.issued_sat = sum.issued_sat + part.issued_sat;
    next.fees_sat = sum.fees_sat + part.fees_sat;
    next.miner_revenue_sat = sum.miner_revenue_sat + part.miner_revenue_sat;
    next.unclaimed_sat = sum.unclaimed_sat + part.unclaimed_sat;
    next.total_out_sat = sum.total_out_sat + part.total_out_sat;
    next.transferred_sat = sum.transferred_sat + part.transferred_sat;
    next.tx_count = sum.tx_count + part.tx_count;
    next.tx_count_ex_coinbase = sum.tx_count_ex_coinbase + part.tx_count_ex_coinbase;
    next.input_count = sum.input_count + part.input_count;
    next.output_count = sum.output_count + part.output_count;
    next.segwit_tx_count = sum.segwit_tx_count + part.segwit_tx_count;
    next.block_size_total_bytes = sum.block_size_total_bytes + part.block_size_total_bytes;
    next.block_weight_total_wu = sum.block_weight_total_wu + part.block_weight_total_wu;
    next.block_vsize_total_vb = sum.block_vsize_total_vb + part.block_vsize_total_vb;
    next.tx_size_total_bytes = sum.tx_size_total_bytes + part.tx_size_total_bytes;
    next.tx_weight_total_wu = sum.tx_weight_total_wu + part.tx_weight_total_wu;
    *sum = next;
}

fn finished(mut sum: ChainBucket) -> ChainBucket {
    set_means(&mut sum);
    sum
}
