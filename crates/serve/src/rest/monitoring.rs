//! How the house is doing: health, statistics, tickers, the whole status, and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::status::{StreamHealth, StreamStatus};
use serde::Serialize;
use tables::HouseStatus;
use utoipa::ToSchema;

use super::btc::health::BtcHealth;
use crate::dto::Answer;
use crate::dto::status::{LakeForm, LogForm, StatusForm, TickerForm, uptime_seconds};
use crate::house::House;
use crate::meters;

/// Whether the house is well.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`; `degraded` while something is missed or delayed; `unhealthy` while nothing can be recorded.
    #[schema(value_type = String, pattern = "^(healthy|degraded|unhealthy)$")]
    status: &'static str,
    /// Why it is not `healthy`, the worst first; empty if it is.
    reasons: Vec<String>,
    /// Seconds since the start.
    uptime_seconds: i64,
    /// Instruments whose trades stream.
    active_tickers: usize,
    /// Trades recorded since the raw log began.
    trades_processed_total: u64,
    /// Always `not_used`: there is no ClickHouse below.
    #[schema(value_type = String)]
    clickhouse_status: &'static str,
    /// WebSocket clients now.
    websocket_connections: usize,
    /// Free disk space, per cent.
    disk_free_percent: f64,
    /// Version of the binary.
    version: String,
    /// Whether the markets are simulated.
    is_simulated: bool,
    /// The raw log.
    log: LogForm,
    /// The tables.
    lake: LakeForm,
    /// Streams that are mute or down.
    streams_in_trouble: usize,
    /// The chain system, where a chain is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    btc: Option<BtcHealth>,
}

/// Most streams named in one reason.
const NAMES_MAX: usize = 5;

fn is_troubled(stream: &StreamStatus) -> bool {
    matches!(stream.health, StreamHealth::Mute | StreamHealth::Down)
}

fn troubled(status: &HouseStatus) -> usize {
    status.venues.iter().flat_map(|venue| &venue.streams).filter(|stream| is_troubled(stream)).count()
}

fn active(status: &HouseStatus) -> usize {
    status.instruments.iter().filter(|line| !matches!(line.phase, "waiting" | "mute" | "down")).count()
}

fn is_recording(status: &HouseStatus) -> bool {
    status.log.state == "ok"
}

// Why the house is not healthy, the worst first.
fn reasons(status: &HouseStatus) -> Vec<String> {
    let mut reasons = Vec::new();
    if !is_recording(status) {
        reasons.push(format!("nothing can be recorded: raw log {}", status.log.state));
    }
    if status.disk_state != "ok" {
        reasons.push(disk_reason(status));
    }
    if let Some(trouble) = &status.commit_trouble {
        reasons.push(format!("rows cannot be committed and wait in the raw log: {trouble}"));
    }
    let (rows, rows_max) = status.rows_buffered;
    if rows_max > 0 && rows >= rows_max {
        reasons.push(format!("{rows} rows wait for a commit, the rest waits in the raw log"));
    }
    for venue in &status.venues {
        let streams: Vec<String> = venue
            .streams
            .iter()
            .filter(|stream| is_troubled(stream))
            .map(|stream| format!("{} is {}", stream.key, stream.health.as_str()))
            .collect();
        let more = match streams.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !streams.is_empty() {
            let named = streams[..streams.len().min(NAMES_MAX)].join(", ");
            reasons.push(format!("{}: {named}{more}", venue.venue));
        }
        if let Some(until) = venue.rest.banned_until.filter(|until| *until > status.now) {
            reasons.push(format!("{}: REST stands still until {until}", venue.venue));
        }
    }
    reasons
}

fn disk_reason(status: &HouseStatus) -> String {
    let gib = status.disk_free_bytes as f64 / (1_u64 << 30) as f64;
    let days =
        status.disk_days_left.map(|days| format!(", enough for {days:.1} days at the pace of the last day"));
    format!(
        "the disk runs full: {gib:.1} GiB free, {:.1} %{}",
        status.disk_free_percent,
        days.unwrap_or_default()
    )
}

/// Whether the house is well, in one look.
///
/// 503 while nothing can be recorded, so that a load balancer or supervisor need not read the body.
#[utoipa::path(
    get, path = "/api/v1/monitoring/health", tag = "monitoring",
    responses(
        (status = 200, description = "It records, though perhaps `degraded`", body = Health),
        (status = 503, description = "Nothing can be recorded", body = Health)
    )
)]
pub(crate) async fn health(State(house): State<Arc<House>>) -> (StatusCode, Json<Health>) {
    let status = house.status();
    let mut reasons = reasons(&status);
    let btc = super::btc::health::part(&house).await;
    reasons.extend(btc.iter().flat_map(|btc| &btc.reasons).map(|reason| format!("btc: {reason}")));
    let (code, verdict) = match (is_recording(&status), reasons.is_empty()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "healthy"),
    };
    let health = Health {
        status: verdict,
        reasons,
        uptime_seconds: uptime_seconds(&status),
        active_tickers: active(&status),
        trades_processed_total: status.trades_total,
        clickhouse_status: "not_used",
        websocket_connections: house.counts.readers.load(Ordering::Relaxed),
        disk_free_percent: status.disk_free_percent,
        version: status.version.to_owned(),
        is_simulated: status.is_simulated,
        log: LogForm::from(&status.log),
        lake: LakeForm::from(&*status),
        streams_in_trouble: troubled(&status),
        btc,
    };
    (code, Json(health))
}

/// The same at the address that supervisors try first.
#[utoipa::path(
    get, path = "/health", tag = "monitoring",
    responses(
        (status = 200, description = "It records, though perhaps `degraded`", body = Health),
        (status = 503, description = "Nothing can be recorded", body = Health)
    )
)]
pub(crate) async fn short_health(house: State<Arc<House>>) -> (StatusCode, Json<Health>) {
    health(house).await
}

/// What the process uses and has done.
#[derive(Serialize, ToSchema)]
pub(crate) struct SystemStats {
    /// Seconds since the start.
    uptime_seconds: i64,
    /// Resident memory, bytes.
    memory_bytes: u64,
    /// Processor seconds used since the start.
    cpu_seconds: f64,
    /// Share of one core used since the start, per cent.
    cpu_percent_mean: f64,
    /// Free disk space, per cent.
    disk_free_percent: f64,
    /// Trades recorded since the raw log began.
    trades_processed_total: u64,
    /// Frames received since the start.
    frames_total: u64,
    /// Bytes received since the start.
    bytes_total: u64,
    /// Frames that could not be decoded since the raw log began.
    undecodable_total: u64,
    /// Open connections to venues.
    venue_connections: usize,
    /// Streams subscribed.
    streams: usize,
    /// WebSocket clients now.
    websocket_connections: usize,
    /// Messages sent to WebSocket clients since the start.
    messages_sent_total: u64,
    /// Messages that slow WebSocket clients were told they missed.
    messages_skipped_total: u64,
    /// The raw log.
    log: LogForm,
    /// The tables.
    lake: LakeForm,
}

/// What the process uses and has done since its start.
#[utoipa::path(
    get, path = "/api/v1/monitoring/system-stats", tag = "monitoring",
    responses((status = 200, description = "Statistics", body = Answer<SystemStats>))
)]
pub(crate) async fn system_stats(State(house): State<Arc<House>>) -> Json<Answer<SystemStats>> {
    let status = house.status();
    let uptime = uptime_seconds(&status);
    let stats = SystemStats {
        uptime_seconds: uptime,
        memory_bytes: status.memory_bytes,
        cpu_seconds: status.cpu_seconds,
        cpu_percent_mean: if uptime > 0 { 100.0 * status.cpu_seconds / uptime as f64 } else { 0.0 },
        disk_free_percent: status.disk_free_percent,
        trades_processed_total: status.trades_total,
        frames_total: status.venues.iter().map(|venue| venue.frames_total).sum(),
        bytes_total: status.venues.iter().map(|venue| venue.bytes_total).sum(),
        undecodable_total: status.undecodable_total,
        venue_connections: status.venues.iter().map(|venue| venue.connection_count).sum(),
        streams: status.venues.iter().map(|venue| venue.streams.len()).sum(),
        websocket_connections: house.counts.readers.load(Ordering::Relaxed),
        messages_sent_total: house.counts.sent.load(Ordering::Relaxed),
        messages_skipped_total: house.counts.skipped.load(Ordering::Relaxed),
        log: LogForm::from(&status.log),
        lake: LakeForm::from(&*status),
    };
    Json(Answer::new(stats, "System statistics"))
}

/// Where every instrument with a trade stream is in its life.
#[utoipa::path(
    get, path = "/api/v1/admin/tickers/status", tag = "monitoring",
    responses((status = 200, description = "Tickers", body = Answer<Vec<TickerForm>>))
)]
pub(crate) async fn tickers(State(house): State<Arc<House>>) -> Json<Answer<Vec<TickerForm>>> {
    let status = house.status();
    let data: Vec<TickerForm> = status.instruments.iter().map(TickerForm::from).collect();
    let message = format!("{} of {} tickers are active", active(&status), data.len());
    Json(Answer::new(data, message))
}

/// The whole state of the house: venues, streams, instruments, log and tables.
#[utoipa::path(
    get, path = "/api/v1/status", tag = "monitoring",
    responses((status = 200, description = "The state", body = StatusForm))
)]
pub(crate) async fn status(State(house): State<Arc<House>>) -> Json<StatusForm> {
    Json(StatusForm::from(&*house.status()))
}

/// Whether anything waits.
#[derive(Serialize, ToSchema)]
pub(crate) struct BusStats {
    /// Rows on their way to disk.
    queue_size: usize,
    /// Rows that may wait.
    queue_size_max: usize,
    /// How full that is, per cent.
    fill_percent: f64,
    /// Whether the rest waits in the log because the buffer is full.
    backpressure: bool,
    /// WebSocket clients now.
    readers: usize,
    /// Messages that slow WebSocket clients were told they missed.
    messages_skipped_total: u64,
    /// Feed items the server itself missed.
    feed_missed_total: u64,
}

/// Whether anything waits: the row buffer and the live readers.
#[utoipa::path(get, path = "/bus-stats", tag = "monitoring", responses((status = 200, description = "Queues", body = BusStats)))]
pub(crate) async fn bus_stats(State(house): State<Arc<House>>) -> Json<BusStats> {
    let (rows, rows_max) = house.status().rows_buffered;
    Json(BusStats {
        queue_size: rows,
        queue_size_max: rows_max,
        fill_percent: if rows_max > 0 { 100.0 * rows as f64 / rows_max as f64 } else { 0.0 },
        backpressure: rows_max > 0 && rows >= rows_max,
        readers: house.counts.readers.load(Ordering::Relaxed),
        messages_skipped_total: house.counts.skipped.load(Ordering::Relaxed),
        feed_missed_total: house.counts.missed.load(Ordering::Relaxed),
    })
}

/// The metrics of the process, as Prometheus scrapes them.
#[utoipa::path(
    get, path = "/metrics", tag = "monitoring",
    responses((status = 200, description = "Text in the exposition format 0.0.4", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(house): State<Arc<House>>) -> Response {
    meters::measure(&house.status(), &house.counts);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (house.doors.metrics)())
        .into_response()
}
