//! What the server is told at its start: settings and the doors to the rest of the house.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use control::Control;
use model::VenueId;
use tables::{
    Candles, ChainDesk, Coverage, Feed, MarketView, Past, QueryEngine, QueryLimits, StatusSource, TableStore,
};

use crate::allowed::AllowedIps;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Who may connect; everyone if empty.
    pub allowed: Vec<AllowedIps>,
    /// Venue of a bare symbol.
    pub default_venue: VenueId,
    /// What a SQL question may use.
    pub sql_limits: QueryLimits,
    /// Most bytes of a request body.
    pub body_bytes_max: usize,
    /// Most bytes of one WebSocket message from a client.
    pub message_bytes_max: usize,
    /// Most WebSocket clients at a time.
    pub readers_max: usize,
    /// Most messages waiting for one WebSocket client.
    pub reader_queue: usize,
    /// Most bytes waiting for one WebSocket client.
    pub reader_queue_bytes_max: usize,
    /// Most candle subscriptions and streams of one WebSocket client.
    pub reader_subscriptions_max: usize,
    /// Feed items kept in memory for clients that resume.
    pub resume_items_max: usize,
    /// Longest answer to one request, SQL apart (its own limit plus a grace holds there).
    pub request_time_max: Duration,
    /// Whether the REST interface is on.
    pub enable_rest: bool,
    /// Whether the WebSocket interface is on.
    pub enable_websocket: bool,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            allowed: Vec::new(),
            default_venue: VenueId::known("binance-futures").expect("the default venue is in the list"),
            sql_limits: QueryLimits::default(),
            body_bytes_max: 1 << 20,
            message_bytes_max: 64 << 10,
            readers_max: 256,
            reader_queue: 8_192,
            reader_queue_bytes_max: 16 << 20,
            reader_subscriptions_max: 4_096,
            resume_items_max: 32_768,
            request_time_max: Duration::from_secs(30),
            enable_rest: true,
            enable_websocket: true,
        }
    }
}

/// The doors to the rest of the house.
#[derive(Clone)]
pub struct Doors {
    /// Live news.
    pub feed: Arc<dyn Feed>,
    /// What had passed by at an earlier place of the feed.
    pub past: Arc<dyn Past>,
    /// Candles of any timeframe.
    pub candles: Arc<dyn Candles>,
    /// What is there and what is missing.
    pub coverage: Arc<dyn Coverage>,
    /// Instruments, quotes and books as they stand.
    pub market: Arc<dyn MarketView>,
    /// Rows at rest.
    pub store: Arc<dyn TableStore>,
    /// SQL.
    pub query: Arc<dyn QueryEngine>,
    /// State of the house.
    pub status: Arc<dyn StatusSource>,
    /// The chain system, where a chain is followed or a price composed.
    pub chain: Option<Arc<dyn ChainDesk>>,
    /// Registries, checkpoints and tokens.
    pub control: Option<Control>,
    /// The text that Prometheus scrapes.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}
