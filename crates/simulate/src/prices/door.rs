//! The doors of the four: plain HTTP on loopback.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use runtime::Tasks;
use tokio::net::TcpListener;

use crate::rest::{self, Ask, Reply, unescaped};
use crate::server;
use crate::world::House;

#[derive(Clone)]
struct Door {
    house: Arc<House>,
    at: usize,
}

/// Serves one of the four.
pub(super) fn serve(house: &Arc<House>, at: usize, listener: TcpListener, tasks: &Tasks) {
    let router = Router::new().fallback(enter).with_state(Door { house: Arc::clone(house), at });
    server::serve(format!("sim.prices.{}", super::DOORS[at].name), listener, router, tasks);
}

async fn enter(State(door): State<Door>, request: Request) -> Response<Body> {
    if request.method() != Method::GET {
        return server::plain(405, "");
    }
    let ask = Ask {
        path: unescaped(request.uri().path()),
        parameters: rest::parameters(request.uri().query().unwrap_or_default()),
        is_micros: false,
        has_key: false,
        now_ms: door.house.time.market_ms(),
    };
    let house = Arc::clone(&door.house);
    // Ten thousand candles are no work for the threads that wait.
    let computed = runtime::tasks::blocking(move || {
        let limits = (house.time.real_ms(), house.limits.allowance);
        house.prices.answer(door.at, &ask, limits)
    });
    server::respond(computed.await.unwrap_or_else(|error| Reply::of(500, error)))
}
