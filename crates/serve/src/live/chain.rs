//! The followed chain over the WebSocket: how it stands first, then what was committed. One task reads the news and the rows that belong
//! to them, the hub hands both to whoever listens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::Utf8Bytes;
use model::Time;
use runtime::{Receiver, Restart, Sender, Tasks};
use serde::Serialize;
use serde_json::{Value, json};
use tables::{BTC, ChainDesk, ChainItem, ChainNews};
use tokio::sync::Mutex;

use super::hub::{Hub, Order};
use super::messages;
use super::routes::Reader;
use crate::house::House;
use crate::refusal::Refusal;
use crate::rest::btc::{newest_prices, newest_primitives};

/// Newcomers who wait to be told how the chain stands.
const NEWCOMERS_MAX: usize = 1_024;
/// Most rows that come with a piece of news: two hours.
const ROWS_MAX: usize = 12;
/// Rows that a newcomer is told: the bucket that is not over has no price yet, so the last whole one is among them.
const ROWS_STANDING: usize = 3;

/// What can be heard of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Topic {
    RawBlockReady,
    PrimitiveReady,
    PriceReady,
    MetricsReady,
    Reorganised,
}

impl Topic {
    pub(crate) const ALL: [Self; 5] =
        [Self::RawBlockReady, Self::PrimitiveReady, Self::PriceReady, Self::MetricsReady, Self::Reorganised];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RawBlockReady => "raw_block_ready",
            Self::PrimitiveReady => "primitive_ready",
            Self::PriceReady => "price_ready",
            Self::MetricsReady => "metrics_ready",
            Self::Reorganised => "reorganised",
        }
    }

    const fn of(news: &ChainNews) -> Self {
        match news {
            ChainNews::RawBlockReady { .. } => Self::RawBlockReady,
            ChainNews::PrimitiveReady { .. } => Self::PrimitiveReady,
            ChainNews::PriceReady { .. } => Self::PriceReady,
            ChainNews::MetricsReady { .. } => Self::MetricsReady,
            ChainNews::Reorganised { .. } => Self::Reorganised,
        }
    }
}

/// What the chain's task hands to the hub.
pub(crate) enum ChainOrder {
    /// How the chain stands, for a newcomer; news up to that number are in it.
    Stands { reader: u64, sequence: u64, text: Utf8Bytes },
    /// A piece of news.
    News { topic: Topic, sequence: u64, text: Utf8Bytes },
    /// So many news came faster than they could be passed on; how the chain stands now.
    Missed { count: u64, from: u64, text: Utf8Bytes },
}

struct Listener {
    reader: Arc<Reader>,
    topics: BTreeSet<Topic>,
    /// News up to this number are known; `None` before it was told how the chain stands.
    known: Option<u64>,
}

/// Everyone who listens to the chain; kept by the hub.
pub(super) struct ChainRoute {
    listeners: HashMap<u64, Listener>,
    newcomers: Sender<u64>,
    /// How many listen, for the task that reads rows for them.
    count: Arc<AtomicUsize>,
}

impl ChainRoute {
    pub(super) fn new(door: &ChainDoor) -> Self {
        door.count.store(0, Ordering::Relaxed);
        Self { listeners: HashMap::new(), newcomers: door.newcomers.clone(), count: Arc::clone(&door.count) }
    }

    /// How many subscriptions a client has here.
    pub(super) fn count(&self, reader: u64) -> usize {
        self.listeners.get(&reader).map_or(0, |listener| listener.topics.len())
    }

    /// Takes a client in; it hears how the chain stands before anything else, and again if it asks for more.
    pub(super) fn join(&mut self, reader: &Arc<Reader>, topics: &BTreeSet<Topic>) {
        let new = || Listener { reader: Arc::clone(reader), topics: BTreeSet::new(), known: None };
        self.listeners.entry(reader.id).or_insert_with(new).topics.extend(topics);
        self.count.store(self.listeners.len(), Ordering::Relaxed);
        if !self.newcomers.offer(reader.id) {
            let refusal = Refusal::bad(
                "busy",
                "too many clients ask at once how the chain stands",
                "subscribe again in a moment, or read /api/v1/btc/health",
            );
            reader.outbox.say(messages::error(None, &refusal));
            self.leave(reader.id, &Topic::ALL.into());
        }
    }

    pub(super) fn leave(&mut self, reader: u64, topics: &BTreeSet<Topic>) {
        if let Some(listener) = self.listeners.get_mut(&reader) {
            listener.topics.retain(|topic| !topics.contains(topic));
            if listener.topics.is_empty() {
                self.listeners.remove(&reader);
            }
        }
        self.count.store(self.listeners.len(), Ordering::Relaxed);
    }

    pub(super) fn take(&mut self, order: ChainOrder) {
        match order {
            ChainOrder::Stands { reader, sequence, text } => {
                let Some(listener) = self.listeners.get_mut(&reader) else { return };
                listener.reader.outbox.say(text);
                listener.known = listener.known.max(Some(sequence));
            }
            ChainOrder::News { topic, sequence, text } => {
                for listener in self.listeners.values() {
                    let is_new = listener.known.is_some_and(|known| known < sequence);
                    if is_new && listener.topics.contains(&topic) {
                        listener.reader.outbox.offer_chain(topic, sequence, &text);
                    }
                }
            }
            ChainOrder::Missed { count, from, text } => {
                let missed = ChainSkip { count, first: from, last: from + count - 1 };
                for listener in self.listeners.values().filter(|listener| listener.known.is_some()) {
                    let reason = "the server itself fell behind the chain; the count is over all channels";
                    listener.reader.outbox.say(missed.told(None, reason));
                    listener.reader.outbox.say(text.clone());
                }
            }
        }
    }
}

/// News of the chain that a client did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainSkip {
    pub(crate) count: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl ChainSkip {
    pub(crate) fn told(self, topic: Option<Topic>, reason: &str) -> Utf8Bytes {
        messages::text(&json!({
            "type": "skipped",
            "chain": BTC,
            "channel": topic.map(Topic::as_str),
            "count": self.count,
            "is_count_exact": topic.is_some(),
            "from_sequence": self.first,
            "to_sequence": self.last,
            "reason": reason,
        }))
    }
}

/// What leads from the hub to the chain's task.
#[derive(Clone)]
pub(crate) struct ChainDoor {
    newcomers: Sender<u64>,
    waiting: Arc<Mutex<Receiver<u64>>>,
    count: Arc<AtomicUsize>,
}

impl ChainDoor {
    pub(super) fn new() -> Self {
        let (newcomers, waiting) = runtime::queue("serve.chain", NEWCOMERS_MAX);
        Self { newcomers, waiting: Arc::new(Mutex::new(waiting)), count: Arc::default() }
    }

    /// Starts the task, where a chain is followed or a price kept.
    pub(super) fn start(&self, house: &Arc<House>, hub: &Hub, tasks: &Tasks) {
        if house.doors.chain.is_none() {
            return;
        }
        let (door, house, hub) = (self.clone(), Arc::clone(house), hub.clone());
        tasks.start("serve.chain", Restart::WithBackoff { tries_max: 8 }, move |stop| {
            let (door, house, hub) = (door.clone(), Arc::clone(&house), hub.clone());
            async move {
                if let Some(desk) = house.doors.chain.as_deref() {
                    tokio::select! {
                        () = stop.requested() => {}
                        () = door.tell(desk, &house, &hub) => {}
                    }
                }
                Ok(())
            }
        });
    }

    async fn tell(&self, desk: &dyn ChainDesk, house: &House, hub: &Hub) {
        let mut newcomers = self.waiting.lock().await;
        let mut told = desk.news_newest();
        loop {
            let step = tokio::select! {
                batch = desk.news_after(told) => Ok(batch),
                reader = newcomers.receive() => Err(reader),
            };
            match step {
                Ok(batch) => {
                    if batch.missed_count > 0 {
                        let (_, text) = stands(desk, house).await;
                        let (count, from) = (batch.missed_count, told + 1);
                        hub.order(Order::Chain(ChainOrder::Missed { count, from, text })).await;
                    }
                    for item in &batch.items {
                        told = item.sequence;
                        // Rows are read for those who listen, not for nobody.
                        if self.count.load(Ordering::Relaxed) > 0 {
                            let (topic, text) = (Topic::of(&item.news), news(house, item).await);
                            let order = ChainOrder::News { topic, sequence: item.sequence, text };
                            hub.order(Order::Chain(order)).await;
                        }
                    }
                }
                Err(Some(reader)) => {
                    let (sequence, text) = stands(desk, house).await;
                    hub.order(Order::Chain(ChainOrder::Stands { reader, sequence, text })).await;
                }
                Err(None) => return,
            }
        }
    }
}

#[derive(Serialize)]
struct Told<'a> {
    r#type: &'a str,
    chain: &'a str,
    sequence: u64,
    /// When it was committed, milliseconds since the epoch.
    timestamp: i64,
    data: Value,
}

fn told(kind: &str, (sequence, time): (u64, Time), data: Value) -> Utf8Bytes {
    messages::text(&Told { r#type: kind, chain: BTC, sequence, timestamp: time.millis(), data })
}

/// Rows from a bucket on; null where they cannot be read: the news itself holds either way.
fn rows(read: Result<Vec<Value>, Refusal>, from: Time) -> Value {
    match read {
        Ok(rows) => {
            let is_new = |row: &Value| row["bucket"].as_i64() >= Some(from.millis());
            Value::from(rows.into_iter().filter(is_new).collect::<Vec<_>>())
        }
        Err(refusal) => {
            tracing::warn!(reason = %refusal.message, "rows for listeners of the chain could not be read");
            Value::Null
        }
    }
}

/// How the chain stands, with the number of the newest news that are in it.
async fn stands(desk: &dyn ChainDesk, house: &House) -> (u64, Utf8Bytes) {
    let (sequence, health) = (desk.news_newest(), desk.health());
    let millis = |time: Option<Time>| time.map(Time::millis);
    let lag = health.stages.first().and_then(|stage| stage.lag_blocks);
    let data = json!({
        "network": health.network,
        "raw_height": health.raw_height,
        "raw_hash": health.raw_hash,
        "primitive_height": health.primitive_height,
        "primitive_bucket": millis(health.primitive_bucket),
        "price_bucket": millis(health.price_bucket),
        "metrics_bucket": millis(health.metrics_bucket),
        "node_tip_height": health.node.tip_height,
        "node_tip_hash": health.node.tip_hash,
        "lag_blocks": lag,
        "reorganisations": health.reorganisations,
        "trouble": health.trouble.or(health.node.trouble),
        "btc_primitive_10m": rows(newest_primitives(house, ROWS_STANDING).await, Time(0)),
        "mq_btc_price_10m": rows(newest_prices(house, ROWS_STANDING).await, Time(0)),
    });
    (sequence, told("chain_standing", (sequence, house.clock.time()), data))
}

async fn news(house: &House, item: &ChainItem) -> Utf8Bytes {
    let span = |from: &Time, through: &Time| json!({"from": from.millis(), "through": through.millis()});
    let data = match &item.news {
        ChainNews::RawBlockReady { height, hash } => json!({"height": height, "hash": hash.to_string()}),
        ChainNews::Reorganised { fork_height, blocks } => {
            json!({"fork_height": fork_height, "blocks": blocks})
        }
        ChainNews::PrimitiveReady { from, through } => {
            let mut data = span(from, through);
            data["btc_primitive_10m"] = rows(newest_primitives(house, ROWS_MAX).await, *from);
            data
        }
        ChainNews::PriceReady { from, through } => {
            let mut data = span(from, through);
            data["mq_btc_price_10m"] = rows(newest_prices(house, ROWS_MAX).await, *from);
            data
        }
        ChainNews::MetricsReady { from, through, failed } => {
            let failed: BTreeMap<&str, &str> =
                failed.iter().map(|(name, reason)| (name.as_str(), reason.as_str())).collect();
            let mut data = span(from, through);
            data["failed"] = json!(failed);
            data
        }
    };
    told(Topic::of(&item.news).as_str(), (item.sequence, item.time), data)
}
