//! `/api/v1/btc/primitive`: the chain over ten minutes, an hour or a day, with the canonical price beside it, or block by block.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use model::{PriceMethod, Time};
use serde::Deserialize;
use tables::composed_prices::name_of;
use tables::{BTC, Rows, TableName, TableScan, TimeRange, btc_buckets, composed_prices, table};
use utoipa::IntoParams;

use super::sheet::{BtcRows, FORMS, Sheet, failed};
use super::window::{Interval, Series, Window, WindowWords, buckets};
use super::{desk, remembered};
use crate::house::{House, cut};
use crate::refusal::{ErrorBody, Refusal};
use crate::rest::ask::Ask;
use crate::rest::form::{ArrowStream, Form};
use crate::rest::rows::turned;

/// Columns of the price, and what they are in the table of prices.
const PRICES: [(&str, &str); 6] = [
    ("price_open_usd", "open"),
    ("price_high_usd", "high"),
    ("price_low_usd", "low"),
    ("price_close_usd", "close"),
    ("price_volume_btc", "volume"),
    ("price_source_count", "source_count"),
];
/// Columns of blocks that are long lists; given when they are named.
const LISTS: [&str; 3] = ["fees_by_tx_sat", "spent_heights", "spent_sats"];

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PrimitiveAsk {
    /// `10m` (unless told), `1h`, `24h`, or `block` for each block on its own.
    #[param(pattern = "^(10m|1h|24h|block)$")]
    interval: Option<String>,
    /// First bucket start (of blocks: header time), milliseconds since the epoch or ISO; `start_time` is understood too. Without
    /// it the newest rows are given.
    #[serde(alias = "start_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    start: Option<String>,
    /// Last bucket start, inclusive; `end_time` is understood too.
    #[serde(alias = "end_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end: Option<String>,
    /// Of blocks: the lowest height.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64)]
    from_height: Option<String>,
    /// Of blocks: the highest height, inclusive.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64)]
    to_height: Option<String>,
    /// Most rows; 500 unless told. At most two years of 10m and 1h, three of 24h, and 105408 blocks.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 105_408)]
    limit: Option<String>,
    /// `asc` (unless told) or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// Columns, with commas between; all unless told. The bucket (of blocks: the height) is always there.
    #[param(example = "tx_count_10m,fees_sat_10m,price_close_usd")]
    fields: Option<String>,
    /// `json`, `csv` or `arrow`; the Accept header decides unless told.
    #[param(pattern = "^(json|csv|arrow)$")]
    format: Option<String>,
}

impl PrimitiveAsk {
    fn words(&self) -> WindowWords<'_> {
        WindowWords::of([&self.start, &self.end, &self.limit, &self.order])
    }
}

/// The followed chain: flows, states and means of buckets, with the canonical price.
///
/// Flows are zero where nothing happened, states are carried on, what is not defined is null; without a price the price columns
/// are null and `price_source_count` is 0.
#[utoipa::path(
    get, path = "/api/v1/btc/primitive", tag = "btc",
    params(PrimitiveAsk),
    responses(
        (status = 200, description = "Rows", content(
            (BtcRows = "application/json"),
            (String = "text/csv"),
            (ArrowStream = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody)
    )
)]
pub(crate) async fn primitive(
    State(house): State<Arc<House>>,
    headers: HeaderMap,
    Ask(ask): Ask<PrimitiveAsk>,
) -> Result<Response, Refusal> {
    desk(&house)?;
    let form = Form::wanted(ask.format.as_deref(), &headers, &FORMS)?;
    if ask.interval.as_deref() == Some("block") {
        return blocks(&house, &ask, form).await;
    }
    if ask.from_height.is_some() || ask.to_height.is_some() {
        let remedy = "ask with interval=block, or say start and end instead";
        let message = "from_height and to_height go with interval=block";
        return Err(Refusal::bad("bad_parameter", message, remedy));
    }
    let interval = Interval::read(ask.interval.as_deref(), " (or block for each block)")?;
    let window = Window::read(ask.words(), interval)?;
    let fields = Fields::read(ask.fields.as_deref(), interval)?;
    let (rows, next) = chain_rows(&house, &window, interval, &fields).await?;
    let prices = if fields.has_prices() { Some(price_rows(&house, &rows, interval).await?) } else { None };
    fields.sheet(&rows, prices.as_ref())?.answer(form, next.as_deref())
}

/// The newest rows of ten minutes with their prices, ascending.
pub(crate) async fn newest_primitives(
    house: &House,
    limit: usize,
) -> Result<Vec<serde_json::Value>, Refusal> {
    let interval = Interval::read(None, "")?;
    let fields = Fields::read(None, interval)?;
    let (rows, _) = chain_rows(house, &Window::newest(limit), interval, &fields).await?;
    let prices = price_rows(house, &rows, interval).await?;
    Ok(fields.sheet(&rows, Some(&prices))?.into_values())
}

/// Columns that were asked for, by the names they have in the tables of ten minutes.
struct Fields {
    /// Outward name, and the name in the table of buckets or of prices.
    chosen: Vec<(String, &'static str)>,
    is_rolled: bool,
}

/// The name without the length of its bucket.
fn base(name: &str) -> &str {
    ["_10m", "_24h", "_1h"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

fn is_price(name: &str) -> bool {
    PRICES.iter().any(|(outward, _)| *outward == name)
}

impl Fields {
    fn read(text: Option<&str>, interval: Interval) -> Result<Self, Refusal> {
        let columns = table(TableName::BtcBuckets).columns.iter().map(|column| column.name);
        let known: Vec<&'static str> = columns.chain(PRICES.iter().map(|(outward, _)| *outward)).collect();
        let outward = |name: &str| match name.strip_suffix("_10m") {
            Some(base) => format!("{base}_{}", interval.name),
            None => name.to_owned(),
        };
        let mut names = vec!["bucket"];
        match text {
            None => names.extend(known.iter().filter(|name| !matches!(**name, "chain" | "bucket"))),
            Some(text) => {
                for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    let found = known
                        .iter()
                        .find(|name| base(name) == base(word))
                        .ok_or_else(|| unknown_field(word, &known))?;
                    if !names.contains(found) {
                        names.push(found);
                    }
                }
            }
        }
        let chosen = names.into_iter().map(|name| (outward(name), name)).collect();
        Ok(Self { chosen, is_rolled: interval.minutes != 10 })
    }

    fn has_prices(&self) -> bool {
        self.chosen.iter().any(|(_, name)| is_price(name))
    }

    /// Columns to be read of the table of buckets: longer buckets are made of whole rows.
    fn columns(&self) -> Vec<&'static str> {
        if self.is_rolled {
            return Vec::new();
        }
        self.chosen.iter().map(|(_, name)| *name).filter(|name| !is_price(name)).collect()
    }

    fn sheet(&self, rows: &RecordBatch, prices: Option<&RecordBatch>) -> Result<Sheet, Refusal> {
        let order = prices.map(|prices| places(&buckets(rows), &buckets(prices)));
        let mut sheet = Sheet::new(rows.num_rows());
        for (outward, name) in &self.chosen {
            let inward = PRICES.iter().find(|(outward, _)| outward == name).map(|(_, inward)| *inward);
            let array = match (inward, prices, &order) {
                (Some(inward), Some(prices), Some(order)) => price_column(prices, inward, order)?,
                _ => rows.column_by_name(name).cloned().ok_or_else(|| absent(name))?,
            };
            sheet.push(outward, array);
        }
        Ok(sheet)
    }
}

fn absent(name: &str) -> Refusal {
    tables::StoreError::Failed(format!("column {name} was not read")).into()
}

fn unknown_field(word: &str, known: &[&str]) -> Refusal {
    let remedy = format!("choose among {}", known.join(", "));
    Refusal::bad("unknown_field", format!("unknown field {:?}", cut(word)), remedy)
}

/// For each bucket the row of its price. Either may be ascending or descending.
fn places(wanted: &[Time], prices: &[Time]) -> UInt32Array {
    let is_sorted = prices.is_sorted();
    let at = |bucket: &Time| {
        let found = if is_sorted {
            prices.binary_search(bucket).ok()
        } else {
            prices.iter().position(|one| one == bucket)
        };
        found.map(|row| row as u32)
    };
    wanted.iter().map(at).collect()
}

fn price_column(prices: &RecordBatch, name: &str, order: &UInt32Array) -> Result<ArrayRef, Refusal> {
    let array = prices.column_by_name(name).ok_or_else(|| absent(name))?;
    let taken = arrow_select::take::take(array, order, None).map_err(|error| failed(&error))?;
    // A bucket without a row has no price from any venue.
    if name == "source_count" && taken.null_count() > 0 {
        let zeros = arrow_array::Int32Array::from(vec![0; taken.len()]);
        let is_there = arrow_array::BooleanArray::new(
            taken.nulls().map_or_else(|| vec![true; taken.len()].into(), |nulls| nulls.inner().clone()),
            None,
        );
        return arrow_select::zip::zip(&is_there, &taken, &zeros).map_err(|error| failed(&error));
    }
    Ok(taken)
}

async fn chain_rows(
    house: &House,
    window: &Window,
    interval: Interval,
    fields: &Fields,
) -> Result<(RecordBatch, Option<String>), Refusal> {
    let newest = desk(house)?.health().primitive_bucket;
    let series = Series { table: TableName::BtcBuckets, subject: BTC, columns: fields.columns(), newest };
    let mut rows = series.read(house, window, interval).await?;
    if fields.is_rolled {
        let parts = btc_buckets::from_batch(&rows);
        rows = Rows::BtcBuckets(desk(house)?.rollup_buckets(&parts, interval.minutes)).to_batch();
    }
    Ok(window.page(&rows, interval))
}

/// The method whose prices are canonical.
pub(super) async fn canonical_method(house: &House) -> Result<PriceMethod, Refusal> {
    let number = remembered(house, control::Control::canonical_method).await?;
    Ok(number.and_then(PriceMethod::of_number).unwrap_or(PriceMethod::Median))
}

async fn price_rows(house: &House, rows: &RecordBatch, interval: Interval) -> Result<RecordBatch, Refusal> {
    let method = canonical_method(house).await?;
    let wanted = buckets(rows);
    let is_rolled = interval.minutes != 10;
    let columns = if is_rolled {
        Vec::new()
    } else {
        vec!["bucket", "open", "high", "low", "close", "volume", "source_count"]
    };
    let series = Series { table: TableName::ComposedPrices, subject: name_of(method), columns, newest: None };
    let start = wanted.iter().min().copied().unwrap_or_default();
    let end = wanted.iter().max().map_or(start, |last| last.plus_micros(interval.micros()));
    let prices = series.read_range(house, TimeRange { start, end }).await?;
    if !is_rolled {
        return Ok(prices);
    }
    let parts = composed_prices::from_batch(&prices);
    Ok(Rows::ComposedPrices(desk(house)?.rollup_prices(&parts, interval.minutes)).to_batch())
}

async fn blocks(house: &House, ask: &PrimitiveAsk, form: Form) -> Result<Response, Refusal> {
    let ten_minutes = Interval::read(None, "")?;
    let window = Window::read(ask.words(), ten_minutes)?;
    let height = |name, text: &Option<String>| crate::rest::ask::id(name, text.as_deref());
    let (from, to) = (height("from_height", &ask.from_height)?, height("to_height", &ask.to_height)?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        let message = format!("from_height {from} is above to_height {to}");
        return Err(Refusal::bad("reversed_range", message, "swap them"));
    }
    let columns = block_columns(ask.fields.as_deref())?;
    let is_forward = !window.is_descending && (window.bounds.start.is_some() || from.is_some());
    let scan = TableScan {
        subject: Some(BTC.to_owned()),
        range: window.bounds.range(),
        at_least: from.map(|from| ("height", from)),
        at_most: to.map(|to| ("height", to)),
        columns,
        is_descending: !is_forward,
        limit: Some(window.limit + 1),
        ..TableScan::default()
    };
    let columns = scan.columns.clone();
    let rows = house.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
    let rows = if is_forward { rows } else { turned(&rows) };
    let whole = table(TableName::BtcPrimitiveBlock).row_schema();
    let places: Vec<usize> = columns.iter().filter_map(|name| whole.index_of(name).ok()).collect();
    let schema = match rows.first() {
        Some(first) => first.schema(),
        None => Arc::new(whole.project(&places).map_err(|error| failed(&error))?),
    };
    let rows = arrow_select::concat::concat_batches(&schema, &rows).map_err(|error| failed(&error))?;
    let spare = rows.num_rows().saturating_sub(window.limit);
    let page = if is_forward {
        rows.slice(0, rows.num_rows() - spare)
    } else {
        rows.slice(spare, rows.num_rows() - spare)
    };
    let next = match heights(&page) {
        Some((_, last)) if spare > 0 && is_forward => Some(format!("from_height={}", last + 1)),
        Some((first, _)) if spare > 0 => Some(format!("to_height={}", first - 1)),
        _ => None,
    };
    let page = if window.is_descending { turned(&[page]).pop().unwrap_or(rows) } else { page };
    Sheet::of(&page, &[]).answer(form, next.as_deref())
}

/// Lowest and highest height of a page.
fn heights(page: &RecordBatch) -> Option<(i64, i64)> {
    let heights = page.column_by_name("height")?;
    let heights = heights.as_any().downcast_ref::<arrow_array::Int64Array>()?;
    Some((*heights.values().first()?, *heights.values().last()?))
}

fn block_columns(text: Option<&str>) -> Result<Vec<&'static str>, Refusal> {
    let known: Vec<&'static str> =
        table(TableName::BtcPrimitiveBlock).columns.iter().map(|column| column.name).collect();
    let Some(text) = text else {
        return Ok(known.into_iter().filter(|name| *name != "chain" && !LISTS.contains(name)).collect());
    };
    let mut names = vec!["height"];
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let found = known.iter().find(|name| **name == word).ok_or_else(|| unknown_field(word, &known))?;
        if !names.contains(found) {
            names.push(found);
        }
    }
    Ok(names)
}
