//! A Bitcoin Core that is not there: it serves a recorded chain or one made from a seed, over JSON-RPC, REST and block files, mines
//! and reorganises on command, and is as troublesome as real ones are. What clients make of it is left to them.

mod block;
mod bytes;
mod coin;
mod commands;
mod cookie;
mod door;
mod files;
mod folder;
mod generate;
mod json;
mod keys;
mod ledger;
mod methods;
mod miner;
mod orders;
mod publisher;
mod rest;
mod rpc;
mod settings;
mod state;
mod stats;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use model::chain::BlockHash;
use runtime::{Clock, Restart, Tasks};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::server;
use crate::settings::Error;

use cookie::Cookie;
use orders::{Presence, Trouble};
use publisher::Publisher;
use state::State;

pub use coin::{Coin, Spent};
pub use commands::Moved;
pub use generate::{FIRST_TIME, GeneratedBlock, generate, generate_large};
pub use settings::{NodeSettings, NodeSource};

/// What came, by the way it came.
#[derive(Debug, Default)]
struct Asked {
    rpc: AtomicU64,
    rest: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
}

struct Inner {
    clock: Arc<dyn Clock>,
    started_ms: i64,
    port: u16,
    has_rest: bool,
    state: Mutex<State>,
    cookie: Mutex<Cookie>,
    tip: watch::Sender<BlockHash>,
    trouble: watch::Sender<Trouble>,
    every: watch::Sender<Option<Duration>>,
    publisher: Option<Publisher>,
    asked: Asked,
    /// Where the cookie lies if no folder was named.
    _folder: Option<tempfile::TempDir>,
}

/// A running node. Cheap to clone; it ends with the tasks it was started on.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

/// What is to be done with a request.
enum Pass {
    /// Answer.
    Free,
    /// Say that the node is warming up.
    Warm,
    /// Say that too many wait.
    Busy,
    /// Answer, but not to the end.
    Cut,
}

/// Starts a node.
pub async fn start(settings: NodeSettings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Node, Error> {
    let listener = server::bind(settings.port).await?;
    let address = listener.local_addr().map_err(|source| Error::Listen { port: settings.port, source })?;
    let (made, now) = (settings.clone(), (clock.time().millis() / 1_000) as u32);
    let state = runtime::tasks::blocking(move || State::new(&made, now)).await.map_err(Error::Setting)??;
    let mut own_folder = None;
    let folder = if let Some(folder) = settings.cookie_folder {
        std::fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        folder
    } else {
        let made =
            tempfile::tempdir().map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
        own_folder.insert(made).path().to_owned()
    };
    let cookie = Cookie::new(folder.join(".cookie"), settings.user.as_ref(), clock.now().0)?;
    let publisher = if settings.publishes {
        let listener = server::bind(0).await?;
        let port = listener.local_addr().map_err(|source| Error::Listen { port: 0, source })?.port();
        Some(Publisher::open(listener, port, tasks))
    } else {
        None
    };
    let node = Node {
        inner: Arc::new(Inner {
            started_ms: clock.time().millis(),
            clock,
            port: address.port(),
            has_rest: settings.has_rest,
            tip: watch::Sender::new(state.ledger.tip().place.header.hash),
            state: Mutex::new(state),
            cookie: Mutex::new(cookie),
            trouble: watch::Sender::new(Trouble::none(settings.has_spent_outputs)),
            every: watch::Sender::new(settings.mine_every),
            publisher,
            asked: Asked::default(),
            _folder: own_folder,
        }),
    };
    door::open(&node, listener, tasks);
    node.mine_on_schedule(tasks);
    Ok(node)
}

impl Node {
    /// Where it answers, RPC and REST alike: `http://127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.inner.port)
    }

    /// Where it publishes `hashblock` and `sequence`, if it does: `tcp://127.0.0.1:port`.
    pub fn zmq_address(&self) -> Option<String> {
        self.inner.publisher.as_ref().map(Publisher::address)
    }

    /// The cookie file.
    pub fn cookie_path(&self) -> PathBuf {
        self.cookie().path()
    }

    /// Hash and height of the last block of the active chain.
    pub fn tip_and_height(&self) -> (BlockHash, u32) {
        let place = self.state().ledger.tip().place;
        (place.header.hash, place.height)
    }

    /// The hash at a height of the active chain.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        self.state().ledger.at(height)
    }

    /// The bytes of a block, on the active chain or not.
    pub fn block_bytes(&self, hash: BlockHash) -> Option<Vec<u8>> {
        self.state().entry(hash).map(|entry| entry.bytes.to_vec())
    }

    /// Everything a client needs, as the line of `tickhouse sim` tells it.
    pub fn report(&self) -> Value {
        json!({"url": self.address(), "cookie": self.cookie_path(), "zmq": self.zmq_address()})
    }

    /// How it stands, and what it was asked.
    pub fn told(&self) -> Value {
        let asked = &self.inner.asked;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let state = self.state();
        let place = state.ledger.tip().place;
        json!({
            "height": place.height,
            "tip": place.header.hash.to_string(),
            "known": state.ledger.arrived().len(),
            "coming": state.coming_count(),
            "pruned_below": state.pruned_below,
            "asked": {"rpc": count(&asked.rpc), "rest": count(&asked.rest), "refused": count(&asked.refused),
                      "unknown": count(&asked.unknown)},
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cookie(&self) -> MutexGuard<'_, Cookie> {
        self.inner.cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn port(&self) -> u16 {
        self.inner.port
    }

    fn has_rest(&self) -> bool {
        self.inner.has_rest
    }

    fn has_spent_outputs(&self) -> bool {
        self.inner.trouble.borrow().has_spent_outputs
    }

    /// The network it claims to be of, if not its own.
    fn network_name(&self) -> Option<String> {
        self.inner.trouble.borrow().network.clone()
    }

    fn is_syncing(&self) -> bool {
        self.inner.trouble.borrow().is_syncing
    }

    fn tip(&self) -> BlockHash {
        *self.inner.tip.borrow()
    }

    fn tips(&self) -> watch::Receiver<BlockHash> {
        self.inner.tip.subscribe()
    }

    fn troubles(&self) -> watch::Receiver<Trouble> {
        self.inner.trouble.subscribe()
    }

    fn uptime_seconds(&self) -> i64 {
        (self.inner.clock.time().millis() - self.inner.started_ms) / 1_000
    }

    /// Counts a request and says what is to be done with it; hangs as long as the node does.
    async fn pass(&self, is_rest: bool) -> Pass {
        let asked = &self.inner.asked;
        let counter = if is_rest { &asked.rest } else { &asked.rpc };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut troubles = self.troubles();
        drop(troubles.wait_for(|trouble| trouble.presence == Presence::Answers).await);
        let mut pass = Pass::Free;
        self.inner.trouble.send_if_modified(|trouble| {
            match (&mut trouble.busy, &mut trouble.warm) {
                (0, Some(0)) if trouble.cut > 0 => {
                    pass = Pass::Cut;
                    trouble.cut -= 1;
                }
                (0, Some(0)) => {}
                (0, warm) => {
                    pass = Pass::Warm;
                    if let Some(left) = warm {
                        *left -= 1;
                    }
                }
                (busy, _) => {
                    pass = Pass::Busy;
                    *busy -= 1;
                }
            }
            // Counting concerns nobody who waits.
            false
        });
        if !matches!(pass, Pass::Free) {
            asked.refused.fetch_add(1, Ordering::Relaxed);
        }
        pass
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let is_known = self.cookie().admits(headers);
        if !is_known {
            self.inner.asked.unknown.fetch_add(1, Ordering::Relaxed);
        }
        is_known
    }

    fn mine_on_schedule(&self, tasks: &Tasks) {
        let node = self.clone();
        tasks.start("sim.node.miner", Restart::Never, move |stop| {
            let node = node.clone();
            async move {
                let mut every = node.inner.every.subscribe();
                loop {
                    let pause = *every.borrow_and_update();
                    let wait = async {
                        match pause {
                            Some(pause) => runtime::sleep(pause).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = stop.requested() => return Ok(()),
                        _changed = every.changed() => {}
                        () = wait => {
                            let now = node.inner.clock.time().millis() / 1_000;
                            node.mine(1, u32::try_from(now).ok())?;
                        }
                    }
                }
            }
        });
    }
}
