//! How fast blocks become buckets and buckets metrics: a chain as long as Bitcoin's, with generated fees.

use derivations::chain::metrics::YEAR_BUCKETS;
use derivations::chain::{BlockInput, BucketStream, Carry, METRICS, MetricInputs, Prepared, Span, build};
use model::time::{DAY, SECOND};
use model::{BUCKET, BlockHash, ChainBucket, Time, Work};

const BLOCKS: u32 = 900_000;
const FEES: usize = 200;
/// Different lists of fees; blocks take turns.
const LISTS: usize = 4_096;

fn main() {
    divan::main();
}

fn fees() -> Vec<Vec<i64>> {
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 44) as i64
    };
    (0..LISTS).map(|_| (0..FEES).map(|_| next()).collect()).collect()
}

fn block(fees: &[Vec<i64>], height: u32) -> BlockInput<'_> {
    let place = i64::from(height);
    // Every seventh header lies eleven minutes back.
    let late = if height.is_multiple_of(7) { 660 } else { 0 };
    let fees = &fees[height as usize % LISTS];
    BlockInput {
        height,
        hash: BlockHash::default(),
        time: Time((1_231_006_505 + place * 600 - late) * SECOND),
        median_time: Time((1_231_006_505 + (place - 6) * 600) * SECOND),
        chainwork: Work::default(),
        difficulty: f64::from(height),
        halving_epoch: height / 210_000,
        supply_total_sat: Some(place * 5_000_000_000),
        issued_sat: 5_000_000_000,
        coinbase_sat: 5_000_000_000,
        unclaimed_sat: 0,
        total_out_sat: 1_000_000_000,
        transferred_sat: 500_000_000,
        tx_count: FEES as i64 + 1,
        input_count: 400,
        output_count: 500,
        segwit_tx_count: 100,
        size_bytes: 100_000,
        weight_wu: 300_000,
        vsize_vb: 75_000,
        tx_size_total_bytes: 99_000,
        tx_weight_total_wu: 296_000,
        fees,
    }
}

fn count(rows: &mut u64) -> impl FnMut(ChainBucket) + '_ {
    |bucket| *rows += u64::from(bucket.median_fee_sat.is_some())
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn all_buckets_of_900_000_blocks_in_one_pass(bencher: divan::Bencher<'_, '_>) {
    let fees = fees();
    bencher.counter(divan::counter::ItemsCount::new(BLOCKS)).bench_local(|| {
        let mut rows = 0;
        let mut stream = BucketStream::new(BUCKET);
        (1..=BLOCKS).for_each(|height| stream.take(&block(&fees, height), &mut count(&mut rows)));
        stream.finish(Time(0), &mut count(&mut rows));
        rows
    });
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn all_buckets_of_900_000_blocks_in_pieces(bencher: divan::Bencher<'_, '_>) {
    let fees = fees();
    bencher.counter(divan::counter::ItemsCount::new(BLOCKS)).bench_local(|| {
        let mut rows = 0;
        let mut carry: Option<Carry> = None;
        let day = DAY / BUCKET;
        for start in (0..i64::from(BLOCKS)).step_by(10 * day as usize) {
            let first = 1_231_006_200 * SECOND + start * BUCKET;
            let span =
                Span { from: Time(first), through: Time(first + (10 * day - 1) * BUCKET), length: BUCKET };
            let heights = (start - 3).max(1)..(start + 10 * day + 3).min(i64::from(BLOCKS));
            let mut blocks: Vec<_> = heights.map(|height| block(&fees, height as u32)).collect();
            carry = build(span, carry, &mut blocks, &mut count(&mut rows));
        }
        rows
    });
}

#[divan::bench]
fn one_day_bucket_of_430_000_fees(bencher: divan::Bencher<'_, '_>) {
    let list: Vec<i64> = fees().into_iter().flatten().take(3_000).collect();
    let lists = [list];
    bencher.bench_local(|| {
        let mut rows = 0;
        let mut blocks: Vec<_> =
            (1..=144).map(|height| BlockInput { fees: &lists[0], ..block_of(height) }).collect();
        let span =
            Span { from: Time(1_230_940_800 * SECOND), through: Time(1_231_027_200 * SECOND), length: DAY };
        build(span, None, &mut blocks, &mut count(&mut rows));
        rows
    });
}

fn block_of(height: u32) -> BlockInput<'static> {
    static NONE: [Vec<i64>; LISTS] = [const { Vec::new() }; LISTS];
    block(&NONE, height)
}

/// Some hundred days more than a year of buckets with closes.
fn buckets() -> (Vec<ChainBucket>, Vec<Option<f64>>) {
    let mut rows = Vec::new();
    let mut stream = BucketStream::new(BUCKET);
    for height in 1..=(YEAR_BUCKETS + 15_000) as u32 {
        stream.take(&block_of(height), &mut |bucket| rows.push(bucket));
    }
    stream.finish(Time(0), &mut |bucket| rows.push(bucket));
    let closes = (0..rows.len()).map(|place| Some(9_000.0 + (place % 977) as f64)).collect();
    (rows, closes)
}

#[divan::bench]
fn all_metrics_of_the_newest_ten_minutes(bencher: divan::Bencher<'_, '_>) {
    let (rows, closes) = buckets();
    let last = rows[rows.len() - 1].bucket;
    bencher.bench_local(|| values(&rows, &closes, (last, last)));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn all_metrics_of_a_year_of_ten_minutes(bencher: divan::Bencher<'_, '_>) {
    let (rows, closes) = buckets();
    let count = METRICS.len() * rows.len();
    bencher
        .counter(divan::counter::ItemsCount::new(count))
        .bench_local(|| values(&rows, &closes, (Time(0), Time(i64::MAX))));
}

fn values(buckets: &[ChainBucket], price_close: &[Option<f64>], range: (Time, Time)) -> usize {
    let prepared = Prepared::new(MetricInputs { buckets, price_close, coins: None }).expect("rows in a row");
    METRICS.iter().map(|metric| metric.values(&prepared, 10, range).len()).sum()
}
