//! Buckets against a real chain and its independent reference, in one piece and in many.

use model::time::{DAY, MINUTE, SECOND};
use model::{BUCKET, BlockFacts, ChainBucket, Network, Time, bucket_start};
use proptest::prelude::*;
use serde_json::Value;

use super::testing::{chain, int, lines};
use super::{BlockInput, BucketStream, Carry, Span, build, rollup};

const LAST: Time = Time(1_600_447_800 * SECOND);

fn built(blocks: &[BlockFacts], span: Span, carry: Option<Carry>) -> Vec<ChainBucket> {
    let mut inputs: Vec<BlockInput<'_>> = blocks.iter().map(BlockInput::from).collect();
    let mut buckets = Vec::new();
    let end = build(span, carry, &mut inputs, &mut |bucket| buckets.push(bucket));
    assert_eq!(end, buckets.last().map(Carry::of_bucket).or(carry));
    buckets
}

fn whole(length: i64) -> Vec<ChainBucket> {
    built(&chain(), Span { from: Time(0), through: LAST, length }, None)
}

/// A number or nothing, read from the text: the JSON reader's doubles are not always the nearest.
fn optional(line: &str, field: &str) -> Option<f64> {
    let (_, after) = line.split_once(&format!("\"{field}\": ")).expect("the field is in the reference");
    let text = after.split([',', '}']).next().expect("a field has a value");
    (text != "null").then(|| text.parse().expect("a number"))
}

fn check(bucket: &ChainBucket, line: &str) {
    let row: &Value = &serde_json::from_str(line).unwrap();
    let counts = [
        ("bucket_start", bucket.bucket.0 / SECOND),
        ("block_count", bucket.block_count),
        ("issued_sat", bucket.issued_sat),
        ("fees_sat", bucket.fees_sat),
        ("total_fee_sat", bucket.fees_sat),
        ("miner_revenue_sat", bucket.miner_revenue_sat),
        ("unclaimed_sat", bucket.unclaimed_sat),
        ("total_out_sat", bucket.total_out_sat),
        ("tx_count", bucket.tx_count),
        ("tx_count_ex_coinbase", bucket.tx_count_ex_coinbase),
        ("input_count", bucket.input_count),
        ("output_count", bucket.output_count),
        ("segwit_tx_count", bucket.segwit_tx_count),
        ("block_size_total_bytes", bucket.block_size_total_bytes),
        ("block_weight_total_wu", bucket.block_weight_total_wu),
        ("block_vsize_total_vb", bucket.block_vsize_total_vb),
        ("supply_total_sat", bucket.supply_total_sat.unwrap()),
        ("best_block_height_last", i64::from(bucket.best_block_height_last)),
        ("halving_epoch", i64::from(bucket.halving_epoch)),
    ];
    for (field, found) in counts {
        assert_eq!(found, int(row, field), "{field} of {row}");
    }
    let numbers = [
        ("difficulty_last", Some(bucket.difficulty_last)),
        ("block_interval_mean_sec", bucket.block_interval_mean_sec),
        ("block_interval_median_sec", bucket.block_interval_median_sec),
        ("avg_fee_sat", bucket.avg_fee_sat),
        ("median_fee_sat", bucket.median_fee_sat),
        ("avg_feerate_sat_vb", bucket.avg_feerate_sat_vb),
        ("segwit_share_ex_coinbase", bucket.segwit_share),
        ("tx_size_mean_bytes", bucket.tx_size_mean_bytes),
        ("block_size_mean_bytes", bucket.block_size_mean_bytes),
    ];
    for (field, found) in numbers {
        assert_eq!(found, optional(line, field), "{field} of {row}");
    }
    assert_eq!(bucket.chainwork_last.to_string(), row["chainwork_last"]);
}

#[test]
fn every_bucket_of_a_real_chain_equals_the_reference_in_every_field() {
    let reference = lines("ref_buckets_10m_by_time.jsonl.zst");
    let blocks = chain();
    let buckets = whole(BUCKET);
    assert_eq!(reference.len(), 747);
    assert_eq!(buckets.len(), 747);
    for (bucket, line) in buckets.iter().zip(&reference) {
        check(bucket, line);
        let row: Value = serde_json::from_str(line).unwrap();
        // Two fields that the reference has not, from its list of heights.
        let heights: Vec<i64> = row["heights"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        let sum = |field: fn(&BlockFacts) -> i64| -> i64 {
            heights.iter().map(|height| field(&blocks[*height as usize])).sum()
        };
        assert_eq!(bucket.transferred_sat, sum(|block| block.sums.transferred_sat));
        assert_eq!(bucket.tx_size_total_bytes, sum(|block| block.sums.tx_size_total_bytes));
        assert_eq!(bucket.tx_weight_total_wu, sum(|block| block.sums.tx_weight_total_wu));
        let best = &blocks[bucket.best_block_height_last as usize];
        assert_eq!(bucket.best_block_hash_last, best.place.header.hash);
    }
}

#[test]
fn clocks_that_go_back_give_negative_and_zero_intervals() {
    let buckets = whole(BUCKET);
    let blocks = chain();
    let holding = |height: usize| {
        let start = bucket_start(blocks[height].place.time(), BUCKET);
        buckets.iter().find(|bucket| bucket.bucket == start).unwrap()
    };
    // Blocks 181 and 194: not neighbours on the chain, but by height within the bucket.
    assert_eq!(holding(194).block_interval_mean_sec, Some(-193.0));
    assert_eq!(holding(168).block_interval_median_sec, Some(30.0));
}

#[test]
fn a_stream_by_height_gives_what_one_piece_gives() {
    let blocks = chain();
    for length in [BUCKET, 60 * MINUTE, DAY] {
        let mut stream = BucketStream::new(length);
        let mut buckets = Vec::new();
        for block in &blocks {
            stream.take(&BlockInput::from(block), &mut |bucket| buckets.push(bucket));
            assert!(stream.open_count() < 24, "few buckets are held");
        }
        let carry = stream.finish(Time(0), &mut |bucket| buckets.push(bucket));
        assert_eq!(buckets, whole(length));
        assert_eq!(carry.map(|carry| carry.height), Some(334));
    }
}

/// Mainnet's first headers as blocks without content.
fn mainnet() -> Vec<BlockFacts> {
    let path = format!(
        "{}/../chain/fixtures/mainnet/chain/headers-0-10236.bin.zst",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    );
    let headers = zstd::decode_all(std::fs::read(path).unwrap().as_slice()).unwrap();
    let word = |header: &[u8], at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let first = chain().swap_remove(1);
    let mut blocks: Vec<BlockFacts> = Vec::new();
    for (height, header) in headers.chunks_exact(80).enumerate() {
        let mut block = first.clone();
        block.network = Network::Main;
        (block.place.height, block.place.header.time) = (height as u32, word(header, 68));
        block.place.header.bits = word(header, 72);
        blocks.push(block);
        blocks[height].place.median_time = median_time(&blocks).unwrap();
    }
    blocks
}

#[test]
fn mainnets_first_weeks_fall_into_the_days_of_their_headers() {
    let blocks = mainnet();
    assert_eq!(blocks.len(), 10_237);
    let span = Span { from: Time(0), through: blocks[10_236].place.time(), length: BUCKET };
    let buckets = built(&blocks, span, None);
    assert_eq!(buckets.iter().map(|bucket| bucket.block_count).max(), Some(5));
    assert_eq!(buckets.iter().map(|bucket| bucket.block_count).sum::<i64>(), 10_236);
    assert!(buckets.iter().all(|bucket| bucket.difficulty_last.to_string() == "1"));
    let mut days = Vec::new();
    rollup(&buckets, DAY, &mut |day| days.push(day));
    // By median time it would be 19.
    assert_eq!(
        (days[0].bucket.to_string().as_str(), days[0].block_count),
        ("2009-01-09T00:00:00.000000Z", 14)
    );
    // Blocks that re-open a bucket earlier than one that was there already.
    let mut newest = Time(0);
    let late = blocks.iter().filter(|block| {
        let bucket = bucket_start(block.place.time(), BUCKET);
        let is_late = bucket < newest;
        newest = newest.max(bucket);
        is_late
    });
    assert_eq!(late.count(), 61);
    let mut stream = BucketStream::new(BUCKET);
    let mut again = Vec::new();
    for block in &blocks {
        stream.take(&BlockInput::from(block), &mut |bucket| again.push(bucket));
    }
    stream.finish(Time(0), &mut |bucket| again.push(bucket));
    assert_eq!(again, buckets);
}

#[test]
fn an_idle_hour_is_written_too() {
    let through = LAST.plus_micros(60 * MINUTE);
    let buckets = built(&chain(), Span { from: Time(0), through, length: BUCKET }, None);
    assert_eq!(buckets.len(), 747 + 6);
    let last = buckets.last().unwrap();
    assert_eq!((last.bucket, last.block_count, last.best_block_height_last), (through, 0, 334));
    assert_eq!(last.block_size_mean_bytes, None);
    let carry = Carry::of_bucket(last);
    let span =
        Span { from: through.plus_micros(BUCKET), through: through.plus_micros(BUCKET), length: BUCKET };
    assert_eq!(built(&[], span, Some(carry)).len(), 1);
    assert!(built(&[], span, None).is_empty());
}

#[test]
fn hours_and_days_of_ten_minutes_equal_those_of_blocks_but_for_medians() {
    for length in [60 * MINUTE, DAY] {
        let mut rolled = Vec::new();
        rollup(&whole(BUCKET), length, &mut |bucket| rolled.push(bucket));
        let direct = whole(length);
        assert!(direct.iter().any(|bucket| bucket.block_interval_median_sec.is_some()));
        let without: Vec<ChainBucket> = direct
            .into_iter()
            .map(|bucket| ChainBucket {
                median_fee_sat: None,
                block_interval_mean_sec: None,
                block_interval_median_sec: None,
                ..bucket
            })
            .collect();
        assert_eq!(rolled, without);
    }
}

/// Median of the last eleven header times, those of the first blocks of fewer.
fn median_time(blocks: &[BlockFacts]) -> Option<u32> {
    let mut times: Vec<u32> = blocks.iter().rev().take(11).map(|block| block.place.header.time).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Clocks as wild as the rules allow: after the median of the eleven before, up to two hours ahead.
    #[test]
    fn a_stream_agrees_whatever_miners_say_the_time_is(steps in prop::collection::vec((0_u32..2_000, 1_u32..12_000), 1..120)) {
        let mut blocks = chain();
        let mut now = blocks[1].place.header.time;
        for (place, (passed, ahead)) in steps.iter().enumerate() {
            now += passed;
            let before = median_time(&blocks[1..=place]).map_or(now, |median| (median + ahead).min(now + 7_200).max(median + 1));
            blocks[place + 1].place.header.time = before;
            blocks[place + 1].place.median_time = median_time(&blocks[1..place + 2]).unwrap();
        }
        blocks.truncate(steps.len() + 1);
        let mut stream = BucketStream::new(BUCKET);
        let mut buckets = Vec::new();
        for block in &blocks {
            stream.take(&BlockInput::from(block), &mut |bucket| buckets.push(bucket));
        }
        stream.finish(Time(0), &mut |bucket| buckets.push(bucket));
        let first = blocks[1..].iter().map(|block| block.place.time()).min().unwrap();
        let last = blocks[1..].iter().map(|block| block.place.time()).max().unwrap();
        prop_assert_eq!(buckets, built(&blocks, Span { from: first, through: last, length: BUCKET }, None));
    }

    /// From any bucket on, with the row before it as all that is known of the past, in any order of blocks.
    #[test]
    fn any_part_built_anew_is_what_it_was(from in 1_usize..747, count in 1_usize..100, turn in 0_usize..335) {
        let buckets = whole(BUCKET);
        let end = (from + count).min(buckets.len());
        let mut blocks = chain();
        blocks.rotate_left(turn);
        let span = Span {
            from: buckets[from].bucket,
            through: buckets[end - 1].bucket,
            length: BUCKET,
        };
        let again = built(&blocks, span, Some(Carry::of_bucket(&buckets[from - 1])));
        prop_assert_eq!(&again[..], &buckets[from..end]);
    }
}
