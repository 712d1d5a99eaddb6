//! The REST interface: which address is answered by whom. Each resource has its own file.

mod answered;
pub(crate) mod ask;
pub(crate) mod btc;
pub(crate) mod document;
mod form;
mod guard;
pub(crate) mod klines;
pub(crate) mod local;
mod market;
mod monitoring;
mod pages;
pub(crate) mod rows;
mod series;
mod sql;
mod trades;
mod written;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, post};

use crate::house::{House, cut};
use crate::live::{self, Hub};
use crate::refusal::Refusal;

/// All addresses.
pub(crate) fn router(house: &Arc<House>, hub: Hub) -> Router {
    let mut router = Router::new()
        .route("/health", get(monitoring::short_health))
        .route("/metrics", get(monitoring::metrics))
        .route("/bus-stats", get(monitoring::bus_stats))
        .route("/api/v1/monitoring/health", get(monitoring::health))
        .route("/api/v1/monitoring/system-stats", get(monitoring::system_stats))
        .route("/api/v1/admin/tickers/status", get(monitoring::tickers))
        .route("/api/v1/status", get(monitoring::status));
    if house.settings.enable_rest {
        router = router
            .route("/", get(pages::page))
            .route("/page/live.js", get(pages::page_script))
            .route("/page/live.css", get(pages::page_style))
            .route("/docs", get(pages::docs))
            .route("/docs/docs.js", get(pages::docs_script))
            .route("/latest", get(market::latest))
            .route("/api/v1/openapi.json", get(pages::openapi))
            .route("/api/v1/coverage/{symbol}", get(series::coverage))
            .route("/api/v1/data/books/{symbol}", get(market::books))
            .route("/api/v1/data/funding/{symbol}", get(series::funding))
            .route("/api/v1/data/instruments", get(market::instruments))
            .route("/api/v1/data/klines/{symbol}", get(klines::klines))
            .route("/api/v1/data/mark_prices/{symbol}", get(series::mark_prices))
            .route("/api/v1/data/open_interest/{symbol}", get(series::open_interest))
            .route("/api/v1/data/quotes/{symbol}", get(market::quotes))
            .route("/api/v1/data/trades/{symbol}", get(trades::trades))
            .route("/api/v1/data/trades/{symbol}/newest", get(trades::newest))
            .route("/api/v1/sql", post(sql::sql))
            .merge(btc::routes());
    }
    let mut router = router.with_state(Arc::clone(house));
    if house.settings.enable_websocket {
        router = router.merge(live::router(house, hub));
    }
    router
        .fallback(unknown_address)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(house), guard::guard))
}

async fn unknown_address(uri: Uri) -> Refusal {
    Refusal::unknown(
        "unknown_address",
        format!("nothing answers at {:?}", cut(uri.path())),
        "see /docs for the addresses",
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        format!("{method} is not answered at {:?}", cut(uri.path())),
        "see /docs for the methods of this address",
    )
}
