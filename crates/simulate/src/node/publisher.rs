//! Publishes what becomes of the chain as the node's ZeroMQ sockets do (ZMTP 3.0 over TCP, no security): `hashblock` and
//! `sequence`. Those who read too slowly miss messages, and see so by the counters.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::chain::BlockHash;
use runtime::clock::within;
use runtime::{Restart, Stop, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::ledger::Step;

/// Messages that wait for a slow reader; of more, the oldest are lost.
pub(super) const WAITING_MAX: usize = 1_000;
/// How long a reader may take to introduce itself.
const GREETING: Duration = Duration::from_secs(10);
/// Longest frame of a reader.
const FRAME_BYTES_MAX: u64 = 8_192;
/// The frame is no message.
const COMMAND: u8 = 4;
/// The frame's length has eight bytes.
const LONG: u8 = 2;
/// Another frame of the message follows.
const MORE: u8 = 1;

/// One message.
#[derive(Clone, Debug)]
struct Message {
    topic: &'static str,
    body: Vec<u8>,
    number: u32,
}

/// Where messages go out.
#[derive(Debug)]
pub(super) struct Publisher {
    sender: broadcast::Sender<Message>,
    port: u16,
    /// Messages so far, of `hashblock` and of `sequence`.
    counts: Mutex<(u32, u32)>,
}

impl Publisher {
    /// Takes readers from this port until the tasks end.
    pub(super) fn open(listener: TcpListener, port: u16, tasks: &Tasks) -> Self {
        let (sender, _) = broadcast::channel(WAITING_MAX);
        let (messages, listener) = (sender.clone(), Mutex::new(Some(listener)));
        tasks.start("sim.node.publisher", Restart::Never, move |stop| {
            let listener = listener.lock().unwrap_or_else(PoisonError::into_inner).take();
            let messages = messages.clone();
            async move {
                if let Some(listener) = listener {
                    stand(listener, &messages, &stop).await;
                }
                Ok(())
            }
        });
        Self { sender, port, counts: Mutex::default() }
    }

    /// `tcp://127.0.0.1:port`.
    pub(super) fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Says what became of the chain: each block that left or joined, and the new tip once.
    pub(super) fn tell(&self, step: &Step) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = step.left.iter().map(|hash| (hash, b'D'));
        for (hash, label) in left.chain(step.joined.iter().map(|hash| (hash, b'C'))) {
            let mut body = printed(*hash);
            body.push(label);
            self.send("sequence", body, &mut counts.1);
        }
        if let Some(tip) = step.joined.last() {
            self.send("hashblock", printed(*tip), &mut counts.0);
        }
    }

    fn send(&self, topic: &'static str, body: Vec<u8>, count: &mut u32) {
        let message = Message { topic, body, number: *count };
        *count = count.wrapping_add(1);
        // Nobody listening is no failure.
        let _listeners = self.sender.send(message);
    }
}

/// A hash in the order in which it is printed.
fn printed(hash: BlockHash) -> Vec<u8> {
    hash.0.iter().rev().copied().collect()
}

async fn stand(listener: TcpListener, messages: &broadcast::Sender<Message>, stop: &Stop) {
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.requested() => return,
            accepted = listener.accept() => {
                while readers.try_join_next().is_some() {}
                if let Ok((socket, _)) = accepted {
                    let messages = messages.subscribe();
                    readers.spawn(async move {
                        let (reading, writing) = socket.into_split();
                        if let Err(error) = converse(reading, writing, messages).await {
                            tracing::debug!(%error, "a reader of a simulated node left");
                        }
                    });
                } else {
                    stop.sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn converse(
    mut reading: OwnedReadHalf,
    mut writing: OwnedWriteHalf,
    mut messages: broadcast::Receiver<Message>,
) -> std::io::Result<()> {
    within(GREETING, greet(&mut reading, &mut writing))
        .await
        .unwrap_or(Err(std::io::ErrorKind::TimedOut.into()))?;
    let (topics, wanted) = watch::channel(Vec::new());
    let subscribing = subscribe(reading, topics);
    let publishing = async {
        loop {
            match messages.recv().await {
                Ok(message) => {
                    let is_wanted = wanted
                        .borrow()
                        .iter()
                        .any(|topic: &Vec<u8>| message.topic.as_bytes().starts_with(topic));
                    if is_wanted {
                        writing.write_all(&frames(&message)).await?;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    };
    tokio::select! {
        ended = subscribing => ended,
        ended = publishing => ended,
    }
}

/// Signature, version 3.0, no security; then what kind of socket each is.
async fn greet(reading: &mut OwnedReadHalf, writing: &mut OwnedWriteHalf) -> std::io::Result<()> {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    writing.write_all(&greeting).await?;
    let mut theirs = [0; 64];
    reading.read_exact(&mut theirs).await?;
    let is_known = theirs[0] == 0xff && theirs[9] == 0x7f && theirs[10] >= 3 && theirs[12..16] == *b"NULL";
    if !is_known {
        return Err(std::io::Error::other("the reader speaks another protocol"));
    }
    let mut ready = b"\x05READY\x0bSocket-Type\0\0\0\x03PUB".to_vec();
    ready.splice(0..0, [COMMAND, ready.len() as u8]);
    writing.write_all(&ready).await?;
    let (flags, _) = frame(reading).await?;
    if flags & COMMAND == 0 { Err(std::io::Error::other("the reader is not ready")) } else { Ok(()) }
}

/// The reader's next frame: flags and body.
async fn frame(reading: &mut OwnedReadHalf) -> std::io::Result<(u8, Vec<u8>)> {
    let flags = reading.read_u8().await?;
    let length =
        if flags & LONG == 0 { u64::from(reading.read_u8().await?) } else { reading.read_u64().await? };
    if length > FRAME_BYTES_MAX {
        return Err(std::io::Error::other("the reader's frame is too long"));
    }
    let mut body = vec![0; length as usize];
    reading.read_exact(&mut body).await?;
    Ok((flags, body))
}

/// Keeps the list of topics that the reader wants.
async fn subscribe(mut reading: OwnedReadHalf, topics: watch::Sender<Vec<Vec<u8>>>) -> std::io::Result<()> {
    loop {
        let (flags, body) = frame(&mut reading).await?;
        let change = if flags & COMMAND == 0 {
            body.split_first().map(|(kind, topic)| (*kind == 1, topic.to_vec()))
        } else {
            // As version 3.1 has it.
            let named = |name: &[u8]| body.strip_prefix(name).map(<[u8]>::to_vec);
            named(b"\x09SUBSCRIBE")
                .map(|topic| (true, topic))
                .or(named(b"\x06CANCEL").map(|topic| (false, topic)))
        };
        match change {
            Some((true, topic)) => topics.send_modify(|all| all.push(topic)),
            Some((false, topic)) => topics.send_modify(|all| {
                if let Some(place) = all.iter().position(|known| *known == topic) {
                    all.remove(place);
                }
            }),
            None => {}
        }
    }
}

/// Topic, body and the topic's counter.
fn frames(message: &Message) -> Vec<u8> {
    let number = message.number.to_le_bytes();
    let parts = [(MORE, message.topic.as_bytes()), (MORE, &*message.body), (0, &number[..])];
    let mut out = Vec::new();
    for (flags, body) in parts {
        out.extend([flags, body.len() as u8]);
        out.extend(body);
    }
    out
}
