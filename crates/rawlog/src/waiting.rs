//! The queue before the writer: bounded by places, taken whole. Writing is left to `writer`.
//!
//! Not `runtime::queue`: the writer takes everything at once under one lock, a large record takes more places than a
//! small one, and places are given back only after the write.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::error::LogClosed;
use crate::record::NewRecord;

/// A record takes one place for every started piece of this size.
const PLACE_BYTES: usize = 4096;

/// Full rule: appenders wait, in the order they came.
#[derive(Debug)]
pub(crate) struct Waiting {
    places: Semaphore,
    places_max: u32,
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    records: Vec<NewRecord>,
    places: u32,
    is_closed: bool,
    /// The writer sleeps until the first record arrives.
    is_awaited: bool,
}

/// What the writer took.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<NewRecord>,
    places: u32,
}

impl Waiting {
    pub(crate) fn new(places_max: usize) -> Self {
        let places_max = places_max.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize / 2));
        Self {
            places: Semaphore::new(places_max),
            places_max: places_max as u32,
            inner: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_of(record: &NewRecord) -> u32 {
        1 + u32::try_from(record.payload.len() / PLACE_BYTES).unwrap_or(u32::MAX / 4)
    }

    async fn take_places(&self, places: u32) -> Result<u32, LogClosed> {
        // More than there are would never come free; then all of them will do.
        let places = places.min(self.places_max);
        self.places.acquire_many(places).await.map_err(|_| LogClosed)?.forget();
        Ok(places)
    }

    pub(crate) async fn push(&self, record: NewRecord) -> Result<(), LogClosed> {
        let places = self.take_places(Self::places_of(&record)).await?;
        self.enter(places, |records| records.push(record))
    }

    pub(crate) async fn push_many(&self, mut added: Vec<NewRecord>) -> Result<(), LogClosed> {
        let places = added.iter().map(Self::places_of).fold(0_u32, u32::saturating_add);
        let places = self.take_places(places).await?;
        self.enter(places, |records| records.append(&mut added))
    }

    fn enter(&self, places: u32, add: impl FnOnce(&mut Vec<NewRecord>)) -> Result<(), LogClosed> {
        let mut inner = self.lock();
        if inner.is_closed {
            return Err(LogClosed);
        }
        add(&mut inner.records);
        inner.places += places;
        if std::mem::take(&mut inner.is_awaited) {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Takes all records, waiting a while for the first. `batch` must be empty.
    pub(crate) fn take(&self, batch: &mut Batch, wait_max: Duration) {
        let mut inner = self.lock();
        if inner.records.is_empty() && !inner.is_closed {
            inner.is_awaited = true;
            let waited = self.arrived.wait_timeout_while(inner, wait_max, |inner| inner.is_awaited);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            inner.is_awaited = false;
        }
        std::mem::swap(&mut inner.records, &mut batch.records);
        batch.places = std::mem::take(&mut inner.places);
    }

    /// Gives the places of written records back.
    pub(crate) fn give_back(&self, batch: &mut Batch) {
        batch.records.clear();
        self.places.add_permits(std::mem::take(&mut batch.places) as usize);
    }

    /// Rests the writer's thread for a while, or until the queue is closed.
    pub(crate) fn rest(&self, wait: Duration) {
        let inner = self.lock();
        drop(self.arrived.wait_timeout_while(inner, wait, |inner| !inner.is_closed));
    }

    /// Refuses further records; those inside can still be taken.
    pub(crate) fn close(&self) {
        self.places.close();
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.is_awaited = false;
        drop(inner);
        self.arrived.notify_all();
    }

    /// Records inside.
    pub(crate) fn record_count(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether everything that was added is written: places come back only after the write.
    pub(crate) fn is_idle(&self) -> bool {
        self.places.available_permits() >= self.places_max as usize
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }
}
