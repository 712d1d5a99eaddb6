//! Rows and lakes for the cases.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use futures::TryStreamExt;
use lake::{Lake, LakeSettings};
use model::{
    Bar, BarSource, BarState, Condition, Decimal, Instrument, InstrumentId, LogPosition, Side, Source, Time,
    Trade,
};
use runtime::SystemClock;
use tables::{InstrumentRow, QueryError, QueryLimits, RowBatch, Rows, TABLES, TableName};

pub(crate) fn settings(folder: &Path) -> LakeSettings {
    let mut settings = LakeSettings::at(folder.to_string_lossy());
    settings.settle_after = std::time::Duration::ZERO;
    settings
}

pub(crate) async fn open(folder: &Path) -> Lake {
    Lake::open(settings(folder), SystemClock::shared(), TABLES).await.unwrap()
}

pub(crate) fn instrument(text: &str) -> InstrumentId {
    text.parse().unwrap()
}

pub(crate) fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

/// A trade of `binance-futures:<base>-USDT-PERP`, `id` seconds after the start of 2024-08-08.
pub(crate) fn trade(base: &str, id: i64) -> Trade {
    Trade {
        instrument: instrument(&format!("binance-futures:{base}-USDT-PERP")),
        venue_time: time("2024-08-08").plus_micros(id * 1_000_000 + id % 1_000),
        trade_id: Some(id),
        venue_trade_id: None,
        price: Decimal::new(6_000_000 + i128::from(id % 977), 2),
        quantity: Decimal::new(1 + i128::from(id % 13), 3),
        taker_side: if id % 3 == 0 { Side::Sell } else { Side::Buy },
        first_trade_id: Some(id * 2),
        last_trade_id: Some(id * 2 + 1),
        condition: Condition::Market,
        received_time: time("2024-08-08").plus_micros(id * 1_000_000 + 5_000),
        source: Source::Stream,
    }
}

/// A minute bar of `binance:BTC-USDT`, so many minutes after the start of 2024-08-08.
pub(crate) fn bar(minute: i64, close: i128, revision: i32) -> Bar {
    Bar {
        instrument: instrument("binance:BTC-USDT"),
        timeframe: "1m".parse().unwrap(),
        open_time: time("2024-08-08").plus_micros(minute * 60_000_000),
        open: Decimal::new(1, 0),
        high: Decimal::new(9, 0),
        low: Decimal::new(1, 0),
        close: Decimal::new(close, 0),
        volume: Decimal::new(15, 1),
        quote_volume: Decimal::new(3, 0),
        trade_count: Some(2),
        taker_buy_volume: None,
        source: BarSource::Trades,
        state: BarState::Closed,
        revision,
        available_time: time("2024-08-09"),
    }
}

/// Rows with positions that count up from `first`.
pub(crate) fn batch(rows: &Rows, first: u64) -> RowBatch {
    let positions = (0..rows.len() as u64).map(|index| LogPosition(first + index)).collect();
    RowBatch { table: rows.table(), batch: rows.to_batch(), positions }
}

/// How the venue lists `binance-futures:<base>-USDT-PERP`, from a day on.
pub(crate) fn listing(base: &str, symbol: &str, from: &str) -> InstrumentRow {
    let instrument = Instrument::named(instrument(&format!("binance-futures:{base}-USDT-PERP")), symbol);
    InstrumentRow { instrument, valid_from: time(from), valid_to: None }
}

/// Numbers from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

pub(crate) fn trades(base: &str, ids: impl Iterator<Item = i64>) -> Rows {
    Rows::Trades(ids.map(|id| trade(base, id)).collect())
}

/// Appends trades with these ids, at positions equal to the ids.
pub(crate) fn append_trades(lake: &Lake, base: &str, ids: std::ops::Range<i64>) {
    let first = ids.start as u64;
    lake.store().append(batch(&trades(base, ids), first)).unwrap();
}

pub(crate) async fn commit(lake: &Lake, through: u64) {
    lake.store().commit(LogPosition(through)).await.unwrap();
}

pub(crate) async fn try_sql(lake: &Lake, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
    try_sql_within(lake, sql, QueryLimits::default()).await
}

pub(crate) async fn try_sql_within(
    lake: &Lake,
    sql: &str,
    limits: QueryLimits,
) -> Result<Vec<RecordBatch>, QueryError> {
    lake.query().query(sql, limits).await?.batches.try_collect().await
}

/// The answer to a query as lines of cells.
pub(crate) async fn sql(lake: &Lake, text: &str) -> Vec<String> {
    lines(&try_sql(lake, text).await.unwrap())
}

pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let cells: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines.push(cells.iter().map(|cell| cell.value(row).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

pub(crate) async fn count(lake: &Lake, table: TableName) -> u64 {
    // Summed, so that no statistics can answer for the rows.
    let text = format!("SELECT sum(CASE WHEN instrument <> '' THEN 1 ELSE 0 END) FROM {table}");
    sql(lake, &text).await[0].parse().unwrap_or(0)
}

pub(crate) fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    let ids = |batch: &RecordBatch| {
        batch.column_by_name("trade_id").unwrap().as_primitive::<Int64Type>().values().to_vec()
    };
    batches.iter().flat_map(ids).collect()
}

/// The data files of a table, sorted.
pub(crate) fn data_files(folder: &Path, table: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.join(table)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|ext| ext == "parquet")
                && !entry.path().to_string_lossy().contains("_delta_log")
            {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The commit entries of a table, oldest first.
pub(crate) fn log_entries(folder: &Path, table: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join(table).join("_delta_log")).unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    found.sort();
    found
}
