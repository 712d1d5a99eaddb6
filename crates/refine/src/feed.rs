//! The live feed: one ring of the newest items, any number of readers, each with its own place.
//!
//! Bounded by items. A reader that falls off the end is told exactly how many items it missed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tables::{Feed, FeedItem, FeedReader, FeedSlip};
use tokio::sync::watch;

/// Items kept for readers that are behind: some seconds of a busy market.
const ITEMS_MAX: usize = 65_536;

/// Batches with the running number of their first item.
#[derive(Debug, Default)]
struct Ring {
    batches: VecDeque<(u64, Arc<[FeedItem]>)>,
    item_count: usize,
    /// Number of the next item.
    next: u64,
}

/// The feed; cheap to clone.
#[derive(Clone)]
pub(crate) struct NewsFeed {
    ring: Arc<Mutex<Ring>>,
    readers: Arc<AtomicUsize>,
    items_max: usize,
    /// Number of the next item; closed when the feed ends.
    head: Arc<watch::Sender<u64>>,
    watcher: watch::Receiver<u64>,
    ended: Arc<watch::Sender<bool>>,
}

impl NewsFeed {
    pub(crate) fn new() -> Self {
        Self::with_items_max(ITEMS_MAX)
    }

    pub(crate) fn with_items_max(items_max: usize) -> Self {
        let (head, watcher) = watch::channel(0);
        Self {
            ring: Arc::default(),
            readers: Arc::default(),
            items_max,
            head: Arc::new(head),
            watcher,
            ended: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Whether anybody listens.
    pub(crate) fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    /// Passes items on.
    pub(crate) fn publish(&self, items: Vec<FeedItem>) {
        if items.is_empty() {
            return;
        }
        let head = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let first = ring.next;
            ring.next += items.len() as u64;
            ring.item_count += items.len();
            ring.batches.push_back((first, items.into()));
            while ring.item_count > self.items_max && ring.batches.len() > 1 {
                let gone = ring.batches.pop_front().map_or(0, |(_, items)| items.len());
                ring.item_count -= gone;
            }
            ring.next
        };
        self.head.send_replace(head);
    }

    /// No more news will come.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }
}

impl Feed for NewsFeed {
    fn subscribe(&self) -> Box<dyn FeedReader> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        let next = self.ring.lock().unwrap_or_else(PoisonError::into_inner).next;
        Box::new(Reader {
            ring: Arc::clone(&self.ring),
            readers: Arc::clone(&self.readers),
            head: self.watcher.clone(),
            ended: self.ended.subscribe(),
            next,
        })
    }
}

struct Reader {
    ring: Arc<Mutex<Ring>>,
    readers: Arc<AtomicUsize>,
    head: watch::Receiver<u64>,
    ended: watch::Receiver<bool>,
    /// Number of the item to be read next.
    next: u64,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reader {
    fn take(&mut self) -> Option<Result<Arc<[FeedItem]>, FeedSlip>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let (oldest, _) = ring.batches.front()?;
        if self.next < *oldest {
            let missed_count = oldest - self.next;
            self.next = *oldest;
            return Some(Err(FeedSlip { missed_count }));
        }
        let at = ring.batches.partition_point(|(first, items)| first + items.len() as u64 <= self.next);
        let (first, items) = ring.batches.get(at)?;
        // A reader begins between batches and reads whole ones, so its place is always the start of one.
        debug_assert_eq!(*first, self.next, "readers stand at the start of a batch");
        self.next = first + items.len() as u64;
        Some(Ok(Arc::clone(items)))
    }
}

impl FeedReader for Reader {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Arc<[FeedItem]>, FeedSlip>>> {
        async move {
            loop {
                self.head.mark_unchanged();
                let is_ended = *self.ended.borrow_and_update();
                if let Some(batch) = self.take() {
                    return Some(batch);
                }
                if is_ended {
                    return None;
                }
                tokio::select! {
                    changed = self.head.changed() => if changed.is_err() { return self.take() },
                    _ = self.ended.changed() => {}
                }
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    //! Cases for readers, quick and slow.
    use super::*;
    use model::{LogPosition, Nanos};
    use tables::News;

    fn item(number: u64) -> FeedItem {
        let news = News::BookStale("binance:BTC-USDT".parse().unwrap());
        FeedItem { position: LogPosition(number), index: 0, received: Nanos(0), news }
    }

    fn items(range: std::ops::Range<u64>) -> Vec<FeedItem> {
        range.map(item).collect()
    }

    #[tokio::test]
    async fn every_reader_gets_every_item_from_its_start() {
        let feed = NewsFeed::new();
        feed.publish(items(0..3));
        assert!(!feed.has_readers());
        let (mut one, mut two) = (feed.subscribe(), feed.subscribe());
        feed.publish(items(3..5));
        feed.publish(items(5..6));
        feed.end();
        for reader in [&mut one, &mut two] {
            let mut seen = Vec::new();
            while let Some(batch) = reader.next().await {
                seen.extend(batch.unwrap().iter().map(|item| item.position.0));
            }
            assert_eq!(seen, [3, 4, 5]);
        }
        drop((one, two));
        assert!(!feed.has_readers());
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_exactly_what_it_missed() {
        let feed = NewsFeed::with_items_max(10);
        let mut slow = feed.subscribe();
        for start in 0..20 {
            feed.publish(items(start * 3..start * 3 + 3));
        }
        feed.end();
        let slip = slow.next().await.unwrap().unwrap_err();
        let mut seen = 0;
        while let Some(batch) = slow.next().await {
            seen += batch.unwrap().len() as u64;
        }
        assert_eq!(slip.missed_count + seen, 60);
        assert_eq!(seen, 9);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let feed = NewsFeed::new();
        let mut reader = feed.subscribe();
        let publisher = feed.clone();
        let (batch, ()) = tokio::join!(reader.next(), async move { publisher.publish(items(0..1)) });
        assert_eq!(batch.unwrap().unwrap().len(), 1);
    }
}
