//! `POST /api/v1/internal/price/source/{source}/10m`: rows of a venue that this machine cannot reach, posted by one that can.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::price::known_source;
use super::{desk, posted, remembered};
use crate::dto::Answer;
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};
use crate::rest::sql::read_body;

/// The name under which the hash of the token is kept.
const TOKEN: &str = "price_ingest";
/// A longer token is no token.
const TOKEN_BYTES_MAX: usize = 4_096;

/// What was taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct Taken {
    /// The venue.
    #[schema(value_type = String)]
    source: &'static str,
    /// Rows stored; one with a known bucket replaced the older one.
    accepted: usize,
    /// Rows of the same post with the same bucket; the later one counted.
    duplicates: usize,
    /// The first bucket, milliseconds since the epoch.
    first_bucket: Option<i64>,
    /// The last bucket.
    last_bucket: Option<i64>,
}

/// Takes ten minutes of a venue: one row or a list of rows, all or none. Posting a row again replaces it.
///
/// The header `Authorization: Bearer <token>` must show the token of the settings.
#[utoipa::path(
    post, path = "/api/v1/internal/price/source/{source}/10m", tag = "btc",
    params(
        ("source" = String, Path, description = "The venue", example = "binance", pattern = r"^\S+$"),
        ("authorization" = Option<String>, Header, description = "Bearer and the token")
    ),
    request_body(content = serde_json::Value, content_type = "application/json", description = "A row: source, bucket_start_utc, open, high, low, close, volume, and optionally quality_status, data_source_mode, child_interval, child_count, child_count_expected, first_received_utc, received_utc; or a list of rows"),
    responses((status = 200, description = "What was taken", body = Answer<Taken>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn ingest(
    State(house): State<Arc<House>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let checked = check(&house, &headers).await;
    // The body is read even if it is not wanted: a client that is still sending would not see the answer.
    let body = read_body(request.into_body(), house.settings.body_bytes_max).await;
    let answer = async {
        checked?;
        let source = known_source(&name)?;
        let standing = standing(&house, source).await?;
        let (rows, duplicates) = posted::read(&body?, source, house.clock.time())?;
        let (accepted, buckets) =
            (rows.len(), (rows.first().map(|row| row.bucket), rows.last().map(|row| row.bucket)));
        if accepted > 0 {
            desk(&house)?.ingest(rows).await?;
        }
        metrics::counter!("tickhouse_price_rows_posted_total", "source" => source.as_str())
            .increment(accepted as u64);
        let taken = Taken {
            source: source.as_str(),
            accepted,
            duplicates,
            first_bucket: buckets.0.map(model::Time::millis),
            last_bucket: buckets.1.map(model::Time::millis),
        };
        let but =
            if standing == Standing::Off { ": it is disabled, they are stored and do not count" } else { "" };
        Ok::<_, Refusal>(Json(Answer::new(taken, format!("Took {accepted} rows of {source}{but}"))))
    };
    match answer.await {
        Ok(taken) => taken.into_response(),
        Err(refusal) => told(refusal),
    }
}

/// Whether rows of a source count.
#[derive(PartialEq, Eq)]
enum Standing {
    Counts,
    Off,
}

/// Rows are taken of sources that others feed. What this machine asks itself would be replaced by them for good.
async fn standing(house: &House, source: model::PriceSource) -> Result<Standing, Refusal> {
    let rows = remembered(house, control::Control::price_sources).await?;
    let Some(row) = rows.into_iter().find(|row| row.source_name == source.as_str()) else {
        return Ok(Standing::Counts);
    };
    let config: serde_json::Value = serde_json::from_str(&row.config_json).unwrap_or_default();
    // One that is remote may be asked at another place all the same, of a simulator: there both are right.
    let is_asked = desk(house)?.health().price_sources.iter().any(|(asked, _)| *asked == source);
    if is_asked && config["mode"] != "remote" {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "source_is_local",
            format!("{source} is asked by this machine itself: rows of others are not taken"),
            format!("say that others feed it: tickhouse registry set {source} mode=remote"),
        ));
    }
    Ok(if row.is_enabled { Standing::Counts } else { Standing::Off })
}

fn told(refusal: Refusal) -> Response {
    let is_unknown = refusal.status == StatusCode::UNAUTHORIZED;
    let mut response = refusal.into_response();
    if is_unknown {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

async fn check(house: &House, headers: &HeaderMap) -> Result<(), Refusal> {
    desk(house)?;
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(token);
    let Some(shown) = shown.filter(|shown| shown.len() <= TOKEN_BYTES_MAX).map(str::to_owned) else {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "token_missing",
            "no token was shown",
            "send the header Authorization: Bearer <token>",
        ));
    };
    let forbidden = |code, message, remedy| Err(Refusal::new(StatusCode::FORBIDDEN, code, message, remedy));
    match remembered(house, move |control| control.is_token(TOKEN, &shown)).await? {
        Some(true) => Ok(()),
        Some(false) => forbidden(
            "bad_token",
            "the token is not the one of this server",
            "show the token of its settings",
        ),
        None => forbidden(
            "no_token_set",
            "this server takes no posted prices: it has no token",
            "set ingest_token in the section price of its tickhouse.toml",
        ),
    }
}

// The word before the token is told apart without regard to case.
fn token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
