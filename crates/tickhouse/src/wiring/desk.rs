//! The desk at which readers ask how the chain and its price are doing, and to which others post prices.

use std::sync::Arc;

use control::{CheckpointKey, Control, PriceSourceRow};
use derivations::chain::METRICS;
use futures::FutureExt;
use futures::future::BoxFuture;
use lake::Lake;
use model::{BUCKET, ChainBucket, ComposedPrice, PriceSource, Time, VenuePrice};
use runtime::Clock;
use tables::StoreError;
use tables::chain_desk::{ChainDesk, ChainHealth, MetricInfo, NodeHealth, RegistryChange, StageHealth};

use super::chain::Followed;
use crate::config::Config;

/// The desk, where a chain is followed or a price kept.
pub(super) fn open(
    config: &Config,
    followed: Followed,
    (lake, control, clock): (&Lake, &Control, &Arc<dyn Clock>),
) -> Option<Arc<dyn ChainDesk>> {
    let is_open = followed.chain.is_some() || config.truth("price.enabled");
    is_open.then(|| {
        let (lake, control, clock) = (lake.clone(), control.clone(), Arc::clone(clock));
        Arc::new(Desk { followed, lake, control, clock }) as Arc<dyn ChainDesk>
    })
}

/// Answers from the followed chain, the registries and the tables.
struct Desk {
    followed: Followed,
    lake: Lake,
    control: Control,
    clock: Arc<dyn Clock>,
}

impl Desk {
    fn stage(&self, name: &str, depth: usize, (blocks, bucket): (Option<u64>, Option<Time>)) -> StageHealth {
        let now = self.clock.time();
        let behind = |bucket: Time| (now.0 - bucket.0 - BUCKET).max(0) / model::time::SECOND;
        StageHealth {
            name: name.to_owned(),
            depth: depth as u64,
            lag_blocks: blocks,
            lag_seconds: bucket.map(behind),
        }
    }

    fn minutes(minutes: u16) -> i64 {
        i64::from(minutes) * model::time::MINUTE
    }
}

impl ChainDesk for Desk {
    fn health(&self) -> ChainHealth {
        let Some(chain) = &self.followed.chain else {
            let key = CheckpointKey::btc(onchain::components::COMPOSER, "10m");
            let composed = self.control.checkpoint(&key).ok().flatten();
            let price_bucket = composed.and_then(|composed| composed.reached.bucket);
            return ChainHealth { price_bucket, ..ChainHealth::default() };
        };
        let (standing, node) = (chain.board.standing(), chain.node.state());
        let tip = node.info.as_ref().map(|info| info.blocks);
        let raw = standing.raw.map(|(height, _)| height);
        let lag = |own: Option<u32>| tip.map(|tip| u64::from(tip.saturating_sub(own.map_or(0, |own| own))));
        let buckets_behind = |own: Option<Time>| match (standing.primitive_bucket, own) {
            (Some(last), Some(own)) => usize::try_from((last.0 - own.0) / BUCKET).unwrap_or(0),
            _ => 0,
        };
        let stages = vec![
            self.stage(onchain::components::RAW, standing.blocks_waiting, (lag(raw), None)),
            self.stage(
                onchain::components::BUILDER,
                0,
                (lag(standing.primitive_height), standing.primitive_bucket),
            ),
            self.stage(
                onchain::components::COMPOSER,
                buckets_behind(standing.price_bucket),
                (None, standing.price_bucket),
            ),
            self.stage(
                "btc_metrics",
                buckets_behind(standing.metrics_bucket),
                (None, standing.metrics_bucket),
            ),
        ];
        ChainHealth {
            network: Some(chain.node.settings().network.as_str()),
            node: NodeHealth {
                tip_height: tip,
                tip_hash: node.info.as_ref().map(|info| info.best_hash.to_string()),
                answered: None,
                trouble: node.message,
                woken_by: node.woken_by,
            },
            raw_height: raw,
            primitive_height: standing.primitive_height,
            primitive_bucket: standing.primitive_bucket,
            price_bucket: standing.price_bucket,
            metrics_bucket: standing.metrics_bucket,
            trouble: standing.trouble,
            stages,
        }
    }

    fn rollup_buckets(&self, parts: &[ChainBucket], minutes: u16) -> Vec<ChainBucket> {
        let mut rows = Vec::new();
        derivations::chain::rollup(parts, Self::minutes(minutes), &mut |row| rows.push(row));
        rows
    }

    fn rollup_prices(&self, parts: &[ComposedPrice], minutes: u16) -> Vec<ComposedPrice> {
        let mut rows = Vec::new();
        derivations::price::rollup(parts, Self::minutes(minutes), &mut |row| rows.push(row));
        rows
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        let mut metrics: Vec<MetricInfo> = METRICS
            .iter()
            .map(|metric| MetricInfo {
                name: metric.name,
                aliases: metric.aliases,
                doc: metric.doc,
                source: metric.source,
                unit: metric.unit,
                intervals: metric.intervals,
            })
            .collect();
        metrics.sort_by_key(|metric| metric.name);
        metrics
    }

    fn check_source(&self, source: PriceSource, config_json: &str) -> Result<(), String> {
        let row = PriceSourceRow {
            source_name: source.to_string(),
            is_enabled: true,
            market_type: "spot".to_owned(),
            config_json: config_json.to_owned(),
            updated_time: Time(0),
        };
        onchain::settings_of(&row).map(drop)
    }

    fn ingest(&self, rows: Vec<VenuePrice>) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.followed.prices.store(rows).await.map_err(|error| match error {
                onchain::Error::Store(error) => error,
                other => StoreError::Failed(other.to_string()),
            })
        }
        .boxed()
    }

    fn changed(&self, _change: RegistryChange) {
        let lent = onchain::recompute(&self.control).and_then(|()| onchain::lent(&self.control));
        match lent {
            Ok((small, views)) => self.lake.lend(small, views),
            Err(error) => tracing::error!(%error, "a change of the registry shows after the next start"),
        }
    }
}
