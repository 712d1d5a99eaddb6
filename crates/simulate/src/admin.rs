//! The admin address: faults, listings, truth and replays over HTTP, for those who run a simulation as its own process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use model::{Time, VenueId};
use runtime::Tasks;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::parse_faults;
use crate::node::Node;
use crate::past;
use crate::prices::parse_price_faults;
use crate::receivers::Receivers;
use crate::world::{House, Source};

#[derive(Clone)]
struct Admin {
    house: Arc<House>,
    receivers: Receivers,
    node: Option<Node>,
    tasks: Tasks,
}

/// The routes.
pub(crate) fn router(
    house: &Arc<House>,
    (receivers, node): (&Receivers, Option<&Node>),
    tasks: &Tasks,
) -> Router {
    Router::new()
        .route("/faults", post(faults))
        .route("/prices/faults", post(price_faults))
        .route("/list", post(list))
        .route("/delist", post(delist))
        .route("/truth/summary", get(summary))
        .route("/truth/defects", get(defects))
        .route("/truth/days", get(days))
        .route("/archive/rewrite", post(rewrite))
        .route("/usage", get(usage))
        .route("/quiet", post(quiet))
        .route("/stop", post(stop))
        .route("/replay/start", post(replay_start))
        .route("/replay/status", get(replay_status))
        .route("/receivers", get(received).post(order))
        .route("/node", get(node_told).post(node_order))
        .with_state(Admin {
            house: Arc::clone(house),
            receivers: receivers.clone(),
            node: node.cloned(),
            tasks: tasks.clone(),
        })
}

async fn faults(State(admin): State<Admin>, text: String) -> impl IntoResponse {
    match parse_faults(&text) {
        Ok(plans) => {
            for plan in &plans {
                admin.house.plan(plan);
            }
            (StatusCode::OK, axum::Json(json!({"plans": plans.len()})))
        }
        Err(error) => (StatusCode::BAD_REQUEST, axum::Json(json!({"error": error}))),
    }
}

async fn price_faults(State(admin): State<Admin>, text: String) -> impl IntoResponse {
    let house = &admin.house;
    told(parse_price_faults(&text, Time(house.time.market_ms() * 1_000)).map(|faults| {
        if faults.is_empty() {
            house.prices.forget();
        }
        for fault in faults {
            house.prices.plan(fault);
        }
    }))
}

/// What is to be listed or delisted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    venue: String,
    symbol: String,
    /// Delisted so that the venue does not even name it any more.
    #[serde(default)]
    gone: bool,
}

fn change(text: &str) -> Result<(VenueId, Change), String> {
    let change: Change = serde_json::from_str(text)
        .map_err(|error| format!("{error}; write {{\"venue\": \"binance\", \"symbol\": \"NEWUSDT\"}}"))?;
    let venue = VenueId::known(&change.venue)
        .ok_or_else(|| format!("unknown venue {:?}; use one of {}", change.venue, VenueId::names()))?;
    Ok((venue, change))
}

fn told(outcome: Result<(), String>) -> (StatusCode, axum::Json<Value>) {
    match outcome {
        Ok(()) => (StatusCode::OK, axum::Json(json!({"done": true}))),
        Err(error) => (StatusCode::BAD_REQUEST, axum::Json(json!({"error": error}))),
    }
}

async fn list(State(admin): State<Admin>, text: String) -> impl IntoResponse {
    told(match change(&text) {
        Ok((venue, change)) => admin.house.list(venue, &change.symbol).await,
        Err(error) => Err(error),
    })
}

async fn delist(State(admin): State<Admin>, text: String) -> impl IntoResponse {
    told(match change(&text) {
        Ok((venue, change)) => admin.house.delist(venue, &change.symbol, change.gone).await,
        Err(error) => Err(error),
    })
}

fn truth(house: &House) -> Value {
    let counts = house.truth.counts();
    let total: u64 = counts.iter().map(|count| count.trades).sum();
    let rows: Vec<Value> = counts
        .iter()
        .map(|count| {
            json!({"venue": count.venue.as_str(), "symbol": count.symbol, "trades": count.trades,
                   "first_id": count.first_id, "last_id": count.last_id})
        })
        .collect();
    json!({"trades": total, "instruments": rows, "quiet_since_ms": house.time.quiet_since(),
           "failure": house.truth.failure()})
}

async fn summary(State(admin): State<Admin>) -> axum::Json<Value> {
    axum::Json(truth(&admin.house))
}

async fn defects(State(admin): State<Admin>) -> axum::Json<Value> {
    let all: Vec<Value> = admin.house.archive.defects.iter().map(crate::Defect::report).collect();
    axum::Json(Value::from(all))
}

/// Which instrument's past is asked for.
#[derive(Deserialize)]
struct Which {
    venue: String,
    symbol: String,
}

async fn days(
    State(admin): State<Admin>,
    Query(which): Query<Which>,
) -> Result<axum::Json<Value>, StatusCode> {
    let venue = VenueId::known(&which.venue).ok_or(StatusCode::NOT_FOUND)?;
    let house = Arc::clone(&admin.house);
    let found = runtime::tasks::blocking(move || past::days(&house, venue, &which.symbol)).await;
    let days = found.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.ok_or(StatusCode::NOT_FOUND)?;
    Ok(axum::Json(days.iter().map(past::DayTruth::report).collect()))
}

async fn rewrite(State(admin): State<Admin>) -> axum::Json<Value> {
    admin.house.archive.rewrite(admin.house.time.now_ms());
    axum::Json(json!({"done": true}))
}

async fn received(State(admin): State<Admin>) -> axum::Json<Value> {
    axum::Json(admin.receivers.told())
}

async fn order(State(admin): State<Admin>, text: String) -> impl IntoResponse {
    told(admin.receivers.order(&text).map(drop))
}

fn no_node() -> (StatusCode, axum::Json<Value>) {
    (StatusCode::NOT_FOUND, axum::Json(json!({"error": "no node runs here"})))
}

async fn node_told(State(admin): State<Admin>) -> impl IntoResponse {
    admin.node.as_ref().map_or_else(no_node, |node| (StatusCode::OK, axum::Json(node.told())))
}

async fn node_order(State(admin): State<Admin>, text: String) -> impl IntoResponse {
    let Some(node) = admin.node else { return no_node() };
    // Thousands of blocks may have to be mined.
    match runtime::tasks::blocking(move || node.order(&text)).await.flatten() {
        Ok(moved) => (StatusCode::OK, axum::Json(moved.report())),
        Err(error) => (StatusCode::BAD_REQUEST, axum::Json(json!({"error": error}))),
    }
}

async fn usage(State(admin): State<Admin>) -> axum::Json<Value> {
    let venues = admin.house.venues.iter().map(|venue| (venue.id.to_string(), venue.quota.usage()));
    let mut told: serde_json::Map<String, Value> = venues.collect();
    let prices = admin.house.prices.asked().into_iter().map(|(name, asked)| (name.to_owned(), json!(asked)));
    told.insert("prices".into(), Value::Object(prices.collect()));
    told.insert("archive".into(), admin.house.archive.asked.report());
    axum::Json(told.into())
}

/// The truth, whole once the markets stand still; 503 names what is lacking.
fn stood_still(house: &House, outcome: Result<(), String>) -> (StatusCode, axum::Json<Value>) {
    let mut told = truth(house);
    match outcome {
        Ok(()) => (StatusCode::OK, axum::Json(told)),
        Err(error) => {
            told["error"] = error.into();
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(told))
        }
    }
}

async fn quiet(State(admin): State<Admin>) -> impl IntoResponse {
    let outcome = admin.house.quiet().await;
    stood_still(&admin.house, outcome)
}

async fn stop(State(admin): State<Admin>) -> impl IntoResponse {
    let outcome = admin.house.quiet().await;
    admin.tasks.stop_house();
    stood_still(&admin.house, outcome)
}

fn replays(house: &House) -> Value {
    let venues = house.venues.iter().filter_map(|venue| match &venue.source {
        Source::Recorded(recorded) => {
            let position = recorded.position.load(Ordering::Acquire);
            Some(json!({
                "venue": venue.id.as_str(),
                "started": recorded.is_started.load(Ordering::Acquire),
                "done": position == recorded.frames.len(),
                "position": position,
                "frames": recorded.frames.len(),
                "sent": venue.hub.frames.load(Ordering::Relaxed),
            }))
        }
        Source::Generated(_) => None,
    });
    let venues: Vec<Value> = venues.collect();
    let is_done = venues.iter().all(|venue| venue["done"] == true);
    json!({"done": is_done, "venues": venues})
}

async fn replay_start(State(admin): State<Admin>) -> axum::Json<Value> {
    for venue in &admin.house.venues {
        if let Source::Recorded(recorded) = &venue.source {
            recorded.is_started.store(true, Ordering::Release);
        }
    }
    axum::Json(replays(&admin.house))
}

async fn replay_status(State(admin): State<Admin>) -> axum::Json<Value> {
    axum::Json(replays(&admin.house))
}
