//! Opens WebSocket connections. What is said on them is left to `connection`.

use runtime::clock::within;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::settings::Bounds;
use crate::trust::Trust;

/// An open connection.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects, or says why not.
pub(crate) async fn open(url: &str, bounds: &Bounds, trust: &Trust) -> Result<Socket, String> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(bounds.message_bytes_max))
        .max_frame_size(Some(bounds.message_bytes_max));
    let connecting = connect_async_tls_with_config(url, Some(config), true, trust.connector());
    match within(bounds.connect_max, Box::pin(connecting)).await {
        None => Err(format!("no connection within {:?}", bounds.connect_max)),
        Some(Err(error)) => Err(explain(&error)),
        Some(Ok((socket, _response))) => Ok(socket),
    }
}

/// The error in words, with the HTTP status where the venue refused the upgrade.
pub(crate) fn explain(error: &SocketError) -> String {
    match error {
        SocketError::Http(response) => {
            format!("the venue refused the connection with status {}", response.status())
        }
        SocketError::Capacity(reason) => format!("a message was too long: {reason}"),
        other => other.to_string(),
    }
}
