//! The hub: the one task that reads the feed and knows who listens. It never waits for a client or a disk.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use model::{InstrumentId, Time};
use runtime::{Receiver, Restart, Sender, Stop, Stopper, Tasks};
use serde_json::Value;
use tables::{CandleAnswer, FeedItem, FeedReader, FeedSlip, News, StoreError};

use super::chain::{ChainDoor, ChainOrder, ChainRoute};
use super::messages;
use super::outbox::{CandleKey, Outbox};
use super::pace::Pace;
use super::place::Place;
use super::resume::{FinalsAsked, Readers, Stored};
use super::ring::Ring;
use super::routes::{Reader, Route};
use super::words::{Asked, Names, Stream};
use crate::house::House;

/// Requests waiting for the hub.
const ORDERS_MAX: usize = 1_024;
/// Questions to the rest of the house under way at a time; more wait.
const ASKS_MAX: usize = 16;
/// Longest wait for an answer from the rest of the house.
const ASK_TIME_MAX: Duration = Duration::from_secs(20);

/// What clients' tasks ask of the hub.
pub(crate) enum Order {
    Join(Arc<Reader>),
    Subscribe { reader: Arc<Reader>, id: Option<Value>, asked: Asked },
    Unsubscribe { reader: Arc<Reader>, id: Option<Value>, asked: Asked },
    Leave(u64),
    Chain(ChainOrder),
}

/// An answer from the rest of the house.
pub(super) enum Done {
    Initial {
        reader: u64,
        key: CandleKey,
        answer: Result<CandleAnswer, StoreError>,
    },
    Final {
        key: CandleKey,
        open_time: Time,
        is_closing: bool,
        answer: Result<CandleAnswer, StoreError>,
    },
    Stored {
        reader: u64,
        id: InstrumentId,
        span: (Place, Option<Place>),
        answer: Result<Option<Stored>, StoreError>,
    },
}

/// The door to the hub.
#[derive(Clone)]
pub(crate) struct Hub {
    house: Arc<House>,
    orders: Arc<Mutex<Sender<Order>>>,
    closing: Stopper,
    reader_ids: Arc<AtomicU64>,
}

impl Hub {
    /// Starts the hub's task; it reads the feed from now on.
    pub(crate) fn start(house: &Arc<House>, tasks: &Tasks) -> Self {
        let (sender, receiver) = runtime::queue("serve.orders", ORDERS_MAX);
        let hub = Self {
            house: Arc::clone(house),
            orders: Arc::new(Mutex::new(sender)),
            closing: Stopper::default(),
            reader_ids: Arc::default(),
        };
        let door = ChainDoor::new();
        door.start(house, &hub, tasks);
        let mut first = Some((receiver, house.doors.feed.subscribe()));
        let (house, orders) = (Arc::clone(house), Arc::clone(&hub.orders));
        tasks.start("serve.hub", Restart::WithBackoff { tries_max: 8 }, move |stop| {
            let (receiver, feed) = first.take().unwrap_or_else(|| {
                // A new life: clients of the old one are closed and come again.
                let (sender, receiver) = runtime::queue("serve.orders", ORDERS_MAX);
                *orders.lock().unwrap_or_else(PoisonError::into_inner) = sender;
                (receiver, house.doors.feed.subscribe())
            });
            State::new(&house, &door).run(receiver, feed, stop)
        });
        hub
    }

    /// A new client.
    pub(crate) fn reader(&self) -> Arc<Reader> {
        let settings = &self.house.settings;
        let counts = Arc::clone(&self.house.counts);
        let outbox = Outbox::new(settings.reader_queue, settings.reader_queue_bytes_max, counts);
        Arc::new(Reader { id: self.reader_ids.fetch_add(1, Ordering::Relaxed), outbox })
    }

    /// Hands an order to the hub; false if it is gone.
    pub(crate) async fn order(&self, order: Order) -> bool {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        orders.send(order).await.is_ok()
    }

    /// Tells when the server closes.
    pub(crate) fn closing(&self) -> Stop {
        self.closing.watch()
    }

    /// Asks all clients' tasks to say goodbye, and waits for them at most so long.
    pub(crate) async fn close_readers(&self, time_max: Duration) {
        self.closing.stop();
        let _late_ones_are_cut_off = runtime::clock::within(time_max, async {
            while self.house.counts.readers.load(Ordering::Acquire) > 0 {
                runtime::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// What the hub knows.
pub(super) struct State {
    pub(super) house: Arc<House>,
    pub(super) routes: HashMap<InstrumentId, Route>,
    pub(super) chain: ChainRoute,
    pub(super) readers: Readers,
    pub(super) ring: Ring,
    pub(super) pace: Pace,
    pub(super) finals_asked: FinalsAsked,
    asks: FuturesUnordered<BoxFuture<'static, Done>>,
    asks_waiting: VecDeque<BoxFuture<'static, Done>>,
}

type FeedStep = Result<Arc<[FeedItem]>, FeedSlip>;

enum Step {
    News(Option<FeedStep>),
    Order(Option<Order>),
    Done(Option<Done>),
    Due,
    Stop,
}

// The reader's own future must not be dropped half-way when something else happens first.
fn stream_of(feed: Box<dyn FeedReader>) -> BoxStream<'static, FeedStep> {
    futures::stream::unfold(feed, |mut feed| async move {
        let step = feed.next().await?;
        Some((step, feed))
    })
    .boxed()
}

impl State {
    fn new(house: &Arc<House>, door: &ChainDoor) -> Self {
        Self {
            house: Arc::clone(house),
            routes: HashMap::new(),
            chain: ChainRoute::new(door),
            readers: HashMap::new(),
            ring: Ring::new(house.settings.resume_items_max),
            pace: Pace::new(),
            finals_asked: FinalsAsked::new(),
            asks: FuturesUnordered::new(),
            asks_waiting: VecDeque::new(),
        }
    }

    async fn run(
        mut self,
        mut orders: Receiver<Order>,
        feed: Box<dyn FeedReader>,
        stop: Stop,
    ) -> runtime::tasks::Outcome {
        let mut feed = stream_of(feed).fuse();
        let mut is_feed_open = true;
        let requested = stop.requested();
        tokio::pin!(requested);
        loop {
            let step = tokio::select! {
                () = &mut requested => Step::Stop,
                news = feed.next(), if is_feed_open => Step::News(news),
                order = orders.receive() => Step::Order(order),
                done = self.asks.next(), if !self.asks.is_empty() => Step::Done(done),
                () = runtime::sleep(self.pace.wait()) => Step::Due,
            };
            match step {
                Step::Stop | Step::Order(None) => return Ok(()),
                Step::News(Some(Ok(items))) => self.pass_all(&items),
                Step::News(Some(Err(slip))) => {
                    tracing::warn!(missed = slip.missed_count, "the hub fell behind the feed");
                    self.house.counts.missed.fetch_add(slip.missed_count, Ordering::Relaxed);
                    metrics::counter!("tickhouse_serve_feed_missed_total").increment(slip.missed_count);
                    self.slipped(slip.missed_count);
                }
                // What is at rest can still be asked for.
                Step::News(None) => is_feed_open = false,
                Step::Order(Some(order)) => self.take_order(order),
                Step::Done(Some(done)) => self.take_done(done),
                Step::Done(None) | Step::Due => {}
            }
            self.send_due();
        }
    }

    fn pass_all(&mut self, items: &Arc<[FeedItem]>) {
        self.ring.push(items);
        for item in items.iter() {
            self.pass(item);
        }
    }

    fn pass(&mut self, item: &FeedItem) {
        let place = Place::of(item);
        match &item.news {
            News::Trade(trade) => {
                if let Some(route) = listened(&mut self.routes, &trade.instrument, Stream::Trades) {
                    route.pass_trade(place, trade);
                }
            }
            News::Quote(quote) => {
                if let Some(route) = listened(&mut self.routes, &quote.instrument, Stream::Quotes) {
                    let text = messages::quote(&route.names, place, quote);
                    route.pass(Stream::Quotes, place, &text);
                }
            }
            News::Book(update) => {
                if let Some(route) = listened(&mut self.routes, &update.instrument, Stream::Book) {
                    route.pass_book(place, update, &*self.house.doors.market);
                }
            }
            News::BookStale(id) => {
                if let Some(route) = listened(&mut self.routes, id, Stream::Book) {
                    let text = messages::book_stale(&route.names, place);
                    route.pass(Stream::Book, place, &text);
                }
            }
            News::Bar(bar) => self.pass_bar(bar),
            News::Gap(gap) => self.pass_gap(gap),
            News::MarkPrice(_) | News::Funding(_) | News::OpenInterest(_) | News::Instrument(_) => {}
        }
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::Join(reader) => {
                self.readers.insert(reader.id, reader);
            }
            Order::Subscribe { reader, id, asked } => self.subscribe(&reader, id.as_ref(), &asked),
            Order::Unsubscribe { reader, id, asked } => self.unsubscribe(&reader, id.as_ref(), &asked),
            Order::Leave(reader) => {
                self.readers.remove(&reader);
                self.leave_everything(reader);
                self.tidy();
            }
            Order::Chain(order) => self.chain.take(order),
        }
    }

    /// The route of an instrument, made if there is none.
    pub(super) fn route(&mut self, names: &Arc<Names>) -> &mut Route {
        self.routes.entry(names.id.clone()).or_insert_with(|| Route::new(Arc::clone(names)))
    }

    /// Asks the rest of the house without waiting: the answer comes back as `Done`.
    pub(super) fn ask<T, F, D>(&mut self, question: F, done: D)
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        D: FnOnce(Result<T, StoreError>) -> Done + Send + 'static,
    {
        // Answers may compute for milliseconds, which live news must not wait for.
        let asked = async move {
            let home = tokio::runtime::Handle::current();
            let work = move || home.block_on(runtime::clock::within(ASK_TIME_MAX, question));
            done(match runtime::tasks::blocking(work).await {
                Ok(Some(answer)) => answer,
                Ok(None) => Err(StoreError::Failed(format!("no answer within {ASK_TIME_MAX:?}"))),
                Err(panic) => Err(StoreError::Failed(panic)),
            })
        };
        if self.asks.len() < ASKS_MAX {
            self.asks.push(asked.boxed());
        } else {
            self.asks_waiting.push_back(asked.boxed());
        }
    }

    fn take_done(&mut self, done: Done) {
        if let Some(next) = self.asks_waiting.pop_front() {
            self.asks.push(next);
        }
        match done {
            Done::Initial { reader, key, answer } => self.initial_here(reader, &key, answer),
            Done::Final { key, open_time, is_closing, answer } => {
                self.final_here(&key, (open_time, is_closing), answer);
            }
            Done::Stored { reader, id, span, answer } => self.stored_here(reader, (&id, span), answer),
        }
    }
}

impl Drop for State {
    // Also when the hub panicked: its clients must not wait for news that never come.
    fn drop(&mut self) {
        for reader in self.readers.values() {
            reader.outbox.close();
        }
    }
}

fn listened<'a>(
    routes: &'a mut HashMap<InstrumentId, Route>,
    id: &InstrumentId,
    stream: Stream,
) -> Option<&'a mut Route> {
    routes.get_mut(id).filter(|route| route.is_wanted(stream))
}
