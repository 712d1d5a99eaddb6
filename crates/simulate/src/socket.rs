//! One client's WebSocket: what it asks, what it is sent, and how it ends. The words of the two protocols are in the
//! rooms below.

mod binance;
mod bybit;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use runtime::Stop;

use crate::hub::{Client, Key, Shared};
use crate::trouble::ConnectionTrouble;
use crate::world::{House, Venue};

pub(crate) use binance::Route;

const QUEUE: usize = 16_384;
const SEND_MAX: Duration = Duration::from_secs(20);
const MINUTES_10: i64 = 600_000;

/// How a client came in.
pub(crate) struct Entry {
    pub(crate) venue: Arc<Venue>,
    pub(crate) house: Arc<House>,
    /// Binance futures: which group of streams this address serves.
    pub(crate) route: Route,
    pub(crate) is_combined: bool,
    pub(crate) is_micros: bool,
    /// Streams named in the address.
    pub(crate) streams: Vec<String>,
}

/// What a connection says back.
#[derive(Debug)]
pub(crate) enum Reply {
    Text(String),
    Close(u16, &'static str),
}

/// A connection as the protocols see it.
pub(crate) struct Session {
    pub(crate) venue: Arc<Venue>,
    pub(crate) house: Arc<House>,
    pub(crate) client: Client,
    pub(crate) route: Route,
    pub(crate) trouble: ConnectionTrouble,
    /// Streams in the client's words, in the order they were asked for; those without key stay mute.
    pub(crate) streams: Vec<(String, Option<Key>)>,
    /// When messages came in lately.
    pub(crate) recent_ms: Vec<i64>,
}

impl Session {
    /// Takes a stream up; `None` as key means that it is accepted and stays mute.
    pub(crate) fn subscribe(&mut self, name: &str, key: Option<Key>) {
        if self.streams.iter().any(|(known, _)| known == name) {
            return;
        }
        let key = key.filter(|_| !self.trouble.is_misrouted());
        if let Some(key) = &key {
            self.venue.hub.subscribe(&self.client, key.clone(), name, self.house.time.real_ms());
        }
        self.streams.push((name.to_owned(), key));
    }

    /// Lets a stream go.
    pub(crate) fn unsubscribe(&mut self, name: &str) {
        let Some(at) = self.streams.iter().position(|(known, _)| known == name) else { return };
        if let (name, Some(key)) = self.streams.remove(at) {
            self.venue.hub.unsubscribe(self.client.number, &key, &name);
        }
    }
}

/// Talks to a client until either side ends it.
pub(crate) async fn run(socket: WebSocket, entry: Entry) {
    let (queue, mut frames) = runtime::queue("sim.client", QUEUE);
    let number = entry.house.connections.fetch_add(1, Ordering::Relaxed);
    let shared = Arc::new(Shared::default());
    shared.is_combined.store(entry.is_combined, Ordering::Relaxed);
    shared.is_micros.store(entry.is_micros, Ordering::Relaxed);
    let now = entry.house.time.real_ms();
    let mut trouble = entry.venue.trouble.of_connection(number);
    trouble.renew(entry.venue.trouble.shares(), now);
    let stop = entry.house.stopper.watch();
    let mut session = Session {
        client: Client { number, queue, shared },
        venue: entry.venue,
        house: entry.house,
        route: entry.route,
        trouble,
        streams: Vec::new(),
        recent_ms: Vec::new(),
    };
    let are_too_many = entry.streams.len() > binance::STREAMS_MAX;
    for name in entry.streams.iter().take(binance::STREAMS_MAX) {
        let key = binance::key(&session, name);
        session.subscribe(name, key);
    }
    let mut line = Line::new(socket, now);
    let end = if are_too_many {
        Some((1008, "too many streams"))
    } else {
        talk(&mut session, &mut line, &mut frames, &stop).await
    };
    session.venue.hub.leave(number);
    if let Some((code, reason)) = end {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let _client_may_be_gone =
            runtime::clock::within(Duration::from_millis(500), line.sink.send(Message::Close(Some(frame))))
                .await;
    }
}

/// The wire, with the times that matter to it.
struct Line {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    opened_ms: i64,
    heard_ms: i64,
    pinged_ms: i64,
    /// A ping that was not answered yet.
    unanswered: Option<(i64, Vec<u8>)>,
    is_announced: bool,
}

impl Line {
    fn new(socket: WebSocket, now_ms: i64) -> Self {
        let (sink, stream) = socket.split();
        Self {
            sink,
            stream,
            opened_ms: now_ms,
            heard_ms: now_ms,
            pinged_ms: now_ms,
            unanswered: None,
            is_announced: false,
        }
    }

    /// Sends; false when the client is gone or takes nothing.
    async fn send(&mut self, texts: &mut Vec<Utf8Bytes>) -> bool {
        let sink = &mut self.sink;
        let all = async {
            for text in texts.drain(..) {
                sink.feed(Message::Text(text)).await?;
            }
            sink.flush().await
        };
        matches!(runtime::clock::within(SEND_MAX, all).await, Some(Ok(())))
    }
}

/// How a connection ends: with a close frame, or without a word.
type End = Option<(u16, &'static str)>;

async fn talk(
    session: &mut Session,
    line: &mut Line,
    frames: &mut runtime::Receiver<Utf8Bytes>,
    stop: &Stop,
) -> End {
    let shared = Arc::clone(&session.client.shared);
    let (mut waiting, mut sending) = (Vec::new(), Vec::new());
    loop {
        let now = session.house.time.real_ms();
        session.trouble.renew(session.venue.trouble.shares(), now);
        let pause = match on_time(session, line, now, &mut sending).await {
            Ok(pause) => pause,
            Err(end) => return end,
        };
        let mut heard = None;
        tokio::select! {
            count = frames.receive_many(&mut waiting, 512) => {
                if count == 0 {
                    return None;
                }
            }
            message = line.stream.next() => heard = Some(message),
            () = shared.wake.notified() => {}
            () = runtime::sleep(pause) => {}
            () = stop.requested() => return Some((1001, "going away")),
        }
        let now = session.house.time.real_ms();
        for text in waiting.drain(..) {
            session.trouble.suffer(text, now, &mut sending);
        }
        if let Some(message) = heard {
            let Some(Ok(message)) = message else { return None };
            line.heard_ms = now;
            if let Some(end) = hear(session, line, message, &mut sending) {
                return end;
            }
        }
        if shared.is_overrun.load(Ordering::Acquire) {
            return Some((1008, "slow reader"));
        }
        if !sending.is_empty() && !line.send(&mut sending).await {
            return None;
        }
    }
}

/// What a message leads to; some end if the connection is over.
fn hear(session: &mut Session, line: &mut Line, message: Message, send: &mut Vec<Utf8Bytes>) -> Option<End> {
    let replies = match message {
        Message::Close(_) => return Some(None),
        Message::Pong(payload) => {
            if line.unanswered.as_ref().is_some_and(|(_, sent)| **sent == *payload) {
                line.unanswered = None;
            }
            binance::count(session).into_iter().collect()
        }
        Message::Ping(_) => binance::count(session).into_iter().collect(),
        Message::Text(text) if session.venue.protocol.is_bybit() => bybit::hear(session, &text),
        Message::Text(text) => binance::hear(session, &text),
        Message::Binary(_) => vec![Reply::Close(1003, "text only")],
    };
    for reply in replies {
        match reply {
            Reply::Text(text) => send.push(text.into()),
            Reply::Close(code, reason) => return Some(Some((code, reason))),
        }
    }
    None
}

/// Pings, late frames, lifetimes and planned troubles. Says how long nothing of the kind is due.
async fn on_time(
    session: &mut Session,
    line: &mut Line,
    now: i64,
    send: &mut Vec<Utf8Bytes>,
) -> Result<Duration, End> {
    session.trouble.due(now, send);
    if session.trouble.cut_ms.is_some_and(|at| at <= now) {
        return Err(None);
    }
    let limits = &session.house.limits;
    let mut next = now + 30_000;
    if session.venue.protocol.is_bybit() {
        if session.trouble.shutdown_ms.is_some_and(|at| at <= now) {
            return Err(Some((1001, "maintenance")));
        }
        // Bybit hangs up after ten minutes without a ping or data.
        if now - line.heard_ms.max(line.opened_ms) > MINUTES_10 && session.streams.is_empty() {
            return Err(Some((1000, "idle")));
        }
    } else {
        let notice = limits.shutdown_notice.as_millis() as i64;
        let lifetime = line.opened_ms + limits.lifetime.as_millis() as i64;
        let end = lifetime.min(session.trouble.shutdown_ms.map_or(i64::MAX, |at| at + notice));
        if now >= end {
            return Err(Some((1001, "shutdown")));
        }
        if now >= end - notice && !line.is_announced {
            line.is_announced = true;
            send.extend(binance::shutdown_notice(session).map(Utf8Bytes::from));
        }
        next = next.min(if line.is_announced { end } else { end - notice });
        next = next.min(ping(session, line, now).await?);
    }
    if !send.is_empty() && !line.send(send).await {
        return Err(None);
    }
    next = next.min(session.trouble.next_ms().unwrap_or(i64::MAX));
    Ok(Duration::from_millis((next - now).max(1) as u64))
}

/// Binance's pings: when the next is due; an end if the last stayed unanswered.
async fn ping(session: &Session, line: &mut Line, now: i64) -> Result<i64, End> {
    let (every, within) = binance::ping_times(session);
    if line.unanswered.as_ref().is_some_and(|(at, _)| now - at >= within) {
        return Err(Some((1008, "pong timeout")));
    }
    if now - line.pinged_ms >= every {
        line.pinged_ms = now;
        let payload = now.to_string().into_bytes();
        line.unanswered.get_or_insert((now, payload.clone()));
        let sent = line.sink.send(Message::Ping(payload.into()));
        if !matches!(runtime::clock::within(SEND_MAX, sent).await, Some(Ok(()))) {
            return Err(None);
        }
    }
    let pong_due = line.unanswered.as_ref().map_or(i64::MAX, |(at, _)| at + within);
    Ok((line.pinged_ms + every).min(pong_due))
}
