//! The doors: ports of venues and of the admin address, on loopback only.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::serve::Listener;
use runtime::{Restart, Tasks};
use tokio::net::{TcpListener, TcpStream};

use crate::market::Protocol;
use crate::rest::{self, Ask, Reply, unescaped};
use crate::settings::Error;
use crate::socket::{self, Entry, Route};
use crate::world::{House, Venue};

/// Longest message a client may send.
const MESSAGE_BYTES_MAX: usize = 64 * 1_024;

/// Opens a port.
pub(crate) async fn bind(port: u16) -> Result<TcpListener, Error> {
    let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listen.map_err(|source| Error::Listen { port, source })
}

/// Serves one venue.
pub(crate) fn serve_venue(house: &Arc<House>, venue: &Arc<Venue>, listener: TcpListener, tasks: &Tasks) {
    let door = Door { house: Arc::clone(house), venue: Arc::clone(venue) };
    let router = Router::new().fallback(enter).with_state(door.clone());
    serve(format!("sim.door.{}", venue.id), VenueListener { inner: listener, door }, router, tasks);
}

/// Serves a router until the tasks end.
pub(crate) fn serve<L>(name: String, listener: L, router: Router, tasks: &Tasks)
where
    L: Listener<Addr = SocketAddr>,
{
    let listener = Mutex::new(Some(listener));
    tasks.start(name, Restart::Never, move |stop| {
        let listener = listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        let router = router.clone();
        async move {
            let Some(listener) = listener else { return Ok(()) };
            let asked = stop.clone();
            let serving = axum::serve(listener, router)
                .with_graceful_shutdown(async move { asked.requested().await })
                .into_future();
            tokio::select! {
                ended = serving => ended.map_err(|error| error.to_string()),
                // Clients that keep connections open do not hold up the end.
                () = async { stop.requested().await; runtime::sleep(Duration::from_millis(300)).await } => Ok(()),
            }
        }
    });
}

#[derive(Clone)]
struct Door {
    house: Arc<House>,
    venue: Arc<Venue>,
}

/// A listener that can refuse: whoever connects meanwhile is hung up on at once.
struct VenueListener {
    inner: TcpListener,
    door: Door,
}

impl Listener for VenueListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.inner).await;
            if self.door.venue.trouble.is_refusing(self.door.house.time.real_ms()) {
                drop(stream);
                continue;
            }
            // Many small frames: waiting to fill packets would cost milliseconds.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "set nodelay");
            }
            return (stream, address);
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

async fn enter(State(door): State<Door>, request: Request) -> Response<Body> {
    let (mut parts, _body) = request.into_parts();
    let path = unescaped(parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    if parts.headers.contains_key(header::UPGRADE) {
        let Some(entry) = entry(&door, &path, &query) else { return plain(404, "") };
        let now = door.house.time.real_ms();
        if !entry.venue.quota.admit_connection(entry.venue.protocol, &door.house.limits, now) {
            return plain(429, "too many connections");
        }
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => upgrade
                .max_message_size(MESSAGE_BYTES_MAX)
                .on_upgrade(move |socket| socket::run(socket, entry)),
            Err(refused) => axum::response::IntoResponse::into_response(refused),
        };
    }
    if parts.method != axum::http::Method::GET {
        return plain(405, "");
    }
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let is_micros = door.venue.protocol == Protocol::Binance
        && header("x-mbx-time-unit").is_some_and(|unit| unit.eq_ignore_ascii_case("MICROSECOND"));
    let ask = Ask {
        path,
        parameters: rest::parameters(&query),
        is_micros,
        has_key: header("x-mbx-apikey").is_some_and(|key| !key.is_empty()),
        now_ms: door.house.time.market_ms(),
    };
    respond(rest::answer(Arc::clone(&door.venue), Arc::clone(&door.house), ask).await)
}

/// An answer with its headers.
pub(crate) fn respond(reply: Reply) -> Response<Body> {
    let mut response = plain(reply.status, reply.body);
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// A body with a status.
pub(crate) fn plain(status: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/json;charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// What an address stands for.
fn entry(door: &Door, path: &str, query: &str) -> Option<Entry> {
    let (house, venue) = (Arc::clone(&door.house), Arc::clone(&door.venue));
    let mut entry = Entry {
        venue,
        house,
        route: Route::Whole,
        is_combined: false,
        is_micros: false,
        streams: Vec::new(),
    };
    if door.venue.protocol.is_bybit() {
        let protocol = match path {
            "/v5/public/spot" => Protocol::Bybit,
            "/v5/public/linear" => Protocol::BybitLinear,
            _ => return None,
        };
        // One host carries both.
        entry.venue = Arc::clone(door.house.speaking(protocol)?);
        return Some(entry);
    }
    let mut rest = path;
    if door.venue.protocol == Protocol::BinanceFutures {
        entry.route = Route::Public;
        if let Some(tail) = path.strip_prefix("/market") {
            (entry.route, rest) = (Route::Market, tail);
        } else if let Some(tail) = path.strip_prefix("/public") {
            rest = tail;
        }
    }
    let parameters = rest::parameters(query);
    entry.is_micros = door.venue.protocol == Protocol::Binance
        && parameters.get("timeUnit").is_some_and(|unit| unit.eq_ignore_ascii_case("MICROSECOND"));
    let names = |list: &str| list.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if rest == "/stream" {
        entry.is_combined = true;
        entry.streams = names(parameters.get("streams").map_or("", String::as_str));
    } else {
        entry.streams = names(rest.strip_prefix("/ws")?);
    }
    Some(entry)
}
