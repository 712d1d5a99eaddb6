//! `/api/v1/btc/checkpoints`: how far each component has come, and what failed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control::Checkpoint;
use serde::Serialize;
use utoipa::ToSchema;

use super::remembered;
use crate::dto::Answer;
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};

/// Where a component stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckpointForm {
    /// The chain: `btc`.
    chain: String,
    /// The component.
    component: String,
    /// `block`, `10m`, `1h`, `24h`, or `heartbeat`.
    interval: String,
    /// The step, which only grows.
    sequence: u64,
    /// The highest block.
    height: Option<u32>,
    /// Its hash.
    hash: Option<String>,
    /// The last bucket, milliseconds since the epoch.
    bucket: Option<i64>,
    /// `ok` or `error`.
    #[schema(pattern = "^(ok|error)$")]
    status: String,
    /// What failed; it stays at its last safe place.
    error_message: Option<String>,
    /// When it was last written, milliseconds since the epoch.
    updated_time: i64,
    /// Since when it fails, milliseconds since the epoch; null while it does not.
    failing_since: Option<i64>,
}

impl From<Checkpoint> for CheckpointForm {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { key, reached, status, error_message, updated_time, failing_since } = checkpoint;
        Self {
            chain: key.chain,
            component: key.component,
            interval: key.interval,
            sequence: reached.sequence,
            height: reached.height,
            hash: reached.hash,
            bucket: reached.bucket.map(model::Time::millis),
            status,
            error_message,
            updated_time: updated_time.millis(),
            failing_since: failing_since.map(model::Time::millis),
        }
    }
}

/// Every checkpoint, by chain, component and interval.
#[utoipa::path(
    get, path = "/api/v1/btc/checkpoints", tag = "btc",
    responses((status = 200, description = "Checkpoints", body = Answer<Vec<CheckpointForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn checkpoints(
    State(house): State<Arc<House>>,
) -> Result<Json<Answer<Vec<CheckpointForm>>>, Refusal> {
    let rows = remembered(&house, control::Control::checkpoints).await?;
    let data: Vec<CheckpointForm> = rows.into_iter().map(CheckpointForm::from).collect();
    let failed = data.iter().filter(|row| row.status == "error").count();
    let message = format!("{} checkpoints, {failed} with an error", data.len());
    Ok(Json(Answer::new(data, message)))
}
