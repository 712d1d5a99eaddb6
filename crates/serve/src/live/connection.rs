//! One WebSocket client: what it says goes to the hub, what waits in its outbox goes to the socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use runtime::Stop;

use super::Seat;
use super::hub::{Hub, Order};
use super::messages;
use super::routes::Reader;
use super::words::{self, Heard, Request};
use crate::house::House;
use crate::refusal::Refusal;

/// Messages handed to the socket between two flushes.
const BATCH: usize = 256;
/// How often a client is pinged.
const PING_PACE: Duration = Duration::from_secs(20);
/// A client that is silent for so long, pongs included, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(70);
/// A client that takes nothing for so long is cut off.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the goodbye may take.
const GOODBYE_TIME_MAX: Duration = Duration::from_millis(300);

/// Why a connection ends.
enum End {
    /// The client left or the socket broke.
    Gone,
    /// We close, with a code and a reason.
    Close(u16, &'static str),
}

/// Serves one client until it leaves or the server closes.
pub(crate) async fn serve(socket: WebSocket, house: Arc<House>, hub: Hub, seat: Seat) {
    let reader = hub.reader();
    if !hub.order(Order::Join(Arc::clone(&reader))).await {
        return;
    }
    let (mut sink, stream) = socket.split();
    let closing = hub.closing();
    let end = tokio::select! {
        end = listen(stream, &house, &hub, &reader) => end,
        end = speak(&mut sink, &house, &reader, &closing) => end,
    };
    reader.outbox.close();
    if let End::Close(code, reason) = end {
        let _gone_already =
            runtime::clock::within(GOODBYE_TIME_MAX, goodbye(&mut sink, &reader, code, reason)).await;
    }
    hub.order(Order::Leave(reader.id)).await;
    drop(seat);
}

async fn goodbye(sink: &mut SplitSink<WebSocket, Message>, reader: &Reader, code: u16, reason: &'static str) {
    let mut texts = Vec::new();
    reader.outbox.take(&mut texts, usize::MAX);
    for text in texts {
        if sink.feed(Message::Text(text)).await.is_err() {
            return;
        }
    }
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    let _gone_already = sink.send(Message::Close(Some(frame))).await;
}

// Empties the outbox.
async fn speak(
    sink: &mut SplitSink<WebSocket, Message>,
    house: &House,
    reader: &Reader,
    closing: &Stop,
) -> End {
    let mut texts = Vec::with_capacity(BATCH);
    let requested = closing.requested();
    tokio::pin!(requested);
    let mut ping = Box::pin(runtime::sleep(PING_PACE));
    loop {
        reader.outbox.take(&mut texts, BATCH);
        if texts.is_empty() {
            if reader.outbox.is_closed() {
                return End::Close(
                    close_code::RESTART,
                    "the live side starts anew; connect again and resume",
                );
            }
            tokio::select! {
                () = reader.outbox.filled() => {}
                () = &mut requested => return End::Close(close_code::AWAY, "the server closes"),
                () = &mut ping => {
                    ping = Box::pin(runtime::sleep(PING_PACE));
                    let sent = runtime::clock::within(SEND_TIME_MAX, sink.send(Message::Ping(Bytes::new()))).await;
                    if !matches!(sent, Some(Ok(()))) {
                        return End::Gone;
                    }
                }
            }
            continue;
        }
        let count = texts.len() as u64;
        let sent = tokio::select! {
            sent = runtime::clock::within(SEND_TIME_MAX, send_all(sink, &mut texts)) => sent,
            () = &mut requested => return End::Close(close_code::AWAY, "the server closes"),
        };
        match sent {
            Some(Ok(())) => house.counts.sent.fetch_add(count, Ordering::Relaxed),
            Some(Err(_)) => return End::Gone,
            None => return End::Close(close_code::POLICY, "nothing was read for 30 seconds"),
        };
    }
}

async fn send_all(
    sink: &mut SplitSink<WebSocket, Message>,
    texts: &mut Vec<Utf8Bytes>,
) -> Result<(), axum::Error> {
    for text in texts.drain(..) {
        sink.feed(Message::Text(text)).await?;
    }
    sink.flush().await
}

// Hears the client.
async fn listen(mut stream: SplitStream<WebSocket>, house: &House, hub: &Hub, reader: &Arc<Reader>) -> End {
    loop {
        // A client that does not read its answers is not heard further.
        while reader.outbox.bytes() > house.settings.reader_queue_bytes_max {
            runtime::sleep(Duration::from_millis(20)).await;
        }
        let message = match runtime::clock::within(SILENCE_MAX, stream.next()).await {
            None => return End::Close(close_code::POLICY, "silent for too long"),
            Some(None) => return End::Gone,
            Some(Some(Err(error))) => return broken(&error, house, reader),
            Some(Some(Ok(message))) => message,
        };
        match message {
            Message::Text(text) => {
                if !heard(words::hear(house, &text), hub, reader).await {
                    return End::Gone;
                }
            }
            Message::Binary(_) => {
                let refusal =
                    Refusal::bad("bad_message", "binary messages are not understood", "send JSON as text");
                reader.outbox.say(messages::error(None, &refusal));
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return End::Gone,
        }
    }
}

async fn heard(heard: Heard, hub: &Hub, reader: &Arc<Reader>) -> bool {
    let Heard { id, request, refusals } = heard;
    for refusal in &refusals {
        reader.outbox.say(messages::error(id.as_ref(), refusal));
    }
    let reader = Arc::clone(reader);
    match request {
        None => true,
        Some(Request::Ping) => {
            reader.outbox.say(messages::pong(id.as_ref()));
            true
        }
        Some(Request::Subscribe(asked)) => hub.order(Order::Subscribe { reader, id, asked }).await,
        Some(Request::Unsubscribe(asked)) => hub.order(Order::Unsubscribe { reader, id, asked }).await,
    }
}

fn broken(error: &axum::Error, house: &House, reader: &Reader) -> End {
    let text = error.to_string();
    let bytes_max = house.settings.message_bytes_max;
    if text.contains("too long") || text.contains("too big") {
        let refusal = Refusal::bad(
            "message_too_large",
            format!("the message has more than {bytes_max} bytes"),
            "send several smaller messages on a new connection",
        );
        reader.outbox.say(messages::error(None, &refusal));
        return End::Close(close_code::SIZE, "message too large");
    }
    if text.to_ascii_lowercase().contains("utf-8") {
        let refusal = Refusal::bad("bad_text", "the message is not UTF-8", "send JSON as UTF-8 text");
        reader.outbox.say(messages::error(None, &refusal));
        return End::Close(close_code::INVALID, "not UTF-8");
    }
    End::Gone
}
