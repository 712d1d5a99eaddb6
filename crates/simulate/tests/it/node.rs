//! The simulated node as its clients see it, and its chains as other programs read them.

mod chains;
mod doors;
mod kept;
mod published;
mod recorded;

use std::path::PathBuf;
use std::sync::Arc;

use runtime::{Clock, Tasks};
use serde_json::{Value, json};
use simulate::node::{self, Node, NodeSettings, NodeSource};

use crate::world::{Bytes, HandClock, bytes, post_bytes};

/// The recorded chain.
fn folder() -> PathBuf {
    PathBuf::from(format!(
        "{}/../chain/fixtures/regtest",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    ))
}

/// Lines of a compressed recording.
fn lines(name: &str) -> Vec<String> {
    let plain = zstd::decode_all(&*std::fs::read(folder().join(name)).unwrap()).unwrap();
    String::from_utf8(plain).unwrap().lines().map(str::to_owned).collect()
}

fn recorded(arrived: Option<usize>) -> NodeSettings {
    let source = NodeSource::Folder { path: folder(), arrived };
    NodeSettings { source, user: Some(("tester".into(), "secret".into())), ..NodeSettings::default() }
}

fn generated(blocks: u32) -> NodeSettings {
    let source = NodeSource::Generated { blocks, first_time: Some(node::FIRST_TIME) };
    NodeSettings { source, user: Some(("tester".into(), "secret".into())), ..NodeSettings::default() }
}

/// A node, and a client that knows its password.
struct Client {
    node: Node,
    clock: Arc<HandClock>,
    tasks: Tasks,
}

/// `tester:secret` as a header has it.
const BASIC: &str = "Basic dGVzdGVyOnNlY3JldA==";

impl Client {
    async fn start(settings: NodeSettings) -> Self {
        let (clock, tasks) = (Arc::new(HandClock::default()), Tasks::new());
        let node = node::start(settings, Arc::clone(&clock) as Arc<dyn Clock>, &tasks).await.unwrap();
        Self { node, clock, tasks }
    }

    fn address(&self) -> String {
        self.node.address().strip_prefix("http://").unwrap().to_owned()
    }

    async fn post(&self, basic: &str, body: &str) -> (u16, String) {
        let Bytes { status, body, .. } =
            post_bytes(&self.address(), "/", &[("authorization", basic)], body).await;
        (status, String::from_utf8(body).unwrap())
    }

    /// The result of a method, as text.
    async fn text(&self, method: &str, params: Value) -> String {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let (status, text) = self.post(BASIC, &body).await;
        assert_eq!(status, 200, "{text}");
        let result = text
            .strip_prefix("{\"jsonrpc\":\"2.0\",\"result\":")
            .unwrap_or_else(|| panic!("{method}: {text}"));
        result.strip_suffix(",\"id\":1}\n").unwrap().to_owned()
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        serde_json::from_str(&self.text(method, params).await).unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let Bytes { status, body, .. } = bytes("GET", &self.address(), path, &[]).await;
        (status, body)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
