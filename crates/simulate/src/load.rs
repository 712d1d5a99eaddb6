//! A source of frames for benches: what is sent costs the sender as little as possible. Ids are contiguous per
//! instrument, everything else of a frame was built before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use axum::extract::{Request, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use model::VenueId;
use runtime::{Clock, Stopper, Tasks};
use serde_json::Value;

use crate::market::{MINUTE_MS, Market, Protocol};
use crate::rest::{Ask, binance as rest, parameters};
use crate::server;
use crate::settings::Error;
use crate::world::Generated;

/// What the load consists of.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// Venue whose protocol is spoken: `binance` or `binance-futures`.
    pub venue: VenueId,
    /// Port on loopback; 0 for any.
    pub port: u16,
    /// Frames per second over all clients and streams.
    pub events_per_second: u64,
    /// Instruments.
    pub instruments: usize,
}

struct Inner {
    protocol: Protocol,
    world: Generated,
    events_per_second: u64,
    clock: Arc<dyn Clock>,
    stopper: Stopper,
    /// Next trade of each instrument.
    next: Vec<AtomicI64>,
    trades: AtomicU64,
    quotes: AtomicU64,
    /// Streams that clients carry now.
    streams: AtomicUsize,
    /// Frames may flow.
    is_open: std::sync::atomic::AtomicBool,
}

/// A running load.
pub struct Load {
    address: SocketAddr,
    inner: Arc<Inner>,
}

impl Load {
    /// `127.0.0.1:port`, REST and WebSocket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Trade frames sent so far.
    pub fn trades_sent(&self) -> u64 {
        self.inner.trades.load(Ordering::Relaxed)
    }

    /// Quote frames sent so far.
    pub fn quotes_sent(&self) -> u64 {
        self.inner.quotes.load(Ordering::Relaxed)
    }

    /// Stops or continues the flow; connections stay.
    pub fn flow(&self, is_open: bool) {
        self.inner.is_open.store(is_open, Ordering::Release);
    }
}

/// Starts the load; frames flow to clients as soon as they subscribe to `aggTrade` or `bookTicker` streams, spread evenly
/// over all subscribed streams. Other streams stay mute; REST knows the listing and the time, and no history.
pub async fn start(settings: LoadSettings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Load, Error> {
    let protocol = match Protocol::of(settings.venue) {
        Some(protocol) if !protocol.is_bybit() => protocol,
        _ => return Err(Error::Setting(format!("load for {}: only Binance's protocols", settings.venue))),
    };
    let minute = clock.now().0 / 1_000_000 / MINUTE_MS;
    let world = Generated::new((settings.venue, protocol), 1, (settings.instruments, 1.0), minute - 1, false);
    let inner = Arc::new(Inner {
        protocol,
        next: world.markets.iter().map(|market| AtomicI64::new(market.trades_before(minute))).collect(),
        world,
        events_per_second: settings.events_per_second,
        clock,
        stopper: Stopper::default(),
        trades: AtomicU64::new(0),
        quotes: AtomicU64::new(0),
        streams: AtomicUsize::new(0),
        is_open: true.into(),
    });
    let listener = server::bind(settings.port).await?;
    let address = listener.local_addr().map_err(|source| Error::Listen { port: settings.port, source })?;
    // Frames leave when they are due: waiting to fill packets would make bursts of them, 16 ms apart.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set nodelay");
        }
    });
    let router = Router::new().fallback(enter).with_state(Arc::clone(&inner));
    server::serve("sim.load".into(), listener, router, tasks);
    let stopper = inner.stopper.clone();
    tasks.start("sim.load.connections", runtime::Restart::Never, move |stop| {
        let stopper = stopper.clone();
        async move {
            stop.requested().await;
            stopper.stop();
            Ok(())
        }
    });
    Ok(Load { address, inner })
}

async fn enter(
    State(inner): State<Arc<Inner>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    if let Ok(upgrade) = upgrade {
        let upgrade = upgrade.write_buffer_size(256 * 1_024).max_write_buffer_size(usize::MAX);
        let query = parameters(request.uri().query().unwrap_or_default());
        let is_combined = request.uri().path().ends_with("/stream");
        let streams = query.get("streams").map_or("", String::as_str);
        let streams: Vec<String> =
            streams.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        return upgrade.on_upgrade(move |socket| serve(socket, inner, is_combined, streams));
    }
    let ask = Ask {
        path: request.uri().path().to_owned(),
        parameters: parameters(request.uri().query().unwrap_or_default()),
        is_micros: false,
        has_key: false,
        now_ms: inner.clock.now().0 / 1_000_000,
    };
    let is_known =
        ask.path.ends_with("exchangeInfo") || ask.path.ends_with("time") || ask.path.ends_with("ping");
    if !is_known {
        return "[]".into_response();
    }
    rest::answer(inner.protocol, &inner.world, &ask).body.into_response()
}

/// A stream of one client.
struct Feed {
    market: usize,
    is_trade: bool,
    /// What comes before the ids, and after them.
    front: String,
    back: String,
}

fn feed(inner: &Inner, name: &str, is_combined: bool, now_ms: i64) -> Option<Feed> {
    let (symbol, channel) = name.split_once('@')?;
    let market = *inner.world.by_symbol.get(&symbol.to_uppercase())?;
    let is_trade = match channel {
        "aggTrade" => true,
        "bookTicker" => false,
        _ => return None,
    };
    let (open, close) =
        if is_combined { (format!(r#"{{"stream":"{name}","data":"#), "}") } else { (String::new(), "") };
    let (front, back) = parts(&inner.world.markets[market], is_trade, now_ms);
    Some(Feed { market, is_trade, front: open + &front, back: back + close })
}

fn parts(market: &Market, is_trade: bool, now_ms: i64) -> (String, String) {
    let (symbol, tick, lot) = (&market.spec.symbol, &market.spec.tick, &market.spec.lot);
    let (bid, ask) = market.quote(now_ms);
    let is_spot = market.protocol == Protocol::Binance;
    if is_trade {
        let price = tick.text(ask.0);
        let quantity = lot.text(market.lots_expected(1).max(1));
        let (extra, tail) = if is_spot {
            (String::new(), r#","M":true"#)
        } else {
            (format!(r#","nq":"{quantity}""#), r#","st":1"#)
        };
        return (
            format!(
                r#"{{"e":"aggTrade","s":"{symbol}","p":"{price}","q":"{quantity}"{extra},"m":false{tail}"#
            ),
            "}".into(),
        );
    }
    let head = if is_spot { "" } else { r#""e":"bookTicker","# };
    (
        format!(
            r#"{{{head}"s":"{symbol}","b":"{}","B":"{}","a":"{}","A":"{}""#,
            tick.text(bid.0),
            lot.text(bid.1),
            tick.text(ask.0),
            lot.text(ask.1)
        ),
        "}".into(),
    )
}

impl Inner {
    fn frame(&self, feed: &Feed, now_ms: i64) -> Utf8Bytes {
        use std::fmt::Write;
        let id = self.next[feed.market].fetch_add(1, Ordering::Relaxed);
        let mut text = String::with_capacity(feed.front.len() + feed.back.len() + 96);
        text.push_str(&feed.front);
        let market = &self.world.markets[feed.market];
        // Writing to a string cannot fail.
        let _written = if feed.is_trade {
            self.trades.fetch_add(1, Ordering::Relaxed);
            let (first, last) = (market.first_raw(id), market.last_raw(id));
            let id = market.trade_id(id);
            write!(text, r#","a":{id},"f":{first},"l":{last},"T":{now_ms},"E":{now_ms}"#)
        } else {
            self.quotes.fetch_add(1, Ordering::Relaxed);
            write!(text, r#","u":{id},"T":{now_ms},"E":{now_ms}"#)
        };
        text.push_str(&feed.back);
        text.into()
    }
}

async fn serve(socket: WebSocket, inner: Arc<Inner>, is_combined: bool, streams: Vec<String>) {
    let (mut sink, mut stream) = socket.split();
    let stop = inner.stopper.watch();
    let now = inner.clock.now().0 / 1_000_000;
    let mut feeds: Vec<Feed> =
        streams.iter().filter_map(|name| feed(&inner, name, is_combined, now)).collect();
    inner.streams.fetch_add(feeds.len(), Ordering::AcqRel);
    let (mut turn, mut sent_ns, mut owed) = (0_usize, inner.clock.now().0, 0.0_f64);
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(Ok(message)) = message else { break };
                let Message::Text(text) = message else { continue };
                let before = feeds.len();
                let reply = heard(&inner, &text, is_combined, &mut feeds);
                inner.streams.fetch_add(feeds.len() - before, Ordering::AcqRel);
                if sink.send(Message::Text(reply.into())).await.is_err() {
                    break;
                }
            }
            () = stop.requested() => break,
            () = runtime::sleep(Duration::from_millis(1)) => {}
        }
        let now = inner.clock.now().0;
        let all = inner.streams.load(Ordering::Acquire).max(1);
        let share = inner.events_per_second as f64 * feeds.len() as f64 / all as f64;
        if feeds.is_empty() || !inner.is_open.load(Ordering::Acquire) {
            sent_ns = now;
            continue;
        }
        // What could not be sent in a second is forgotten: a slow client sees fewer frames, not a flood.
        owed = (owed + (now - sent_ns) as f64 / 1e9 * share).min(share);
        sent_ns = now;
        let count = owed as u64;
        owed -= count as f64;
        if blast(&mut sink, &inner, &feeds, (&mut turn, count), now / 1_000_000).await.is_err() {
            break;
        }
    }
    inner.streams.fetch_sub(feeds.len(), Ordering::AcqRel);
}

async fn blast(
    sink: &mut SplitSink<WebSocket, Message>,
    inner: &Inner,
    feeds: &[Feed],
    (turn, count): (&mut usize, u64),
    now_ms: i64,
) -> Result<(), axum::Error> {
    for _ in 0..count {
        *turn = (*turn + 1) % feeds.len();
        sink.feed(Message::Text(inner.frame(&feeds[*turn], now_ms))).await?;
    }
    sink.flush().await
}

fn heard(inner: &Inner, text: &str, is_combined: bool, feeds: &mut Vec<Feed>) -> String {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let now = inner.clock.now().0 / 1_000_000;
    if request["method"] == "SUBSCRIBE" {
        let names = request["params"].as_array().into_iter().flatten().filter_map(Value::as_str);
        feeds.extend(names.filter_map(|name| feed(inner, name, is_combined, now)));
    }
    format!(r#"{{"result":null,"id":{}}}"#, request["id"])
}
