//! The address of the archives: listings, files in whole and in part, checksums.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use futures::stream;
use model::Time;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::rest::{parameters, unescaped};
use crate::world::House;

use super::View;
use super::listing::{BucketAsk, CHECKSUM, checksum_text, key_of};

/// How long a download that breaks off stands still before.
const BREAK_AFTER: Duration = Duration::from_millis(50);
const PIECE_BYTES: u64 = 128 * 1_024;

/// The routes.
pub(super) fn router(house: &Arc<House>) -> Router {
    Router::new().fallback(enter).with_state(Arc::clone(house))
}

/// What is to be sent.
enum Found {
    Text(&'static str, String),
    File(Sent),
    Nothing,
}

/// A file to be sent.
struct Sent {
    path: PathBuf,
    size: u64,
    tag: String,
    modified: String,
    kind: &'static str,
    breaks_off: bool,
}

async fn enter(State(house): State<Arc<House>>, request: Request) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "");
    }
    let path = unescaped(request.uri().path());
    let query = request.uri().query().map(str::to_owned);
    let is_head = request.method() == Method::HEAD;
    let has_range = request.headers().contains_key(header::RANGE);
    // Files are made when they are first asked for.
    let asked = Arc::clone(&house);
    let computed =
        runtime::tasks::blocking(move || find(&asked, &path, query.as_deref(), is_head || has_range)).await;
    match computed.and_then(|found| found) {
        Ok(Found::Text(kind, text)) => plain(StatusCode::OK, kind, text),
        Ok(Found::Nothing) => {
            let words = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
            plain(StatusCode::NOT_FOUND, "application/xml", words)
        }
        Ok(Found::File(sent)) => send(&house, sent, request.headers()).await,
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error),
    }
}

fn plain(status: StatusCode, kind: &'static str, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn find(house: &House, path: &str, query: Option<&str>, is_partial: bool) -> Result<Found, String> {
    let view = View::new(house);
    let asked = &house.archive.asked;
    let parameters = parameters(query.unwrap_or_default());
    let text = |name: &str| parameters.get(name).map_or("", String::as_str);
    if path == "/" && query.is_some() {
        asked.listings.fetch_add(1, Ordering::Relaxed);
        let ask = BucketAsk {
            prefix: text("prefix"),
            marker: text("marker"),
            has_delimiter: text("delimiter") == "/",
            count: text("max-keys").parse().unwrap_or(1_000),
        };
        return Ok(Found::Text("application/xml", view.bucket(&ask)?));
    }
    if path.ends_with('/') {
        asked.listings.fetch_add(1, Ordering::Relaxed);
        return Ok(view.page(path).map_or(Found::Nothing, |page| Found::Text("text/html", page)));
    }
    let path = path.trim_start_matches('/');
    if let Some(key) = path.strip_suffix(CHECKSUM).and_then(key_of) {
        let made = if key.protocol.is_bybit() { None } else { view.made(&key)? };
        asked.checksums.fetch_add(1, Ordering::Relaxed);
        return Ok(made.map_or(Found::Nothing, |made| {
            Found::Text("binary/octet-stream", checksum_text(&made.claimed, &key))
        }));
    }
    let Some(key) = key_of(path) else { return Ok(Found::Nothing) };
    let Some(made) = view.made(&key)? else { return Ok(Found::Nothing) };
    Ok(Found::File(Sent {
        path: made.path.clone(),
        size: made.size_bytes,
        tag: format!("\"{}\"", &made.sha256[..32]),
        modified: http_date(view.modified_ms(&key)),
        kind: if key.protocol.is_bybit() { "application/gzip" } else { "application/zip" },
        breaks_off: !is_partial && view.breaks_off(&key),
    }))
}

async fn send(house: &House, sent: Sent, headers: &HeaderMap) -> Response<Body> {
    let header = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A part of what the client has the beginning of; of another edition it gets the whole.
    let is_same = header(header::IF_RANGE).is_none_or(|known| known == sent.tag || known == sent.modified);
    let range = header(header::RANGE).filter(|_| is_same).map(|text| range(text, sent.size));
    let (status, from, end) = match range {
        Some(Some((from, end))) => (StatusCode::PARTIAL_CONTENT, from, end),
        Some(None) => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
        None if header(header::IF_NONE_MATCH) == Some(&sent.tag) => (StatusCode::NOT_MODIFIED, 0, 0),
        None => (StatusCode::OK, 0, sent.size),
    };
    let asked = &house.archive.asked;
    asked.files.fetch_add(u64::from(status == StatusCode::OK), Ordering::Relaxed);
    asked.resumed.fetch_add(u64::from(status == StatusCode::PARTIAL_CONTENT), Ordering::Relaxed);
    asked.bytes.fetch_add(end - from, Ordering::Relaxed);
    let body = match body(&sent, from, end).await {
        Ok(body) => body,
        Err(error) => return plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    };
    let mut response = plain(status, sent.kind, body);
    let mut set = |name: header::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ACCEPT_RANGES, "bytes".into());
    set(header::ETAG, sent.tag);
    set(header::LAST_MODIFIED, sent.modified);
    if status != StatusCode::NOT_MODIFIED {
        set(header::CONTENT_LENGTH, (end - from).to_string());
    }
    match status {
        StatusCode::PARTIAL_CONTENT => {
            set(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", end - 1, sent.size));
        }
        StatusCode::RANGE_NOT_SATISFIABLE => set(header::CONTENT_RANGE, format!("bytes */{}", sent.size)),
        _ => {}
    }
    response
}

/// First byte and the one after the last; `None` if there are no such bytes.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (from, end) = match (from.parse::<u64>().ok(), to.parse::<u64>().ok()) {
        (Some(from), Some(to)) => (from, to.saturating_add(1).min(size)),
        (Some(from), None) if to.is_empty() => (from, size),
        (None, Some(last)) if from.is_empty() => (size.saturating_sub(last), size),
        _ => return None,
    };
    (from < end).then_some((from, end))
}

async fn body(sent: &Sent, from: u64, end: u64) -> std::io::Result<Body> {
    if from == end {
        return Ok(Body::empty());
    }
    let mut file = tokio::fs::File::open(&sent.path).await?;
    file.seek(SeekFrom::Start(from)).await?;
    let (whole, breaks_off) = (end - from, sent.breaks_off);
    let told = if breaks_off { whole / 2 } else { whole };
    let pieces = stream::try_unfold((file, told), move |(mut file, left)| async move {
        if left == 0 {
            if !breaks_off {
                return Ok(None);
            }
            // What was said so far goes out; then the connection ends, though the client was promised more.
            runtime::sleep(BREAK_AFTER).await;
            return Err(std::io::Error::other("broken off on command"));
        }
        let mut piece = vec![0; left.min(PIECE_BYTES) as usize];
        file.read_exact(&mut piece).await?;
        let left = left - piece.len() as u64;
        Ok(Some((piece, (file, left))))
    });
    Ok(Body::from_stream(pieces))
}

/// `Wed, 21 Oct 2026 07:28:00 GMT`.
pub(crate) fn http_date(at_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = Time(at_ms.saturating_mul(1_000)).date();
    let (year, month, day) = date.civil();
    let seconds = at_ms.div_euclid(1_000).rem_euclid(86_400);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[date.0.rem_euclid(7) as usize],
        MONTHS[month as usize - 1],
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    //! Cases for parts and dates.
    use super::*;

    #[test]
    fn parts_of_a_file_are_told_by_their_bytes() {
        for (text, expect) in [
            ("bytes=0-", Some((0, 100))),
            ("bytes=40-", Some((40, 100))),
            ("bytes=40-49", Some((40, 50))),
            ("bytes=90-1000", Some((90, 100))),
            ("bytes=-30", Some((70, 100))),
            ("bytes=100-", None),
            ("bytes=50-40", None),
            ("bytes=a-b", None),
            ("bytes=", None),
            ("rows=0-1", None),
        ] {
            assert_eq!(range(text, 100), expect, "{text}");
        }
    }

    #[test]
    fn dates_are_written_as_servers_write_them() {
        assert_eq!(http_date(1_445_412_480_000), "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
