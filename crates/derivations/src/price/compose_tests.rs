//! Cases for composed prices: a venue that is off, comes back, or is alone; pieces and saved states.

use model::time::{DAY, MINUTE};
use model::{BUCKET, ComposedPrice, Decimal, Ohlcv, PriceMethod, PriceSource, Time, VenuePrice};
use proptest::prelude::*;

use super::{MedianComposer, PriceBucket, rollup, volume_weighted};
use crate::fold::{Error, Fold};

const START: i64 = 1_700_000_400 * 1_000_000;

fn at(place: i64) -> Time {
    Time(START + place * BUCKET)
}

fn source(name: &str) -> PriceSource {
    PriceSource::known(name).unwrap()
}

fn cents(price: f64) -> Decimal {
    Decimal::new((price * 100.0).round() as i128, 2)
}

/// A row around a close.
fn row(name: &str, bucket: Time, close: f64, volume: i64) -> VenuePrice {
    let (open, high, low) = (close * 0.9995, close * 1.001, close * 0.998);
    VenuePrice {
        source: source(name),
        bucket,
        price: Ohlcv {
            open: cents(open),
            high: cents(high),
            low: cents(low),
            close: cents(close),
            volume: Decimal::new(i128::from(volume), 3),
        },
        quality_status: "complete".into(),
        data_source_mode: "rest".into(),
        child_minutes: 1,
        child_count: 10,
        child_count_expected: 10,
        first_received_time: bucket,
        received_time: bucket.plus_micros(BUCKET),
    }
}

/// The market at a bucket: venues within half a basis point of a moving price, USDT twelve basis points above.
fn market(place: i64) -> Vec<VenuePrice> {
    let price = 60_000.0 + 400.0 * (place as f64 / 9.0).sin();
    let names = ["binance", "bitfinex", "bitstamp", "bybit", "coinbase", "okx"];
    let one = |(index, name): (usize, &&str)| {
        let nudge = ((place * 7 + index as i64 * 3) % 11 - 5) as f64 * 1e-5 / 2.0;
        let basis = if source(name).quote() == "USD" { 1.0 } else { 1.0012 };
        row(name, at(place), price * basis * (1.0 + nudge), 1_000 + (place * 31 + index as i64 * 17) % 900)
    };
    names.iter().enumerate().map(one).collect()
}

fn scaled(mut rows: Vec<VenuePrice>, name: &str, factor: f64) -> Vec<VenuePrice> {
    for row in rows.iter_mut().filter(|row| row.source == source(name)) {
        let times = |value: Decimal| cents(value.to_f64() * factor);
        let price = row.price;
        row.price = Ohlcv {
            open: times(price.open),
            high: times(price.high),
            low: times(price.low),
            close: times(price.close),
            volume: price.volume,
        };
    }
    rows
}

fn only(rows: Vec<VenuePrice>, names: &[&str]) -> Vec<VenuePrice> {
    rows.into_iter().filter(|row| names.contains(&row.source.as_str())).collect()
}

fn composed(buckets: &[Vec<VenuePrice>]) -> Vec<ComposedPrice> {
    let mut composer = MedianComposer::new();
    (0..).zip(buckets).map(|(place, rows)| composer.compose(at(place), rows)).collect()
}

fn names(used: &[PriceSource]) -> Vec<&'static str> {
    used.iter().map(|source| source.as_str()).collect()
}

fn reason<'a>(price: &'a ComposedPrice, name: &str) -> &'a str {
    price
        .rejected
        .iter()
        .find(|rejected| rejected.source == source(name))
        .map_or("used", |found| &found.reason)
}

fn apart_bp(left: Option<f64>, right: Option<f64>) -> f64 {
    (left.unwrap() / right.unwrap() - 1.0).abs() * 10_000.0
}

#[test]
fn a_venue_20_percent_off_for_an_hour_moves_method_2_by_less_than_a_basis_point() {
    let sound: Vec<_> = (0..30).map(market).collect();
    let truth = composed(&sound);
    for name in ["binance", "bitfinex", "bitstamp", "coinbase", "okx"] {
        for factor in [0.8, 1.2] {
            let faulty: Vec<_> = (0..30)
                .map(|place| match place {
                    10..16 => scaled(market(place), name, factor),
                    _ => market(place),
                })
                .collect();
            let prices = composed(&faulty);
            for (place, (price, truth)) in prices.iter().zip(&truth).enumerate() {
                for (left, right) in [
                    (price.open, truth.open),
                    (price.high, truth.high),
                    (price.low, truth.low),
                    (price.close, truth.close),
                ] {
                    assert!(apart_bp(left, right) < 1.0, "{name} × {factor}, bucket {place}: {price:?}");
                }
                let words = reason(price, name);
                match place {
                    10..16 => {
                        let expected = if factor > 1.0 { "20.0 % above" } else { "20.0 % below" };
                        assert_eq!(words, format!("{expected} the median of the others"));
                    }
                    16 => assert_eq!(words, "re-entering: 1 of 3 calm buckets"),
                    17 => assert_eq!(words, "re-entering: 2 of 3 calm buckets"),
                    _ => assert_eq!(price.rejected, truth.rejected),
                }
            }
        }
    }
}

#[test]
fn method_1_equals_its_formula_and_follows_the_fault() {
    let rows = scaled(market(3), "okx", 1.2);
    let price = volume_weighted(at(3), &rows);
    let total: f64 = rows.iter().map(|row| row.price.volume.to_f64()).sum();
    let mean = |field: fn(&Ohlcv) -> Decimal| {
        rows.iter().map(|row| field(&row.price).to_f64() * row.price.volume.to_f64()).sum::<f64>() / total
    };
    let expected = [mean(|p| p.open), mean(|p| p.high), mean(|p| p.low), mean(|p| p.close)];
    for (found, expected) in [price.open, price.high, price.low, price.close].into_iter().zip(expected) {
        assert!((found.unwrap() - expected).abs() < 1e-9 * expected);
    }
    assert!((price.volume.unwrap() - total).abs() < 1e-9);
    assert_eq!(price.used.len(), 6);
    assert_eq!((price.method, price.rejected.len()), (PriceMethod::VolumeWeighted, 0));
    assert!(apart_bp(price.close, volume_weighted(at(3), &market(3)).close) > 100.0);
    assert!((volume_weighted(at(3), &market(3)).basis_usdt_bp.unwrap() - 12.0).abs() < 0.6);
}

#[test]
fn without_a_venue_there_is_no_price() {
    for price in [volume_weighted(at(0), &[]), MedianComposer::new().compose(at(0), &[])] {
        assert_eq!((price.open, price.high, price.low, price.close), (None, None, None, None));
        assert_eq!((price.volume, price.basis_usdt_bp), (None, None));
        assert!(price.used.is_empty() && price.rejected.is_empty());
    }
}

#[test]
fn rows_that_cannot_be_are_left_out_with_the_reason() {
    let mut rows = market(0);
    rows[0].price.high = cents(1.0);
    rows[1].price.volume = Decimal::new(-1, 0);
    rows[2].price.low = Decimal::ZERO;
    rows[3].price.close = cents(90_000.0);
    rows[4].price.volume = Decimal::ZERO;
    let price = volume_weighted(at(0), &rows);
    assert_eq!(names(&price.used), ["okx"]);
    assert_eq!(
        price.rejected.iter().map(|rejected| rejected.reason.as_str()).collect::<Vec<_>>(),
        [
            "its high is below its low",
            "its volume is negative",
            "a price is not above zero",
            "its open or close is not between its low and high",
            "no volume",
        ]
    );
    assert_eq!(MedianComposer::new().compose(at(0), &rows).used.len(), 1);
}

#[test]
fn venues_without_any_volume_weigh_the_same() {
    let rows = vec![row("bitstamp", at(0), 100.0, 0), row("coinbase", at(0), 100.5, 0)];
    let price = volume_weighted(at(0), &rows);
    assert_eq!((price.close, price.volume), (Some(100.25), Some(0.0)));
    assert_eq!(MedianComposer::new().compose(at(0), &rows).close, Some(100.25));
}

#[test]
fn of_two_usd_venues_that_disagree_the_usdt_venues_tell_which() {
    for (wrong, right) in [("bitstamp", "coinbase"), ("coinbase", "bitstamp")] {
        let rows = scaled(market(0), wrong, 0.9);
        let rows = only(rows, &["bitstamp", "coinbase", "binance", "okx", "bybit"]);
        let price = composed(&[rows]).remove(0);
        assert_eq!(names(&price.used), [right]);
        assert_eq!(reason(&price, wrong), "10.0 % below the median of the others");
    }
}

#[test]
fn of_two_venues_alone_the_price_before_tells_which() {
    let pair = |place, factor| only(scaled(market(place), "bitstamp", factor), &["bitstamp", "coinbase"]);
    let prices = composed(&[pair(0, 1.0), pair(1, 1.05)]);
    assert_eq!(names(&prices[1].used), ["coinbase"]);
    assert_eq!(reason(&prices[1], "bitstamp"), "5.0 % above the median of the others");
    // With nothing before nobody can say.
    assert_eq!(composed(&[pair(0, 1.05)])[0].used.len(), 2);
}

#[test]
fn usdt_that_loses_its_peg_accuses_nobody() {
    let usdt = ["binance", "bybit", "okx"];
    let fallen = |place: i64| usdt.iter().fold(market(place), |rows, name| scaled(rows, name, 0.96));
    let prices = composed(&[market(0), fallen(1), fallen(2)]);
    for price in &prices {
        assert_eq!(names(&price.used), ["bitfinex", "bitstamp", "coinbase"]);
    }
    assert!((prices[1].basis_usdt_bp.unwrap() + 388.5).abs() < 1.0, "{:?}", prices[1].basis_usdt_bp);
    // A lone USD venue is believed as long as the basis moves by no more than it ever did.
    let lone = |rows| only(rows, &["coinbase", "binance", "bybit", "okx"]);
    let prices = composed(&[lone(market(0)), lone(fallen(1))]);
    assert_eq!(names(&prices[1].used), ["coinbase"]);
    let prices = composed(&[lone(market(0)), lone(scaled(market(1), "coinbase", 1.2))]);
    assert_eq!(names(&prices[1].used), usdt);
    assert!(apart_bp(prices[1].close, composed(&[market(0), market(1)])[1].close) < 1.0);
}

#[test]
fn a_market_that_splits_by_currency_is_no_deviation() {
    let usdt = ["binance", "bybit", "okx"];
    let fallen = usdt.iter().fold(market(1), |rows, name| scaled(rows, name, 0.9));
    let prices = composed(&[market(0), fallen]);
    assert_eq!(names(&prices[1].used), ["bitfinex", "bitstamp", "coinbase"]);
    for name in usdt {
        assert!(reason(&prices[1], name).starts_with("quotes USDT"), "{:?}", prices[1]);
    }
}

#[test]
fn a_price_of_the_day_before_yesterday_decides_nothing() {
    let mut composer = MedianComposer::new();
    composer.compose(at(0), &only(market(0), &["bitstamp", "coinbase"]));
    let later = DAY / BUCKET + 1;
    let rows = only(scaled(market(later), "bitstamp", 1.05), &["bitstamp", "coinbase"]);
    assert_eq!(composer.compose(at(later), &rows).used.len(), 2);
}

#[test]
fn venues_that_are_out_judge_each_other_when_nobody_else_is_left() {
    let mut composer = MedianComposer::new();
    let pair = ["bitfinex", "bitstamp"];
    composer.compose(at(0), &market(0));
    let off = pair.iter().fold(market(1), |rows, name| scaled(rows, name, 1.08));
    assert_eq!(names(&composer.compose(at(1), &off).used), ["coinbase"]);
    let price = composer.compose(at(2), &only(market(2), &pair));
    assert_eq!(names(&price.used), pair);
}

#[test]
fn usdt_venues_stand_in_by_the_last_basis_for_a_day() {
    let usdt = ["binance", "bybit", "okx"];
    let mut composer = MedianComposer::new();
    composer.compose(at(0), &market(0));
    let price = composer.compose(at(1), &only(market(1), &usdt));
    assert_eq!(names(&price.used), usdt);
    assert!((price.basis_usdt_bp.unwrap() - 12.0).abs() < 0.6);
    let truth = composed(&[market(0), market(1)]).remove(1);
    assert!(apart_bp(price.close, truth.close) < 1.0);
    let later = DAY / BUCKET + 2;
    let price = composer.compose(at(later), &only(market(later), &usdt));
    assert_eq!(price.basis_usdt_bp, None);
    assert!((apart_bp(price.close, composed(&[market(later)])[0].close) - 12.0).abs() < 1.0);
}

#[test]
fn usd_venues_without_volume_do_not_decide_beside_usdt_venues_that_trade() {
    let silent = |place: i64| {
        let mut rows = scaled(market(place), "bitstamp", 0.993);
        for row in rows.iter_mut().filter(|row| row.source.quote() == "USD") {
            row.price.volume = Decimal::ZERO;
        }
        only(rows, &["binance", "bitstamp", "bybit", "okx"])
    };
    let prices = composed(&[market(0), silent(1), silent(2)]);
    let truth = composed(&[market(0), market(1), market(2)]);
    for place in [1, 2] {
        assert_eq!(names(&prices[place].used), ["binance", "bybit", "okx"]);
        assert_eq!(reason(&prices[place], "bitstamp"), "no volume while a USDT venue has some");
        assert_eq!(prices[place].basis_usdt_bp, prices[0].basis_usdt_bp);
        assert!(apart_bp(prices[place].close, truth[place].close) < 1.0, "{:?}", prices[place]);
    }
    // Where nobody has volume, USD is what it was.
    let mut rows = market(0);
    for row in &mut rows {
        row.price.volume = Decimal::ZERO;
    }
    assert_eq!(names(&composed(&[rows])[0].used), ["bitfinex", "bitstamp", "coinbase"]);
}

#[test]
fn a_venue_alone_is_used_unless_it_was_out_within_a_day() {
    let mut composer = MedianComposer::new();
    let alone = |place| only(scaled(market(place), "okx", 1.3), &["okx"]);
    assert_eq!(names(&composer.compose(at(0), &alone(0)).used), ["okx"]);
    composer.compose(at(1), &market(1));
    assert_eq!(composer.compose(at(2), &scaled(market(2), "okx", 1.3)).rejected.len(), 3);
    let price = composer.compose(at(3), &alone(3));
    assert_eq!((price.close, price.used.len()), (None, 0));
    assert_eq!(reason(&price, "okx"), "out, and no other venue to judge it by");
    let later = DAY / BUCKET + 4;
    assert_eq!(names(&composer.compose(at(later), &alone(later)).used), ["okx"]);
}

#[test]
fn a_venue_at_the_border_does_not_flutter() {
    let with = |place, factor| scaled(market(place), "coinbase", factor);
    let prices =
        composed(&[market(0), with(1, 1.011), with(2, 1.007), with(3, 1.004), with(4, 1.007), market(5)]);
    let words: Vec<&str> = prices.iter().map(|price| reason(price, "coinbase")).collect();
    assert_eq!(
        words,
        [
            "used",
            "1.1 % above the median of the others",
            "0.7 % above the median of the others",
            "re-entering: 1 of 3 calm buckets",
            "0.7 % above the median of the others",
            "re-entering: 1 of 3 calm buckets",
        ]
    );
}

#[test]
fn hours_are_made_of_ten_minutes() {
    let mut buckets: Vec<_> = (0..8).map(market).collect();
    buckets[7] = Vec::new();
    let parts = composed(&buckets);
    let mut hours = Vec::new();
    rollup(&parts, 60 * MINUTE, &mut |hour| hours.push(hour));
    assert_eq!(hours.len(), 2);
    let parts: Vec<_> = parts.iter().filter(|part| part.bucket < hours[1].bucket).collect();
    assert_eq!(hours[0].open, parts[0].open);
    assert_eq!(hours[0].close, parts.last().unwrap().close);
    assert_eq!(hours[0].high, parts.iter().filter_map(|part| part.high).max_by(f64::total_cmp));
    assert_eq!(hours[0].low, parts.iter().filter_map(|part| part.low).min_by(f64::total_cmp));
    assert!(
        (hours[0].volume.unwrap() - parts.iter().filter_map(|part| part.volume).sum::<f64>()).abs() < 1e-9
    );
    assert_eq!((hours[0].used.len(), hours[0].rejected.len()), (3, 3));
}

#[test]
fn foreign_states_are_refused() {
    let mut composer = MedianComposer::new();
    composer.compose(at(0), &market(0));
    let before = composer.clone();
    assert!(matches!(composer.restore(&[]), Err(Error::Version { found: None, .. })));
    assert!(matches!(composer.restore(&[9, 1]), Err(Error::Version { found: Some(9), .. })));
    let mut bytes = composer.save();
    bytes.truncate(4);
    assert!(matches!(composer.restore(&bytes), Err(Error::Damaged { .. })));
    assert_eq!(composer, before);
}

#[test]
fn a_state_of_version_1_is_still_read() {
    let mut composer = MedianComposer::new();
    composer.compose(at(0), &market(0));
    composer.compose(at(1), &scaled(market(1), "okx", 1.2));
    composer.compose(at(2), &market(2));
    let path = format!(
        "{}/tests/golden/median_price_v1.bin",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, composer.save()).unwrap();
    }
    let mut restored = MedianComposer::new();
    restored.restore(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(restored, composer);
}

/// Buckets with faults, silences and venues that are missing.
fn worlds() -> impl Strategy<Value = Vec<Vec<VenuePrice>>> {
    let faults =
        prop::collection::vec((0..6_usize, prop_oneof![Just(1.0), 0.97..1.03, 0.5..2.0], 0..64_u8), 1..40);
    faults.prop_map(|faults| {
        let one = |(place, (index, factor, there)): (usize, (usize, f64, u8))| {
            let rows = market(place as i64);
            let name = rows[index].source.as_str();
            let rows = scaled(rows, name, factor);
            // Most rows are there.
            rows.into_iter()
                .enumerate()
                .filter(|(bit, _)| (there | 1 << index) >> bit & 1 == 1)
                .map(|pair| pair.1)
                .collect()
        };
        faults.into_iter().enumerate().map(one).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn saved_anywhere_the_rest_is_the_same(world in worlds(), cut in 0_usize..40) {
        let whole = composed(&world);
        let inputs: Vec<PriceBucket> = (0..).zip(&world)
            .map(|(place, rows)| PriceBucket { bucket: at(place), rows: rows.clone() })
            .collect();
        let cut = cut.min(inputs.len());
        let mut pieces = Vec::new();
        let mut first = MedianComposer::new();
        inputs[..cut].iter().for_each(|input| first.take(input, &mut |price| pieces.push(price)));
        let mut second = MedianComposer::new();
        second.restore(&first.save()).unwrap();
        inputs[cut..].iter().for_each(|input| second.take(input, &mut |price| pieces.push(price)));
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn every_price_is_in_order_and_every_venue_accounted_for(world in worlds()) {
        for (price, rows) in composed(&world).iter().zip(&world) {
            let mut seen: Vec<PriceSource> = price.used.iter().copied().chain(price.rejected.iter().map(|r| r.source)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, rows.iter().map(|row| row.source).collect::<Vec<_>>());
            if let (Some(open), Some(high), Some(low), Some(close)) = (price.open, price.high, price.low, price.close) {
                prop_assert!(high >= open.max(close) && open.min(close) >= low && low > 0.0);
            } else {
                prop_assert!(price.used.is_empty());
            }
        }
    }
}
