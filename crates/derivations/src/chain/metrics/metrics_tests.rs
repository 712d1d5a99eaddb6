//! Every metric against plain loops over a real chain, over a year of an invented one, and from any window.

use std::sync::LazyLock;

use model::time::{DAY, MINUTE, SECOND};
use model::{BUCKET, BlockHash, ChainBucket, MetricValue, Time, Work};
use proptest::prelude::*;

use super::{
    DAY_BUCKETS, INPUTS, InputError, METRICS, Metric, MetricInputs, MetricNode, Plan, Prepared, YEAR_BUCKETS,
    order,
};
use crate::chain::buckets::{BlockInput, Span, build};
use crate::chain::reasons::{HISTORY_SHORT, NO_TRANSFERS, PRICE_MISSING, REASONS, SUPPLY_UNKNOWN};
use crate::chain::testing::chain_with_ages;
use crate::chain::{CoinFlow, CoinHistory, CoinInput, CoinLedger, coin_flows};

struct World {
    buckets: Vec<ChainBucket>,
    prices: Vec<Option<f64>>,
    coins: Vec<CoinFlow>,
}

impl World {
    fn part(&self, from: usize) -> Prepared<'_> {
        Prepared::new(MetricInputs {
            buckets: &self.buckets[from..],
            price_close: &self.prices[from..],
            coins: Some(&self.coins[from..]),
        })
        .unwrap()
    }

    fn place(&self, bucket: Time) -> usize {
        ((bucket.0 - self.buckets[0].bucket.0).max(0) / BUCKET) as usize
    }
}

/// The regtest chain with an invented price: none for the first 60 buckets, then some missing.
static REGTEST: LazyLock<World> = LazyLock::new(|| {
    let blocks = chain_with_ages();
    let mut inputs: Vec<BlockInput<'_>> = blocks.iter().map(BlockInput::from).collect();
    let mut buckets = Vec::new();
    let span = Span { from: Time(0), through: Time(1_600_447_800 * SECOND), length: BUCKET };
    build(span, None, &mut inputs, &mut |bucket| buckets.push(bucket));
    let price = |place: usize| {
        // One hole that the price of the day before bridges, one that is longer than a day.
        let is_hole = (300..330).contains(&place) || (500..650).contains(&place);
        (place >= 60 && place % 17 != 3 && !is_hole)
            .then_some(10_000.25 + 11.5 * place as f64 - (place % 7) as f64)
    };
    let prices: Vec<Option<f64>> = (0..buckets.len()).map(price).collect();
    let (mut ledger, mut history) = (CoinLedger::new(), CoinHistory::new());
    let told: Vec<_> = blocks
        .iter()
        .map(|block| {
            let place = (block.place.time().0 - buckets[0].bucket.0).max(0) / BUCKET;
            // Coins older than the first price would leave all sums absent.
            let price = if place < 60 { Some(9_000.0) } else { prices[place as usize] };
            let price = price.filter(|_| block.place.height > 0);
            ledger.take(&CoinInput::of(block, price), &mut history).unwrap()
        })
        .collect();
    let coins = coin_flows(&buckets, &told);
    World { buckets, prices, coins }
});

/// Some four hundred days in which issuance halves and the price wanders.
static YEAR: LazyLock<World> = LazyLock::new(|| {
    let count = YEAR_BUCKETS + 40 * DAY_BUCKETS;
    let bucket = |place: usize| {
        let blocks = [1, 0, 2, 1, 1, 0, 3][place % 7];
        let issued = if place < 30_000 { 625_000_000 } else { 312_500_000 };
        ChainBucket {
            bucket: Time(1_577_836_800 * SECOND + place as i64 * BUCKET),
            block_count: blocks,
            issued_sat: blocks * issued,
            fees_sat: blocks * (10_000_000 + place as i64 % 977),
            miner_revenue_sat: blocks * (issued + 10_000_000),
            unclaimed_sat: 0,
            total_out_sat: blocks * 900_000_000_000,
            transferred_sat: blocks * (300_000_000_000 + place as i64 * 1_000),
            tx_count: blocks * 2_001,
            tx_count_ex_coinbase: blocks * 2_000,
            input_count: blocks * 5_000,
            output_count: blocks * 6_000,
            segwit_tx_count: blocks * 1_500,
            block_size_total_bytes: blocks * 1_200_000,
            block_weight_total_wu: blocks * 3_990_000,
            block_vsize_total_vb: blocks * 997_500,
            tx_size_total_bytes: blocks * 1_190_000,
            tx_weight_total_wu: blocks * 3_980_000,
            supply_total_sat: Some(1_813_000_000_000_000 + place as i64 * issued),
            difficulty_last: 13.7e12 + (place / 2_016) as f64 * 1e11,
            chainwork_last: Work::default(),
            best_block_height_last: 610_000 + place as u32,
            best_block_hash_last: BlockHash::default(),
            halving_epoch: 2,
            block_interval_mean_sec: None,
            block_interval_median_sec: None,
            avg_fee_sat: None,
            median_fee_sat: None,
            avg_feerate_sat_vb: None,
            segwit_share: None,
            tx_size_mean_bytes: None,
            block_size_mean_bytes: None,
        }
    };
    let price = |place: usize| (place % 101 != 7).then(|| 9_000.0 + (place as f64 / 700.0).sin() * 2_500.0);
    let none = CoinFlow {
        spent_value_usd: Some(3.0),
        spent_cost_usd: Some(2.0),
        coin_days_destroyed: Some(0.5),
        realized_cap_usd: Some(1e11),
        reason: None,
    };
    World {
        buckets: (0..count).map(bucket).collect(),
        prices: (0..count).map(price).collect(),
        coins: vec![none; count],
    }
});

/// A plain sum over rows, with the place of each.
fn total(
    world: &World,
    (start, end): (usize, usize),
    field: impl Fn(usize, &ChainBucket) -> Option<f64>,
) -> Option<f64> {
    (start..end).map(|place| field(place, &world.buckets[place])).sum()
}

/// What an amount of a bucket is worth: at its close, or at the last one within a day.
fn dollars(world: &World, place: usize, sat: i64) -> Option<f64> {
    if sat == 0 {
        return Some(0.0);
    }
    let close = (place.saturating_sub(DAY_BUCKETS)..=place).rev().find_map(|place| world.prices[place])?;
    Some(sat as f64 / 1e8 * close)
}

/// The values by other means. Panics for a metric that is not written down here.
fn expected(world: &World, name: &str, (start, end): (usize, usize)) -> Option<f64> {
    let within = (start, end);
    let day = end.checked_sub(144).map(|from| (from, end));
    let year = end.checked_sub(365 * 144).map(|from| (from, end));
    let over = |above: Option<f64>, below: Option<f64>| {
        above.zip(below).filter(|pair| pair.1 > 0.0).map(|pair| pair.0 / pair.1)
    };
    let plain =
        |rows, field: fn(&ChainBucket) -> i64| total(world, rows, |_, bucket| Some(field(bucket) as f64));
    let valued = |rows, field: fn(&ChainBucket) -> i64| {
        total(world, rows, |place, bucket| dollars(world, place, field(bucket)))
    };
    let coins =
        |field: fn(&CoinFlow) -> Option<f64>| total(world, within, |place, _| field(&world.coins[place]));
    let last = &world.buckets[end - 1];
    let supply = last.supply_total_sat.map(|sat| sat as f64 / 1e8);
    let close = (start..end).rev().find_map(|place| world.prices[place]);
    let cap = supply.zip(close).map(|(supply, close)| supply * close);
    let realized = world.coins[end - 1].realized_cap_usd;
    let hash_rate = || {
        let weighted =
            total(world, day?, |_, bucket| Some(bucket.block_count as f64 * bucket.difficulty_last))?;
        (weighted > 0.0).then(|| weighted / 144.0 * 2_f64.powi(32) / 600.0 / 1e12)
    };
    match name {
        "market_cap" => cap,
        "nvt" => over(cap, valued(within, |bucket| bucket.transferred_sat)),
        "nvt_day" => over(cap, valued(day?, |bucket| bucket.transferred_sat)),
        "fees_usd" => valued(within, |bucket| bucket.fees_sat),
        "fee_per_tx_sat" => {
            over(plain(within, |bucket| bucket.fees_sat), plain(within, |bucket| bucket.tx_count_ex_coinbase))
        }
        "fee_per_tx_usd" => over(
            valued(within, |bucket| bucket.fees_sat),
            plain(within, |bucket| bucket.tx_count_ex_coinbase),
        ),
        "fee_rate" => over(
            plain(within, |bucket| 4 * bucket.fees_sat),
            plain(within, |bucket| bucket.tx_weight_total_wu),
        ),
        "fee_share" => over(
            plain(within, |bucket| bucket.fees_sat),
            plain(within, |bucket| bucket.fees_sat + bucket.issued_sat),
        ),
        "hash_rate" => hash_rate(),
        "hash_price" => over(valued(day?, |bucket| bucket.miner_revenue_sat), hash_rate()),
        "miner_revenue" => valued(within, |bucket| bucket.miner_revenue_sat),
        "miner_revenue_btc" => plain(within, |bucket| bucket.miner_revenue_sat).map(|sat| sat / 1e8),
        "puell_multiple" => over(
            valued(day?, |bucket| bucket.issued_sat),
            valued(year?, |bucket| bucket.issued_sat).map(|sum| sum / 365.0),
        ),
        "issuance" => plain(within, |bucket| bucket.issued_sat).map(|sat| sat / 1e8),
        "inflation" => over(plain(day?, |bucket| bucket.issued_sat).map(|sat| sat / 1e8 * 365.0), supply),
        "stock_to_flow" => over(supply, plain(year?, |bucket| bucket.issued_sat).map(|sat| sat / 1e8)),
        "realized_cap" => realized,
        "mvrv" => over(cap, realized),
        "sopr" => over(coins(|flow| flow.spent_value_usd), coins(|flow| flow.spent_cost_usd)),
        "coin_days_destroyed" => coins(|flow| flow.coin_days_destroyed),
        other => panic!("no computation of {other} is written down"),
    }
}

fn check_all(world: &World, values: &[MetricValue]) {
    for value in values {
        check(world, value);
    }
}

fn check(world: &World, value: &MetricValue) {
    let length = usize::from(value.interval_minutes / 10);
    let begin = (value.bucket.0 - world.buckets[0].bucket.0) / BUCKET;
    let rows = (begin.max(0) as usize, (begin as usize).wrapping_add(length).min(world.buckets.len()));
    match (value.value, expected(world, value.metric, rows)) {
        (Some(found), Some(expected)) => {
            assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{value:?}, not {expected}");
        }
        (found, expected) => assert_eq!(found, expected, "{value:?}"),
    }
    assert_eq!(value.value.is_none(), value.reason.is_some());
    assert!(value.reason.is_none_or(|reason| REASONS.contains(&reason)), "{value:?}");
}

#[test]
fn every_metric_equals_plain_loops_over_a_real_chain() {
    let prepared = REGTEST.part(0);
    for metric in METRICS {
        for (minutes, count) in [(10, 747), (60, 125), (1_440, 6)] {
            let values = metric.values(&prepared, minutes, (Time(0), Time(i64::MAX)));
            assert_eq!(values.len(), count, "{} {minutes}", metric.name);
            check_all(&REGTEST, &values);
            let is_long = ["puell_multiple", "stock_to_flow"].contains(&metric.name);
            assert_eq!(
                values.iter().all(|value| value.value.is_none()),
                is_long,
                "{} {minutes}",
                metric.name
            );
        }
    }
}

#[test]
fn every_metric_equals_plain_loops_over_a_year() {
    let prepared = YEAR.part(0);
    let first = YEAR.buckets[YEAR_BUCKETS].bucket;
    for metric in METRICS {
        let days = metric.values(&prepared, 1_440, (first, first.plus_micros(100 * DAY)));
        assert_eq!(days.len(), 40, "{}", metric.name);
        assert!(days.iter().all(|value| value.value.is_some()), "{}", metric.name);
        check_all(&YEAR, &days);
        let tens = metric.values(&prepared, 10, (first, first.plus_micros(9 * BUCKET)));
        assert_eq!(tens.len(), 10);
        check_all(&YEAR, &tens);
    }
}

fn value(world: &World, name: &str, place: usize) -> MetricValue {
    let bucket = world.buckets[place].bucket;
    Metric::known(name).unwrap().values(&world.part(0), 10, (bucket, bucket)).remove(0)
}

#[test]
fn what_is_not_defined_says_why() {
    let world = &*REGTEST;
    let transfers = |place: usize| world.buckets[place].transferred_sat;
    let place = |wanted: &dyn Fn(usize) -> bool| (144..747).find(|place| wanted(*place)).unwrap();
    let quiet = place(&|place| transfers(place) == 0 && world.prices[place].is_some());
    assert_eq!(value(world, "nvt_raw", quiet).reason, Some(NO_TRANSFERS));
    let unpriced = place(&|place| transfers(place) > 0 && world.prices[place].is_none());
    assert_eq!(value(world, "nvt", unpriced).reason, Some(PRICE_MISSING));
    assert!(value(world, "miner_revenue", unpriced).value.is_some(), "a price of the day before stands in");
    assert_eq!(value(world, "market_cap", 10).reason, Some(PRICE_MISSING));
    assert_eq!(value(world, "hash_rate", 10).reason, Some(HISTORY_SHORT));
    let mut supplyless =
        World { buckets: world.buckets.clone(), prices: world.prices.clone(), coins: world.coins.clone() };
    supplyless.buckets.iter_mut().for_each(|bucket| bucket.supply_total_sat = None);
    assert_eq!(value(&supplyless, "mvrv", 700).reason, Some(SUPPLY_UNKNOWN));
}

#[test]
fn nvt_without_a_change_of_price_is_supply_by_transfers() {
    let world = &*REGTEST;
    let place =
        (144..747).find(|place| world.buckets[*place].transferred_sat > 0 && world.prices[*place].is_some());
    let bucket = &world.buckets[place.unwrap()];
    let plain = bucket.supply_total_sat.unwrap() as f64 / bucket.transferred_sat as f64;
    let found = value(world, "nvt", place.unwrap()).value.unwrap();
    assert!((found / plain - 1.0).abs() < 1e-12, "{found}, not {plain}");
}

#[test]
fn inputs_that_do_not_belong_together_are_refused() {
    let world = &*REGTEST;
    let refuse = |inputs| Prepared::new(inputs).map(drop).unwrap_err();
    let whole = MetricInputs { buckets: &world.buckets, price_close: &world.prices, coins: None };
    let short = refuse(MetricInputs { price_close: &world.prices[1..], ..whole });
    assert_eq!(short, InputError::Length { list: "price_close", expected: 747, found: 746 });
    let mut buckets = world.buckets.clone();
    buckets.remove(5);
    let hole = refuse(MetricInputs { buckets: &buckets, price_close: &world.prices[1..], coins: None });
    assert_eq!(hole, InputError::Hole { after: world.buckets[4].bucket });
}

#[test]
fn every_metric_is_named_once_and_made_of_what_is_there() {
    let mut names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert!(names.iter().all(|name| !INPUTS.contains(name)));
    let nodes: Vec<MetricNode<'_>> = METRICS
        .iter()
        .map(|metric| MetricNode { name: metric.name, dependencies: metric.dependencies, is_enabled: true })
        .collect();
    let plan = order(&nodes);
    assert_eq!((plan.run.len(), plan.blocked.len(), plan.cycle), (METRICS.len(), 0, None));
    names.extend(METRICS.iter().flat_map(|metric| metric.aliases));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for metric in METRICS {
        assert!(metric.dependencies.is_sorted(), "{}", metric.name);
        assert!(!metric.intervals.is_empty() && !metric.doc.is_empty() && !metric.unit.is_empty());
    }
    let nvt = Metric::known("nvt_raw").unwrap();
    assert_eq!(
        [nvt.table(10), nvt.table(60), nvt.table(1_440)],
        ["btc_nvt_10m", "btc_nvt_1h", "btc_nvt_24h"]
    );
    assert!(Metric::known("luck").is_none());
}

fn plan(nodes: &[(&str, &[&str], bool)]) -> Plan {
    let nodes: Vec<MetricNode<'_>> = nodes
        .iter()
        .map(|(name, dependencies, is_enabled)| MetricNode { name, dependencies, is_enabled: *is_enabled })
        .collect();
    order(&nodes)
}

fn words(plan: &Plan) -> String {
    let blocked: Vec<String> =
        plan.blocked.iter().map(|blocked| format!("{}: {}", blocked.name, blocked.reason)).collect();
    format!("{} | {}", plan.run.join(" "), blocked.join("; "))
}

#[test]
fn metrics_run_after_what_they_need_and_say_what_they_lack() {
    let fine = plan(&[("a", &["z", "price"], true), ("b", &[], true), ("z", &["primitives"], true)]);
    assert_eq!(words(&fine), "z a b | ");
    let off = plan(&[("a", &["b"], true), ("b", &["c"], true), ("c", &[], false), ("d", &[], true)]);
    assert_eq!(
        words(&off),
        "d | a: needs b, which needs c, which is disabled; b: needs c, which is disabled"
    );
    let unknown = plan(&[("a", &["weather"], true), ("b", &["coins"], true)]);
    assert_eq!(words(&unknown), "b | a: needs weather, which nobody knows");
}

#[test]
fn a_cycle_is_named_and_keeps_nobody_else_from_running() {
    let round = plan(&[
        ("a", &["b"], true),
        ("b", &["c"], true),
        ("c", &["a"], true),
        ("d", &["a"], true),
        ("e", &[], true),
    ]);
    assert_eq!(round.cycle, Some(["a", "b", "c", "a"].map(str::to_owned).to_vec()));
    assert_eq!(round.run, ["e"]);
    let blocked: Vec<&str> = round.blocked.iter().map(|blocked| blocked.name.as_str()).collect();
    assert_eq!(blocked, ["a", "b", "c", "d"]);
    assert!(round.blocked.iter().all(|blocked| blocked.reason == "cycle: a → b → c → a"));
    let own = plan(&[("a", &["a"], true)]);
    assert_eq!(own.cycle, Some(["a", "a"].map(str::to_owned).to_vec()));
    // What is disabled cannot go round.
    assert_eq!(plan(&[("a", &["b"], true), ("b", &["a"], false)]).cycle, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// With no more rows before a range than a metric says it looks back on, its values are the same to the last bit.
    #[test]
    fn any_range_computed_anew_is_what_it_was(from in 0_usize..747, count in 0_i64..200, which in 0_usize..1_000, hours: bool) {
        let world = &*REGTEST;
        let metric = METRICS[which % METRICS.len()];
        let minutes = if hours { 60 } else { 10 };
        let length = i64::from(minutes) * MINUTE;
        let from = Time(world.buckets[from].bucket.0.div_euclid(length) * length);
        let range = (from, from.plus_micros(count * length));
        let whole = metric.values(&world.part(0), minutes, range);
        let begin = world.place(from).saturating_sub(metric.lookback_buckets);
        prop_assert_eq!(whole, metric.values(&world.part(begin), minutes, range));
    }

    /// Every order keeps dependencies first, and every enabled metric is somewhere.
    #[test]
    fn plans_are_whole_and_in_order(edges in prop::collection::vec((0_usize..8, 0_usize..8), 0..16), mask: u8) {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let lists: Vec<Vec<&str>> = (0..8)
            .map(|place| edges.iter().filter(|edge| edge.0 == place).map(|edge| names[edge.1]).collect())
            .collect();
        let nodes: Vec<MetricNode<'_>> = (0..8)
            .map(|place| MetricNode { name: names[place], dependencies: &lists[place], is_enabled: mask >> place & 1 == 1 })
            .collect();
        let plan = order(&nodes);
        let mut seen: Vec<&str> = plan.run.iter().map(String::as_str).collect();
        for (place, name) in seen.iter().enumerate() {
            let needs = &lists[names.iter().position(|other| other == name).unwrap()];
            prop_assert!(needs.iter().all(|need| seen[..place].contains(need)));
        }
        seen.extend(plan.blocked.iter().map(|blocked| blocked.name.as_str()));
        seen.sort_unstable();
        let enabled: Vec<&str> = (0..8).filter(|place| mask >> place & 1 == 1).map(|place| names[place]).collect();
        prop_assert_eq!(seen, enabled);
    }
}
