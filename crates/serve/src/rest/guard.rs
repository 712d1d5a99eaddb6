//! What stands before every answer: foreign hosts and origins are refused, panics and long waits become answers.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::house::{House, cut};
use crate::refusal::Refusal;

/// Checks who asks, and answers whatever happens.
pub(crate) async fn guard(State(house): State<Arc<House>>, request: Request, next: Next) -> Response {
    if let Err(refusal) = check(&house, &request) {
        return refusal.into_response();
    }
    // SQL has its own limit on time, and so do uploads of its body.
    let grace = std::time::Duration::from_secs(5);
    let time_max = house.settings.request_time_max.max(if request.uri().path() == "/api/v1/sql" {
        house.settings.sql_limits.time_max + grace
    } else {
        std::time::Duration::ZERO
    });
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match runtime::clock::within(time_max, answer).await {
        Some(Ok(response)) => response,
        Some(Err(_panic)) => {
            tracing::error!("an answer panicked");
            metrics::counter!("tickhouse_serve_panics_total").increment(1);
            Refusal::broken().into_response()
        }
        None => Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the answer took longer than {time_max:?}"),
            "ask for a smaller range, or ask again later",
        )
        .into_response(),
    }
}

fn check(house: &House, request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = host_of(request);
    if house.address.ip().is_loopback() && !host.is_some_and(is_loopback_name) {
        // A name that was pointed at this machine (DNS rebinding) must not open it to a foreign page.
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            format!(
                "this server answers only to its own address, not to {:?}",
                cut(host.unwrap_or_default())
            ),
            format!("use http://{}", house.address),
        ));
    }
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_reading && !headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let origin_host = origin.split_once("://").map_or("", |(_, rest)| rest);
    let is_own = !origin_host.is_empty()
        && (Some(name_of(origin_host)) == host
            || house.address.ip().is_loopback() && is_loopback_name(name_of(origin_host)));
    if is_own {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        format!("pages of {:?} may not ask this server", cut(origin)),
        "ask from a program, or from the server's own page",
    ))
}

fn host_of(request: &Request) -> Option<&str> {
    let headers: &HeaderMap = request.headers();
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    host.or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str)).map(name_of)
}

// The name before the port; IPv6 addresses stand in brackets.
pub(super) fn name_of(host: &str) -> &str {
    let host = host.split('/').next().unwrap_or_default();
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

pub(super) fn is_loopback_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    //! Cases for names.
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for (host, expect) in [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:8080", true),
            ("example.com:8080", false),
            ("127.0.0.1.example.com", false),
            ("192.168.1.5:8080", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_name(name_of(host)), expect, "{host}");
        }
    }
}
