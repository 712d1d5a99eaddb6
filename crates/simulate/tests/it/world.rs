//! A simulated world for tests, and clients for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use model::{Nanos, VenueId};
use runtime::{Clock, SystemClock, Tasks};
use serde_json::Value;
use simulate::{Sim, SimSettings, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for anything that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct TestWorld {
    pub(crate) sim: Sim,
    pub(crate) tasks: Tasks,
    pub(crate) truth: PathBuf,
    _folder: tempfile::TempDir,
}

/// Four instruments on each venue, 120 trades per second in all.
pub(crate) fn settings() -> SimSettings {
    SimSettings { seed: 11, world: World::generated(4, 360.0), ..SimSettings::default() }
}

impl TestWorld {
    pub(crate) async fn start(settings: SimSettings) -> Self {
        Self::start_by(settings, SystemClock::shared()).await
    }

    pub(crate) async fn start_by(settings: SimSettings, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let truth = folder.path().join("truth.jsonl");
        let tasks = Tasks::new();
        let settings = SimSettings { truth: Some(truth.clone()), ..settings };
        let sim = simulate::start(settings, clock, &tasks).await.unwrap();
        Self { sim, tasks, truth, _folder: folder }
    }

    pub(crate) fn address(&self, venue: &str) -> String {
        let venue = VenueId::known(venue).unwrap();
        let found = self.sim.endpoints().into_iter().find(|(id, ..)| *id == venue).unwrap();
        found.1.strip_prefix("http://").unwrap().to_owned()
    }

    pub(crate) async fn client(&self, venue: &str, path: &str) -> Client {
        Client::open(&self.address(venue), path).await.unwrap()
    }

    pub(crate) async fn get(&self, venue: &str, path: &str) -> Answer {
        request("GET", &self.address(venue), path, "").await
    }

    pub(crate) async fn json(&self, venue: &str, path: &str) -> Value {
        let answer = self.get(venue, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: &str) -> Value {
        let address = self.sim.admin_address();
        let answer = request(method, address.strip_prefix("http://").unwrap(), path, body).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The truth about one instrument.
    pub(crate) fn truth(&self, venue: &str, symbol: &str) -> Vec<Value> {
        std::fs::read_to_string(&self.truth)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["venue"] == venue && line["symbol"] == symbol)
            .collect()
    }

    pub(crate) async fn end(self) {
        let late = self.tasks.close(Duration::from_secs(3)).await;
        assert!(late.is_empty(), "{late:?}");
    }
}

/// A clock that is set by hand.
#[derive(Default)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn forward(&self, millis: i64) {
        self.0.fetch_add(millis * 1_000_000, Ordering::AcqRel);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Nanos {
        Nanos(1_723_075_200_000_000_000 + self.0.load(Ordering::Acquire))
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

pub(crate) async fn request(method: &str, address: &str, path: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    runtime::clock::within(PATIENCE, stream.read_to_end(&mut all)).await.expect("an answer").unwrap();
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: head.to_owned(), body: body.to_owned() }
}

/// An answer whose body may be no text, and may break off.
pub(crate) struct Bytes {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Bytes {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

pub(crate) async fn bytes(method: &str, address: &str, path: &str, headers: &[(&str, &str)]) -> Bytes {
    send_bytes((method, address, path), headers, "").await
}

/// Posts a text.
pub(crate) async fn post_bytes(address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Bytes {
    let length = body.len().to_string();
    let headers = [headers, &[("content-length", &*length)]].concat();
    send_bytes(("POST", address, path), &headers, body).await
}

async fn send_bytes(
    (method, address, path): (&str, &str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> Bytes {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let more: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{}\r\n{body}",
        more.concat()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    // An answer that breaks off may end in an error.
    let _ = runtime::clock::within(PATIENCE, stream.read_to_end(&mut all)).await.expect("an answer");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Bytes { status, headers: head, body: all.split_off(end + 4) }
}

pub(crate) struct Client(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn open(address: &str, path: &str) -> Result<Self, String> {
        let opened = tokio_tungstenite::connect_async(format!("ws://{address}{path}")).await;
        opened.map(|(stream, _)| Self(stream)).map_err(|error| error.to_string())
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message of any kind; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let next = runtime::clock::within(PATIENCE, self.0.next()).await.expect("a message in time");
        next.and_then(Result::ok)
    }

    /// The next text.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Message::Text(text)) => return text.as_str().to_owned(),
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("the connection ended: {other:?}"),
            }
        }
    }

    /// The next text that fits.
    pub(crate) async fn json(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let search = async {
            loop {
                let value: Value = serde_json::from_str(&self.text().await).unwrap();
                if fits(&value) {
                    return value;
                }
            }
        };
        runtime::clock::within(PATIENCE, search).await.expect("a fitting message in time")
    }

    /// Asks, and gives what is answered.
    pub(crate) async fn ask(&mut self, text: &str) -> Value {
        self.say(text).await;
        self.json(|value| {
            value.get("result").is_some()
                || value.get("code").is_some()
                || value.get("error").is_some()
                || value.get("success").is_some()
        })
        .await
    }

    /// Nothing comes for a while.
    pub(crate) async fn is_mute(&mut self, during: Duration) -> bool {
        runtime::clock::within(during, self.text()).await.is_none()
    }

    /// The close code at the end; `None` without one.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Some(_) => {}
                None => return None,
            }
        }
    }
}
