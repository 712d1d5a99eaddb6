//! A year of ten minutes with its prices over REST, from tables on disk, warm: from the question to the last byte of the answer, over
//! one kept connection.

use std::path::Path;
use std::time::Duration;

use lake::{Lake, LakeSettings};
use model::{
    BUCKET, BlockHash, ChainBucket, ComposedPrice, LogPosition, PriceMethod, PriceSource, Time, Work,
};
use runtime::SystemClock;
use tables::{Rows, Step, TABLES};

use crate::candles::measure;
use crate::world::{World, block_on, eventually, get};

/// Ten minutes of a year.
const YEAR: i64 = 52_560;
/// So many are committed at once, as by a first synchronisation.
const PIECE: i64 = 4_320;
const FIELDS: &str =
    "block_count,tx_count_10m,fees_sat_10m,transferred_btc_10m,difficulty_last,price_close_usd";

/// Fills the tables, starts the platform over them and asks.
pub(super) fn year() {
    let world = World::start(&["--instruments", "1", "--rate", "2", "--venues", "binance"]);
    let origins = world.prices.as_object().expect("price sources").iter();
    let places: Vec<String> =
        origins.map(|(name, origin)| format!("{name}={}", origin.as_str().expect("an origin"))).collect();
    world.configure("", &format!("[price]\nenabled = true\nplaces = {places:?}\n"));
    fill(&world.place.path().join("data/lake"));
    let (mut process, address) = world.run();
    let url = |format: &str| {
        format!("http://{address}/api/v1/btc/primitive?limit={YEAR}&fields={FIELDS}&format={format}")
    };
    eventually(Duration::from_mins(2), "a year of rows", || {
        let rows = get(&url("json")).1["data"].as_array().map_or(0, Vec::len);
        (rows == YEAR as usize).then_some(())
    });
    for format in ["arrow", "csv", "json"] {
        measure(&format!("a year of ten minutes as {format}"), &url(format));
    }
    process.end();
}

fn fill(folder: &Path) {
    std::fs::create_dir_all(folder).expect("the folder is writable");
    let settings = LakeSettings::at(folder.to_string_lossy());
    block_on(async {
        let lake = Lake::open(settings, SystemClock::shared(), TABLES).await.expect("a lake");
        for (number, from) in (0..YEAR).step_by(PIECE as usize).enumerate() {
            let places = from..(from + PIECE).min(YEAR);
            let prices = places.clone().map(price).collect();
            for rows in [Rows::BtcBuckets(places.map(bucket).collect()), Rows::ComposedPrices(prices)] {
                let through = Some(LogPosition(number as u64 + 1));
                let step = Step { table: rows.table(), outgoing: None, rows: rows.to_batch(), through };
                lake.steps().apply(step).await.expect("a step");
            }
        }
    });
}

/// The last of them ends a while ago.
fn at(place: i64) -> Time {
    Time(1_767_225_600_000_000 + (place - YEAR) * BUCKET)
}

fn bucket(place: i64) -> ChainBucket {
    let tx_count = 2_000 + place % 977;
    ChainBucket {
        bucket: at(place),
        block_count: 1,
        issued_sat: 312_500_000,
        fees_sat: 10 * tx_count,
        miner_revenue_sat: 312_500_000 + 10 * tx_count,
        unclaimed_sat: 0,
        total_out_sat: 1_000 * tx_count,
        transferred_sat: 700 * tx_count,
        tx_count: tx_count + 1,
        tx_count_ex_coinbase: tx_count,
        input_count: tx_count,
        output_count: tx_count + 1,
        segwit_tx_count: tx_count,
        block_size_total_bytes: 300 * tx_count,
        block_weight_total_wu: 1_000 * tx_count,
        block_vsize_total_vb: 250 * tx_count,
        tx_size_total_bytes: 250 * tx_count,
        tx_weight_total_wu: 900 * tx_count,
        supply_total_sat: Some(1_900_000_000_000_000 + place * 312_500_000),
        difficulty_last: 1.1e14,
        chainwork_last: Work::default(),
        best_block_height_last: 870_000 + place as u32,
        best_block_hash_last: BlockHash::default(),
        halving_epoch: 4,
        block_interval_mean_sec: Some(600.0),
        block_interval_median_sec: Some(590.0),
        avg_fee_sat: Some(10.0),
        median_fee_sat: Some(10.5),
        avg_feerate_sat_vb: Some(1.2),
        segwit_share: Some(0.9),
        tx_size_mean_bytes: Some(250.0),
        block_size_mean_bytes: Some(1_500_000.0),
    }
}

fn price(place: i64) -> ComposedPrice {
    let close = 60_000.25 + (place % 7_919) as f64 * 0.37;
    ComposedPrice {
        method: PriceMethod::Median,
        bucket: at(place),
        open: Some(close - 1.0),
        high: Some(close + 2.0),
        low: Some(close - 2.0),
        close: Some(close),
        volume: Some(1.25 + (place % 311) as f64),
        used: PriceSource::all().collect(),
        rejected: Vec::new(),
        basis_usdt_bp: Some(3.5),
    }
}
