//! Bounded queues with a name and a written rule for being full. Unbounded ones do not exist here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// The sending end. `send` waits when the queue is full, `offer` drops and counts.
#[derive(Debug)]
pub struct Sender<T> {
    name: &'static str,
    inner: mpsc::Sender<T>,
    dropped: Arc<AtomicU64>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { name: self.name, inner: self.inner.clone(), dropped: Arc::clone(&self.dropped) }
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver<T> {
    inner: mpsc::Receiver<T>,
}

/// The receiver is gone; the value comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<T>(pub T);

/// Makes a queue that holds at most `capacity` values.
pub fn queue<T>(name: &'static str, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Sender { name, inner: sender, dropped: Arc::default() }, Receiver { inner: receiver })
}

impl<T> Sender<T> {
    /// Hands over a value, waiting while the queue is full.
    pub async fn send(&self, value: T) -> Result<(), Closed<T>> {
        self.inner.send(value).await.map_err(|mpsc::error::SendError(value)| Closed(value))
    }

    /// Hands over a value from a thread that may block.
    pub fn send_blocking(&self, value: T) -> Result<(), Closed<T>> {
        self.inner.blocking_send(value).map_err(|mpsc::error::SendError(value)| Closed(value))
    }

    /// Hands over a value unless the queue is full or closed; what was dropped is counted. True if it was taken.
    pub fn offer(&self, value: T) -> bool {
        if self.inner.try_send(value).is_ok() {
            return true;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("tickhouse_queue_dropped_total", "queue" => self.name).increment(1);
        false
    }

    /// Values dropped by `offer` so far.
    pub fn dropped_count(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Places left.
    pub fn free(&self) -> usize {
        self.inner.capacity()
    }

    /// Resolves when nobody listens any more.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// Whether nobody listens any more.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` when all senders are gone and the queue is empty.
    pub async fn receive(&mut self) -> Option<T> {
        self.inner.recv().await
    }

    /// The next value, blocking the thread.
    pub fn receive_blocking(&mut self) -> Option<T> {
        self.inner.blocking_recv()
    }

    /// The next value if one is there.
    pub fn try_receive(&mut self) -> Option<T> {
        self.inner.try_recv().ok()
    }

    /// Appends up to `count_max` values to `values`, waiting for at least one; returns how many.
    pub async fn receive_many(&mut self, values: &mut Vec<T>, count_max: usize) -> usize {
        self.inner.recv_many(values, count_max).await
    }
}

#[cfg(test)]
mod tests {
    //! Cases for full queues.
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let (sender, mut receiver) = queue("test", 1);
        assert!(sender.offer(1));
        assert!(!sender.offer(2));
        assert_eq!((sender.dropped_count(), receiver.receive().await), (1, Some(1)));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_the_value_back() {
        let (sender, receiver) = queue("test", 1);
        drop(receiver);
        assert_eq!(sender.send(7).await, Err(Closed(7)));
    }
}
