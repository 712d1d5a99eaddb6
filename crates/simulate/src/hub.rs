//! Who gets which stream. Frames are rendered once per form and handed to each subscriber's queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use runtime::Sender;
use tokio::sync::Notify;

/// A stream, as the sources of news know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A stream of a generated market.
    Market(u32, Kind),
    /// A stream over all generated markets.
    All(Kind),
    /// A stream of a recording, by its name without its speed.
    Named(Box<str>),
}

/// What a generated stream carries. Bar lengths are the venue's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    AggTrade,
    Trade,
    BookTicker,
    Depth { every_ms: u32 },
    PartialDepth { levels: u32, every_ms: u32 },
    Kline { interval: &'static str },
    MarkPrice { every_ms: u32 },
    MiniTicker,
    PublicTrade,
    Orderbook { levels: u32 },
    Tickers,
}

/// What a connection and the hub know of each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Whether payloads are wrapped with their stream's name.
    pub(crate) is_combined: AtomicBool,
    /// Whether times are in microseconds.
    pub(crate) is_micros: AtomicBool,
    /// Set when the client does not read fast enough: the venue hangs up.
    pub(crate) is_overrun: AtomicBool,
    /// Wakes the connection for that.
    pub(crate) wake: Notify,
}

struct Subscriber {
    client: u64,
    name: Box<str>,
    queue: Sender<Utf8Bytes>,
    shared: Arc<Shared>,
    /// Has not had its snapshot yet.
    is_fresh: bool,
}

/// Subscriptions of one venue.
#[derive(Default)]
pub(crate) struct Hub {
    slots: Mutex<HashMap<Key, Vec<Subscriber>>>,
    /// Frames handed over so far.
    pub(crate) frames: AtomicU64,
    /// When somebody last subscribed, by the machine's clock; 0 for never.
    pub(crate) subscribed_ms: AtomicI64,
}

/// Frames that one publication needs.
pub(crate) struct Forms<'a> {
    raw: &'a str,
    made: Vec<(bool, bool, Box<str>, Utf8Bytes)>,
}

impl<'a> Forms<'a> {
    /// Forms of a payload.
    pub(crate) const fn of(raw: &'a str) -> Self {
        Self { raw, made: Vec::new() }
    }

    fn text(&mut self, subscriber: &Subscriber) -> Utf8Bytes {
        let is_combined = subscriber.shared.is_combined.load(Ordering::Relaxed);
        let is_micros = subscriber.shared.is_micros.load(Ordering::Relaxed);
        let name: &str = if is_combined { &subscriber.name } else { "" };
        let known =
            self.made.iter().find(|made| made.0 == is_combined && made.1 == is_micros && *made.2 == *name);
        if let Some((.., text)) = known {
            return text.clone();
        }
        let mut text = if is_combined {
            format!("{{\"stream\":\"{name}\",\"data\":{}}}", self.raw)
        } else {
            self.raw.to_owned()
        };
        if is_micros {
            text = to_micros(&text);
        }
        let text = Utf8Bytes::from(text);
        self.made.push((is_combined, is_micros, name.into(), text.clone()));
        text
    }
}

/// A connection as a subscriber.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) queue: Sender<Utf8Bytes>,
    pub(crate) shared: Arc<Shared>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Subscriber>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client to a stream, under the name it used.
    pub(crate) fn subscribe(&self, client: &Client, key: Key, name: &str, real_ms: i64) {
        let mut slots = self.lock();
        let subscribers = slots.entry(key).or_default();
        if subscribers.iter().any(|known| known.client == client.number && *known.name == *name) {
            return;
        }
        subscribers.push(Subscriber {
            client: client.number,
            name: name.into(),
            queue: client.queue.clone(),
            shared: Arc::clone(&client.shared),
            is_fresh: true,
        });
        self.subscribed_ms.store(real_ms, Ordering::Release);
    }

    /// Takes a client off a stream.
    pub(crate) fn unsubscribe(&self, client: u64, key: &Key, name: &str) {
        let mut slots = self.lock();
        if let Some(subscribers) = slots.get_mut(key) {
            subscribers.retain(|known| known.client != client || *known.name != *name);
            if subscribers.is_empty() {
                slots.remove(key);
            }
        }
    }

    /// Takes a client off everything.
    pub(crate) fn leave(&self, client: u64) {
        self.lock().retain(|_, subscribers| {
            subscribers.retain(|known| known.client != client);
            !subscribers.is_empty()
        });
    }

    /// Streams that somebody wants.
    pub(crate) fn wanted(&self, mut which: impl FnMut(&Key) -> bool) -> Vec<Key> {
        self.lock().keys().filter(|key| which(key)).cloned().collect()
    }

    /// Whether somebody wants the stream.
    pub(crate) fn is_wanted(&self, key: &Key) -> bool {
        self.lock().contains_key(key)
    }

    /// Hands a payload to all subscribers of a stream; rendered only if there are any.
    pub(crate) fn publish(&self, key: &Key, render: impl FnOnce() -> String) {
        let mut slots = self.lock();
        let Some(subscribers) = slots.get_mut(key) else { return };
        let raw = render();
        let mut forms = Forms::of(&raw);
        for subscriber in subscribers {
            let text = forms.text(subscriber);
            self.offer(subscriber, text);
        }
    }

    /// Hands a snapshot to subscribers that had none yet, and the change to the others.
    pub(crate) fn publish_change(
        &self,
        key: &Key,
        snapshot: impl Fn() -> String,
        change: impl FnOnce() -> Option<String>,
    ) {
        let mut slots = self.lock();
        let Some(subscribers) = slots.get_mut(key) else { return };
        let whole = subscribers.iter().any(|subscriber| subscriber.is_fresh).then(snapshot);
        let change = change();
        let (mut whole_forms, mut change_forms) =
            (whole.as_deref().map(Forms::of), change.as_deref().map(Forms::of));
        for subscriber in subscribers {
            let forms = if subscriber.is_fresh { &mut whole_forms } else { &mut change_forms };
            subscriber.is_fresh = false;
            if let Some(forms) = forms {
                let text = forms.text(subscriber);
                self.offer(subscriber, text);
            }
        }
    }

    /// Queues and frames for a payload, for sources that wait for slow readers. Subscribers that had none yet get the
    /// whole in its place, where there is one.
    pub(crate) fn targets(
        &self,
        key: &Key,
        raw: &str,
        whole: impl FnOnce() -> Option<String>,
    ) -> Vec<(Sender<Utf8Bytes>, Utf8Bytes)> {
        let mut slots = self.lock();
        let Some(subscribers) = slots.get_mut(key) else { return Vec::new() };
        let mut forms = Forms::of(raw);
        let is_asked = subscribers.iter().any(|subscriber| subscriber.is_fresh);
        let whole = if is_asked { whole() } else { None };
        let mut whole_forms = whole.as_deref().map(Forms::of);
        let target = |known: &mut Subscriber| {
            let is_fresh = std::mem::take(&mut known.is_fresh);
            let forms = whole_forms.as_mut().filter(|_| is_fresh).unwrap_or(&mut forms);
            (known.queue.clone(), forms.text(known))
        };
        subscribers.iter_mut().map(target).collect()
    }

    fn offer(&self, subscriber: &Subscriber, text: Utf8Bytes) {
        if subscriber.queue.offer(text) {
            self.frames.fetch_add(1, Ordering::Relaxed);
        } else {
            subscriber.shared.is_overrun.store(true, Ordering::Release);
            subscriber.shared.wake.notify_one();
        }
    }
}

/// Turns every time field of a payload from milliseconds into microseconds.
pub(crate) fn to_micros(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        if at > start {
            out.push_str(&text[start..at]);
            // Thirteen digits from 2001 to 2033 behind a colon: a time. Ids and prices never look like that here.
            let is_value = start > 0
                && (matches!(bytes[start - 1], b':' | b'[' | b',') || text[..start].ends_with(":\""));
            let is_whole = bytes.get(at) != Some(&b'.');
            if at - start == 13 && bytes[start] == b'1' && is_value && is_whole {
                out.push_str("000");
            }
            continue;
        }
        while at < bytes.len() && !bytes[at].is_ascii_digit() {
            at += 1;
        }
        out.push_str(&text[start..at]);
    }
    out
}

#[cfg(test)]
mod tests {
    //! Cases for forms.
    use super::*;

    #[test]
    fn times_become_microseconds_and_nothing_else_does() {
        assert_eq!(
            to_micros(
                r#"{"E":1791383685696,"a":3512340001,"u":11757187949652,"p":"1791383685696.5","k":{"t":1791383640000}}"#
            ),
            r#"{"E":1791383685696000,"a":3512340001,"u":11757187949652,"p":"1791383685696.5","k":{"t":1791383640000000}}"#
        );
    }
}
