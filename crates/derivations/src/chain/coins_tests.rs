//! Coins against a plain walk over every output of a real chain, and rewinds.

use std::collections::BTreeMap;

use model::time::{DAY, MINUTE, SECOND};
use model::{BUCKET, BlockFacts, BlockHash, CoinBlock, SpentAge, Time, bucket_start};
use proptest::prelude::*;

use super::buckets::{BlockInput, Span, build};
use super::reasons::{AGES_UNKNOWN, COINS_BEHIND, NOT_FROM_GENESIS, PRICE_MISSING};
use super::testing::{Outpoint, chain, chain_with_ages, verbose_chain};
use super::{CoinError, CoinHistory, CoinInput, CoinLedger, coin_flows, created_sat};

/// A price path: none in some single ten minutes, and if wanted none for long after block 179.
fn price(block: &BlockFacts, has_hole: bool) -> Option<f64> {
    let place = (block.place.time().0 / SECOND - 1_600_000_200) / 600;
    let is_hole = has_hole && (180..=184).contains(&block.place.height);
    let is_there = match block.place.height {
        0 => false,
        1 => true,
        _ => place % 13 != 5 && !is_hole,
    };
    is_there.then(|| 20_000.0 + 13.37 * place as f64 + 900.0 * (place as f64 / 30.0).sin())
}

fn followed(blocks: &[BlockFacts], has_hole: bool) -> Vec<CoinBlock> {
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    let one = |block: &BlockFacts| {
        ledger.take(&CoinInput::of(block, price(block, has_hole)), &mut history).unwrap()
    };
    blocks.iter().map(one).collect()
}

/// Worth of a bitcoin at each block by the rules, not a number where it is not known.
fn worths(blocks: &[BlockFacts], has_hole: bool) -> Vec<f64> {
    let mut worths = Vec::new();
    let mut last: Option<(f64, i64)> = None;
    for block in blocks {
        let seconds = i64::from(block.place.header.time);
        if let Some(price) = price(block, has_hole) {
            last = Some((price, seconds));
        }
        worths.push(match last {
            Some((price, since)) if seconds - since <= 86_400 => price,
            _ => f64::NAN,
        });
    }
    worths
}

fn check(found: Option<f64>, expected: f64, what: &str) {
    match found {
        None => assert!(expected.is_nan(), "{what}: nothing, where {expected} was expected"),
        Some(found) => {
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found}, not {expected}");
        }
    }
}

#[test]
fn every_block_equals_a_walk_over_all_outputs() {
    for has_hole in [false, true] {
        let blocks = chain_with_ages();
        let found = followed(&blocks, has_hole);
        let worth = worths(&blocks, has_hole);
        let mut coins: BTreeMap<Outpoint, (usize, i64)> = BTreeMap::new();
        for (height, verbose) in verbose_chain().into_iter().enumerate() {
            let (mut value, mut cost, mut days) = (0.0, 0.0, 0.0);
            let made_sat: i64 = verbose.made.iter().map(|made| made.1).sum();
            assert_eq!(created_sat(&blocks[height]), made_sat, "block {height}");
            coins.extend(verbose.made.into_iter().map(|(outpoint, sat)| (outpoint, (height, sat))));
            for outpoint in &verbose.spent {
                let (from, sat) = coins.remove(outpoint).expect("the coin was there");
                let age =
                    i64::from(blocks[height].place.header.time) - i64::from(blocks[from].place.header.time);
                value += sat as f64 / 1e8 * worth[height];
                cost += sat as f64 / 1e8 * worth[from];
                days += sat as f64 / 1e8 * age.max(0) as f64 / 86_400.0;
            }
            let all: i64 = coins.values().map(|coin| coin.1).sum();
            assert_eq!(Some(all), blocks[height].supply_total_sat, "block {height}");
            let realized: f64 = coins.values().map(|(from, sat)| *sat as f64 / 1e8 * worth[*from]).sum();
            let block = &found[height];
            check(block.spent_value_usd, value, &format!("value at {height}"));
            check(block.spent_cost_usd, cost, &format!("cost at {height}"));
            check(block.coin_days_destroyed, days, &format!("days at {height}"));
            check(block.realized_cap_usd, realized, &format!("all coins at {height}"));
            let is_whole = block.realized_cap_usd.is_some()
                && block.spent_value_usd.is_some()
                && block.spent_cost_usd.is_some();
            assert_eq!(block.reason, (!is_whole).then_some(PRICE_MISSING));
        }
        assert_eq!(
            found[334].realized_cap_usd.is_none(),
            has_hole,
            "coinbases of blocks without a price are unspent"
        );
    }
}

#[test]
fn a_chain_without_any_price_is_not_worth_nothing() {
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    for block in &chain_with_ages() {
        let told = ledger.take(&CoinInput::of(block, None), &mut history).unwrap();
        if block.place.height > 0 {
            assert_eq!((told.realized_cap_usd, told.reason), (None, Some(PRICE_MISSING)), "{told:?}");
        }
    }
}

#[test]
fn coins_older_than_the_first_known_price_are_not_worth_nothing() {
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    let mut take = |block: CoinInput<'_>| ledger.take(&block, &mut history).unwrap();
    take(input(1, 100_000_000, &[], None));
    let priced = take(input(2, 100_000_000, &[], Some(10.0)));
    assert_eq!((priced.realized_cap_usd, priced.reason), (None, Some(PRICE_MISSING)));
    let spent = [SpentAge { height: 1, sat: 100_000_000 }];
    let moved = take(input(3, 100_000_000, &spent, Some(12.0)));
    assert_eq!((moved.realized_cap_usd, moved.spent_cost_usd), (Some(22.0), None));
}

#[test]
fn coins_made_before_there_was_a_market_are_worth_nothing() {
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    let mut take = |height, seconds: i64, spent: &[SpentAge], price| {
        let block = input(height, 100_000_000, spent, price);
        ledger.take(&CoinInput { time: Time(seconds * SECOND), ..block }, &mut history).unwrap()
    };
    let last_second = 1_364_774_399;
    assert_eq!(take(1, last_second, &[], None).realized_cap_usd, Some(0.0));
    let market = take(2, last_second + 1, &[], None);
    assert_eq!((market.realized_cap_usd, market.reason), (None, Some(PRICE_MISSING)));
    let old = [SpentAge { height: 1, sat: 100_000_000 }, SpentAge { height: 2, sat: 100_000_000 }];
    assert_eq!(take(3, last_second + 2, &old, Some(0.1)).realized_cap_usd, Some(0.1));
}

fn input(height: u32, created_sat: i64, spent: &[SpentAge], price: Option<f64>) -> CoinInput<'_> {
    let time = Time(1_600_000_000 * SECOND + i64::from(height) * 2 * DAY);
    CoinInput { height, hash: BlockHash::default(), time, created_sat, spent: Some(spent), price }
}

#[test]
fn coins_without_a_price_are_forgotten_once_they_are_spent() {
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    let spent = [SpentAge { height: 2, sat: 100_000_000 }];
    let mut take = |block: CoinInput<'_>| ledger.take(&block, &mut history).unwrap();
    assert_eq!(take(input(1, 300_000_000, &[], Some(10.0))).realized_cap_usd, Some(30.0));
    let hole = take(input(2, 100_000_000, &[], None));
    assert_eq!((hole.realized_cap_usd, hole.reason), (None, Some(PRICE_MISSING)));
    let healed = take(input(3, 100_000_000, &spent, Some(12.0)));
    assert_eq!(healed.realized_cap_usd, Some(42.0));
    assert_eq!((healed.spent_value_usd, healed.spent_cost_usd), (Some(12.0), None));
    assert_eq!((healed.coin_days_destroyed, healed.reason), (Some(2.0), Some(PRICE_MISSING)));
}

#[test]
fn what_was_not_followed_is_told() {
    let blocks = chain_with_ages();
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    let mut late = Vec::new();
    for block in &blocks[150..] {
        late.push(ledger.take(&CoinInput::of(block, price(block, false)), &mut history).unwrap());
    }
    assert!(late.iter().all(|block| block.realized_cap_usd.is_none()));
    assert!(late.iter().all(|block| block.reason == Some(NOT_FROM_GENESIS)));
    // Coins made and spent within what was seen are known all the same.
    let whole = followed(&blocks, false);
    let known: Vec<&CoinBlock> =
        late.iter().filter(|block| block.coin_days_destroyed.is_some_and(|days| days > 0.0)).collect();
    assert!(known.len() > 3);
    assert!(known.iter().all(|block| block.spent_cost_usd == whole[block.height as usize].spent_cost_usd));

    let ageless: Vec<BlockFacts> = chain();
    let told = followed(&ageless, false);
    assert!(
        told.iter().all(|block| block.coin_days_destroyed.is_none() && block.reason == Some(AGES_UNKNOWN))
    );
}

#[test]
fn blocks_out_of_order_are_refused_and_change_nothing() {
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    ledger.take(&input(1, 5, &[], None), &mut history).unwrap();
    let before = (ledger.clone(), history.clone());
    let skipped = ledger.take(&input(3, 5, &[], None), &mut history).unwrap_err();
    assert_eq!(skipped, CoinError::Height { expected: 2, found: 3 });
    let ahead = [SpentAge { height: 9, sat: 1 }];
    let future = ledger.take(&input(2, 5, &ahead, None), &mut history).unwrap_err();
    assert_eq!(future, CoinError::Future { height: 2, spent: 9 });
    assert_eq!((ledger, history), before);
}

#[test]
fn flows_of_ten_minutes_sum_their_blocks_and_keep_the_state_of_the_highest() {
    let blocks = chain_with_ages();
    let found = followed(&blocks, false);
    let mut inputs: Vec<BlockInput<'_>> = blocks.iter().map(BlockInput::from).collect();
    let mut buckets = Vec::new();
    let span = Span { from: Time(0), through: Time(1_600_447_800 * SECOND), length: 10 * MINUTE };
    build(span, None, &mut inputs, &mut |bucket| buckets.push(bucket));
    let flows = coin_flows(&buckets, &found);
    for (bucket, flow) in buckets.iter().zip(&flows) {
        let within = found[1..].iter().filter(|block| bucket_start(block.time, BUCKET) == bucket.bucket);
        let days: f64 = within.filter_map(|block| block.coin_days_destroyed).sum();
        assert_eq!(flow.coin_days_destroyed, Some(days));
        assert!(
            flow.coin_days_destroyed.is_some_and(f64::is_sign_positive),
            "nothing destroyed is 0, not -0"
        );
        assert_eq!(flow.realized_cap_usd, found[bucket.best_block_height_last as usize].realized_cap_usd);
        assert_eq!(flow.reason, None);
    }
    // A part, with the highest block before it; and a ledger that is behind.
    let part = &buckets[400..];
    let from = buckets[399].best_block_height_last as usize;
    assert_eq!(coin_flows(part, &found[from..]), flows[400..]);
    let behind = coin_flows(part, &found[from..300]);
    assert_eq!((behind[0], behind.last().unwrap().reason), (flows[400], Some(COINS_BEHIND)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The fork, the branch that lost with other prices, and back.
    #[test]
    fn a_rewind_gives_what_a_clean_run_gives(fork in 1_usize..334, lost in 1_usize..20, has_hole: bool) {
        let blocks = chain_with_ages();
        let truth = followed(&blocks, has_hole);
        let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
        for block in &blocks[..=fork] {
            ledger.take(&CoinInput::of(block, price(block, has_hole)), &mut history).unwrap();
        }
        for block in blocks[fork + 1..].iter().take(lost) {
            ledger.take(&CoinInput { spent: None, ..CoinInput::of(block, Some(1.0)) }, &mut history).unwrap();
        }
        let mut ledger = CoinLedger::at(&truth[fork]);
        history.truncate(fork as u32);
        for block in &blocks[fork + 1..] {
            let again = ledger.take(&CoinInput::of(block, price(block, has_hole)), &mut history).unwrap();
            prop_assert_eq!(&again, &truth[block.place.height as usize]);
        }
    }
}
