//! `/api/v1/btc/price`: the composed price with the venues behind it, and what each venue says.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use model::{PriceMethod, PriceSource};
use serde::Deserialize;
use tables::composed_prices::name_of;
use tables::{Rows, TableName, composed_prices};
use utoipa::IntoParams;

use super::desk;
use super::primitive::canonical_method;
use super::sheet::{BtcRows, FORMS, Sheet};
use super::window::{Interval, Series, Window, WindowWords};
use crate::house::{House, cut};
use crate::refusal::{ErrorBody, Refusal};
use crate::rest::ask::{Ask, Words};
use crate::rest::form::{ArrowStream, Form};

/// Which composed prices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CanonicalAsk {
    /// `10m` (unless told), `1h` or `24h`.
    #[param(pattern = "^(10m|1h|24h)$")]
    interval: Option<String>,
    /// 1: mean by volume; 2: median by volume without deviating venues; the canonical one unless told.
    #[param(pattern = "^(1|2|volume_weighted|median)$")]
    method: Option<String>,
    /// First bucket start, milliseconds since the epoch or ISO; `start_time` is understood too. Without it the newest rows are given.
    #[serde(alias = "start_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    start: Option<String>,
    /// Last bucket start, inclusive; `end_time` is understood too.
    #[serde(alias = "end_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end: Option<String>,
    /// Most rows; 500 unless told. At most two years of 10m and 1h, three of 24h.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 105_408)]
    limit: Option<String>,
    /// `asc` (unless told) or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// `json`, `csv` or `arrow`; the Accept header decides unless told.
    #[param(pattern = "^(json|csv|arrow)$")]
    format: Option<String>,
}

/// The composed price of Bitcoin, with venues used, venues rejected and why, and the basis of USDT.
///
/// Without a venue the prices are null and `source_count` is 0.
#[utoipa::path(
    get, path = "/api/v1/btc/price/canonical", tag = "btc",
    params(CanonicalAsk),
    responses(
        (status = 200, description = "Prices", content(
            (BtcRows = "application/json"),
            (String = "text/csv"),
            (ArrowStream = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody)
    )
)]
pub(crate) async fn canonical(
    State(house): State<Arc<House>>,
    headers: HeaderMap,
    Ask(ask): Ask<CanonicalAsk>,
) -> Result<Response, Refusal> {
    let health = desk(&house)?.health();
    let form = Form::wanted(ask.format.as_deref(), &headers, &FORMS)?;
    let interval = Interval::read(ask.interval.as_deref(), "")?;
    let words = WindowWords::of([&ask.start, &ask.end, &ask.limit, &ask.order]);
    let window = Window::read(words, interval)?;
    let method = match ask.method.as_deref() {
        None => canonical_method(&house).await?,
        Some(text) => method(text)?,
    };
    let series = Series {
        table: TableName::ComposedPrices,
        subject: name_of(method),
        columns: Vec::new(),
        newest: health.price_bucket,
    };
    let mut rows = series.read(&house, &window, interval).await?;
    if interval.minutes != 10 {
        let parts = composed_prices::from_batch(&rows);
        rows = Rows::ComposedPrices(desk(&house)?.rollup_prices(&parts, interval.minutes)).to_batch();
    }
    let (page, next) = window.page(&rows, interval);
    Sheet::of(&page, &[]).answer(form, next.as_deref())
}

/// The newest rows of the canonical price, ascending.
pub(crate) async fn newest_prices(house: &House, limit: usize) -> Result<Vec<serde_json::Value>, Refusal> {
    let interval = Interval::read(None, "")?;
    let window = Window::newest(limit);
    let newest = desk(house)?.health().price_bucket;
    let subject = name_of(canonical_method(house).await?);
    let series = Series { table: TableName::ComposedPrices, subject, columns: Vec::new(), newest };
    let rows = series.read(house, &window, interval).await?;
    Ok(Sheet::of(&window.page(&rows, interval).0, &[]).into_values())
}

/// Reads a method.
pub(super) fn method(text: &str) -> Result<PriceMethod, Refusal> {
    let numbered = text.parse().ok().and_then(PriceMethod::of_number);
    let both = [PriceMethod::VolumeWeighted, PriceMethod::Median];
    numbered.or_else(|| both.into_iter().find(|method| name_of(*method) == text)).ok_or_else(|| {
        Refusal::bad(
            "unknown_method",
            format!("unknown method {:?}", cut(text)),
            format!("choose 1 ({}) or 2 ({})", name_of(both[0]), name_of(both[1])),
        )
    })
}

/// Which rows of a venue.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SourceAsk {
    /// `10m`: venues' rows have no other length.
    #[param(pattern = "^10m$")]
    interval: Option<String>,
    /// First bucket start, milliseconds since the epoch or ISO; `start_time` is understood too. Without it the newest rows are given.
    #[serde(alias = "start_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    start: Option<String>,
    /// Last bucket start, inclusive; `end_time` is understood too.
    #[serde(alias = "end_time")]
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end: Option<String>,
    /// Most rows; 500 unless told.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 105_408)]
    limit: Option<String>,
    /// `asc` (unless told) or `desc`.
    #[param(pattern = "^(asc|desc)$")]
    order: Option<String>,
    /// `json`, `csv` or `arrow`; the Accept header decides unless told.
    #[param(pattern = "^(json|csv|arrow)$")]
    format: Option<String>,
}

/// The ten minutes of one venue, as the venue says: only what exists.
#[utoipa::path(
    get, path = "/api/v1/btc/price/sources/{source}", tag = "btc",
    params(("source" = String, Path, description = "The venue", example = "binance", pattern = r"^\S+$"), SourceAsk),
    responses(
        (status = 200, description = "Rows", content(
            (BtcRows = "application/json"),
            (String = "text/csv"),
            (ArrowStream = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody)
    )
)]
pub(crate) async fn source(
    State(house): State<Arc<House>>,
    Words(name): Words,
    headers: HeaderMap,
    Ask(ask): Ask<SourceAsk>,
) -> Result<Response, Refusal> {
    desk(&house)?;
    let source = known_source(&name)?;
    let form = Form::wanted(ask.format.as_deref(), &headers, &FORMS)?;
    let interval = Interval::read(ask.interval.as_deref(), "")?;
    if interval.minutes != 10 {
        let message = format!("rows of venues have no interval {}", interval.name);
        return Err(Refusal::bad(
            "bad_interval",
            message,
            "choose 10m; longer ones are composed: /api/v1/btc/price/canonical",
        ));
    }
    let words = WindowWords::of([&ask.start, &ask.end, &ask.limit, &ask.order]);
    let window = Window::read(words, interval)?;
    let newest = Some(house.clock.time());
    let series =
        Series { table: TableName::VenuePrices, subject: source.as_str(), columns: Vec::new(), newest };
    let rows = series.read(&house, &window, interval).await?;
    let (page, next) = window.page(&rows, interval);
    Sheet::of(&page, &[]).answer(form, next.as_deref())
}

/// The price source of that name.
pub(super) fn known_source(name: &str) -> Result<PriceSource, Refusal> {
    PriceSource::known(name).ok_or_else(|| {
        let names: Vec<&str> = PriceSource::all().map(PriceSource::as_str).collect();
        Refusal::unknown(
            "unknown_source",
            format!("unknown price source {:?}", cut(name)),
            format!("choose {}", names.join(", ")),
        )
    })
}
