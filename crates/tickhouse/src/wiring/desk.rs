//! The desk at which readers ask how the chain and its price are doing, and to which others post prices.

use std::collections::BTreeSet;
use std::sync::Arc;

use collect::prices::{PriceMode, PriceSourceSettings};
use control::PriceSourceRow;
use derivations::chain::METRICS;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::{BUCKET, ChainBucket, ComposedPrice, PriceSource, Time, VenuePrice};
use runtime::Clock;
use tables::chain_desk::{ChainDesk, ChainHealth, MetricInfo, NodeHealth, RegistryChange, StageHealth};
use tables::{ChainBatch, StoreError};

use super::chain::Followed;
use crate::config::{Config, btc};

/// The desk, where a chain is followed or a price kept.
pub(super) fn open(
    config: &Config,
    followed: Followed,
    clock: &Arc<dyn Clock>,
) -> Option<Arc<dyn ChainDesk>> {
    let is_open = followed.chain.is_some() || config.truth("price.enabled");
    is_open.then(|| {
        let clock = Arc::clone(clock);
        let places = btc::places(config).unwrap_or_default().into_keys().collect();
        Arc::new(Desk { followed, places, clock }) as Arc<dyn ChainDesk>
    })
}

/// Answers from the followed chain and the registries.
struct Desk {
    followed: Followed,
    /// Sources that are asked at another place, whatever their mode.
    places: BTreeSet<String>,
    clock: Arc<dyn Clock>,
}

impl Desk {
    /// The price sources that are asked, with the components of their checkpoints, and who gives a sign of life for them.
    fn price_sources(&self) -> (Vec<(PriceSource, String)>, Vec<&'static str>) {
        use onchain::components;
        let running = self.followed.registry.running();
        let is_asked = |settings: &PriceSourceSettings| {
            settings.mode == PriceMode::Local || self.places.contains(settings.source.as_str())
        };
        let asked = running.iter().filter(|settings| is_asked(settings));
        let asked: Vec<_> =
            asked.map(|settings| (settings.source, components::price_source(settings.source))).collect();
        let workers = if asked.is_empty() { Vec::new() } else { vec![components::INGESTOR] };
        (asked, workers)
    }

    fn stage(&self, name: &str, depth: u64, (blocks, bucket): (Option<u64>, Option<Time>)) -> StageHealth {
        let now = self.clock.time();
        let behind = |bucket: Time| (now.0 - bucket.0 - BUCKET).max(0) / model::time::SECOND;
        StageHealth { name: name.to_owned(), depth, lag_blocks: blocks, lag_seconds: bucket.map(behind) }
    }

    fn minutes(minutes: u16) -> i64 {
        i64::from(minutes) * model::time::MINUTE
    }
}

impl ChainDesk for Desk {
    fn health(&self) -> ChainHealth {
        use onchain::components;
        let standing = self.followed.board.standing();
        let (price_sources, mut workers) = self.price_sources();
        let Some(chain) = &self.followed.chain else {
            let stage = self.stage(components::COMPOSER, 0, (None, standing.price_bucket));
            workers.push(components::PRICE_COMPOSER);
            return ChainHealth {
                price_bucket: standing.price_bucket,
                stages: vec![stage],
                workers,
                price_sources,
                ..ChainHealth::default()
            };
        };
        let node = chain.node.state();
        let tip = node.info.as_ref().map(|info| info.blocks);
        let raw = standing.raw.map(|(height, _)| height);
        let lag = |own: Option<u32>| tip.map(|tip| blocks_behind(tip, own));
        let buckets_behind = |own: Option<Time>| match (standing.primitive_bucket, own) {
            (Some(last), Some(own)) => u64::try_from((last.0 - own.0) / BUCKET).unwrap_or(0),
            _ => 0,
        };
        let unbuilt = raw.map_or(0, |raw| blocks_behind(raw, standing.primitive_height));
        let prices = (buckets_behind(standing.price_bucket), (None, standing.price_bucket));
        let metrics = (buckets_behind(standing.metrics_bucket), (None, standing.metrics_bucket));
        let built = (lag(standing.primitive_height), standing.primitive_bucket);
        let mut stages = vec![
            self.stage(components::RAW, lag(raw).unwrap_or(0), (lag(raw), None)),
            self.stage(components::BUILDER, unbuilt, built),
            self.stage(components::COMPOSER, prices.0, prices.1),
            self.stage(components::METRICS, metrics.0, metrics.1),
        ];
        if let (Some(raw), Some(coins)) = (raw, standing.coins_height) {
            let behind = blocks_behind(raw, Some(coins));
            stages.push(self.stage(components::COINS, behind, (Some(behind), None)));
        }
        workers.extend(components::WORKERS);
        ChainHealth {
            network: Some(chain.node.settings().network.as_str()),
            node: NodeHealth {
                tip_height: tip,
                tip_hash: node.info.as_ref().map(|info| info.best_hash.to_string()),
                answered: node.answered,
                trouble: node.message,
                woken_by: node.woken_by,
                blocks_by: node.spent_by,
            },
            raw_height: raw,
            raw_hash: standing.raw.map(|(_, hash)| hash.to_string()),
            primitive_height: standing.primitive_height,
            primitive_bucket: standing.primitive_bucket,
            price_bucket: standing.price_bucket,
            metrics_bucket: standing.metrics_bucket,
            reorganisations: standing.reorganisations,
            trouble: standing.trouble.or(standing.coins_trouble),
            stages,
            workers,
            price_sources,
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

    fn changed(&self, _change: RegistryChange) -> BoxFuture<'_, ()> {
        async move {
            if let Err(error) = self.followed.registry.look().await {
                tracing::error!(%error, "a change of the registry is followed later");
            }
        }
        .boxed()
    }

    fn news_newest(&self) -> u64 {
        self.followed.board.news_newest()
    }

    fn news_after(&self, sequence: u64) -> BoxFuture<'_, ChainBatch> {
        self.followed.board.news_after(sequence).boxed()
    }
}

/// Blocks up to a height that are not there; without one all are missing, the first block included.
fn blocks_behind(height: u32, own: Option<u32>) -> u64 {
    own.map_or(u64::from(height) + 1, |own| u64::from(height.saturating_sub(own)))
}
