//! Opens the port and keeps the server's tasks. What is answered is left to `rest` and `live`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use runtime::{Clock, Restart, Stop, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::allowed::AllowedIps;
use crate::house::House;
use crate::live::Hub;
use crate::refusal::Refusal;
use crate::rest;
use crate::rest::local::Peer;
use crate::settings::{Doors, ServeSettings};

/// How long a client may take to send the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long answers under way may take once the server closes.
const CLOSING_TIME_MAX: Duration = Duration::from_millis(600);
/// Most open connections; more wait until one closes.
const CONNECTIONS_MAX: usize = 1_024;

/// Why the server did not start.
#[derive(Debug)]
pub enum Error {
    /// Another program listens there.
    Busy(SocketAddr),
    /// The address cannot be listened on for another reason.
    Bind(SocketAddr, std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(address) => write!(
                f,
                "port {} on {} is busy: another program (perhaps another tickhouse) listens there; stop it, or choose \
                 another port with --port or serve.address",
                address.port(),
                address.ip()
            ),
            Self::Bind(address, error) => write!(
                f,
                "listen on {address}: {error}; choose an address of this machine with serve.address, such as \
                 127.0.0.1:8080"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Busy(_) => None,
            Self::Bind(_, error) => Some(error),
        }
    }
}

/// A running server. Its tasks belong to the [`Tasks`] it was started with and end with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// The address it really listens on.
    pub address: SocketAddr,
}

/// An opened port at which nobody is answered yet.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Opens it; port 0 takes a free one.
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Error::Busy(address),
            _ => Error::Bind(address, error),
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

/// Starts the hub and the server; once it returns, requests are answered.
pub fn start(
    settings: ServeSettings,
    doors: Doors,
    clock: Arc<dyn Clock>,
    port: Port,
    tasks: &Tasks,
) -> Server {
    let Port { listener, address } = port;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the server listens beyond this machine, and nobody is asked for a key");
    }
    let house = Arc::new(House::new(settings, doors, clock, address));
    let hub = Hub::start(&house, tasks);
    let gate = Gate {
        allowed: house.settings.allowed.clone().into(),
        router: rest::router(&house, hub.clone()),
        refusing: Router::new().fallback(refused),
    };
    let listener = Arc::new(listener);
    tasks.start("serve.http", Restart::WithBackoff { tries_max: 8 }, move |stop| {
        accept(Arc::clone(&listener), gate.clone(), hub.clone(), stop)
    });
    tracing::info!(%address, "answering readers");
    Server { address }
}

/// Who is answered.
#[derive(Clone)]
struct Gate {
    allowed: Arc<[AllowedIps]>,
    router: Router,
    refusing: Router,
}

impl Gate {
    fn router(&self, peer: SocketAddr) -> Router {
        let is_welcome =
            self.allowed.is_empty() || self.allowed.iter().any(|allowed| allowed.contains(peer.ip()));
        let router = if is_welcome { &self.router } else { &self.refusing };
        router.clone().layer(Extension(Peer(peer.ip())))
    }
}

async fn refused() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "address_not_allowed",
        "this address may not connect",
        "add it, or a range that holds it, to serve.allowed_ips",
    )
}

async fn accept(listener: Arc<TcpListener>, gate: Gate, hub: Hub, stop: Stop) -> runtime::tasks::Outcome {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let requested = stop.requested();
    tokio::pin!(requested);
    loop {
        let place = tokio::select! {
            () = &mut requested => break,
            place = Arc::clone(&places).acquire_owned() => {
                place.map_err(|error| format!("places for connections: {error}"))?
            }
        };
        let accepted = tokio::select! {
            () = &mut requested => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((socket, peer)) => {
                let (router, stop) = (gate.router(peer), stop.clone());
                connections.spawn(async move {
                    answer(socket, router, stop).await;
                    drop(place);
                });
            }
            // Too many open files or a client that left at once: others are still to be answered.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                stop.sleep(Duration::from_millis(50)).await;
            }
        }
    }
    hub.close_readers(CLOSING_TIME_MAX).await;
    let _late_ones_are_cut_off =
        runtime::clock::within(CLOSING_TIME_MAX, async { while connections.join_next().await.is_some() {} })
            .await;
    Ok(())
}

async fn answer(socket: TcpStream, router: Router, stop: Stop) {
    // A message of a few bytes must not wait for more of them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection closed at once");
        return;
    }
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let requested = stop.requested();
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = requested => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}
