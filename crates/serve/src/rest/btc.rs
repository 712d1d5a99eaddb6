//! The chain system: blocks and buckets, prices, metrics, registries and checkpoints. Each resource has its own file.

mod checkpoints;
pub(crate) mod health;
mod ingest;
mod metrics;
mod posted;
mod price;
mod primitive;
mod registry;
mod sheet;
mod window;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};
use control::Control;
use tables::{ChainDesk, StoreError};
use utoipa::OpenApi;

use crate::house::House;
use crate::refusal::Refusal;

pub(crate) use price::newest_prices;
pub(crate) use primitive::newest_primitives;

/// The addresses.
pub(super) fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/api/v1/btc/health", get(health::chain_health))
        .route("/api/v1/btc/primitive", get(primitive::primitive))
        .route("/api/v1/btc/metrics", get(metrics::list))
        .route("/api/v1/btc/metrics/{name}", get(metrics::values))
        .route("/api/v1/btc/price/canonical", get(price::canonical))
        .route("/api/v1/btc/price/sources/{source}", get(price::source))
        .route("/api/v1/btc/registry/metrics", get(registry::metric_registry))
        .route("/api/v1/btc/registry/metrics/{name}/enable", post(registry::enable_metric))
        .route("/api/v1/btc/registry/metrics/{name}/disable", post(registry::disable_metric))
        .route("/api/v1/btc/registry/prices", get(registry::prices))
        .route("/api/v1/btc/registry/prices/{source}/enable", post(registry::enable_price))
        .route("/api/v1/btc/registry/prices/{source}/disable", post(registry::disable_price))
        .route("/api/v1/btc/registry/prices/{source}/config", put(registry::configure_price))
        .route(
            "/api/v1/btc/registry/canonical",
            get(registry::canonical_method).put(registry::choose_canonical),
        )
        .route("/api/v1/btc/checkpoints", get(checkpoints::checkpoints))
        .route("/api/v1/internal/price/source/{source}/10m", post(ingest::ingest))
}

/// The part of the OpenAPI document that tells of these addresses.
#[derive(OpenApi)]
#[openapi(paths(
    checkpoints::checkpoints,
    health::chain_health,
    ingest::ingest,
    metrics::list,
    metrics::values,
    price::canonical,
    price::source,
    primitive::primitive,
    registry::canonical_method,
    registry::choose_canonical,
    registry::configure_price,
    registry::disable_metric,
    registry::disable_price,
    registry::enable_metric,
    registry::enable_price,
    registry::metric_registry,
    registry::prices,
))]
pub(super) struct Document;

/// Nothing is known of a chain here.
pub(crate) fn not_followed() -> Refusal {
    Refusal::unknown(
        "chain_not_followed",
        "no chain is followed here, and no price composed",
        "set enabled = true in the section btc (or price) of tickhouse.toml, and start again",
    )
}

/// The desk of the chain system.
fn desk(house: &House) -> Result<&dyn ChainDesk, Refusal> {
    house.doors.chain.as_deref().ok_or_else(not_followed)
}

/// Asks what the house remembers; the file may have to be waited for.
async fn remembered<T: Send + 'static>(
    house: &House,
    ask: impl FnOnce(&Control) -> Result<T, control::Error> + Send + 'static,
) -> Result<T, Refusal> {
    desk(house)?;
    let control = house.doors.control.clone().ok_or_else(not_followed)?;
    let answer = runtime::tasks::blocking(move || ask(&control)).await;
    Ok(answer.map_err(|reason| Refusal::from(StoreError::Failed(reason)))??)
}
