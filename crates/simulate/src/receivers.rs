//! Those who are told: a Telegram that knows one bot and one chat, and an address that takes JSON. They answer as the real
//! ones do, misbehave on command, and keep what they got. What is told is left to the platform.

mod http;
mod orders;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::{Clock, Tasks};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::server;
use crate::settings::Error;

use orders::Order;

/// The one token that the simulated Telegram knows.
pub const TELEGRAM_TOKEN: &str = "1000000001:simulated-token-of-nobody";
/// The one chat that its bot is in, a group.
pub const TELEGRAM_CHAT_ID: &str = "-1001000000001";
/// The bearer token that the simulated webhook wants.
pub const WEBHOOK_TOKEN: &str = "simulated-webhook-token";
/// Messages a group takes within a minute.
const GROUP_PER_MINUTE: usize = 20;
const MINUTE_MS: i64 = 60_000;
/// Messages kept; of more, the oldest go.
const KEPT_MAX: usize = 10_000;

/// Who was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receiver {
    /// The chat.
    Telegram,
    /// The webhook.
    Webhook,
}

impl Receiver {
    /// `telegram` or `webhook`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Telegram => "telegram",
            Self::Webhook => "webhook",
        }
    }
}

/// One message that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// By whom.
    pub receiver: Receiver,
    /// When, milliseconds.
    pub at_ms: i64,
    /// What was sent, whole.
    pub body: Value,
}

/// What came, and how it was answered.
#[derive(Debug, Default)]
struct Book {
    received: VecDeque<Received>,
    /// Answers other than taken, by receiver and status.
    refused: BTreeMap<String, u64>,
    /// Messages that came though the sender had been told to wait.
    too_early: u64,
    /// When the chat got a message within the last minute.
    recent_ms: VecDeque<i64>,
    /// Until when the sender was told to wait.
    closed_until_ms: i64,
    orders: BTreeMap<Receiver, VecDeque<Order>>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    /// Wakes those that hang.
    released: Notify,
}

/// Running receivers. Cheap to clone; they end with the tasks they were started on.
#[derive(Clone)]
pub struct Receivers {
    inner: Arc<Inner>,
    address: SocketAddr,
}

/// Starts them on a port, 0 for a free one.
pub async fn start(port: u16, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Receivers, Error> {
    let listener: TcpListener = server::bind(port).await?;
    let address = listener.local_addr().map_err(|source| Error::Listen { port, source })?;
    let inner = Arc::new(Inner { clock, book: Mutex::default(), released: Notify::new() });
    let receivers = Receivers { inner, address };
    server::serve("sim.receivers".into(), listener, http::router(&receivers), tasks);
    Ok(receivers)
}

impl Receivers {
    /// Origin of the simulated Bot API.
    pub fn telegram_api(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The webhook's address; its path is as good as a password.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/hook/simulated-path", self.address)
    }

    /// Everything a sender needs, as the line of `tickhouse sim` tells it.
    pub fn report(&self) -> Value {
        json!({
            "telegram": {"api": self.telegram_api(), "token": TELEGRAM_TOKEN, "chat_id": TELEGRAM_CHAT_ID},
            "webhook": {"url": self.webhook_url(), "token": WEBHOOK_TOKEN},
        })
    }

    /// Messages that were taken, in order.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.iter().cloned().collect()
    }

    /// Messages that came though the sender had been told to wait.
    pub fn too_early_count(&self) -> u64 {
        self.lock().too_early
    }

    /// What came and how it was answered.
    pub fn told(&self) -> Value {
        let book = self.lock();
        let received = book.received.iter().map(|message| {
            json!({"receiver": message.receiver.as_str(), "at_ms": message.at_ms, "body": message.body})
        });
        json!({
            "received": received.collect::<Vec<Value>>(),
            "refused": book.refused,
            "too_early": book.too_early,
        })
    }

    /// What goes wrong with the next messages, such as `telegram:retry=2s,telegram:fail,webhook:hang`: one message each, in
    /// order; `hang` stays until `none`. Words: `retry=2s` (429), `fail` (500), `slow=3s`, `hang`.
    pub fn order(&self, text: &str) -> Result<usize, String> {
        let orders = orders::parse(text)?;
        let mut book = self.lock();
        if orders.is_empty() {
            book.orders.clear();
            self.inner.released.notify_waiters();
        }
        let count = orders.len();
        for (receiver, order) in orders {
            book.orders.entry(receiver).or_default().push_back(order);
        }
        Ok(count)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        self.inner.clock.time().millis()
    }

    /// What is to go wrong with this message.
    fn next_order(&self, receiver: Receiver) -> Option<Order> {
        let mut book = self.lock();
        let orders = book.orders.get_mut(&receiver)?;
        if orders.front() == Some(&Order::Hang) { Some(Order::Hang) } else { orders.pop_front() }
    }

    fn keep(&self, receiver: Receiver, body: Value) {
        let at_ms = self.now_ms();
        let mut book = self.lock();
        book.received.push_back(Received { receiver, at_ms, body });
        if book.received.len() > KEPT_MAX {
            book.received.pop_front();
        }
    }

    fn count_refusal(&self, receiver: Receiver, status: u16) {
        *self.lock().refused.entry(format!("{} {status}", receiver.as_str())).or_default() += 1;
    }

    /// Seconds that the chat is closed for, if it is: it takes so many messages a minute. A message that comes meanwhile was
    /// sent too early.
    fn closed_for(&self) -> Option<u64> {
        let now = self.now_ms();
        let mut book = self.lock();
        if now < book.closed_until_ms {
            book.too_early += 1;
            return Some((book.closed_until_ms - now).unsigned_abs().div_ceil(1_000));
        }
        while book.recent_ms.front().is_some_and(|sent| sent + MINUTE_MS <= now) {
            book.recent_ms.pop_front();
        }
        if book.recent_ms.len() < GROUP_PER_MINUTE {
            book.recent_ms.push_back(now);
            return None;
        }
        let free_at = book.recent_ms.front().map_or(now, |oldest| oldest + MINUTE_MS);
        Some((free_at - now).unsigned_abs().div_ceil(1_000))
    }

    /// Closes the chat for so long.
    fn close_for(&self, seconds: u64) {
        let until = self.now_ms() + 1_000 * seconds as i64;
        self.lock().closed_until_ms = until;
    }
}
