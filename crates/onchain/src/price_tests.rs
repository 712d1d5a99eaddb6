//! Prices of six venues into one: with a fault at one of them, without a venue, and cut off in between.

use std::sync::Arc;
use std::time::Duration;

use control::PriceSourceRow;
use model::time::MINUTE;
use model::{ComposedPrice, Decimal, Ohlcv, PriceMethod, PriceSource, Time, VenuePrice};
use runtime::Tasks;
use tables::{ChainNews, TableName};

use crate::testing::{Memory, doors};
use crate::{Board, Prices, components, compose_alone};

/// 2026-01-01.
const START: i64 = 1_767_225_600_000_000;

fn row(source: PriceSource, number: i64, faulty: bool) -> VenuePrice {
    let wave = (number * 37 % 101) as f64;
    let basis = if source.quote() == "USDT" { 1.0004 } else { 1.0 };
    let own = 1.0 + f64::from(u8::try_from(source.as_str().len()).unwrap()) * 1e-6;
    let price = (90_000.0 + wave) * basis * own * if faulty { 1.2 } else { 1.0 };
    let exact = |value: f64| Decimal::from_f64((value * 100.0).round() / 100.0).unwrap();
    let price = Ohlcv {
        open: exact(price),
        high: exact(price + 10.0),
        low: exact(price - 10.0),
        close: exact(price + 1.0),
        volume: exact(3.0 + wave / 50.0),
    };
    let bucket = Time(START + number * 10 * MINUTE);
    VenuePrice {
        source,
        bucket,
        price,
        quality_status: "complete".to_owned(),
        data_source_mode: "rest".to_owned(),
        child_minutes: 1,
        child_count: 10,
        child_count_expected: 10,
        first_received_time: bucket,
        received_time: bucket,
    }
}

fn rows(count: i64, is_faulty: impl Fn(PriceSource, i64) -> bool) -> Vec<VenuePrice> {
    let each = (0..count).flat_map(|number| PriceSource::all().map(move |source| (source, number)));
    each.map(|(source, number)| row(source, number, is_faulty(source, number))).collect()
}

fn composed(memory: &Memory, method: PriceMethod) -> Vec<ComposedPrice> {
    let rows = tables::composed_prices::from_batch(&memory.rows(TableName::ComposedPrices));
    rows.into_iter().filter(|row| row.method == method).collect()
}

async fn all_of(venues: Vec<VenuePrice>) -> Arc<Memory> {
    let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
    let prices = Prices::new(doors(&memory, folder.path()));
    prices.store(venues).await.unwrap();
    prices.compose().await.unwrap().unwrap();
    memory
}

#[tokio::test]
async fn a_venue_twenty_percent_off_for_an_hour_moves_nothing_and_is_named() {
    let bitstamp = PriceSource::known("bitstamp").unwrap();
    let is_faulty = |source: PriceSource, number: i64| source == bitstamp && (100..106).contains(&number);
    let clean = composed(&*all_of(rows(300, |_, _| false)).await, PriceMethod::Median);
    let faulty = composed(&*all_of(rows(300, is_faulty)).await, PriceMethod::Median);
    assert_eq!((clean.len(), faulty.len()), (300, 300));
    for (clean, faulty) in clean.iter().zip(&faulty) {
        let (one, other) = (clean.close.unwrap(), faulty.close.unwrap());
        assert!((one - other).abs() / one < 1e-4, "{} {one} {other}", clean.bucket);
    }
    let told = faulty[100].rejected.iter().find(|one| one.source == bitstamp).unwrap();
    assert!(told.reason.contains("above"), "{}", told.reason);
}

#[tokio::test]
async fn a_venue_that_is_switched_off_counts_no_more_and_is_named() {
    let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
    let doors = doors(&memory, folder.path());
    let off = PriceSource::known("bitfinex").unwrap();
    let registered: Vec<PriceSourceRow> = PriceSource::all()
        .map(|source| PriceSourceRow {
            source_name: source.to_string(),
            is_enabled: source != off,
            market_type: "spot".to_owned(),
            config_json: "{}".to_owned(),
            updated_time: Time(0),
        })
        .collect();
    doors.control.seed_price_sources(&registered, Time(0)).unwrap();
    let prices = Prices::new(doors.clone());
    prices.store(rows(30, |_, _| false)).await.unwrap();
    prices.compose().await.unwrap().unwrap();
    let without: Vec<_> = rows(30, |_, _| false).into_iter().filter(|row| row.source != off).collect();
    let without = all_of(without).await;
    for method in [PriceMethod::VolumeWeighted, PriceMethod::Median] {
        let (all, less) = (composed(&memory, method), composed(&without, method));
        assert_eq!((all.len(), less.len()), (30, 30));
        for (one, other) in all.iter().zip(&less) {
            assert_eq!((one.close, one.volume, &one.used), (other.close, other.volume, &other.used));
            let told = one.rejected.iter().find(|rejected| rejected.source == off).unwrap();
            assert_eq!(told.reason, "disabled");
        }
    }
}

#[tokio::test]
async fn what_comes_late_or_in_pieces_gives_the_same_prices() {
    let venues = rows(700, |source, number| source.as_str() == "coinbase" && number % 97 < 9);
    let whole = all_of(venues.clone()).await;
    let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
    let prices = Prices::new(doors(&memory, folder.path()));
    // One venue comes last, from its first row on; the others in pieces.
    let (late, early): (Vec<_>, Vec<_>) = venues.into_iter().partition(|row| row.source.as_str() == "okx");
    for piece in early.chunks(501) {
        prices.store(piece.to_vec()).await.unwrap();
        prices.compose().await.unwrap();
    }
    prices.store(late).await.unwrap();
    prices.compose().await.unwrap();
    for method in [PriceMethod::VolumeWeighted, PriceMethod::Median] {
        assert_eq!(composed(&memory, method), composed(&whole, method));
    }
    assert_eq!(prices.compose().await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_without_a_venue_is_a_row_without_a_price() {
    let venues = rows(20, |_, _| false).into_iter().filter(|row| row.bucket.0 / (10 * MINUTE) % 3 != 0);
    let memory = all_of(venues.collect()).await;
    for method in [PriceMethod::VolumeWeighted, PriceMethod::Median] {
        let empty: Vec<_> = composed(&memory, method).into_iter().filter(|row| row.used.is_empty()).collect();
        assert!(!empty.is_empty());
        assert!(empty.iter().all(|row| row.close.is_none() && row.volume.is_none()));
    }
}

#[tokio::test]
async fn a_crash_between_rows_and_prices_is_caught_up_with() {
    let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
    let prices = Prices::new(doors(&memory, folder.path()));
    let venues = rows(50, |_, _| false);
    prices.store(venues[..240].to_vec()).await.unwrap();
    prices.compose().await.unwrap();
    let revised: Vec<_> =
        (0..6).map(|number| row(PriceSource::known("okx").unwrap(), number, true)).collect();
    for commits in 0..3 {
        prices.store(revised.clone()).await.unwrap();
        memory.fail_after(Some(commits));
        let _cut = prices.compose().await;
        memory.fail_after(None);
        let fresh = Prices::new(doors(&memory, folder.path()));
        fresh.compose().await.unwrap();
        let close = composed(&memory, PriceMethod::VolumeWeighted)[3].close.unwrap();
        assert!(close > 91_000.0, "cut after {commits} commits: {close}");
        prices.store(venues[..240].to_vec()).await.unwrap();
        prices.compose().await.unwrap();
    }
}

#[tokio::test]
async fn composing_alone_that_fails_is_told_and_does_not_stop_the_house() {
    let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
    let (doors, tasks, board) = (doors(&memory, folder.path()), Tasks::new(), Arc::<Board>::default());
    let prices = Arc::new(Prices::new(doors.clone()));
    prices.store(rows(20, |_, _| false)).await.unwrap();
    memory.break_table(TableName::ComposedPrices);
    compose_alone(&doors, &prices, &board, &tasks);
    let key = control::CheckpointKey::btc(components::COMPOSER, "10m");
    let status = || doors.control.checkpoint(&key).unwrap().map(|checkpoint| checkpoint.status);
    while status().as_deref() != Some("error") {
        runtime::sleep(Duration::from_millis(5)).await;
    }
    assert!(!tasks.house_stop().is_requested());
    assert_eq!(board.news_newest(), 0, "nothing was committed");
    assert!(tasks.close(Duration::from_secs(5)).await.is_empty());
    // The next process begins with what is there, and tells of it.
    let whole = Arc::<Memory>::default();
    let doors = crate::testing::doors(&whole, folder.path());
    let prices = Arc::new(Prices::new(doors.clone()));
    prices.store(rows(20, |_, _| false)).await.unwrap();
    compose_alone(&doors, &prices, &board, &tasks);
    let batch = board.news_after(0).await;
    let last = Time(START + 19 * 10 * MINUTE);
    let told = matches!(batch.items[0].news, ChainNews::PriceReady { through, .. } if through == last);
    assert!(told, "{batch:?}");
    assert_eq!((status().as_deref(), board.standing().price_bucket), (Some("ok"), Some(last)));
    assert!(tasks.close(Duration::from_secs(5)).await.is_empty());
}

#[tokio::test]
async fn rows_of_the_next_venue_took_the_number_of_a_lost_answer_and_were_gone() {
    let (memory, folder) = (Arc::<Memory>::default(), tempfile::tempdir().unwrap());
    let prices = Prices::new(doors(&memory, folder.path()));
    let of = |name: &str| -> Vec<VenuePrice> {
        rows(6, |_, _| false).into_iter().filter(|row| row.source.as_str() == name).collect()
    };
    memory.lose_answer(TableName::VenuePrices);
    assert!(prices.store(of("okx")).await.is_err());
    // The number that is next, as far as one knows, carries the other venue's rows already.
    prices.store(of("bitstamp")).await.unwrap();
    let stored = tables::venue_prices::from_batch(&memory.rows(TableName::VenuePrices));
    let count = |name: &str| stored.iter().filter(|row| row.source.as_str() == name).count();
    assert_eq!((count("okx"), count("bitstamp")), (6, 6));
}
