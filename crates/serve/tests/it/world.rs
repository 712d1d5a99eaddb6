//! A world in memory: every door of the house faked, and small clients to talk to the real server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arrow_array::{Array, RecordBatch};
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use model::status::{RestStatus, StreamHealth, StreamStatus, VenueStatus};
use model::{
    Bar, BarSource, BarState, BookLevel, Channel, Condition, Decimal, Instrument, InstrumentId, LogPosition,
    Nanos, Quote, Side, Source, Time, Timeframe, Trade, VenueId,
};
use runtime::{SystemClock, Tasks};
use serde_json::Value;
use serve::{Doors, ServeSettings, Server};
use tables::{
    BatchStream, BookView, Candle, CandleAnswer, CandleAsk, Candles, Coverage, CoverageAnswer,
    CoverageInterval, CoverageLedger, CoverageState, DataQuality, DayCondition, DayCover, Feed, FeedItem,
    FeedReader, FeedSlip, HouseStatus, InstrumentStatusLine, LogStatus, MarketView, News, Past, QueryEngine,
    QueryError, QueryLimits, RowBatch, Rows, SeenTrades, StatusSource, StoreError, TableName, TableScan,
    TableStore, TimeRange,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::chain_world::{is_of_chain, scanned};

/// 2024-08-08T12:00:00Z.
pub(crate) const NOON: Time = Time(1_723_118_400_000_000);
/// Long enough for anything on loopback.
const WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

pub(crate) fn btc() -> InstrumentId {
    "binance-futures:BTC-USDT-PERP".parse().unwrap()
}

pub(crate) fn trade(id: i64, seconds: i64) -> Trade {
    Trade {
        instrument: btc(),
        venue_time: NOON.plus_micros(seconds * 1_000_000),
        trade_id: Some(id),
        venue_trade_id: None,
        price: decimal("61837.60"),
        quantity: decimal("0.002"),
        taker_side: if id % 2 == 0 { Side::Sell } else { Side::Buy },
        first_trade_id: Some(id * 2),
        last_trade_id: Some(id * 2 + 1),
        condition: Condition::Market,
        received_time: NOON.plus_micros(seconds * 1_000_000 + 5_000),
        source: Source::Stream,
    }
}

pub(crate) fn quote(sequence: i64) -> Quote {
    Quote {
        instrument: btc(),
        venue_time: NOON,
        sequence,
        bid_price: decimal("61837.5"),
        bid_quantity: decimal("1.5"),
        ask_price: decimal("61837.6"),
        ask_quantity: decimal("0.25"),
        received_time: NOON.plus_micros(1_000),
    }
}

pub(crate) fn candle(timeframe: &str, open_time: Time, state: BarState) -> Candle {
    Candle {
        bar: Bar {
            instrument: btc(),
            timeframe: timeframe.parse().unwrap(),
            open_time,
            open: decimal("61800.1"),
            high: decimal("61900"),
            low: decimal("61700.00"),
            close: decimal("61837.6"),
            volume: decimal("12.34500000"),
            quote_volume: decimal("763395.1234567890123"),
            trade_count: Some(142),
            taker_buy_volume: Some(decimal("6")),
            source: BarSource::Trades,
            state,
            revision: 0,
            available_time: open_time.plus_micros(60_000_000),
        },
        is_empty: false,
        is_complete: true,
        quality: DataQuality::Complete,
        is_repairing: false,
    }
}

pub(crate) fn item(position: u64, index: u32, news: News) -> FeedItem {
    FeedItem { position: LogPosition(position), index, received: Nanos(NOON.0 * 1_000), news }
}

/// Everything the fakes know.
pub(crate) struct Fakes {
    feed: broadcast::Sender<Result<Arc<[FeedItem]>, FeedSlip>>,
    pub(crate) candles: Mutex<BTreeMap<(InstrumentId, Timeframe), Vec<Candle>>>,
    pub(crate) instruments: Mutex<Vec<Instrument>>,
    pub(crate) trades: Mutex<Vec<Trade>>,
    pub(crate) others: Mutex<Vec<(TableName, RecordBatch)>>,
    pub(crate) book: Mutex<Option<BookView>>,
    pub(crate) coverage: Mutex<CoverageAnswer>,
    pub(crate) status: Mutex<HouseStatus>,
    pub(crate) is_disk_broken: AtomicBool,
    pub(crate) is_fetching: AtomicBool,
    pub(crate) seen: Mutex<Option<SeenTrades>>,
    pub(crate) scans: Mutex<Vec<TableScan>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

struct FakeReader(broadcast::Receiver<Result<Arc<[FeedItem]>, FeedSlip>>);

impl FeedReader for FakeReader {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Arc<[FeedItem]>, FeedSlip>>> {
        async move {
            match self.0.recv().await {
                Ok(step) => Some(step),
                Err(broadcast::error::RecvError::Lagged(missed_count)) => {
                    Some(Err(FeedSlip { missed_count }))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            }
        }
        .boxed()
    }
}

impl Feed for Fakes {
    fn subscribe(&self) -> Box<dyn FeedReader> {
        Box::new(FakeReader(self.feed.subscribe()))
    }
}

impl Past for Fakes {
    fn seen(
        &self,
        _: &InstrumentId,
        _: LogPosition,
    ) -> BoxFuture<'_, Result<Option<SeenTrades>, StoreError>> {
        async move { Ok(locked(&self.seen).clone()) }.boxed()
    }
}

impl Candles for Fakes {
    fn candles(&self, ask: CandleAsk) -> BoxFuture<'_, Result<CandleAnswer, StoreError>> {
        async move {
            if self.is_disk_broken.load(Ordering::Relaxed) {
                return Err(StoreError::Failed("read bars/part-7.parquet: unexpected end of file".into()));
            }
            let all =
                locked(&self.candles).get(&(ask.instrument, ask.timeframe)).cloned().unwrap_or_default();
            let is_inside =
                |candle: &Candle| ask.range.is_none_or(|range| range.contains(candle.bar.open_time));
            let mut candles: Vec<Candle> = all.into_iter().filter(is_inside).collect();
            if ask.range.is_none_or(|range| range.start == Time(0)) {
                candles.drain(..candles.len().saturating_sub(ask.limit));
            } else {
                candles.truncate(ask.limit);
            }
            Ok(CandleAnswer { candles, coverage: locked(&self.coverage).clone() })
        }
        .boxed()
    }

    fn newest(&self, instrument: &InstrumentId, timeframe: Timeframe) -> Option<Candle> {
        locked(&self.candles).get(&(instrument.clone(), timeframe))?.last().cloned()
    }
}

impl Coverage for Fakes {
    fn coverage(
        &self,
        _: &InstrumentId,
        channel: Channel,
        range: TimeRange,
    ) -> BoxFuture<'_, CoverageAnswer> {
        let mut answer = CoverageAnswer { range, ..locked(&self.coverage).clone() };
        if channel != Channel::Trades {
            answer.gaps.clear();
        }
        async move { answer }.boxed()
    }

    fn ledger(
        &self,
        _: &InstrumentId,
        _: Channel,
        range: TimeRange,
    ) -> BoxFuture<'_, Result<CoverageLedger, StoreError>> {
        let middle = model::Time(range.start.0.midpoint(range.end.0));
        let part = |start, end, state, ids| CoverageInterval { range: TimeRange { start, end }, state, ids };
        let day = range.start.date();
        let ledger = CoverageLedger {
            intervals: vec![
                part(range.start, middle, CoverageState::Backfilled(model::Source::Archive), None),
                part(middle, range.end, CoverageState::Missing(model::GapCause::NotAtVenue), Some((5, 9))),
            ],
            days: vec![DayCover {
                day,
                condition: DayCondition::Degraded,
                rows: 10,
                missing: 5,
                duplicates: 2,
            }],
        };
        async move { Ok(ledger) }.boxed()
    }

    fn instruments(&self) -> Vec<InstrumentId> {
        locked(&self.instruments).iter().map(|instrument| instrument.id.clone()).collect()
    }

    fn newest_trade(&self, instrument: &InstrumentId) -> Option<(i64, Time)> {
        let trades = locked(&self.trades);
        let newest = trades
            .iter()
            .filter(|trade| trade.instrument == *instrument)
            .max_by_key(|trade| trade.trade_id)?;
        Some((newest.trade_id?, newest.venue_time))
    }
}

impl MarketView for Fakes {
    fn instruments(&self) -> Vec<Instrument> {
        locked(&self.instruments).clone()
    }

    fn instrument(&self, id: &InstrumentId) -> Option<Instrument> {
        locked(&self.instruments).iter().find(|instrument| instrument.id == *id).cloned()
    }

    fn resolve(&self, words: &str, venue: VenueId) -> Option<Instrument> {
        let words = words.split(':').next()?.replace(['/', '-'], "").to_uppercase();
        assert!(words != "PANIC", "a broken rule");
        locked(&self.instruments)
            .iter()
            .find(|instrument| instrument.id.venue() == venue && *instrument.symbol == *words)
            .cloned()
    }

    fn quote(&self, id: &InstrumentId) -> Option<Quote> {
        (*id == btc()).then(|| quote(7))
    }

    fn book(&self, id: &InstrumentId, depth: usize) -> Option<BookView> {
        let mut book = locked(&self.book).clone().filter(|book| book.instrument == *id)?;
        book.bids.truncate(depth);
        book.asks.truncate(depth);
        Some(book)
    }
}

impl TableStore for Fakes {
    fn append(&self, _: RowBatch) -> Result<(), StoreError> {
        unreachable!("serve only reads")
    }

    fn commit(&self, _: LogPosition) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!("serve only reads")
    }

    fn buffered(&self) -> (usize, usize) {
        (0, 1)
    }

    fn positions(&self) -> BTreeMap<TableName, LogPosition> {
        BTreeMap::new()
    }

    fn scan(&self, table: TableName, scan: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>> {
        locked(&self.scans).push(scan.clone());
        let result = if self.is_disk_broken.load(Ordering::Relaxed) {
            Err(StoreError::Failed("read trades/part-7.parquet: unexpected end of file".into()))
        } else if table == TableName::Trades {
            Ok(self.scan_trades(&scan))
        } else if is_of_chain(table) {
            let others = locked(&self.others);
            let rows: Vec<RecordBatch> =
                others.iter().filter(|(name, _)| *name == table).map(|(_, batch)| batch.clone()).collect();
            Ok(scanned(table, &rows, &scan))
        } else {
            let others = locked(&self.others);
            Ok(others.iter().filter(|(name, _)| *name == table).map(|(_, batch)| batch.clone()).collect())
        };
        async move { result }.boxed()
    }

    fn replace(
        &self,
        _: TableName,
        _: InstrumentId,
        _: TimeRange,
        _: RecordBatch,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        unreachable!("serve only reads")
    }
}

impl Fakes {
    fn scan_trades(&self, scan: &TableScan) -> Vec<RecordBatch> {
        let mut trades: Vec<Trade> = locked(&self.trades)
            .iter()
            .filter(|trade| scan.instrument.as_ref().is_none_or(|id| *id == trade.instrument))
            .filter(|trade| scan.range.is_none_or(|range| range.contains(trade.venue_time)))
            .filter(|trade| {
                scan.at_least.is_none_or(|(column, least)| match column {
                    "received_time" => trade.received_time.0 >= least,
                    _ => trade.trade_id.is_some_and(|id| id >= least),
                })
            })
            .cloned()
            .collect();
        trades.sort_by_key(|trade| (trade.venue_time, trade.trade_id));
        if scan.is_descending {
            trades.reverse();
        }
        trades.truncate(scan.limit.unwrap_or(usize::MAX));
        // Two batches, so that order across batches is seen to be kept.
        let tail = trades.split_off(trades.len() / 2);
        [trades, tail].into_iter().map(|part| Rows::Trades(part).to_batch()).collect()
    }
}

impl StatusSource for Fakes {
    fn status(&self) -> HouseStatus {
        locked(&self.status).clone()
    }

    fn is_fetching_history(&self, _: &InstrumentId) -> bool {
        self.is_fetching.load(Ordering::Relaxed)
    }
}

impl QueryEngine for Fakes {
    fn query<'a>(&'a self, sql: &'a str, _: QueryLimits) -> BoxFuture<'a, Result<BatchStream, QueryError>> {
        async move {
            match sql {
                "DROP TABLE trades" => {
                    return Err(QueryError::Refused("DROP is not allowed: SQL only reads".into()));
                }
                "SELECT sleep" => std::future::pending().await,
                "SELECT memory" => {
                    return Err(QueryError::OverLimit("out of memory: 268435456 bytes".into()));
                }
                "SELECT broken" => return Err(QueryError::Failed("read part-7.parquet: bad footer".into())),
                _ => {}
            }
            let batches = self.scan_trades(&TableScan::default());
            let schema = batches[0].schema();
            let batches = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
            Ok(BatchStream { schema, batches })
        }
        .boxed()
    }
}

fn instrument(id: &str, symbol: &str) -> Instrument {
    let id: InstrumentId = id.parse().unwrap();
    Instrument {
        tick_size: Some(decimal("0.10")),
        lot_size: Some(decimal("0.001")),
        notional_min: Some(decimal("100")),
        ..Instrument::named(id, symbol)
    }
}

fn venue_status(name: &str, stream_count: usize) -> VenueStatus {
    let stream = |at: usize| StreamStatus {
        instrument: None,
        channel: Channel::Trades,
        key: format!("stream-{at}").into(),
        health: StreamHealth::Live,
        last_received: None,
        message_count: 0,
    };
    VenueStatus {
        venue: VenueId::known(name).unwrap(),
        connection_count: 1,
        connects_total: 1,
        frames_total: 0,
        bytes_total: 0,
        streams: (0..stream_count).map(stream).collect(),
        clock_skew_micros: None,
        rest: RestStatus::default(),
        trouble: None,
    }
}

fn house_status() -> HouseStatus {
    HouseStatus {
        version: "0.0.0-test",
        started: NOON,
        now: NOON.plus_micros(86_400_000_000),
        is_simulated: true,
        directory: "data".into(),
        venues: vec![venue_status("binance-futures", 1), venue_status("bybit-linear", 7)],
        instruments: vec![InstrumentStatusLine {
            instrument: btc(),
            symbol: "BTCUSDT".into(),
            phase: "streaming",
            trades_total: 12,
            last_trade_time: Some(NOON),
            last_trade_id: Some(9),
            gaps_open: 0,
            gaps_missing: 1,
        }],
        log: LogStatus {
            written: LogPosition(20),
            durable: LogPosition(19),
            bytes: 4_096,
            state: "ok".into(),
        },
        refined: LogPosition(20),
        committed: LogPosition(10),
        rows_buffered: (50, 200),
        trades_total: 12,
        undecodable_total: 0,
        memory_bytes: 1 << 20,
        cpu_seconds: 864.0,
        disk_free_percent: 45.2,
        disk_free_bytes: 452 << 30,
        disk_state: "ok",
        disk_days_left: None,
        commit_trouble: None,
    }
}

pub(crate) fn book_view(sequence: i64) -> BookView {
    let level =
        |price: &str, quantity: &str| BookLevel { price: decimal(price), quantity: decimal(quantity) };
    BookView {
        instrument: btc(),
        bids: vec![level("61837.5", "1.5"), level("61837.4", "2")],
        asks: vec![level("61837.6", "0.250")],
        sequence,
        venue_time: NOON,
        is_stale: false,
    }
}

/// A server over the fakes.
pub(crate) struct World {
    pub(crate) fakes: Arc<Fakes>,
    pub(crate) server: Server,
    pub(crate) tasks: Tasks,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of a refusal, after checking its form.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["success"], false, "{body}");
        for key in ["code", "message", "remedy"] {
            assert!(body["error"][key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {body}");
        }
        (self.status, body["error"]["code"].as_str().unwrap().to_owned())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ServeSettings)) -> Self {
        Self::with_doors(change, |_| {}).await
    }

    pub(crate) async fn with_doors(
        change: impl FnOnce(&mut ServeSettings),
        change_doors: impl FnOnce(&mut Doors),
    ) -> Self {
        let fakes = Arc::new(Fakes {
            feed: broadcast::Sender::new(1_024),
            candles: Mutex::default(),
            instruments: Mutex::new(vec![
                instrument("binance-futures:BTC-USDT-PERP", "BTCUSDT"),
                instrument("binance-futures:ETH-USDT-PERP", "ETHUSDT"),
                instrument("binance:BTC-USDT", "BTCUSDT"),
            ]),
            trades: Mutex::new((1..=9).map(|id| trade(id, id)).collect()),
            others: Mutex::default(),
            book: Mutex::default(),
            coverage: Mutex::new(CoverageAnswer {
                range: TimeRange { start: NOON, end: NOON.plus_micros(1) },
                quality: DataQuality::Complete,
                observed: Vec::new(),
                gaps: Vec::new(),
                is_repairing: false,
            }),
            status: Mutex::new(house_status()),
            is_disk_broken: AtomicBool::new(false),
            is_fetching: AtomicBool::new(false),
            seen: Mutex::default(),
            scans: Mutex::default(),
        });
        let mut doors = Doors {
            feed: fakes.clone(),
            past: fakes.clone(),
            candles: fakes.clone(),
            coverage: fakes.clone(),
            market: fakes.clone(),
            store: fakes.clone(),
            query: fakes.clone(),
            status: fakes.clone(),
            chain: None,
            control: None,
            metrics: Arc::new(|| "tickhouse_up 1\n".to_owned()),
        };
        let mut settings = ServeSettings { address: ([127, 0, 0, 1], 0).into(), ..ServeSettings::default() };
        change(&mut settings);
        change_doors(&mut doors);
        let tasks = Tasks::new();
        let port = serve::Port::open(settings.address).await.unwrap();
        let server = serve::start(settings, doors, SystemClock::shared(), port, &tasks);
        Self { fakes, server, tasks }
    }

    /// Publishes news in one batch.
    pub(crate) fn publish(&self, items: Vec<FeedItem>) {
        self.fakes.feed.send(Ok(items.into())).unwrap();
    }

    /// Lets the hub miss news.
    pub(crate) fn slip(&self, missed_count: u64) {
        self.fakes.feed.send(Err(FeedSlip { missed_count })).unwrap();
    }

    pub(crate) fn set_candles(&self, timeframe: &str, candles: Vec<Candle>) {
        locked(&self.fakes.candles).insert((btc(), timeframe.parse().unwrap()), candles);
    }

    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let exchange = async {
            let mut socket = TcpStream::connect(self.server.address).await.unwrap();
            socket.write_all(request).await.unwrap();
            let mut bytes = Vec::new();
            let _a_reset_after_the_answer_is_no_matter = socket.read_to_end(&mut bytes).await;
            bytes
        };
        let bytes = tokio::time::timeout(WAIT_MAX, exchange).await.expect("the server answers");
        parse(&bytes)
    }

    pub(crate) async fn request(&self, method: &str, path: &str, heads: &[&str], body: &[u8]) -> Answer {
        let mut lines = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !heads.iter().any(|head| head.starts_with("Host:")) {
            lines.push_str("Host: localhost\r\n");
        }
        for head in heads {
            lines.push_str(head);
            lines.push_str("\r\n");
        }
        let mut request = format!("{lines}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        self.raw(&request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], &[]).await
    }

    pub(crate) async fn client(&self) -> Client {
        let request = format!("ws://{}/ws/stream", self.server.address).into_client_request().unwrap();
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Client { socket }
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = bytes[at + 4..].to_vec();
    if head.to_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[at + 2..at + 2 + size]);
        rest = &rest[at + 4 + size..];
        if size == 0 {
            break;
        }
    }
    body
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn say_binary(&mut self, bytes: &'static [u8]) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// The next message as it came.
    pub(crate) async fn message(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(WAIT_MAX, self.socket.next()).await.expect("a message comes");
            match next.expect("the connection stands").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next message as JSON.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next message of a type; others before it are passed over.
    pub(crate) async fn hear_type(&mut self, kind: &str) -> Value {
        loop {
            let message = self.hear().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Says something and hears the answer of a type.
    pub(crate) async fn ask(&mut self, text: &str, kind: &str) -> Value {
        self.say(text).await;
        self.hear_type(kind).await
    }

    /// Whether nothing comes for a moment.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.socket.next()).await.is_err()
    }
}

/// Rows of a column as texts, for comparing.
pub(crate) fn column(batch: &RecordBatch, name: &str) -> Vec<String> {
    let array: &dyn Array = batch.column_by_name(name).unwrap();
    (0..array.len()).map(|row| arrow_cast::display::array_value_to_string(array, row).unwrap()).collect()
}
