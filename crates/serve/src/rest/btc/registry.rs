//! `/api/v1/btc/registry`: which metrics are computed, which price sources asked, and which price is canonical. Changes are made by
//! programs on this machine only.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use control::{Control, MetricRow, PriceSourceRow};
use model::PriceMethod;
use serde::{Deserialize, Serialize};
use tables::RegistryChange;
use utoipa::{IntoParams, ToSchema};

use super::metrics::known_metric;
use super::price::{known_source, method};
use super::window::Interval;
use super::{desk, primitive, remembered};
use crate::dto::Answer;
use crate::house::{House, cut};
use crate::refusal::{ErrorBody, Refusal};
use crate::rest::ask::{Ask, Words};
use crate::rest::local::Local;
use crate::rest::sql::read_body;

/// A metric as it is registered, at one interval.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetricEntry {
    /// Its name.
    metric_name: String,
    /// `10m`, `1h` or `24h`.
    interval: String,
    /// Whether it is computed.
    is_enabled: bool,
    /// The SQL name under which its values are read.
    output_table: String,
    /// What it is computed from.
    dependencies: Vec<String>,
    /// What it means.
    description: String,
    /// When it was last changed, milliseconds since the epoch.
    updated_time: i64,
}

impl From<MetricRow> for MetricEntry {
    fn from(row: MetricRow) -> Self {
        let names = row.dependencies.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self {
            dependencies: names.map(str::to_owned).collect(),
            metric_name: row.metric_name,
            interval: row.interval,
            is_enabled: row.is_enabled,
            output_table: row.output_table,
            description: row.description,
            updated_time: row.updated_time.millis(),
        }
    }
}

/// A price source as it is registered.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceEntry {
    /// The venue.
    source_name: String,
    /// Whether it is asked, and its rows used.
    is_enabled: bool,
    /// `spot`.
    market_type: String,
    /// Its settings.
    config: serde_json::Value,
    /// When it was last changed, milliseconds since the epoch.
    updated_time: i64,
}

impl From<PriceSourceRow> for SourceEntry {
    fn from(row: PriceSourceRow) -> Self {
        Self {
            config: serde_json::from_str(&row.config_json).unwrap_or_default(),
            source_name: row.source_name,
            is_enabled: row.is_enabled,
            market_type: row.market_type,
            updated_time: row.updated_time.millis(),
        }
    }
}

/// The canonical price.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CanonicalForm {
    /// 1: mean by volume; 2: median by volume without deviating venues.
    #[schema(minimum = 1, maximum = 2)]
    method: u8,
}

type Listed<T> = Result<Json<Answer<T>>, Refusal>;

async fn metric_entries(house: &House, of: Option<&str>) -> Result<Vec<MetricEntry>, Refusal> {
    let rows = remembered(house, Control::metrics).await?;
    Ok(rows
        .into_iter()
        .filter(|row| of.is_none_or(|name| name == row.metric_name))
        .map(MetricEntry::from)
        .collect())
}

async fn source_entries(house: &House, of: Option<&str>) -> Result<Vec<SourceEntry>, Refusal> {
    let rows = remembered(house, Control::price_sources).await?;
    Ok(rows
        .into_iter()
        .filter(|row| of.is_none_or(|name| name == row.source_name))
        .map(SourceEntry::from)
        .collect())
}

/// Every metric and interval as it is registered.
#[utoipa::path(
    get, path = "/api/v1/btc/registry/metrics", tag = "btc",
    responses((status = 200, description = "Metrics", body = Answer<Vec<MetricEntry>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn metric_registry(State(house): State<Arc<House>>) -> Listed<Vec<MetricEntry>> {
    let data = metric_entries(&house, None).await?;
    let message = format!("{} metrics and intervals", data.len());
    Ok(Json(Answer::new(data, message)))
}

/// At which interval.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SwitchAsk {
    /// `10m`, `1h` or `24h`; all of them unless told.
    #[param(pattern = "^(10m|1h|24h)$")]
    interval: Option<String>,
}

async fn switch_metric(
    house: &House,
    name: &str,
    ask: &SwitchAsk,
    is_enabled: bool,
) -> Listed<Vec<MetricEntry>> {
    let metric = known_metric(house, name)?;
    let interval = ask.interval.as_deref().map(|text| Interval::read(Some(text), "")).transpose()?;
    let (now, at) = (house.clock.time(), interval.map(|interval| interval.name));
    let changed =
        remembered(house, move |control| control.enable_metric(metric.name, at, is_enabled, now)).await?;
    if changed == 0 {
        return Err(Refusal::unknown(
            "unknown_metric",
            format!(
                "metric {} is not registered{}",
                metric.name,
                at.map_or(String::new(), |at| format!(" over {at}"))
            ),
            "see /api/v1/btc/registry/metrics for what is",
        ));
    }
    desk(house)?.changed(RegistryChange::Metric(metric.name.to_owned())).await;
    let word = if is_enabled { "enabled" } else { "disabled" };
    let message = format!("Metric {} is {word} at {changed} intervals", metric.name);
    Ok(Json(Answer::new(metric_entries(house, Some(metric.name)).await?, message)))
}

/// Computes a metric from now on, and what is absent of it.
#[utoipa::path(
    post, path = "/api/v1/btc/registry/metrics/{name}/enable", tag = "btc",
    params(("name" = String, Path, description = "Name or alias of the metric", pattern = r"^\S+$"), SwitchAsk),
    responses((status = 200, description = "As it is registered now", body = Answer<Vec<MetricEntry>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn enable_metric(
    State(house): State<Arc<House>>,
    _local: Local,
    Words(name): Words,
    Ask(ask): Ask<SwitchAsk>,
) -> Listed<Vec<MetricEntry>> {
    switch_metric(&house, &name, &ask, true).await
}

/// Computes a metric no more; its values stay.
#[utoipa::path(
    post, path = "/api/v1/btc/registry/metrics/{name}/disable", tag = "btc",
    params(("name" = String, Path, description = "Name or alias of the metric", pattern = r"^\S+$"), SwitchAsk),
    responses((status = 200, description = "As it is registered now", body = Answer<Vec<MetricEntry>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn disable_metric(
    State(house): State<Arc<House>>,
    _local: Local,
    Words(name): Words,
    Ask(ask): Ask<SwitchAsk>,
) -> Listed<Vec<MetricEntry>> {
    switch_metric(&house, &name, &ask, false).await
}

/// Every price source as it is registered.
#[utoipa::path(
    get, path = "/api/v1/btc/registry/prices", tag = "btc",
    responses((status = 200, description = "Price sources", body = Answer<Vec<SourceEntry>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn prices(State(house): State<Arc<House>>) -> Listed<Vec<SourceEntry>> {
    let data = source_entries(&house, None).await?;
    let message = format!("{} price sources", data.len());
    Ok(Json(Answer::new(data, message)))
}

async fn told_source(house: &House, name: &str, was_there: bool, message: &str) -> Listed<SourceEntry> {
    let source = known_source(name)?;
    let unregistered = || {
        let remedy = "start tickhouse once, which registers all sources";
        Refusal::unknown("unknown_source", format!("price source {source} is not registered"), remedy)
    };
    if !was_there {
        return Err(unregistered());
    }
    desk(house)?.changed(RegistryChange::PriceSource(source)).await;
    let entry = source_entries(house, Some(source.as_str())).await?.pop().ok_or_else(unregistered)?;
    Ok(Json(Answer::new(entry, message)))
}

async fn switch_price(house: &House, name: &str, is_enabled: bool) -> Listed<SourceEntry> {
    let source = known_source(name)?;
    let now = house.clock.time();
    let was_there =
        remembered(house, move |control| control.enable_price_source(source.as_str(), is_enabled, now))
            .await?;
    let word = if is_enabled { "enabled" } else { "disabled" };
    told_source(house, name, was_there, &format!("Price source {source} is {word}")).await
}

/// Asks a price source again, and uses its rows.
#[utoipa::path(
    post, path = "/api/v1/btc/registry/prices/{source}/enable", tag = "btc",
    params(("source" = String, Path, description = "The venue", example = "binance", pattern = r"^\S+$")),
    responses((status = 200, description = "As it is registered now", body = Answer<SourceEntry>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn enable_price(
    State(house): State<Arc<House>>,
    _local: Local,
    Words(name): Words,
) -> Listed<SourceEntry> {
    desk(&house)?;
    switch_price(&house, &name, true).await
}

/// Neither asks a price source nor uses its rows; they stay.
#[utoipa::path(
    post, path = "/api/v1/btc/registry/prices/{source}/disable", tag = "btc",
    params(("source" = String, Path, description = "The venue", example = "binance", pattern = r"^\S+$")),
    responses((status = 200, description = "As it is registered now", body = Answer<SourceEntry>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn disable_price(
    State(house): State<Arc<House>>,
    _local: Local,
    Words(name): Words,
) -> Listed<SourceEntry> {
    desk(&house)?;
    switch_price(&house, &name, false).await
}

async fn body_text(house: &House, request: Request) -> Result<String, Refusal> {
    let bytes = read_body(request.into_body(), house.settings.body_bytes_max).await?;
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Refusal::bad("bad_text", "the body is not UTF-8", "send it as UTF-8"))
}

/// Gives a price source other settings: an object with some of `mode`, `api_base`, `endpoint`, `symbol`, `market_type`,
/// `historical_start_utc`, `auto_historical_backfill` and `poll_s`.
#[utoipa::path(
    put, path = "/api/v1/btc/registry/prices/{source}/config", tag = "btc",
    params(("source" = String, Path, description = "The venue", example = "binance", pattern = r"^\S+$")),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, description = "As it is registered now", body = Answer<SourceEntry>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn configure_price(
    State(house): State<Arc<House>>,
    _local: Local,
    Words(name): Words,
    request: Request,
) -> Listed<SourceEntry> {
    desk(&house)?;
    let source = known_source(&name)?;
    let text = body_text(&house, request).await?;
    desk(&house)?.check_source(source, &text).map_err(|reason| {
        Refusal::bad(
            "bad_config",
            format!("the settings of {source} are not as expected: {}", cut_long(&reason)),
            "send an object such as {\"mode\":\"local\",\"api_base\":\"https://api.binance.com\"}; what is left out is as usual",
        )
    })?;
    let now = house.clock.time();
    let was_there =
        remembered(&house, move |control| control.configure_price_source(source.as_str(), text.trim(), now))
            .await?;
    told_source(&house, &name, was_there, &format!("Price source {source} has other settings")).await
}

fn cut_long(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Which method's price is canonical.
#[utoipa::path(
    get, path = "/api/v1/btc/registry/canonical", tag = "btc",
    responses((status = 200, description = "The method", body = Answer<CanonicalForm>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn canonical_method(State(house): State<Arc<House>>) -> Listed<CanonicalForm> {
    let method = primitive::canonical_method(&house).await?;
    Ok(Json(told_method(method)))
}

fn told_method(method: PriceMethod) -> Answer<CanonicalForm> {
    let words = match method {
        PriceMethod::VolumeWeighted => "The mean by volume is canonical",
        PriceMethod::Median => "The median by volume is canonical",
    };
    Answer::new(CanonicalForm { method: method.number() }, words)
}

/// Makes another method's price canonical: in `/price/canonical`, beside the primitives, and for metrics.
#[utoipa::path(
    put, path = "/api/v1/btc/registry/canonical", tag = "btc",
    request_body = CanonicalForm,
    responses((status = 200, description = "The method", body = Answer<CanonicalForm>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn choose_canonical(
    State(house): State<Arc<House>>,
    _local: Local,
    request: Request,
) -> Listed<CanonicalForm> {
    desk(&house)?;
    let text = body_text(&house, request).await?;
    let form: CanonicalForm = serde_json::from_str(&text).map_err(|error| {
        Refusal::bad(
            "bad_json",
            format!("the body is not as expected: {}", cut(&error.to_string())),
            r#"send {"method":2}"#,
        )
    })?;
    let method = method(&form.method.to_string())?;
    remembered(&house, move |control| control.choose_canonical_method(method.number())).await?;
    desk(&house)?.changed(RegistryChange::CanonicalMethod).await;
    Ok(Json(told_method(method)))
}
