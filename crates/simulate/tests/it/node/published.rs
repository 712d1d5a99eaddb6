//! What the node publishes, as a subscriber reads it byte by byte.

use std::time::Duration;

use runtime::clock::within;
use serde_json::json;
use simulate::node::NodeSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Client, hex, recorded};
use crate::world::PATIENCE;

struct Subscriber(TcpStream);

impl Subscriber {
    /// Introduces itself and subscribes.
    async fn open(address: &str, topics: &[&str]) -> Self {
        let mut stream = TcpStream::connect(address.strip_prefix("tcp://").unwrap()).await.unwrap();
        let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
        greeting.extend(b"NULL");
        greeting.resize(64, 0);
        stream.write_all(&greeting).await.unwrap();
        let mut theirs = [0; 64];
        stream.read_exact(&mut theirs).await.unwrap();
        assert_eq!((theirs[0], theirs[9], &theirs[10..16]), (0xff, 0x7f, &b"\x03\0NULL"[..]));
        let mut subscriber = Self(stream);
        subscriber.send(4, b"\x05READY\x0bSocket-Type\0\0\0\x03SUB").await;
        let (flags, ready) = subscriber.frame().await;
        assert_eq!((flags, &ready[..6]), (4, &b"\x05READY"[..]));
        assert!(ready.ends_with(b"\x0bSocket-Type\0\0\0\x03PUB"));
        for topic in topics {
            subscriber.send(0, &[b"\x01", topic.as_bytes()].concat()).await;
        }
        subscriber
    }

    async fn send(&mut self, flags: u8, body: &[u8]) {
        self.0.write_all(&[&[flags, body.len() as u8], body].concat()).await.unwrap();
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let frame = async {
            let (flags, length) = (self.0.read_u8().await.unwrap(), self.0.read_u8().await.unwrap());
            let mut body = vec![0; usize::from(length)];
            self.0.read_exact(&mut body).await.unwrap();
            (flags, body)
        };
        within(PATIENCE, frame).await.expect("a frame")
    }

    /// Whether anything has come, within a moment.
    async fn has_some(&mut self) -> bool {
        within(Duration::from_millis(100), self.0.peek(&mut [0])).await.is_some()
    }

    /// Topic, body and counter.
    async fn message(&mut self) -> (String, String, u32) {
        let (first, topic) = self.frame().await;
        let (second, body) = self.frame().await;
        let (third, number) = self.frame().await;
        assert_eq!((first, second, third), (1, 1, 0));
        (String::from_utf8(topic).unwrap(), hex(&body), u32::from_le_bytes(number.try_into().unwrap()))
    }
}

#[tokio::test]
async fn a_reorganisation_is_published_as_recorded() {
    let client = Client::start(NodeSettings { publishes: true, ..recorded(Some(318)) }).await;
    let address = client.node.zmq_address().unwrap();
    let told = client.call("getzmqnotifications", json!([])).await;
    assert_eq!(told[0], json!({"type": "pubhashblock", "address": address, "hwm": 1_000}));
    let mut subscriber = Subscriber::open(&address, &["hashblock", "sequence"]).await;
    // Subscriptions are read in their own time: the first message that comes shows that they are.
    let first = loop {
        client.node.mine(1, None).unwrap();
        client.node.reorganise(1, 1).unwrap();
        if subscriber.has_some().await {
            break subscriber.message().await;
        }
    };
    assert!(matches!(first.0.as_str(), "sequence" | "hashblock"));
    let mut last = client.node.mine(1, None).unwrap();
    let tip = last.joined.pop().unwrap().to_string();
    while subscriber.message().await.1 != tip {}
    // Three blocks of one branch give way to five of another; blocks in between are told, the tip once.
    let sequence = sequence_count(&mut subscriber, &client).await;
    let moved = client.node.reorganise(3, 5).unwrap();
    for (place, (hash, label)) in moved
        .left
        .iter()
        .map(|hash| (hash, "44"))
        .chain(moved.joined.iter().map(|hash| (hash, "43")))
        .enumerate()
    {
        let expect = ("sequence".into(), format!("{hash}{label}"), sequence + place as u32);
        assert_eq!(subscriber.message().await, expect);
    }
    let (topic, hash, _) = subscriber.message().await;
    assert_eq!((topic, hash), ("hashblock".into(), moved.joined[4].to_string()));
}

/// Number that the next message of `sequence` has.
async fn sequence_count(subscriber: &mut Subscriber, client: &Client) -> u32 {
    client.node.mine(1, None).unwrap();
    let (topic, _, number) = subscriber.message().await;
    assert_eq!(topic, "sequence");
    assert_eq!(subscriber.message().await.0, "hashblock");
    number + 1
}

#[tokio::test]
async fn only_what_was_subscribed_to_comes_and_strangers_are_turned_away() {
    let client = Client::start(NodeSettings { publishes: true, ..recorded(Some(10)) }).await;
    let address = client.node.zmq_address().unwrap();
    let mut subscriber = Subscriber::open(&address, &["hashblock"]).await;
    while !subscriber.has_some().await {
        client.node.feed(1).unwrap();
    }
    client.node.feed(3).unwrap();
    let (_, _, first) = subscriber.message().await;
    for place in 1..=3 {
        let (topic, _, number) = subscriber.message().await;
        assert_eq!((topic.as_str(), number), ("hashblock", first + place));
    }
    let mut stranger = TcpStream::connect(address.strip_prefix("tcp://").unwrap()).await.unwrap();
    stranger.write_all(&[b'x'; 64]).await.unwrap();
    let mut rest = Vec::new();
    let _end = within(PATIENCE, stranger.read_to_end(&mut rest)).await.expect("an end");
    assert_eq!(rest.len(), 64);
    assert_eq!(Client::start(recorded(Some(1))).await.node.zmq_address(), None);
}
