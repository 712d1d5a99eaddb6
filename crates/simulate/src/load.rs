//! A source of frames for benches: what is sent costs the sender as little as possible. Ids are contiguous per
//! instrument and bars are those of the trades; everything else of a frame was built before.

mod feed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{Request, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use model::VenueId;
use runtime::{Clock, Stopper, Tasks};
use serde_json::Value;

use crate::market::{MINUTE_MS, Protocol};
use crate::rest::{Ask, binance, bybit, parameters};
use crate::server;
use crate::settings::Error;
use crate::world::Generated;

use feed::{Carries, Feed, Flow};

/// What the load consists of.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// Venue whose protocol is spoken.
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
    world: Arc<Generated>,
    events_per_second: u64,
    clock: Arc<dyn Clock>,
    stopper: Stopper,
    /// Where each instrument stands.
    flows: Vec<Flow>,
    trades: AtomicU64,
    quotes: AtomicU64,
    bars: AtomicU64,
    /// Weights of the streams that clients carry now.
    weights: AtomicUsize,
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

    /// Trade frames sent so far; each holds one trade.
    pub fn trades_sent(&self) -> u64 {
        self.inner.trades.load(Ordering::Relaxed)
    }

    /// Quote frames sent so far.
    pub fn quotes_sent(&self) -> u64 {
        self.inner.quotes.load(Ordering::Relaxed)
    }

    /// Bar frames sent so far.
    pub fn bars_sent(&self) -> u64 {
        self.inner.bars.load(Ordering::Relaxed)
    }

    /// Stops or continues the flow; connections stay.
    pub fn flow(&self, is_open: bool) {
        self.inner.is_open.store(is_open, Ordering::Release);
    }
}

/// Starts the load; frames flow to clients as soon as they subscribe to trades, best bid and ask, or 1-minute bars. Of ten
/// frames three are trades, five quotes and two bars, spread evenly over the instruments, where all three are wanted.
/// Other streams stay mute; REST knows the listing and the time, and no history.
pub async fn start(settings: LoadSettings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Load, Error> {
    let Some(protocol) = Protocol::of(settings.venue) else {
        return Err(Error::Setting(format!("load for {}: it cannot be simulated", settings.venue)));
    };
    let now_ms = clock.now().0 / 1_000_000;
    let minute = now_ms / MINUTE_MS;
    let world = Generated::new((settings.venue, protocol), 1, (settings.instruments, 1.0), minute - 1, false);
    let flows = world.markets.iter().map(|market| Flow::new(market, market.trades_before(minute), now_ms));
    let inner = Arc::new(Inner {
        protocol,
        flows: flows.collect(),
        world: Arc::new(world),
        events_per_second: settings.events_per_second,
        clock,
        stopper: Stopper::default(),
        trades: AtomicU64::new(0),
        quotes: AtomicU64::new(0),
        bars: AtomicU64::new(0),
        weights: AtomicUsize::new(0),
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
    let query = parameters(request.uri().query().unwrap_or_default());
    if let Ok(upgrade) = upgrade {
        let upgrade = upgrade.write_buffer_size(256 * 1_024).max_write_buffer_size(usize::MAX);
        let is_combined = request.uri().path().ends_with("/stream");
        let names =
            query.get("streams").map_or("", String::as_str).split('/').filter(|name| !name.is_empty());
        let mut client = Client { inner, is_combined, feeds: Vec::new(), turns: Vec::new(), turn: 0 };
        client.carry(names);
        return upgrade.on_upgrade(move |socket| client.serve(socket));
    }
    let ask = Ask {
        path: request.uri().path().to_owned(),
        parameters: query,
        is_micros: false,
        has_key: false,
        now_ms: inner.clock.now().0 / 1_000_000,
    };
    let known = ["exchangeInfo", "instruments-info", "time", "ping"];
    let is_known = known.iter().any(|name| ask.path.ends_with(name));
    match (inner.protocol.is_bybit(), is_known) {
        (true, true) => {
            let mine = |protocol| (protocol == inner.protocol).then(|| Arc::clone(&inner.world));
            bybit::answer(mine, &ask).body.into_response()
        }
        (true, false) => {
            let now_ms = ask.now_ms;
            format!(
                r#"{{"retCode":0,"retMsg":"OK","result":{{"list":[]}},"retExtInfo":{{}},"time":{now_ms}}}"#
            )
            .into_response()
        }
        (false, true) => binance::answer(inner.protocol, &inner.world, ask).body.into_response(),
        (false, false) => "[]".into_response(),
    }
}

/// A connection of a client.
struct Client {
    inner: Arc<Inner>,
    is_combined: bool,
    feeds: Vec<Feed>,
    /// Feeds in the order in which they get their turn, each as often as it weighs.
    turns: Vec<usize>,
    turn: usize,
}

impl Client {
    fn carry<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let inner = &self.inner;
        let now_ms = inner.clock.now().0 / 1_000_000;
        let feeds = names.filter_map(|name| {
            let (carries, symbol) = Carries::named(inner.protocol, name)?;
            let place = *inner.world.by_symbol.get(&symbol)?;
            let market = (place, &*inner.world.markets[place], &inner.flows[place]);
            Some(Feed::new(market, carries, self.is_combined.then_some(name), now_ms))
        });
        let before = self.turns.len();
        self.feeds.extend(feeds.collect::<Vec<_>>());
        let weights: Vec<usize> = self.feeds.iter().map(|feed| feed.carries.weight()).collect();
        let heaviest = weights.iter().copied().max().unwrap_or_default();
        let weights = &weights;
        let round = |pass| (0..weights.len()).filter(move |at| weights[*at] > pass);
        self.turns = (0..heaviest).flat_map(round).collect();
        inner.weights.fetch_add(self.turns.len() - before, Ordering::AcqRel);
    }

    async fn serve(mut self, socket: WebSocket) {
        let (mut sink, mut stream) = socket.split();
        let stop = self.inner.stopper.watch();
        let mut clock = Owed { sent_ns: self.inner.clock.now().0, frames: 0.0 };
        // Few frames need no quick turns, which would cost both sides more than the frames do.
        let pause = Duration::from_millis(if self.inner.events_per_second >= 20_000 { 1 } else { 5 });
        loop {
            tokio::select! {
                message = stream.next() => {
                    let Some(Ok(message)) = message else { break };
                    let Message::Text(text) = message else { continue };
                    let reply = self.heard(&text);
                    if sink.send(Message::Text(reply.into())).await.is_err() {
                        break;
                    }
                }
                () = stop.requested() => break,
                () = runtime::sleep(pause) => {}
            }
            let (now, all) = (self.inner.clock.now().0, self.inner.weights.load(Ordering::Acquire).max(1));
            let share = self.inner.events_per_second as f64 * self.turns.len() as f64 / all as f64;
            if self.turns.is_empty() || !self.inner.is_open.load(Ordering::Acquire) {
                clock.sent_ns = now;
                continue;
            }
            let count = clock.due(now, share);
            if self.blast(&mut sink, count, now / 1_000_000).await.is_err() {
                break;
            }
        }
        self.inner.weights.fetch_sub(self.turns.len(), Ordering::AcqRel);
    }

    async fn blast(
        &mut self,
        sink: &mut SplitSink<WebSocket, Message>,
        count: u64,
        now_ms: i64,
    ) -> Result<(), axum::Error> {
        for _ in 0..count {
            self.turn = (self.turn + 1) % self.turns.len();
            let feed = &self.feeds[self.turns[self.turn]];
            let market = &self.inner.world.markets[feed.market];
            let Some(frame) = feed.frame(market, &self.inner.flows[feed.market], now_ms) else { continue };
            let counter = match feed.carries {
                Carries::Trades => &self.inner.trades,
                Carries::Quotes => &self.inner.quotes,
                Carries::Bars => &self.inner.bars,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            sink.feed(Message::Text(frame.into())).await?;
        }
        sink.flush().await
    }

    fn heard(&mut self, text: &str) -> String {
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let names = |list: &'static str| {
            request[list].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
        };
        if !self.inner.protocol.is_bybit() {
            if request["method"] == "SUBSCRIBE" {
                self.carry(names("params").into_iter());
            }
            return format!(r#"{{"result":null,"id":{}}}"#, request["id"]);
        }
        if request["op"] == "subscribe" {
            self.carry(names("args").into_iter());
        }
        let words = if request["op"] == "ping" { "pong" } else { "" };
        format!(
            r#"{{"success":true,"ret_msg":"{words}","conn_id":"load","req_id":{},"op":{}}}"#,
            request["req_id"], request["op"]
        )
    }
}

/// What a connection still has to send.
struct Owed {
    sent_ns: i64,
    frames: f64,
}

impl Owed {
    /// How many frames are due now at so many per second.
    fn due(&mut self, now_ns: i64, share: f64) -> u64 {
        // What could not be sent in a second is forgotten: a slow client sees fewer frames, not a flood.
        self.frames = (self.frames + (now_ns - self.sent_ns) as f64 / 1e9 * share).min(share.max(1.0));
        self.sent_ns = now_ns;
        let count = self.frames as u64;
        self.frames -= count as f64;
        count
    }
}
