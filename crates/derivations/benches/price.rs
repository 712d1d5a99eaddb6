//! How fast prices are composed of six venues.

use derivations::price::{MedianComposer, volume_weighted};
use model::{BUCKET, Decimal, Ohlcv, PriceSource, Time, VenuePrice};

fn main() {
    divan::main();
}

/// Thirty days of six venues; one of them is off every third day.
fn rows() -> Vec<(Time, Vec<VenuePrice>)> {
    let one = |place: i64, index: usize, source: PriceSource| {
        let is_off = index == 2 && place / 144 % 3 == 1;
        let close = i128::from(6_000_000 + place % 997 + index as i64 * 7) * if is_off { 6 } else { 5 };
        let bucket = Time(place * BUCKET);
        VenuePrice {
            source,
            bucket,
            price: Ohlcv {
                open: Decimal::new(close - 900, 2),
                high: Decimal::new(close + 4_000, 2),
                low: Decimal::new(close - 5_000, 2),
                close: Decimal::new(close, 2),
                volume: Decimal::new(i128::from(1_000 + place % 31 * 17 + index as i64), 3),
            },
            quality_status: "complete".into(),
            data_source_mode: "rest".into(),
            child_minutes: 1,
            child_count: 10,
            child_count_expected: 10,
            first_received_time: bucket,
            received_time: bucket,
        }
    };
    let all =
        |place| PriceSource::all().enumerate().map(|(index, source)| one(place, index, source)).collect();
    (0..30 * 144).map(|place| (Time(place * BUCKET), all(place))).collect()
}

#[divan::bench]
fn a_month_by_method_1(bencher: divan::Bencher<'_, '_>) {
    let rows = rows();
    bencher
        .counter(divan::counter::ItemsCount::new(rows.len()))
        .bench(|| rows.iter().filter_map(|(bucket, rows)| volume_weighted(*bucket, rows).close).sum::<f64>());
}

#[divan::bench]
fn a_month_by_method_2(bencher: divan::Bencher<'_, '_>) {
    let rows = rows();
    bencher.counter(divan::counter::ItemsCount::new(rows.len())).bench(|| {
        let mut composer = MedianComposer::new();
        rows.iter().filter_map(|(bucket, rows)| composer.compose(*bucket, rows).close).sum::<f64>()
    });
}
