//! How fast a year of ten minutes leaves the server: 52,560 rows of six fields with the bucket, over loopback, warm. The tables
//! are in memory, so this is what the server itself adds to reading them.
#![expect(clippy::unwrap_used, dead_code, reason = "the world of the tests is used in part, and must stand")]

#[path = "../tests/it/chain_world.rs"]
mod chain_world;
#[path = "../tests/it/world.rs"]
mod world;

use chain_world::{ChainWorld, at, bucket, price};
use model::PriceMethod;
use tables::Rows;

const YEAR: i64 = 52_560;

fn main() {
    divan::main();
}

#[divan::bench(args = ["csv", "arrow", "json"], sample_count = 30)]
fn a_year_of_six_fields(bencher: divan::Bencher<'_, '_>, format: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let chain = runtime.block_on(async {
        let chain = ChainWorld::new().await;
        chain.lay(&Rows::BtcBuckets((0..YEAR).map(|place| bucket(place, 2_000 + place % 977)).collect()));
        let close = |place: i64| Some(60_000.25 + (place % 7_919) as f64 * 0.37);
        let prices = (0..YEAR).map(|place| price(PriceMethod::Median, place, close(place)));
        chain.lay(&Rows::ComposedPrices(prices.collect()));
        chain.set_health(at(YEAR - 1));
        chain
    });
    let fields = "block_count,tx_count_10m,fees_sat_10m,transferred_btc_10m,difficulty_last,price_close_usd";
    let path = format!("/api/v1/btc/primitive?limit={YEAR}&fields={fields}&format={format}");
    bencher.bench(|| {
        let answer = runtime.block_on(chain.world.get(&path));
        assert_eq!(answer.status, 200);
        answer.body.len()
    });
}
