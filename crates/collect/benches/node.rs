//! What a block costs us between the node's answer and its sums: over REST, by a verbose answer of the same block, and from the
//! node's own files. A small server
//! on a thread of its own gives recorded answers, or a simulated node those of a generated block; the processor's time is that of our
//! thread alone.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use bytes::Bytes;
use collect::bitcoin_node::{Access, BlockFiles, NodeBounds, NodeClient, NodeSettings, RestUse};
use divan::counter::BytesCount;
use model::{BlockHash, Network, Time};
use runtime::{Restart, SystemClock, Tasks};
use serde_json::Value;
use simulate::node::{self, Node, NodeSource, generate_large};
use tokio::runtime::{Builder, Runtime};

fn main() {
    // Another bench may have been first.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for (name, world, count) in [
        ("1.58 MB over rest", World::new(true, RestUse::WhereItIs), 100),
        ("0.16 MB over rest", World::new(false, RestUse::WhereItIs), 100),
        ("0.16 MB by getblock 3", World::new(false, RestUse::Never), 100),
        ("1.7 MB, generated, over rest", World::generated(RestUse::WhereItIs), 100),
        ("1.7 MB, generated, by getblock 3", World::generated(RestUse::Never), 20),
    ] {
        world.take();
        tell(name, world.block_bytes, count, || world.take());
    }
    let files = Files::generated();
    // One pass before, so that the folder is in memory.
    files.pass();
    let per_pass = files.blocks.len() as u32;
    tell_of(
        "1.7 MB, generated, from blk and rev files",
        files.bytes / files.blocks.len(),
        (20, per_pass),
        || files.pass(),
    );
    let world = World::generated(RestUse::Never);
    let answer = world.verbose();
    let name =
        format!("its getblock 3 of {:.1} MB in memory, decoded by serde_json", answer.len() as f64 / 1e6);
    tell(&name, world.block_bytes, 20, || serde_json::from_slice::<Value>(&answer).expect("JSON"));
    divan::main();
}

/// What a step costs our thread.
fn tell<T>(name: &str, block_bytes: usize, count: u32, step: impl Fn() -> T) {
    tell_of(name, block_bytes, (count, 1), step);
}

/// The same of a step that takes many blocks.
fn tell_of<T>(name: &str, block_bytes: usize, (count, blocks): (u32, u32), step: impl Fn() -> T) {
    let before = thread_micros();
    for _ in 0..count {
        std::hint::black_box(step());
    }
    let micros = (thread_micros() - before) / f64::from(count * blocks);
    let speed = block_bytes as f64 / micros;
    let line = format!("{name}: {micros:.0} us of our thread a block, {speed:.0} MB/s\n");
    std::io::stdout().write_all(line.as_bytes()).expect("somebody reads");
}

/// Time that the processor gave this thread.
fn thread_micros() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0);
    nanos / 1_000.0
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(format!(
        "{}/../chain/fixtures/mainnet",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    ));
    zstd::decode_all(std::fs::File::open(folder.join(name)).expect("it is there")).expect("it is packed")
}

/// What the server answers.
struct Answers {
    block: Bytes,
    spent: Bytes,
    hex: Bytes,
    verbose: Bytes,
}

fn answers(is_large: bool) -> Answers {
    let (block, spent) = if is_large {
        ("blocks/main_866342_b101d3c8f1f1.bin.zst", "spent/main_866342.prevouts.json.zst")
    } else {
        ("blocks/main_361582_be6a2dd9a5ad.bin.zst", "spent/main_361582.prevouts.json.zst")
    };
    let block = fixture(block);
    let lists: Vec<Vec<(i64, String)>> = serde_json::from_slice(&fixture(spent)).expect("lists of outputs");
    let mut bytes = Vec::new();
    compact(&mut bytes, lists.len() + 1);
    bytes.push(0);
    for list in &lists {
        compact(&mut bytes, list.len());
        for (sat, script) in list {
            bytes.extend(sat.to_le_bytes());
            compact(&mut bytes, script.len() / 2);
            let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
            bytes.extend(script.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])));
        }
    }
    let letter = |four: u8| char::from_digit(four.into(), 16).expect("four bits");
    let digits: String = block.iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect();
    let verbose = String::from_utf8(fixture("json/getblock3_main_361582.json.zst")).expect("text");
    let is_whole = verbose.trim_start().starts_with("{\"result\"");
    let verbose =
        if is_whole { verbose } else { format!("{{\"result\":{verbose},\"error\":null,\"id\":0}}") };
    let hex = format!("{{\"result\":\"{digits}\",\"error\":null,\"id\":0}}");
    Answers { block: block.into(), spent: bytes.into(), hex: hex.into(), verbose: verbose.into() }
}

fn compact(bytes: &mut Vec<u8>, value: usize) {
    if value < 0xfd {
        bytes.push(value as u8);
    } else {
        bytes.push(0xfd);
        bytes.extend((value as u16).to_le_bytes());
    }
}

async fn answer(State(answers): State<Arc<Answers>>, request: Request) -> Bytes {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let is_verbose = body.windows(3).any(|three| three == b",3]");
    match path.as_str() {
        "/" if is_verbose => answers.verbose.clone(),
        "/" => answers.hex.clone(),
        path if Path::new(path).starts_with("/rest/block") => answers.block.clone(),
        _ => answers.spent.clone(),
    }
}

/// A folder as a node writes it: 68 MB of blocks and what they spend.
struct Files {
    folder: tempfile::TempDir,
    blocks: Vec<BlockHash>,
    bytes: usize,
}

impl Files {
    fn generated() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let blocks = generate_large(7, 40, 1_700_000);
        let bytes = blocks.iter().map(|block| block.bytes.len()).sum();
        let hashes = blocks.iter().map(|block| block.hash).collect();
        let settings = node::NodeSettings {
            source: NodeSource::Blocks(blocks),
            blocks_folder: Some(folder.path().to_owned()),
            ..node::NodeSettings::default()
        };
        let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let tasks = Tasks::new();
        let _node = server.block_on(node::start(settings, SystemClock::shared(), &tasks)).expect("a node");
        Self { folder, blocks: hashes, bytes }
    }

    /// Finds every block, reads it with what it spends, checks both, and adds it up.
    fn pass(&self) -> i64 {
        let mut files = BlockFiles::open(self.folder.path(), Network::Regtest).expect("the folder opens");
        let mut out = 0;
        for (height, hash) in (1..).zip(&self.blocks) {
            let block = files.block(height, hash, Time(0)).expect("it reads").expect("it is there");
            out += block.sums.expect("its sums").total_out_sat;
        }
        out
    }
}

/// A server on threads of its own, and a client on this one.
struct World {
    _server: Runtime,
    _node: Option<(Node, Tasks)>,
    here: Runtime,
    client: NodeClient,
    hash: BlockHash,
    block_bytes: usize,
}

impl World {
    fn new(is_large: bool, rest: RestUse) -> Self {
        let answers = Arc::new(answers(is_large));
        let (hash, block_bytes) =
            (chain::header(&answers.block[..80]).expect("a header").hash, answers.block.len());
        let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = server.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(answers);
        let listener = std::sync::Mutex::new(Some(listener));
        let inside = server.enter();
        Tasks::new().start("bench.server", Restart::Never, move |_| {
            let listener = listener.lock().ok().and_then(|mut listener| listener.take());
            let router = router.clone();
            async move {
                let Some(listener) = listener else { return Ok(()) };
                axum::serve(listener, router).await.map_err(|error| error.to_string())
            }
        });
        drop(inside);
        let access = Access::user("bench", "bench");
        Self::of((server, None), (Network::Main, url, access, rest), (hash, block_bytes))
    }

    /// A simulated node with one block as large as they are on a busy day.
    fn generated(rest: RestUse) -> Self {
        let server = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let block = generate_large(7, 1, 1_700_000).remove(0);
        let (hash, block_bytes) = (block.hash, block.bytes.len());
        let settings = node::NodeSettings {
            source: NodeSource::Blocks(vec![block]),
            user: Some(("bench".into(), "bench".into())),
            ..node::NodeSettings::default()
        };
        let tasks = Tasks::new();
        let started = server.block_on(node::start(settings, SystemClock::shared(), &tasks));
        let node = started.expect("a simulated node");
        let (url, access) = (node.address(), Access::user("bench", "bench"));
        Self::of((server, Some((node, tasks))), (Network::Regtest, url, access, rest), (hash, block_bytes))
    }

    /// The verbose answer as it comes.
    fn verbose(&self) -> Bytes {
        let hash = self.hash;
        let body = format!(r#"{{"id":1,"method":"getblock","params":["{hash}",3]}}"#);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(&self.client.settings().url).basic_auth("bench", Some("bench")).body(body);
        self.here
            .block_on(async { request.send().await?.error_for_status()?.bytes().await })
            .expect("an answer")
    }

    fn of(
        (server, node): (Runtime, Option<(Node, Tasks)>),
        (network, url, access, rest): (Network, String, Access, RestUse),
        (hash, block_bytes): (BlockHash, usize),
    ) -> Self {
        let settings = NodeSettings {
            network,
            url,
            access,
            rest,
            blocks_folder: None,
            published: None,
            bounds: NodeBounds::default(),
        };
        let client = NodeClient::new(settings, SystemClock::shared()).expect("a client");
        let here = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { _server: server, _node: node, here, client, hash, block_bytes }
    }

    /// Asks for the block and adds it up.
    fn take(&self) -> i64 {
        let block = self.here.block_on(self.client.block(1, &self.hash)).expect("a block");
        chain::sums(&block.bytes, block.spent.view()).expect("its sums").total_out_sat
    }
}

#[divan::bench]
fn large_block_over_rest(bencher: divan::Bencher<'_, '_>) {
    let world = World::new(true, RestUse::WhereItIs);
    bencher.counter(BytesCount::new(world.block_bytes)).bench_local(|| world.take());
}

#[divan::bench]
fn block_of_2015_over_rest(bencher: divan::Bencher<'_, '_>) {
    let world = World::new(false, RestUse::WhereItIs);
    bencher.counter(BytesCount::new(world.block_bytes)).bench_local(|| world.take());
}

#[divan::bench]
fn block_of_2015_by_verbose_answer(bencher: divan::Bencher<'_, '_>) {
    let world = World::new(false, RestUse::Never);
    bencher.counter(BytesCount::new(world.block_bytes)).bench_local(|| world.take());
}
