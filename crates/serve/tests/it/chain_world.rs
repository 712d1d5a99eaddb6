//! The chain system faked in memory: a desk, a control file in a folder of its own, and tables that are scanned as the store does.

use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{BooleanArray, Int64Array, RecordBatch};
use control::{Checkpoint, CheckpointKey, Control, MetricRow, PriceSourceRow, Reached};
use futures::FutureExt;
use futures::future::BoxFuture;
use model::{
    BUCKET, BlockFacts, BlockHash, BlockHeader, BlockPlace, BlockSums, ChainBucket, ComposedPrice,
    MetricValue, Network, PriceMethod, PriceSource, RejectedSource, Time, VenuePrice, Work,
};
use tables::{
    ChainBatch, ChainDesk, ChainHealth, ChainItem, ChainNews, MetricInfo, NodeHealth, RegistryChange, Rows,
    StageHealth, StoreError, TableName, TableScan, table,
};

use tokio::sync::watch;

use crate::world::{NOON, World};

/// A desk that answers from what it was told, and remembers what it is told.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) health: Mutex<ChainHealth>,
    pub(crate) taken: Mutex<Vec<VenuePrice>>,
    pub(crate) changes: Mutex<Vec<RegistryChange>>,
    pub(crate) news: watch::Sender<Vec<ChainItem>>,
}

impl Desk {
    /// Tells news under a number; numbers that were left out are news that are no longer kept.
    pub(crate) fn tell(&self, sequence: u64, news: ChainNews) {
        self.news.send_modify(|told| told.push(ChainItem { sequence, time: NOON, news }));
    }
}

const METRICS: [MetricInfo; 2] = [
    MetricInfo {
        name: "market_cap",
        aliases: &[],
        doc: "Supply at the close.",
        source: "usual",
        unit: "USD",
        intervals: &[10, 60, 1_440],
    },
    MetricInfo {
        name: "nvt",
        aliases: &["nvt_raw"],
        doc: "Market cap by transferred value.",
        source: "usual",
        unit: "ratio",
        intervals: &[10, 60],
    },
];

impl ChainDesk for Desk {
    fn health(&self) -> ChainHealth {
        self.health.lock().unwrap().clone()
    }

    fn rollup_buckets(&self, parts: &[ChainBucket], minutes: u16) -> Vec<ChainBucket> {
        let mut rows = Vec::new();
        derivations::chain::rollup(parts, i64::from(minutes) * model::time::MINUTE, &mut |row| {
            rows.push(row);
        });
        rows
    }

    fn rollup_prices(&self, parts: &[ComposedPrice], minutes: u16) -> Vec<ComposedPrice> {
        let mut rows = Vec::new();
        let length = i64::from(minutes) * model::time::MINUTE;
        derivations::price::rollup(parts, length, &mut |row| rows.push(row));
        rows
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        METRICS.to_vec()
    }

    fn check_source(&self, _: PriceSource, config_json: &str) -> Result<(), String> {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(config_json).map_err(|error| format!("no JSON object: {error}"))?;
        let known = ["mode", "api_base", "historical_start_utc"];
        let unknown = object.keys().find(|key| !known.contains(&key.as_str()));
        unknown.map_or(Ok(()), |key| Err(format!("there is no setting `{key}`")))
    }

    fn ingest(&self, rows: Vec<VenuePrice>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.taken.lock().unwrap().extend(rows);
        async { Ok(()) }.boxed()
    }

    fn changed(&self, change: RegistryChange) -> BoxFuture<'_, ()> {
        self.changes.lock().unwrap().push(change);
        async {}.boxed()
    }

    fn news_newest(&self) -> u64 {
        self.news.borrow().last().map_or(0, |item| item.sequence)
    }

    fn news_after(&self, sequence: u64) -> BoxFuture<'_, ChainBatch> {
        async move {
            let mut news = self.news.subscribe();
            let has_more = |news: &Vec<ChainItem>| news.last().is_some_and(|last| last.sequence > sequence);
            let news = news.wait_for(has_more).await.unwrap();
            let items: Vec<ChainItem> =
                news.iter().filter(|item| item.sequence > sequence).cloned().collect();
            ChainBatch { missed_count: items[0].sequence - sequence - 1, items }
        }
        .boxed()
    }
}

/// A server over a chain.
pub(crate) struct ChainWorld {
    pub(crate) world: World,
    pub(crate) desk: Arc<Desk>,
    pub(crate) control: Control,
    _folder: tempfile::TempDir,
}

pub(crate) fn at(buckets: i64) -> Time {
    NOON.plus_micros(buckets * BUCKET)
}

/// Ten minutes with so many transactions beside the coinbase; without any there is no block.
pub(crate) fn bucket(place: i64, tx_count: i64) -> ChainBucket {
    let block_count = i64::from(tx_count > 0);
    ChainBucket {
        bucket: at(place),
        block_count,
        issued_sat: 312_500_000 * block_count,
        fees_sat: 10 * tx_count,
        miner_revenue_sat: 312_500_000 * block_count + 10 * tx_count,
        unclaimed_sat: 0,
        total_out_sat: 1_000 * tx_count,
        transferred_sat: 700 * tx_count,
        tx_count: tx_count + block_count,
        tx_count_ex_coinbase: tx_count,
        input_count: tx_count,
        output_count: tx_count + block_count,
        segwit_tx_count: tx_count,
        block_size_total_bytes: 300 * tx_count,
        block_weight_total_wu: 1_000 * tx_count,
        block_vsize_total_vb: 250 * tx_count,
        tx_size_total_bytes: 250 * tx_count,
        tx_weight_total_wu: 900 * tx_count,
        supply_total_sat: None,
        difficulty_last: 1.5,
        chainwork_last: Work::parse(&"0".repeat(64)).unwrap(),
        best_block_height_last: 800_000 + place as u32,
        best_block_hash_last: BlockHash::default(),
        halving_epoch: 4,
        block_interval_mean_sec: None,
        block_interval_median_sec: None,
        avg_fee_sat: (tx_count > 0).then_some(10.0),
        median_fee_sat: (tx_count > 0).then_some(10.5),
        avg_feerate_sat_vb: None,
        segwit_share: (tx_count > 0).then_some(1.0),
        tx_size_mean_bytes: (tx_count > 0).then_some(250.0),
        block_size_mean_bytes: None,
    }
}

/// A block with two fees, whose header's clock runs so many seconds ahead of ten minutes a block.
pub(crate) fn block(height: u32, ahead: u32) -> BlockFacts {
    let time = (NOON.0 / model::time::SECOND) as u32 + 300 * height + ahead;
    let header = BlockHeader {
        hash: BlockHash::default(),
        previous: BlockHash::default(),
        version: 1,
        merkle_root: BlockHash::default(),
        time,
        bits: 0x207f_ffff,
        nonce: 0,
    };
    let chainwork = Work::parse(&"0".repeat(64)).unwrap();
    BlockFacts {
        place: BlockPlace { header, height, median_time: time, chainwork },
        network: Network::Regtest,
        sums: BlockSums { tx_count: 3, fees: vec![7, 9], ..BlockSums::default() },
        supply_total_sat: None,
        interval_sec: None,
    }
}

pub(crate) fn price(method: PriceMethod, place: i64, close: Option<f64>) -> ComposedPrice {
    let source = |name: &str| PriceSource::known(name).unwrap();
    let is_there = close.is_some();
    ComposedPrice {
        method,
        bucket: at(place),
        open: close.map(|close| close - 1.0),
        high: close.map(|close| close + 2.0),
        low: close.map(|close| close - 2.0),
        close,
        volume: close.map(|_| 1.25),
        used: if is_there { vec![source("bitstamp"), source("coinbase")] } else { Vec::new() },
        rejected: is_there
            .then(|| RejectedSource { source: source("okx"), reason: "close 2.1 % off, over 1 %".to_owned() })
            .into_iter()
            .collect(),
        basis_usdt_bp: close.map(|_| 3.5),
    }
}

pub(crate) fn value(interval_minutes: u16, place: i64, value: Option<f64>) -> MetricValue {
    let reason = if value.is_none() { Some("price_missing") } else { None };
    MetricValue { metric: "nvt", interval_minutes, bucket: at(place), value, reason }
}

fn metric_row(name: &str, interval: &str) -> MetricRow {
    MetricRow {
        metric_name: name.to_owned(),
        interval: interval.to_owned(),
        is_enabled: true,
        output_table: format!("btc_{name}_{interval}"),
        dependencies: "price,primitives".to_owned(),
        description: "What it means.".to_owned(),
        updated_time: Time(0),
    }
}

fn source_row(name: &str) -> PriceSourceRow {
    PriceSourceRow {
        source_name: name.to_owned(),
        is_enabled: true,
        market_type: "spot".to_owned(),
        config_json: r#"{"mode":"remote","auto_historical_backfill":true}"#.to_owned(),
        updated_time: Time(0),
    }
}

impl ChainWorld {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::open(folder.path().join("control.sqlite")).unwrap();
        let metrics = [("nvt", "10m"), ("nvt", "1h"), ("market_cap", "10m"), ("market_cap", "24h")];
        let metrics: Vec<MetricRow> = metrics.map(|(name, interval)| metric_row(name, interval)).into();
        control.seed_metrics(&metrics, NOON).unwrap();
        control.seed_price_sources(&[source_row("binance"), source_row("okx")], NOON).unwrap();
        let desk = Arc::new(Desk::default());
        let (door, remembered) = (Arc::clone(&desk), control.clone());
        let world = World::with_doors(
            |_| {},
            |doors| {
                doors.chain = Some(door);
                doors.control = Some(remembered);
            },
        )
        .await;
        Self { world, desk, control, _folder: folder }
    }

    /// Lays rows into a table.
    pub(crate) fn lay(&self, rows: &Rows) {
        let name = rows.table();
        self.world.fakes.others.lock().unwrap().push((name, rows.to_batch()));
    }

    pub(crate) fn set_health(&self, newest: Time) {
        *self.desk.health.lock().unwrap() = ChainHealth {
            network: Some("regtest"),
            node: NodeHealth { tip_height: Some(335), ..NodeHealth::default() },
            raw_height: Some(334),
            primitive_height: Some(334),
            primitive_bucket: Some(newest),
            price_bucket: Some(newest),
            metrics_bucket: Some(newest),
            raw_hash: None,
            reorganisations: 0,
            trouble: None,
            workers: vec!["worker_btc_primitive"],
            stages: vec![StageHealth {
                name: "btc_raw_block_ingestion".to_owned(),
                depth: 1,
                lag_blocks: Some(1),
                lag_seconds: None,
            }],
            price_sources: Vec::new(),
        };
    }

    pub(crate) fn checkpoint(&self, component: &str, interval: &str, now: Time) -> Checkpoint {
        let key = CheckpointKey::btc(component, interval);
        let reached = Reached { sequence: 3, height: Some(334), hash: None, bucket: Some(NOON) };
        self.control.checkpoint_reached(&key, &reached, now).unwrap();
        self.control.checkpoint(&key).unwrap().unwrap()
    }
}

/// Whether rows of a table are scanned as the store would.
pub(crate) fn is_of_chain(name: TableName) -> bool {
    use TableName::{BtcBlocks, BtcBuckets, BtcPrimitiveBlock, ComposedPrices, Metrics, VenuePrices};
    matches!(name, BtcBlocks | BtcBuckets | BtcPrimitiveBlock | ComposedPrices | Metrics | VenuePrices)
}

/// Rows that a scan asks for; they lie sorted.
pub(crate) fn scanned(name: TableName, rows: &[RecordBatch], scan: &TableScan) -> Vec<RecordBatch> {
    let table = table(name);
    let all = arrow_select::concat::concat_batches(&table.row_schema(), rows).unwrap();
    let cell = |column: &str, row: usize| {
        let array = all.column_by_name(column).unwrap();
        match array.as_primitive_opt::<Int64Type>() {
            Some(ints) => ints.value(row),
            None => array.as_primitive::<TimestampMicrosecondType>().value(row),
        }
    };
    let subjects = all.column_by_name(table.subject()).unwrap().as_string::<i32>();
    let is_asked = |row: usize| {
        scan.subject.as_deref().is_none_or(|subject| subjects.value(row) == subject)
            && scan.range.is_none_or(|range| range.contains(Time(cell(table.time, row))))
            && scan.at_least.is_none_or(|(column, least)| cell(column, row) >= least)
            && scan.at_most.is_none_or(|(column, most)| cell(column, row) <= most)
    };
    let mask: BooleanArray = (0..all.num_rows()).map(|row| Some(is_asked(row))).collect();
    let mut found = arrow_select::filter::filter_record_batch(&all, &mask).unwrap();
    if scan.is_descending {
        let order = Int64Array::from_iter_values((0..found.num_rows() as i64).rev());
        found = arrow_select::take::take_record_batch(&found, &order).unwrap();
    }
    found = found.slice(0, scan.limit.unwrap_or(usize::MAX).min(found.num_rows()));
    if !scan.columns.is_empty() {
        let places: Vec<usize> =
            scan.columns.iter().map(|name| all.schema().index_of(name).unwrap()).collect();
        found = found.project(&places).unwrap();
    }
    if found.num_rows() == 0 { Vec::new() } else { vec![found] }
}
