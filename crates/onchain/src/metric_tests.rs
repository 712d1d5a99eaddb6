//! Metrics over the fixture chain with an invented price: against plain loops, switched off, failing, and after a fork.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use control::MetricRow;
use model::{BUCKET, ChainBucket, Decimal, Network, Ohlcv, PriceSource, Time, VenuePrice};
use tables::TableName;

use crate::chain_tests::{main_chain, read, stale_branch};
use crate::testing::{Memory, doors};
use crate::{Buckets, Doors, Ledger, Metrics, Prices, metric_seeds};

/// What a bucket costs in this invented world.
pub(crate) fn price(bucket: Time) -> f64 {
    10_000.0 + (bucket.0 / BUCKET % 1_000) as f64
}

pub(crate) fn venue_row(bucket: Time) -> VenuePrice {
    let price = Decimal::from_f64(price(bucket)).unwrap();
    VenuePrice {
        source: PriceSource::known("coinbase").unwrap(),
        bucket,
        price: Ohlcv {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Decimal::from_f64(2.0).unwrap(),
        },
        quality_status: "complete".to_owned(),
        data_source_mode: "rest".to_owned(),
        child_minutes: 1,
        child_count: 10,
        child_count_expected: 10,
        first_received_time: bucket,
        received_time: bucket,
    }
}

struct World {
    memory: Arc<Memory>,
    doors: Doors,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
        let doors = doors(&memory, folder.path());
        doors.control.seed_metrics(&metric_seeds(Time(0)), Time(0)).unwrap();
        let world = Self { memory, doors, _folder: folder };
        let (chain, stale) = (main_chain(), stale_branch());
        let losing: Vec<_> = chain[..=314].iter().chain(&stale).cloned().collect();
        world.take(None, 0, &losing).await;
        let prices = Prices::new(world.doors.clone());
        let rows = world.buckets().iter().map(|bucket| venue_row(bucket.bucket)).collect();
        prices.store(rows).await.unwrap();
        prices.compose().await.unwrap();
        Metrics::new(world.doors.clone()).compute().await.unwrap().unwrap();
        world
    }

    async fn take(&self, fork: Option<u32>, first: u32, blocks: &[(Vec<u8>, chain::Spent)]) {
        let mut ledger = Ledger::open(self.doors.clone(), Network::Regtest).await.unwrap();
        let taken = ledger.take(fork, read(first, blocks)).await.unwrap();
        let mut buckets = Buckets::open(self.doors.clone(), ledger.active()).await.unwrap();
        buckets.build(taken.earliest.unwrap(), None, taken.step).await.unwrap();
    }

    fn buckets(&self) -> Vec<ChainBucket> {
        tables::btc_buckets::from_batch(&self.memory.rows(TableName::BtcBuckets))
    }

    /// Values of a metric at an interval by bucket.
    fn values(&self, metric: &str, interval: &str) -> Vec<(Time, Option<f64>)> {
        let rows: RecordBatch = self.memory.rows(TableName::Metrics);
        let text = |name: &str, row: usize| {
            rows.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned()
        };
        let times = rows.column_by_name("bucket").unwrap().as_primitive::<TimestampMicrosecondType>();
        let values = rows.column_by_name("value").unwrap().as_primitive::<Float64Type>();
        let of_metric = (0..rows.num_rows())
            .filter(|row| text("metric", *row) == metric && text("timeframe", *row) == interval);
        of_metric
            .map(|row| (Time(times.value(row)), values.is_valid(row).then(|| values.value(row))))
            .collect()
    }
}

#[tokio::test]
async fn nvt_and_market_cap_are_what_plain_loops_give() {
    let world = World::new().await;
    let (nvt, cap) = (world.values("nvt", "10m"), world.values("market_cap", "10m"));
    let buckets = world.buckets();
    assert_eq!((nvt.len(), cap.len()), (buckets.len(), buckets.len()));
    let mut defined = 0;
    for ((bucket, nvt), cap) in buckets.iter().zip(&nvt).zip(&cap) {
        let price = price(bucket.bucket);
        let worth = bucket.supply_total_sat.unwrap() as f64 / 1e8 * price;
        assert!((cap.1.unwrap() / worth - 1.0).abs() < 1e-9, "{cap:?} {worth}");
        let moved = bucket.transferred_sat as f64 / 1e8 * price;
        match nvt.1 {
            None => assert_eq!(bucket.transferred_sat, 0),
            Some(nvt) => {
                defined += 1;
                assert!((nvt / (worth / moved) - 1.0).abs() < 1e-9, "{nvt} {}", worth / moved);
            }
        }
    }
    assert!(defined > 20);
    assert!(!world.values("nvt", "1h").is_empty());
}

#[tokio::test]
async fn a_fork_revises_what_was_computed() {
    let world = World::new().await;
    let before = world.values("fee_per_tx_sat", "10m");
    world.take(Some(314), 315, &main_chain()[315..]).await;
    Prices::new(world.doors.clone()).compose().await.unwrap();
    let metrics = Metrics::new(world.doors.clone());
    metrics.compute().await.unwrap().unwrap();
    let after = world.values("fee_per_tx_sat", "10m");
    let clean: Vec<_> = world.buckets().iter().map(|bucket| (bucket.bucket, bucket.avg_fee_sat)).collect();
    assert_ne!(before, after[..before.len()]);
    assert_eq!(after.len(), clean.len());
    for (after, clean) in after.iter().zip(&clean) {
        assert_eq!(after.0, clean.0);
        let same = after.1.zip(clean.1).map(|(after, clean)| (after - clean).abs() < 1e-6);
        assert!(same.unwrap_or(after.1.is_none() == clean.1.is_none()), "{after:?} {clean:?}");
    }
    assert_eq!(metrics.compute().await.unwrap(), None);
}

#[tokio::test]
async fn values_of_buckets_that_left_leave() {
    let world = World::new().await;
    let metrics = Metrics::new(world.doors.clone());
    let last = world.buckets().last().unwrap().bucket;
    // The branch ends much earlier than the one before it did.
    world.take(Some(200), 201, &main_chain()[201..204]).await;
    Prices::new(world.doors.clone()).compose().await.unwrap();
    metrics.compute().await.unwrap().unwrap();
    let buckets: Vec<Time> = world.buckets().iter().map(|bucket| bucket.bucket).collect();
    assert!(buckets.last() < Some(&last));
    for metric in ["hash_rate", "nvt"] {
        let times: Vec<Time> = world.values(metric, "10m").into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, buckets, "{metric}");
        assert!(world.values(metric, "1h").iter().all(|(time, _)| Some(time) <= buckets.last()));
    }
    let prices = tables::composed_prices::from_batch(&world.memory.rows(TableName::ComposedPrices));
    assert_eq!(prices.iter().map(|price| price.bucket).max(), buckets.last().copied());
}

#[tokio::test]
async fn values_leave_where_the_chain_ends_earlier_than_it_had_grown_to() {
    let world = World::new().await;
    let (chain, metrics) = (main_chain(), Metrics::new(world.doors.clone()));
    // One keeper throughout, as in a running house: it computes, the chain grows, and falls back behind its first computation.
    world.take(Some(314), 315, &chain[315..318]).await;
    metrics.compute().await.unwrap().unwrap();
    let first_end = world.buckets().last().unwrap().bucket;
    world.take(None, 318, &chain[318..]).await;
    metrics.compute().await.unwrap().unwrap();
    world.take(Some(325), 326, &chain[326..328]).await;
    metrics.compute().await.unwrap().unwrap();
    let buckets: Vec<Time> = world.buckets().iter().map(|bucket| bucket.bucket).collect();
    assert!(buckets.last() > Some(&first_end), "{first_end}");
    let times: Vec<Time> = world.values("hash_rate", "10m").into_iter().map(|(time, _)| time).collect();
    assert!(times == buckets, "through {:?}, not {:?}", times.last(), buckets.last());
}

#[tokio::test]
async fn a_timeline_that_begins_earlier_is_composed_from_its_beginning() {
    let world = || {
        let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
        World { doors: doors(&memory, folder.path()), memory, _folder: folder }
    };
    let followed = world();
    followed.take(None, 0, &main_chain()[..100]).await;
    let buckets = followed.buckets();
    // Another house has only rows at first.
    let world = world();
    let composed = || {
        let rows = tables::composed_prices::from_batch(&world.memory.rows(TableName::ComposedPrices));
        rows.iter().filter(|price| price.method == model::PriceMethod::Median).count()
    };
    let prices = Prices::new(world.doors.clone());
    let late = &buckets[buckets.len() - 3..];
    prices.store(late.iter().map(|bucket| venue_row(bucket.bucket)).collect()).await.unwrap();
    prices.compose().await.unwrap();
    assert_eq!(composed(), 3);
    world.take(None, 0, &main_chain()[..100]).await;
    prices.compose().await.unwrap();
    assert_eq!(composed(), buckets.len());
    assert_eq!(prices.compose().await.unwrap(), None);
}

#[tokio::test]
async fn a_metric_that_is_off_or_lacks_what_it_needs_harms_no_other() {
    let world = World::new().await;
    let control = &world.doors.control;
    control.enable_metric("market_cap", None, false, Time(1)).unwrap();
    let strange = MetricRow {
        metric_name: "moon_phase".to_owned(),
        interval: "10m".to_owned(),
        is_enabled: true,
        output_table: "btc_moon_phase_10m".to_owned(),
        dependencies: "price".to_owned(),
        description: String::new(),
        updated_time: Time(1),
    };
    let circle = |name: &str, on: &str| MetricRow {
        metric_name: name.to_owned(),
        dependencies: on.to_owned(),
        ..strange.clone()
    };
    control.seed_metrics(&[strange.clone(), circle("egg", "hen"), circle("hen", "egg")], Time(1)).unwrap();
    let metrics = Metrics::new(world.doors.clone());
    metrics.forget(None).unwrap();
    let computed = metrics.compute().await.unwrap().unwrap();
    let failed: Vec<&str> = computed.failed.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["egg", "hen", "moon_phase", "mvrv"] {
        assert!(failed.contains(&name), "{name}: {failed:?}");
    }
    let nvt_needs_cap =
        derivations::chain::Metric::known("nvt").unwrap().dependencies.contains(&"market_cap");
    assert_eq!(failed.contains(&"nvt"), nvt_needs_cap);
    let errors: Vec<_> =
        control.checkpoints().unwrap().into_iter().filter(|one| one.status == "error").collect();
    assert!(errors.iter().any(|one| one.key.component == "btc_metric_moon_phase_10m"), "{errors:?}");
    assert!(!world.values("hash_rate", "10m").is_empty());
}

#[tokio::test]
async fn prices_from_before_a_chain_that_is_followed_later_stayed_and_were_remembered() {
    let world = || {
        let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
        World { doors: doors(&memory, folder.path()), memory, _folder: folder }
    };
    let composed =
        |world: &World| tables::composed_prices::from_batch(&world.memory.rows(TableName::ComposedPrices));
    let (early, late) = (world(), world());
    late.take(None, 0, &main_chain()[..100]).await;
    let buckets = late.buckets();
    let first = buckets[0].bucket;
    // One venue is far off up to the chain's first bucket, and would have to prove itself behind it.
    let at = |number: i64| {
        let bucket = Time(first.0 + number * BUCKET);
        ["coinbase", "bitstamp", "bitfinex"].map(|name| {
            let mut row = VenuePrice { source: PriceSource::known(name).unwrap(), ..venue_row(bucket) };
            if name == "bitstamp" && number < 0 {
                let price = Decimal::from_f64(price(bucket) * 1.3).unwrap();
                row.price = Ohlcv { open: price, high: price, low: price, close: price, ..row.price };
            }
            row
        })
    };
    let rows: Vec<VenuePrice> = (-300..buckets.len() as i64).flat_map(at).collect();
    let prices = Prices::new(early.doors.clone());
    prices.store(rows.clone()).await.unwrap();
    prices.compose().await.unwrap();
    let before = composed(&early);
    assert_eq!(before.len(), 2 * (300 + buckets.len()));
    assert!(before.iter().any(|price| price.bucket == first && !price.rejected.is_empty()));
    early.take(None, 0, &main_chain()[..100]).await;
    let again = prices.compose().await.unwrap().unwrap();
    assert_eq!((again.from, prices.compose().await.unwrap()), (first, None));
    Prices::new(late.doors.clone()).store(rows).await.unwrap();
    Prices::new(late.doors.clone()).compose().await.unwrap();
    assert_eq!(composed(&early), composed(&late));
    assert_eq!(composed(&early).len(), 2 * buckets.len());
}
