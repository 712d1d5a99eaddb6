//! Coins by ten minutes: what the metrics read, from what the ledger told of each block.

use model::{BUCKET, ChainBucket, CoinBlock, bucket_start};

use crate::chain::reasons::COINS_BEHIND;

/// What happened to coins within ten minutes, and what all coins amount to at their end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoinFlow {
    /// Coins spent, at the price of their spending.
    pub spent_value_usd: Option<f64>,
    /// The same coins, at the price when they were made.
    pub spent_cost_usd: Option<f64>,
    /// Bitcoin spent × days since they were made.
    pub coin_days_destroyed: Option<f64>,
    /// All coins, each at the price when it was made.
    pub realized_cap_usd: Option<f64>,
    /// Why one of these is absent.
    pub reason: Option<&'static str>,
}

/// One flow per bucket. `blocks` are by ascending height: those within the buckets, and the highest before them.
pub fn coin_flows(buckets: &[ChainBucket], blocks: &[CoinBlock]) -> Vec<CoinFlow> {
    let mut by_time: Vec<&CoinBlock> = blocks.iter().collect();
    by_time.sort_by_key(|block| (bucket_start(block.time, BUCKET), block.height));
    let of_bucket = |bucket: &ChainBucket| {
        let from = by_time.partition_point(|block| bucket_start(block.time, BUCKET) < bucket.bucket);
        let through = by_time.partition_point(|block| bucket_start(block.time, BUCKET) <= bucket.bucket);
        // The first block of a chain is in no bucket.
        let within: Vec<&CoinBlock> =
            by_time[from..through].iter().copied().filter(|block| block.height > 0).collect();
        let best = blocks.binary_search_by_key(&bucket.best_block_height_last, |block| block.height);
        flow(bucket, &within, best.ok().map(|place| &blocks[place]))
    };
    buckets.iter().map(of_bucket).collect()
}

fn flow(bucket: &ChainBucket, within: &[&CoinBlock], best: Option<&CoinBlock>) -> CoinFlow {
    let is_whole = within.len() as i64 == bucket.block_count;
    let sum = |field: fn(&CoinBlock) -> Option<f64>| {
        let add = |sum: f64, block: &&CoinBlock| field(block).map(|value| sum + value);
        // A sum of nothing is 0, not the -0 that `sum` begins with.
        if is_whole { within.iter().try_fold(0.0, add) } else { None }
    };
    let mut flow = CoinFlow {
        spent_value_usd: sum(|block| block.spent_value_usd),
        spent_cost_usd: sum(|block| block.spent_cost_usd),
        coin_days_destroyed: sum(|block| block.coin_days_destroyed),
        realized_cap_usd: best.and_then(|block| block.realized_cap_usd),
        reason: None,
    };
    let values = [flow.spent_value_usd, flow.spent_cost_usd, flow.coin_days_destroyed, flow.realized_cap_usd];
    if values.contains(&None) {
        let told = within.iter().copied().chain(best).find_map(|block| block.reason);
        flow.reason = Some(told.filter(|_| is_whole && best.is_some()).unwrap_or(COINS_BEHIND));
    }
    flow
}
