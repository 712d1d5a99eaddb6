//! `/api/v1/btc/metrics`: the list of metrics, and the values of one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use model::time::DAY;
use model::{BUCKET, Time, interval_name};
use serde::{Deserialize, Serialize};
use tables::{MetricInfo, TableName, TimeRange, table};
use utoipa::{IntoParams, ToSchema};

use super::sheet::{BtcRows, FORMS, Sheet, failed};
use super::window::{Interval, Series, Window, WindowWords};
use super::{desk, remembered};
use crate::dto::Answer;
use crate::house::{House, cut};
use crate::refusal::{ErrorBody, Refusal};
use crate::rest::ask::{Ask, Words};
use crate::rest::form::{ArrowStream, Form};

/// A metric.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetricForm {
    /// Its name.
    name: &'static str,
    /// Other names it is asked for by.
    aliases: Vec<&'static str>,
    /// What it is, with its formula.
    description: &'static str,
    /// Who defined it so.
    source: &'static str,
    /// The unit of its values.
    unit: &'static str,
    /// The intervals it is computed for, and whether it is.
    intervals: Vec<MetricInterval>,
}

/// A metric at an interval.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetricInterval {
    /// `10m`, `1h` or `24h`.
    interval: String,
    /// Whether it is computed.
    is_enabled: bool,
}

/// Every metric with its meaning.
#[utoipa::path(
    get, path = "/api/v1/btc/metrics", tag = "btc",
    responses((status = 200, description = "Metrics", body = Answer<Vec<MetricForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn list(State(house): State<Arc<House>>) -> Result<Json<Answer<Vec<MetricForm>>>, Refusal> {
    let rows = remembered(&house, control::Control::metrics).await?;
    let is_enabled = |name: &str, interval: &str| {
        rows.iter().any(|row| row.metric_name == name && row.interval == interval && row.is_enabled)
    };
    let form = |info: MetricInfo| MetricForm {
        name: info.name,
        aliases: info.aliases.to_vec(),
        description: info.doc,
        source: info.source,
        unit: info.unit,
        intervals: info
            .intervals
            .iter()
            .map(|minutes| interval_name(*minutes))
            .map(|interval| MetricInterval { is_enabled: is_enabled(info.name, &interval), interval })
            .collect(),
    };
    let data: Vec<MetricForm> = desk(&house)?.metrics().into_iter().map(form).collect();
    let message = format!("{} metrics", data.len());
    Ok(Json(Answer::new(data, message)))
}

/// The metric of that name or alias.
pub(super) fn known_metric(house: &House, name: &str) -> Result<MetricInfo, Refusal> {
    let metrics = desk(house)?.metrics();
    let found = metrics.iter().find(|metric| metric.name == name || metric.aliases.contains(&name));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name).collect();
        Refusal::unknown(
            "unknown_metric",
            format!("unknown metric {:?}", cut(name)),
            format!("choose {}", names.join(", ")),
        )
    })
}

/// Which values.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricAsk {
    /// `10m` (unless told), `1h` or `24h`.
    #[param(pattern = "^(10m|1h|24h)$")]
    interval: Option<String>,
    /// First bucket start, milliseconds since the epoch or ISO; `start_time` is understood too. Without it the newest values are given.
    #[serde(alias = "start_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    start: Option<String>,
    /// Last bucket start, inclusive; `end_time` is understood too.
    #[serde(alias = "end_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end: Option<String>,
    /// Most values; 500 unless told. At most two years of 10m and 1h, three of 24h.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 105_408)]
    limit: Option<String>,
    /// `asc` (unless told) or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// `json`, `csv` or `arrow`; the Accept header decides unless told.
    #[param(pattern = "^(json|csv|arrow)$")]
    format: Option<String>,
}

/// Values of a metric over buckets; where one is not defined it is null, with the reason.
#[utoipa::path(
    get, path = "/api/v1/btc/metrics/{name}", tag = "btc",
    params(("name" = String, Path, description = "Name or alias of the metric", example = "nvt", pattern = r"^\S+$"), MetricAsk),
    responses(
        (status = 200, description = "Values", content(
            (BtcRows = "application/json"),
            (String = "text/csv"),
            (ArrowStream = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody)
    )
)]
pub(crate) async fn values(
    State(house): State<Arc<House>>,
    Words(name): Words,
    headers: HeaderMap,
    Ask(ask): Ask<MetricAsk>,
) -> Result<Response, Refusal> {
    let metric = known_metric(&house, &name)?;
    let form = Form::wanted(ask.format.as_deref(), &headers, &FORMS)?;
    let interval = Interval::read(ask.interval.as_deref(), "")?;
    let words = WindowWords::of([&ask.start, &ask.end, &ask.limit, &ask.order]);
    let window = Window::read(words, interval)?;
    check_computed(&house, metric, interval).await?;
    let health = desk(&house)?.health();
    let newest = health.metrics_bucket.or(health.primitive_bucket);
    let columns = vec![length_column(), "bucket", "value", "reason"];
    let series = Series { table: TableName::Metrics, subject: metric.name, columns, newest: None };
    let first = if window.is_forward() { series.first(&house, &window).await? } else { None };
    let rows = series.read_range(&house, range(&window, interval, (first, newest))).await?;
    let (page, next) = window.page(&of_interval(&rows, interval)?, interval);
    Sheet::of(&page, &[length_column()]).answer(form, next.as_deref())
}

async fn check_computed(house: &House, metric: MetricInfo, interval: Interval) -> Result<(), Refusal> {
    if !metric.intervals.contains(&interval.minutes) {
        let known: Vec<String> = metric.intervals.iter().map(|minutes| interval_name(*minutes)).collect();
        let message = format!("metric {} is not computed over {}", metric.name, interval.name);
        return Err(Refusal::bad("bad_interval", message, format!("choose {}", known.join(" or "))));
    }
    let rows = remembered(house, control::Control::metrics).await?;
    let own = rows.iter().find(|row| row.metric_name == metric.name && row.interval == interval.name);
    if own.is_some_and(|row| row.is_enabled) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::CONFLICT,
        "metric_disabled",
        format!("metric {} is disabled over {}", metric.name, interval.name),
        format!(
            "POST /api/v1/btc/registry/metrics/{}/enable?interval={} computes it again; older values stay in the table metrics",
            metric.name, interval.name
        ),
    ))
}

// Rows of all intervals of a metric lie beside each other, so a limit of rows would count the wrong ones: buckets follow each other
// without holes, so a count of them is a span of time, from the first one on. That of a longer interval begins up to a day earlier.
fn range(window: &Window, interval: Interval, (begins, newest): (Option<Time>, Option<Time>)) -> TimeRange {
    let bounds = window.bounds.range();
    let span = (window.limit as i64 + 1) * interval.micros();
    let (first, end) = bounds.map_or((Time(0), None), |range| (range.start, Some(range.end)));
    if window.is_forward() {
        let begins = begins.map_or(first, |begins| first.max(begins));
        let far = begins.plus_micros(span + interval.micros() + DAY);
        return TimeRange { start: first, end: end.map_or(far, |end| end.min(far)) };
    }
    let known_end = newest.map(|newest| newest.plus_micros(BUCKET));
    let end = end.into_iter().chain(known_end).min().unwrap_or_default().max(first);
    TimeRange { start: end.plus_micros(-span - interval.micros()).max(first), end }
}

/// The column that tells the length of buckets: the key says metric, length, bucket.
fn length_column() -> &'static str {
    table(TableName::Metrics).key[1]
}

fn of_interval(rows: &RecordBatch, interval: Interval) -> Result<RecordBatch, Refusal> {
    let Some(names) = rows.column_by_name(length_column()).and_then(|array| array.as_string_opt::<i32>())
    else {
        return Ok(rows.clone());
    };
    let is_wanted: BooleanArray = names.iter().map(|name| Some(name == Some(interval.name))).collect();
    arrow_select::filter::filter_record_batch(rows, &is_wanted).map_err(|error| failed(&error))
}
