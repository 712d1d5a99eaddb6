//! `/api/v1/btc/health`: how the chain system is doing; also a part of `/health`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control::Checkpoint;
use model::Time;
use serde::Serialize;
use tables::{ChainHealth, StageHealth};
use utoipa::ToSchema;

use super::{desk, remembered};
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};

/// A worker that gave no sign of life for so long is stale; signs come every few seconds.
const STALE_AFTER: i64 = 2 * model::time::MINUTE;
/// The interval under which signs of life are kept.
const HEARTBEAT: &str = "heartbeat";

/// How the chain system is doing.
#[derive(Serialize, ToSchema)]
pub(crate) struct BtcHealth {
    /// `healthy`; `degraded` while something fails, stands still or cannot be reached.
    #[schema(value_type = String, pattern = "^(healthy|degraded)$")]
    status: &'static str,
    /// Why it is not `healthy`; empty if it is.
    pub(crate) reasons: Vec<String>,
    /// `main`, `test`, `testnet4`, `signet` or `regtest`; null where only prices are composed.
    #[schema(value_type = Option<String>)]
    network: Option<&'static str>,
    /// The highest block of the node; null until it answered.
    node_tip_height: Option<u32>,
    /// Its hash.
    node_tip_hash: Option<String>,
    /// When the node answered last, milliseconds since the epoch.
    node_answered_time: Option<i64>,
    /// What keeps the node from answering.
    node_error: Option<String>,
    /// What tells of new blocks: `zmq` while what the node publishes is heard, else `polling`.
    #[schema(value_type = Option<String>)]
    node_woken_by: Option<&'static str>,
    /// How the last block came, with the outputs it spends: `spenttxouts` (REST), `getblock 3` (JSON-RPC) or `files`.
    #[schema(value_type = Option<String>)]
    node_blocks_by: Option<&'static str>,
    /// The highest block in the tables.
    last_raw_height: Option<u32>,
    /// Its hash.
    last_raw_hash: Option<String>,
    /// The highest block in the buckets.
    last_primitive_height: Option<u32>,
    /// The last bucket, milliseconds since the epoch.
    last_primitive_bucket_time: Option<i64>,
    /// The last bucket with a canonical price row.
    last_price_bucket_time: Option<i64>,
    /// The last bucket of which metrics were computed.
    last_metrics_bucket_time: Option<i64>,
    /// Blocks that the node has and the tables have not; null until the node answered.
    lag_blocks: Option<u64>,
    /// Reorganisations since the process started.
    reorganisations: u64,
    /// Checkpoints with an error.
    checkpoint_errors: Vec<CheckpointError>,
    /// Workers, by their signs of life.
    workers: Vec<Worker>,
    /// Those that gave none for two minutes, or none at all.
    stale_workers: Vec<String>,
    /// Depth and lag of every stage, in the order in which data passes them: price sources that are asked, blocks, buckets, the
    /// composed price, metrics and coins.
    stages: Vec<StageForm>,
}

/// A checkpoint with an error.
#[derive(Serialize, ToSchema)]
struct CheckpointError {
    /// The component.
    component: String,
    /// Its interval.
    interval: String,
    /// What failed.
    error_message: String,
    /// The last safe height.
    height: Option<u32>,
    /// Since when it fails, in whatever words, milliseconds since the epoch.
    failing_since: i64,
    /// When it last failed, milliseconds since the epoch.
    updated_time: i64,
}

/// A worker.
#[derive(Serialize, ToSchema)]
struct Worker {
    /// Its name.
    name: String,
    /// Its last sign of life, milliseconds since the epoch; null if it never gave one.
    heartbeat_time: Option<i64>,
    /// Seconds since.
    age_seconds: Option<i64>,
    /// Whether that is too long, or it never gave one.
    is_stale: bool,
}

/// A stage of the work.
#[derive(Serialize, ToSchema)]
struct StageForm {
    /// The component.
    name: String,
    /// Pieces that wait for it.
    depth: u64,
    /// Blocks between the node's tip and what it has reached, where it goes by blocks.
    lag_blocks: Option<u64>,
    /// Seconds between now and the end of what it has reached.
    lag_seconds: Option<i64>,
}

impl From<StageHealth> for StageForm {
    fn from(stage: StageHealth) -> Self {
        let StageHealth { name, depth, lag_blocks, lag_seconds } = stage;
        Self { name, depth, lag_blocks, lag_seconds }
    }
}

/// How the chain system is doing: node, heights, buckets, lags, failures and workers.
#[utoipa::path(
    get, path = "/api/v1/btc/health", tag = "btc",
    responses((status = 200, description = "The state; perhaps `degraded`", body = BtcHealth), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn chain_health(State(house): State<Arc<House>>) -> Result<Json<BtcHealth>, Refusal> {
    Ok(Json(read(&house).await?))
}

/// The same, for others; nothing where no chain is followed.
pub(crate) async fn part(house: &House) -> Option<BtcHealth> {
    house.doors.chain.as_ref()?;
    read(house).await.ok()
}

async fn read(house: &House) -> Result<BtcHealth, Refusal> {
    let health = desk(house)?.health();
    let checkpoints = remembered(house, control::Control::checkpoints).await?;
    Ok(told(health, checkpoints, house.clock.time()))
}

/// How far a price source is: its checkpoint says up to when it was asked.
fn source_stage(name: String, checkpoints: &[Checkpoint], now: Time) -> StageForm {
    let own = checkpoints.iter().find(|checkpoint| checkpoint.key.component == name);
    let through = own.and_then(|own| own.reached.bucket);
    let behind = through.map(|through| (now.0 - through.0).max(0));
    StageForm {
        name,
        // Ten minutes that are over and not asked for yet.
        depth: behind.map_or(0, |behind| (behind / model::BUCKET).unsigned_abs()),
        lag_blocks: None,
        lag_seconds: behind.map(|behind| behind / model::time::SECOND),
    }
}

fn told(health: ChainHealth, checkpoints: Vec<Checkpoint>, now: Time) -> BtcHealth {
    let worker = |name: &&'static str| {
        let is_beat = |checkpoint: &&Checkpoint| {
            checkpoint.key.interval == HEARTBEAT && checkpoint.key.component == **name
        };
        let beat = checkpoints.iter().find(is_beat).map(|checkpoint| checkpoint.updated_time);
        let age = beat.map(|beat| now.0 - beat.0);
        Worker {
            name: (*name).to_owned(),
            heartbeat_time: beat.map(Time::millis),
            age_seconds: age.map(|age| age.max(0) / model::time::SECOND),
            is_stale: age.is_none_or(|age| age > STALE_AFTER),
        }
    };
    let workers: Vec<Worker> = health.workers.iter().map(worker).collect();
    let stale_workers: Vec<String> =
        workers.iter().filter(|worker| worker.is_stale).map(|worker| worker.name.clone()).collect();
    let sources: Vec<StageForm> =
        health.price_sources.into_iter().map(|(_, name)| source_stage(name, &checkpoints, now)).collect();
    let failed = checkpoints.into_iter().filter(|checkpoint| checkpoint.status == "error");
    let checkpoint_errors: Vec<CheckpointError> = failed
        .map(|checkpoint| CheckpointError {
            component: checkpoint.key.component,
            interval: checkpoint.key.interval,
            error_message: checkpoint.error_message.unwrap_or_default(),
            height: checkpoint.reached.height,
            failing_since: checkpoint.failing_since.unwrap_or(checkpoint.updated_time).millis(),
            updated_time: checkpoint.updated_time.millis(),
        })
        .collect();
    let mut reasons: Vec<String> = checkpoint_errors
        .iter()
        .map(|error| format!("{}: {}", error.component, error.error_message))
        .collect();
    reasons.extend(health.node.trouble.iter().map(|trouble| format!("the node does not answer: {trouble}")));
    reasons.extend(health.trouble.clone());
    let silent = workers.iter().filter(|worker| worker.is_stale).map(|worker| match worker.heartbeat_time {
        Some(_) => format!("{} gave no sign of life for two minutes", worker.name),
        None => format!("{} gave no sign of life yet", worker.name),
    });
    reasons.extend(silent);
    let millis = |time: Option<Time>| time.map(model::Time::millis);
    let lag = health.node.tip_height.map(|tip| {
        // Without a block everything up to the tip is missing, the first block included.
        health.raw_height.map_or(u64::from(tip) + 1, |raw| u64::from(tip.saturating_sub(raw)))
    });
    BtcHealth {
        status: if reasons.is_empty() { "healthy" } else { "degraded" },
        reasons,
        network: health.network,
        node_tip_height: health.node.tip_height,
        node_tip_hash: health.node.tip_hash,
        node_answered_time: millis(health.node.answered),
        node_error: health.node.trouble,
        node_woken_by: health.node.woken_by,
        node_blocks_by: health.node.blocks_by,
        last_raw_height: health.raw_height,
        last_raw_hash: health.raw_hash,
        last_primitive_height: health.primitive_height,
        last_primitive_bucket_time: millis(health.primitive_bucket),
        last_price_bucket_time: millis(health.price_bucket),
        last_metrics_bucket_time: millis(health.metrics_bucket),
        lag_blocks: lag,
        reorganisations: health.reorganisations,
        checkpoint_errors,
        workers,
        stale_workers,
        stages: sources.into_iter().chain(health.stages.into_iter().map(StageForm::from)).collect(),
    }
}

#[cfg(test)]
mod tests {
    //! Cases for what makes it degraded.
    use control::{CheckpointKey, Reached};
    use model::BUCKET;
    use tables::NodeHealth;

    use super::*;

    fn checkpoint(component: &str, interval: &str, status: &str, age: i64) -> Checkpoint {
        Checkpoint {
            key: CheckpointKey::btc(component, interval),
            reached: Reached { height: Some(9), ..Reached::default() },
            status: status.to_owned(),
            error_message: (status == "error").then(|| "node gone".to_owned()),
            updated_time: Time(BUCKET - age),
            failing_since: (status == "error").then_some(Time(BUCKET / 2)),
        }
    }

    #[test]
    fn a_price_source_is_a_stage_that_says_how_far_it_is() {
        let source = |name| model::PriceSource::known(name).unwrap();
        let sources =
            vec![(source("okx"), "btc_price_source_okx".to_owned()), (source("bybit"), "other".to_owned())];
        let health = ChainHealth { price_sources: sources, ..ChainHealth::default() };
        let mut reached = checkpoint("btc_price_source_okx", "10m", "ok", 0);
        reached.reached = Reached { bucket: Some(Time(10 * BUCKET)), ..Reached::default() };
        let told = told(health, vec![reached], Time(12 * BUCKET + 5 * model::time::SECOND));
        let stages: Vec<_> =
            told.stages.iter().map(|stage| (stage.name.as_str(), stage.depth, stage.lag_seconds)).collect();
        assert_eq!(stages, [("btc_price_source_okx", 2, Some(1_205)), ("other", 0, None)]);
    }

    #[test]
    fn errors_stale_workers_and_a_mute_node_are_named() {
        let second = model::time::SECOND;
        let health = ChainHealth {
            node: NodeHealth { tip_height: Some(12), ..NodeHealth::default() },
            raw_height: Some(9),
            workers: vec!["worker_btc_primitive"],
            ..ChainHealth::default()
        };
        let fresh = checkpoint("worker_btc_primitive", "heartbeat", "ok", 100 * second);
        let fine = told(health.clone(), vec![fresh], Time(BUCKET));
        assert_eq!(
            (fine.status, fine.lag_blocks, fine.workers[0].age_seconds),
            ("healthy", Some(3), Some(100))
        );
        let stale = checkpoint("worker_btc_primitive", "heartbeat", "ok", 121 * second);
        let failed = checkpoint("btc_raw_block_ingestion", "block", "error", 0);
        let never = told(health.clone(), Vec::new(), Time(BUCKET));
        assert_eq!((never.status, never.workers[0].heartbeat_time), ("degraded", None));
        let mute = NodeHealth { trouble: Some("refused".to_owned()), ..NodeHealth::default() };
        let bad = told(ChainHealth { node: mute, ..health }, vec![failed, stale], Time(BUCKET));
        assert_eq!((bad.status, bad.reasons.len(), bad.lag_blocks), ("degraded", 3, None));
        assert_eq!(bad.stale_workers, ["worker_btc_primitive"]);
        assert!(bad.reasons[2].ends_with("for two minutes"), "{:?}", bad.reasons);
        let error = &bad.checkpoint_errors[0];
        assert_eq!(error.error_message, "node gone");
        assert_eq!((error.failing_since, error.updated_time), (BUCKET / 2_000, BUCKET / 1_000));
    }
}
