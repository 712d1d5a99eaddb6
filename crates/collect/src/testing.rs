//! What the tests of this room share: a small venue that speaks like Binance spot, on loopback.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::SinkExt;
use model::status::VenueStatus;
use model::{Channel, Instrument, InstrumentId, InstrumentKind, Nanos, Time, VenueId, Wish};
use rawlog::{Answer, LogState, NewRecord, Outcome, RecordKind};
use runtime::{SystemClock, Tasks};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{broadcast, watch};
use tokio_rustls::TlsAcceptor;
use venues::{
    ConnectionPlan, Decoder, Endpoints, Facts, HistoryAsk, HistoryRefusal, Peek, Poll, Purpose, RestRequest,
    Stream, Venue,
};

use crate::budget::BudgetStore;
use crate::collector::{Collector, start_with};
use crate::journal::Journal;
use crate::settings::{CollectSettings, VenueSettings, Wanted};
use crate::{BudgetState, Known, NoBudgetStore, NothingKnown};

/// A tradable spot instrument of Binance.
pub(crate) fn instrument(base: &str, quote: &str) -> Instrument {
    let venue = VenueId::known("binance").unwrap();
    let id = InstrumentId::new(venue, base, quote, InstrumentKind::Spot);
    Instrument::named(id, &format!("{base}{quote}"))
}

/// Binance spot with other facts and other polls.
pub(crate) struct TestVenue {
    pub(crate) facts: &'static Facts,
    pub(crate) listing_every: Duration,
}

/// Facts of Binance spot, hurried.
pub(crate) fn facts() -> Facts {
    let real = binance().facts();
    Facts {
        id: real.id,
        endpoints: real.endpoints,
        channels: real.channels,
        trade_ids: real.trade_ids,
        book_rule: real.book_rule,
        message_gap_ms_min: 1,
        first_data: &[],
        ..*real
    }
}

/// A venue with those facts, which lives as long as the test process.
pub(crate) fn venue_with(facts: Facts) -> &'static dyn Venue {
    let venue = TestVenue { facts: Box::leak(Box::new(facts)), listing_every: Duration::from_hours(1) };
    Box::leak(Box::new(venue))
}

/// A venue whose listing is asked for five times a second.
pub(crate) fn venue_with_hasty_listing() -> &'static dyn Venue {
    let venue = TestVenue { facts: Box::leak(Box::new(facts())), listing_every: Duration::from_millis(200) };
    Box::leak(Box::new(venue))
}

fn binance() -> &'static dyn Venue {
    venues::venue(VenueId::known("binance").unwrap()).unwrap()
}

impl Venue for TestVenue {
    fn facts(&self) -> &'static Facts {
        self.facts
    }
    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        binance().streams(instruments, channels)
    }
    fn connections(&self, endpoints: &Endpoints, streams: Vec<Stream>) -> Vec<ConnectionPlan> {
        let max = self.facts.streams_max;
        let chunks = streams.chunks(max).map(<[Stream]>::to_vec);
        chunks.flat_map(|chunk| binance().connections(endpoints, chunk)).collect()
    }
    fn subscribe(&self, streams: &[Stream], wanted: bool, first_request: u64) -> Vec<String> {
        binance().subscribe(streams, wanted, first_request)
    }
    fn ping(&self, request: u64) -> Option<String> {
        binance().ping(request)
    }
    fn peek<'a>(&self, payload: &'a [u8]) -> Peek<'a> {
        binance().peek(payload)
    }
    fn key_of(&self, payload: &[u8]) -> Option<String> {
        binance().key_of(payload)
    }
    fn polls(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Poll> {
        let mut polls = binance().polls(instruments, channels);
        for poll in &mut polls {
            if poll.request.purpose == Purpose::Listing {
                poll.every = self.listing_every;
            }
        }
        polls
    }
    fn listing(&self, page: Option<&str>) -> RestRequest {
        binance().listing(page)
    }
    fn history(&self, ask: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal> {
        binance().history(ask)
    }
    fn says_too_old(&self, body: &[u8]) -> bool {
        venues::venue(VenueId::known("binance-futures").unwrap()).unwrap().says_too_old(body)
    }
    fn server_time(&self, body: &[u8]) -> Option<Time> {
        binance().server_time(body)
    }
    fn decoder(&self, received: Nanos) -> Box<dyn Decoder> {
        binance().decoder(received)
    }
}

/// What the venue's server does to its sockets.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Sends a text on every socket.
    Text(String),
    /// Sends so many trades of BTCUSDT at once, numbered from 1.
    Flood(i64),
    /// Pings every socket.
    Ping,
    /// Cuts every socket that was open then.
    Cut,
}

/// Part of the path, status and headers of a wrong answer.
pub(crate) type Fault = (&'static str, u16, &'static [(&'static str, &'static str)]);

/// The server's side of the world.
pub(crate) struct Server {
    /// Symbols listed, with their status.
    pub(crate) listed: Mutex<Vec<(String, &'static str)>>,
    /// Newest aggregate trade of every symbol; they begin at 1.
    pub(crate) newest_trade: Mutex<i64>,
    /// Ids that no trade has.
    pub(crate) absent: Mutex<Vec<std::ops::RangeInclusive<i64>>>,
    /// Answers that come instead of the right one: part of the path, status, headers.
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    /// REST paths asked, in order.
    pub(crate) asked: Mutex<Vec<String>>,
    /// What clients said on sockets.
    pub(crate) heard: Mutex<Vec<String>>,
    /// Whether subscriptions are answered.
    pub(crate) answers: Mutex<bool>,
    pub(crate) say: broadcast::Sender<Say>,
}

impl Server {
    pub(crate) async fn start(symbols: &[&str]) -> (Arc<Self>, SocketAddr) {
        let listed = symbols.iter().map(|symbol| ((*symbol).to_owned(), "TRADING")).collect();
        let server = Arc::new(Self {
            listed: Mutex::new(listed),
            newest_trade: Mutex::new(0),
            absent: Mutex::default(),
            faults: Mutex::default(),
            asked: Mutex::default(),
            heard: Mutex::default(),
            answers: Mutex::new(true),
            say: broadcast::channel(1_024).0,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router =
            Router::new().route("/stream", get(socket)).fallback(rest).with_state(Arc::clone(&server));
        Tasks::new().start("server", runtime::Restart::Never, move |_| {
            let (router, address) = (router.clone(), address);
            let listener = std::net::TcpListener::from(listener_clone(&listener));
            async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.map_err(|error| format!("{address}: {error}"))
            }
        });
        (server, address)
    }

    pub(crate) fn say(&self, what: Say) {
        self.say.send(what).unwrap();
    }

    /// Sends a trade of a symbol in lower case.
    pub(crate) fn trade(&self, symbol: &str, id: i64) {
        self.say(Say::Text(trade(symbol, id)));
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        lock(&self.heard).clone()
    }

    pub(crate) fn asked(&self, part: &str) -> Vec<String> {
        lock(&self.asked).iter().filter(|path| path.contains(part)).cloned().collect()
    }
}

fn listener_clone(listener: &tokio::net::TcpListener) -> std::os::fd::OwnedFd {
    use std::os::fd::AsFd;
    listener.as_fd().try_clone_to_owned().unwrap()
}

async fn socket(State(server): State<Arc<Server>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve_socket(server, socket))
}

fn trade(symbol: &str, id: i64) -> String {
    let upper = symbol.to_uppercase();
    format!(
        r#"{{"stream":"{symbol}@aggTrade","data":{{"e":"aggTrade","E":2,"s":"{upper}","a":{id},"p":"1.0","q":"1.0","f":{id},"l":{id},"T":1,"m":true,"M":true}}}}"#
    )
}

async fn flood(socket: &mut WebSocket, count: i64) -> Result<(), axum::Error> {
    for id in 1..=count {
        socket.feed(Message::text(trade("btcusdt", id))).await?;
    }
    socket.flush().await
}

async fn serve_socket(server: Arc<Server>, mut socket: WebSocket) {
    let mut say = server.say.subscribe();
    loop {
        tokio::select! {
            said = say.recv() => {
                let sent = match said {
                    Ok(Say::Text(text)) => socket.send(Message::text(text)).await,
                    Ok(Say::Flood(count)) => flood(&mut socket, count).await,
                    Ok(Say::Ping) => socket.send(Message::Ping("are you there".into())).await,
                    Ok(Say::Cut) | Err(_) => return,
                };
                if sent.is_err() {
                    return;
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => {
                    lock(&server.heard).push(text.to_string());
                    let id = text.rsplit_once("\"id\":").map_or("0", |(_, id)| id.trim_end_matches('}'));
                    let answer = if text.contains("REFUSEUSDT".to_lowercase().as_str()) && text.contains("SUBSCRIBE") {
                        format!(r#"{{"code":2,"msg":"no such stream","id":{id}}}"#)
                    } else {
                        format!(r#"{{"result":null,"id":{id}}}"#)
                    };
                    let answers = *lock(&server.answers);
                    if answers && socket.send(Message::text(answer)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Message::Pong(payload))) => {
                    lock(&server.heard).push(format!("pong {}", String::from_utf8_lossy(&payload)));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn rest(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    let path = uri.to_string();
    lock(&server.asked).push(path.clone());
    let fault = {
        let mut faults = lock(&server.faults);
        let index = faults.iter().position(|(part, ..)| path.contains(part));
        index.and_then(|index| faults.remove(index))
    };
    if let Some((_, status, headers)) = fault {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let code = map.get("code").map_or("-1", |code| code.to_str().unwrap()).to_owned();
        let body = format!(r#"{{"code":{code},"msg":"no"}}"#);
        return (StatusCode::from_u16(status).unwrap(), map, body).into_response();
    }
    let body = if path.starts_with("/api/v3/exchangeInfo") {
        exchange_info(&lock(&server.listed))
    } else if path.starts_with("/api/v3/time") {
        format!(r#"{{"serverTime":{}}}"#, 1_723_161_255_000_i64)
    } else if path.starts_with("/api/v3/aggTrades") {
        trades(&path, *lock(&server.newest_trade), &lock(&server.absent))
    } else if path.starts_with("/api/v3/depth") {
        r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#.to_owned()
    } else if path.starts_with("/api/v3/klines") {
        "[]".to_owned()
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ([("x-mbx-used-weight-1m", "7")], body).into_response()
}

fn exchange_info(listed: &[(String, &'static str)]) -> String {
    let rows: Vec<String> = listed
        .iter()
        .map(|(symbol, status)| {
            let base = symbol.trim_end_matches("USDT");
            format!(
                r#"{{"symbol":"{symbol}","status":"{status}","baseAsset":"{base}","quoteAsset":"USDT","filters":[]}}"#
            )
        })
        .collect();
    format!(r#"{{"timezone":"UTC","serverTime":1,"rateLimits":[],"symbols":[{}]}}"#, rows.join(","))
}

fn trades(path: &str, newest: i64, absent: &[std::ops::RangeInclusive<i64>]) -> String {
    let number = |name: &str| {
        let rest = path.split_once(name)?.1;
        rest.split('&').next()?.parse::<i64>().ok()
    };
    let limit = number("limit=").unwrap_or(500);
    let first = number("fromId=").unwrap_or((newest - limit + 1).max(1));
    let rows: Vec<String> = (first..=newest)
        .filter(|id| !absent.iter().any(|ids| ids.contains(id)))
        .take(limit as usize)
        .map(|id| {
            format!(
                r#"{{"a":{id},"p":"1.0","q":"1.0","f":{id},"l":{id},"T":1723161255000,"m":true,"M":true}}"#
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
}

/// The authority that the test's server shows.
pub(crate) fn authority() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")).join("fixtures/tls/authority.pem")
}

/// Puts TLS in front of a server. The certificate and its key are for tests only; they hold for a hundred years.
pub(crate) async fn behind_tls(server: SocketAddr) -> SocketAddr {
    const CERTIFICATE: &[u8] = include_bytes!("../fixtures/tls/server.pem");
    const KEY: &[u8] = include_bytes!("../fixtures/tls/server.key");
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificates = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<Vec<_>, _>>().unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = Arc::new(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new();
    let connections = tasks.clone();
    tasks.start("tls", runtime::Restart::Never, move |_| {
        let (listener, acceptor, tasks) = (Arc::clone(&listener), acceptor.clone(), connections.clone());
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, mut once) = (acceptor.clone(), Some(stream));
                tasks.start("tls.connection", runtime::Restart::Never, move |_| {
                    let (acceptor, stream) = (acceptor.clone(), once.take());
                    async move {
                        let Some(stream) = stream else { return Ok(()) };
                        let Ok(mut outer) = acceptor.accept(stream).await else { return Ok(()) };
                        let mut inner = tokio::net::TcpStream::connect(server).await.unwrap();
                        let _ends = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                        Ok(())
                    }
                });
            }
            Ok(())
        }
    });
    address
}

/// A collection under test.
pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    pub(crate) collector: Collector,
    pub(crate) records: Arc<Mutex<Vec<NewRecord>>>,
    pub(crate) log_state: watch::Sender<LogState>,
    pub(crate) wishes: runtime::Sender<Wish>,
    pub(crate) tasks: Tasks,
}

/// How a world is made.
pub(crate) struct Plan {
    pub(crate) venue: &'static dyn Venue,
    pub(crate) symbols: Vec<&'static str>,
    pub(crate) wanted: Wanted,
    pub(crate) channels: Vec<Channel>,
    pub(crate) store: Arc<dyn BudgetStore>,
    pub(crate) known: Arc<dyn Known>,
    pub(crate) change: fn(&mut CollectSettings),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            venue: venue_with(facts()),
            symbols: vec!["BTCUSDT", "ETHUSDT"],
            wanted: Wanted::All,
            channels: vec![Channel::Trades],
            store: Arc::new(NoBudgetStore),
            known: Arc::new(NothingKnown),
            change: |_| {},
        }
    }
}

impl World {
    pub(crate) async fn start(plan: Plan) -> Self {
        let (server, address) = Server::start(&plan.symbols).await;
        Self::start_at(plan, server, address)
    }

    pub(crate) fn start_at(plan: Plan, server: Arc<Server>, address: SocketAddr) -> Self {
        let (journal, records, log_state) = Journal::in_memory(SystemClock::shared());
        Self::start_on(plan, (server, address), (journal, records, log_state))
    }

    pub(crate) fn start_on(
        plan: Plan,
        (server, address): (Arc<Server>, SocketAddr),
        (journal, records, log_state): (Journal, Arc<Mutex<Vec<NewRecord>>>, watch::Sender<LogState>),
    ) -> Self {
        // Another test may have been first.
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let venue = plan.venue;
        let mut settings = CollectSettings {
            venues: vec![VenueSettings {
                venue: venue.facts().id,
                endpoints: Endpoints { rest: format!("http://{address}"), stream: format!("ws://{address}") },
                instruments: plan.wanted,
                channels: plan.channels,
                books: Wanted::All,
                raw_trades: false,
            }],
            seed: 7,
            ..CollectSettings::default()
        };
        settings.bounds.refusals_max = 2;
        settings.bounds.reconnect = (Duration::from_millis(20), Duration::from_millis(200));
        (plan.change)(&mut settings);
        let tasks = Tasks::new();
        let (wishes, wishes_in) = runtime::queue("wishes", 64);
        let collector =
            start_with(&settings, (journal, plan.store, plan.known, wishes_in), &tasks, |_| Some(venue))
                .unwrap();
        Self { server, collector, records, log_state, wishes, tasks }
    }

    pub(crate) fn status(&self) -> VenueStatus {
        self.collector.status().remove(0)
    }

    /// The records of the connections and of REST as lines, ticks left out.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.records).iter().filter(|record| record.kind != RecordKind::Tick).map(line).collect()
    }

    /// Lines that contain the text.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(part)).collect()
    }

    /// Waits until the world is as described, at most some seconds.
    pub(crate) async fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..800 {
            if is_so(self) {
                return;
            }
            runtime::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} does not come; the records are\n{}", self.lines().join("\n"));
    }

    /// Waits for a line that contains the text.
    pub(crate) async fn wait_line(&self, part: &str) {
        self.wait(part, |world| !world.lines_with(part).is_empty()).await;
    }
}

fn line(record: &NewRecord) -> String {
    let text = String::from_utf8_lossy(&record.payload).replace('\n', " ");
    let text = match record.kind {
        RecordKind::Answer => {
            let answer = Answer::from_payload(&record.payload).unwrap();
            format!("{} {} {}", answer.purpose, answer.status, answer.path)
        }
        RecordKind::Outcome => {
            let outcome = Outcome::from_payload(&record.payload).unwrap();
            format!("{:?} {:?} {}", outcome.first_id, outcome.last_id, outcome.result)
        }
        RecordKind::Opened => "url".to_owned(),
        _ => text,
    };
    format!("{}#{} {text}", record.kind.as_str(), record.connection).trim_end().to_owned()
}

/// Keeps budgets in memory.
#[derive(Default)]
pub(crate) struct MemoryStore(Mutex<Vec<BudgetState>>);

impl BudgetStore for MemoryStore {
    fn load(&self) -> Vec<BudgetState> {
        lock(&self.0).clone()
    }

    fn save(&self, state: &BudgetState) {
        let mut states = lock(&self.0);
        states.retain(|other| other.host != state.host);
        states.push(state.clone());
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a venue listed before, by base asset, all against USDT.
pub(crate) struct Remembered(pub(crate) &'static [&'static str]);

impl Known for Remembered {
    fn klines(&self, _: InstrumentId, _: Time, _: Time) -> futures::future::BoxFuture<'_, Vec<Time>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn listed(&self, _: VenueId) -> Vec<model::Instrument> {
        self.0.iter().map(|base| instrument(base, "USDT")).collect()
    }
}
