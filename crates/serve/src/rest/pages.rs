//! What people look at: the live page, the browsable interface description and the document behind it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

// Nothing is loaded from elsewhere, and no other page may frame these.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// The live page.
pub(crate) async fn page() -> Response {
    file(HTML, include_str!("../../page/index.html"))
}

/// The live page's script, built from `web/`.
pub(crate) async fn page_script() -> Response {
    file(SCRIPT, include_str!("../../page/live.js"))
}

/// The live page's style, built from `web/`.
pub(crate) async fn page_style() -> Response {
    file(STYLE, include_str!("../../page/live.css"))
}

/// The browsable interface description.
pub(crate) async fn docs() -> Response {
    file(HTML, include_str!("../../assets/docs.html"))
}

/// Its script.
pub(crate) async fn docs_script() -> Response {
    file(SCRIPT, include_str!("../../assets/docs.js"))
}

/// The document behind it.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "monitoring", responses((status = 200, description = "The document", body = serde_json::Value)))]
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], crate::rest::document::openapi()).into_response()
}
