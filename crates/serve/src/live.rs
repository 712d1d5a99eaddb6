//! The WebSocket interface at `/ws/stream`: who may come in, and what the parts share.
//!
//! One hub task reads the feed and hands messages to one outbox per client; each client's task empties its own.

mod candles;
mod chain;
mod connection;
mod hub;
mod messages;
mod outbox;
mod pace;
mod place;
mod resume;
mod ring;
mod routes;
mod subscriptions;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use crate::house::House;
use crate::refusal::Refusal;

pub(crate) use hub::Hub;

/// Counts of the live side.
#[derive(Debug, Default)]
pub(crate) struct LiveCounts {
    /// Clients now.
    pub(crate) readers: AtomicUsize,
    /// Messages handed to sockets.
    pub(crate) sent: AtomicU64,
    /// Messages that slow clients were told they missed.
    pub(crate) skipped: AtomicU64,
    /// Feed items the hub itself missed.
    pub(crate) missed: AtomicU64,
}

/// A client's place among the clients; given back when dropped.
pub(crate) struct Seat(Arc<LiveCounts>);

impl Seat {
    fn take(counts: &Arc<LiveCounts>, readers_max: usize) -> Option<Self> {
        let taken = counts.readers.fetch_update(Ordering::AcqRel, Ordering::Acquire, |readers| {
            (readers < readers_max).then_some(readers + 1)
        });
        let readers = taken.ok()? + 1;
        metrics::gauge!("tickhouse_serve_readers").set(readers as f64);
        Some(Self(Arc::clone(counts)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let readers = self.0.readers.fetch_sub(1, Ordering::AcqRel) - 1;
        metrics::gauge!("tickhouse_serve_readers").set(readers as f64);
    }
}

#[derive(Clone)]
struct Live {
    house: Arc<House>,
    hub: Hub,
}

/// The address of the WebSocket interface.
pub(crate) fn router(house: &Arc<House>, hub: Hub) -> Router {
    Router::new().route("/ws/stream", get(stream)).with_state(Live { house: Arc::clone(house), hub })
}

async fn stream(
    State(live): State<Live>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|error| {
        Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "not_a_websocket",
            error.body_text(),
            "connect with a WebSocket client, such as ws://127.0.0.1:8080/ws/stream",
        )
    })?;
    let Live { house, hub } = live;
    let readers_max = house.settings.readers_max;
    let Some(seat) = Seat::take(&house.counts, readers_max) else {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_readers",
            format!("{readers_max} WebSocket clients are connected already"),
            "close one, or raise readers_max in the section serve of tickhouse.toml",
        ));
    };
    let message_bytes_max = house.settings.message_bytes_max;
    let upgrade = upgrade.max_message_size(message_bytes_max).max_frame_size(message_bytes_max);
    Ok(upgrade.on_upgrade(move |socket| connection::serve(socket, house, hub, seat)))
}
