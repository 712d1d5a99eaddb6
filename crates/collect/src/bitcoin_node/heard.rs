//! Wakes by what a node publishes over ZeroMQ (`-zmqpubhashblock`): ZMTP 3.0 without security, as far as a reader of one topic
//! needs it. What is heard says only that something is new; messages get lost, and asking besides finds them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use model::BlockHash;
use runtime::clock::within;
use runtime::{Backoff, Restart, Stop, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::client::NodeClient;
use super::error::NodeError;
use super::feed::{LongPoll, Wake};

/// What wakes, in a word.
const HEARING: &str = "zmq";
const POLLING: &str = "polling";
/// The topic: the hash of each new last block.
const TOPIC: &[u8] = b"hashblock";
/// Longest frame that is taken.
const FRAME_BYTES_MAX: u64 = 1 << 20;
/// How long connecting and introducing may take.
const GREETING: Duration = Duration::from_secs(5);
/// First and longest wait before connecting again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Marks of frames: another one follows, its length has eight bytes, it is no message.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// Wakes when the node publishes a block, or when another wake does.
pub struct Heard {
    news: Arc<Notify>,
    besides: Arc<dyn Wake>,
}

impl Heard {
    /// Listens at an address such as `tcp://127.0.0.1:28332` until the tasks end, again and again if the node goes away.
    pub fn start(
        client: &Arc<NodeClient>,
        address: &str,
        besides: Arc<dyn Wake>,
        tasks: &Tasks,
    ) -> Result<Self, crate::Error> {
        let host = host_of(address).map_err(crate::Error::Settings)?;
        let news = Arc::new(Notify::new());
        let heard = Arc::new(Ear { news: Arc::clone(&news), client: Arc::clone(client) });
        tasks.start("collect.bitcoin.heard", Restart::WithBackoff { tries_max: 100 }, move |stop| {
            let (host, heard) = (host.clone(), Arc::clone(&heard));
            async move {
                listen(&host, &heard, &stop).await;
                Ok(())
            }
        });
        Ok(Self { news, besides })
    }
}

impl Wake for Heard {
    fn wait<'a>(&'a self, known: &'a BlockHash, at_most: Duration) -> BoxFuture<'a, Result<(), NodeError>> {
        async move {
            tokio::select! {
                () = self.news.notified() => Ok(()),
                woken = self.besides.wait(known, at_most) => woken,
            }
        }
        .boxed()
    }
}

/// Who is told when something is heard.
struct Ear {
    news: Arc<Notify>,
    client: Arc<NodeClient>,
}

/// What tells of new blocks: a question that the node answers when one comes, and beside it what the node publishes, where its
/// settings say so. While that cannot be heard, the question alone wakes.
pub fn wake_of(client: &Arc<NodeClient>, tasks: &Tasks) -> Result<Arc<dyn Wake>, crate::Error> {
    let asking = Arc::new(LongPoll(Arc::clone(client)));
    client.board.is_woken_by(POLLING);
    match &client.settings().published {
        None => Ok(asking),
        Some(address) => Ok(Arc::new(Heard::start(client, address, asking, tasks)?)),
    }
}

/// Refuses what is no address at which a node publishes, and says what would be.
pub fn check_published(address: &str) -> Result<(), String> {
    host_of(address).map(drop)
}

fn host_of(address: &str) -> Result<String, String> {
    let parts = address.strip_prefix("tcp://").and_then(|host| host.rsplit_once(':'));
    match parts {
        Some((host, port)) if !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0) => {
            Ok(format!("{host}:{port}"))
        }
        _ => Err(format!(
            "{address:?} is no address at which a node publishes its blocks; write tcp://host:port, as its zmqpubhashblock says"
        )),
    }
}

async fn listen(host: &str, heard: &Ear, stop: &Stop) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1, 0x007a_6d71);
    loop {
        let ended = tokio::select! {
            () = stop.requested() => return,
            ended = hear(host, heard, &mut backoff) => ended,
        };
        // Asking goes on meanwhile, so that this is no trouble yet.
        heard.client.board.is_woken_by(POLLING);
        tracing::info!(host, why = ended, "not hearing what the bitcoin node publishes");
        if !stop.sleep(backoff.next_wait()).await {
            return;
        }
    }
}

/// Hears until the connection ends; says why it did.
async fn hear(host: &str, heard: &Ear, backoff: &mut Backoff) -> String {
    let mut stream = match within(GREETING, greet(host)).await {
        None => return format!("no greeting within {} s", GREETING.as_secs()),
        Some(Err(why)) => return why,
        Some(Ok(stream)) => stream,
    };
    tracing::info!(host, "hearing what the bitcoin node publishes");
    backoff.reset();
    heard.client.board.is_woken_by(HEARING);
    // What came while nobody listened.
    heard.news.notify_one();
    let mut is_ours = false;
    let mut is_first = true;
    loop {
        let (mark, body) = match frame(&mut stream).await {
            Ok(frame) => frame,
            Err(why) => return why,
        };
        if mark & COMMAND != 0 {
            continue;
        }
        if is_first {
            is_ours = body == TOPIC;
        }
        is_first = mark & MORE == 0;
        if is_first && is_ours {
            heard.news.notify_one();
        }
    }
}

/// Connects, introduces itself, and asks for the topic.
async fn greet(host: &str) -> Result<TcpStream, String> {
    let words = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(host).await.map_err(words)?;
    let mut own = [0_u8; 64];
    (own[0], own[9], own[10]) = (0xff, 0x7f, 3);
    own[12..16].copy_from_slice(b"NULL");
    stream.write_all(&own).await.map_err(words)?;
    let mut other = [0_u8; 64];
    stream.read_exact(&mut other).await.map_err(words)?;
    if other[0] != 0xff || other[9] != 0x7f || other[10] < 3 || !other[12..].starts_with(b"NULL\0") {
        return Err("it greets otherwise than a publisher without security".to_owned());
    }
    let mut ready = vec![COMMAND, 0];
    ready.extend_from_slice(b"\x05READY\x0bSocket-Type\0\0\0\x03SUB");
    ready[1] = (ready.len() - 2) as u8;
    stream.write_all(&ready).await.map_err(words)?;
    let (mark, body) = frame(&mut stream).await?;
    if mark & COMMAND == 0 || !body.starts_with(b"\x05READY") {
        return Err("it is not ready to publish".to_owned());
    }
    let mut wish = vec![0, TOPIC.len() as u8 + 1, 1];
    wish.extend_from_slice(TOPIC);
    stream.write_all(&wish).await.map_err(words)?;
    Ok(stream)
}

/// The next frame: its mark and its body.
async fn frame(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), String> {
    let words = |error: std::io::Error| error.to_string();
    let mark = stream.read_u8().await.map_err(words)?;
    let length = if mark & LONG == 0 {
        u64::from(stream.read_u8().await.map_err(words)?)
    } else {
        stream.read_u64().await.map_err(words)?
    };
    if length > FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes"));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.map_err(words)?;
    Ok((mark, body))
}
