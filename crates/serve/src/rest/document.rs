//! The OpenAPI document, put together from the handlers.

use std::sync::OnceLock;

use utoipa::OpenApi;

use super::{btc, klines, market, monitoring, pages, series, sql, trades};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tickhouse",
        description = "Recorded and live market data. Times are milliseconds since the epoch, numbers print the venue's \
                       digits, every data answer carries the coverage of its range. Live data streams over WebSocket at \
                       /ws/stream.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        version = "1"
    ),
    paths(
        klines::klines,
        market::books,
        market::instruments,
        market::latest,
        market::quotes,
        monitoring::bus_stats,
        monitoring::health,
        monitoring::metrics,
        monitoring::short_health,
        monitoring::status,
        monitoring::system_stats,
        monitoring::tickers,
        pages::openapi,
        series::coverage,
        series::funding,
        series::mark_prices,
        series::open_interest,
        sql::sql,
        trades::newest,
        trades::trades,
    ),
    tags(
        (name = "btc", description = "Bitcoin: chain, composed price, metrics, registries"),
        (name = "data", description = "Trades, candles, quotes, books and the slower series"),
        (name = "sql", description = "Questions over all tables"),
        (name = "monitoring", description = "How the house is doing")
    )
)]
struct Document;

/// The document as pretty JSON, the same bytes every time.
pub(crate) fn openapi() -> String {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut document = Document::openapi();
        document.merge(btc::Document::openapi());
        let mut text =
            document.to_pretty_json().expect("the document is plain data, which always serialises");
        text.push('\n');
        text
    })
    .clone()
}
