//! Computes the metrics that the registry names, from buckets and the canonical price, into the table `metrics`.
//!
//! What must be computed again is noted before buckets or prices change. A metric that fails harms no other: it is told by its
//! checkpoint and computed again next time.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use control::{CheckpointKey, MetricRow, Reached, parts};
use derivations::chain::metrics::{METRICS, Metric, MetricInputs, Prepared};
use derivations::chain::{CoinFlow, coin_flows};
use model::time::DAY;
use model::{
    BUCKET, ChainBucket, LogPosition, MetricValue, PriceMethod, Time, bucket_of, bucket_start, interval_name,
};
use tables::{BTC, ChainNews, Rows, Span, Step, TableName, TableScan, TimeRange, composed_prices::name_of};

use crate::beats::Beats;
use crate::board::Board;
use crate::coin_blocks::{self, CoinBlocks};
use crate::error::Error;
use crate::plan::{Blocked, Wanted, plan, told};
use crate::{Doors, components, ends};

/// The part that is noted as dirty.
pub(crate) const PART: &str = parts::METRICS;
/// Buckets computed and committed at once.
const PIECE: i64 = 365 * DAY;

/// The rows with which a registry begins.
pub fn seeds(now: Time) -> Vec<MetricRow> {
    let of_metric = |metric: &'static &Metric| {
        metric.intervals.iter().map(move |minutes| MetricRow {
            metric_name: metric.name.to_owned(),
            interval: interval_name(*minutes),
            is_enabled: true,
            output_table: metric.table(*minutes),
            dependencies: metric.dependencies.join(","),
            description: format!("{} Unit: {}. {}", metric.doc, metric.unit, metric.source),
            updated_time: now,
        })
    };
    METRICS.iter().flat_map(of_metric).collect()
}

/// The name of a metric that is asked for by it or by an alias.
pub fn metric_named(name: &str) -> Option<&'static str> {
    Metric::known(name).map(|metric| metric.name)
}

/// The keeper of the tables `metrics` and `btc_coin_blocks`.
pub struct Metrics {
    doors: Doors,
    coins: tokio::sync::Mutex<CoinBlocks>,
    /// Whether what blocks did to coins waits, because the coins are still being gathered.
    waits_for_coins: AtomicBool,
    /// First and last bucket when rows outside of them were taken out.
    extent: Mutex<Option<(Time, Time)>>,
}

/// What was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The first bucket.
    pub from: Time,
    /// The last bucket.
    pub through: Time,
    /// Metrics that could not be computed (a name alone: over any interval), with the reason.
    pub failed: Vec<(String, String)>,
}

impl Metrics {
    /// The table behind these doors.
    pub fn new(doors: Doors) -> Self {
        let coins = CoinBlocks::new(doors.clone()).into();
        Self { doors, coins, waits_for_coins: AtomicBool::new(false), extent: Mutex::default() }
    }

    /// Has what blocks did to coins wait, or go on.
    pub(crate) fn wait_for_coins(&self, waits: bool) {
        self.waits_for_coins.store(waits, Ordering::Relaxed);
    }

    /// Computes everything again from a moment on; from the beginning without one.
    pub fn forget(&self, from: Option<Time>) -> Result<(), Error> {
        crate::coin_blocks::mark(&self.doors.control, from.unwrap_or_default())
    }

    /// Computes what is due, and tells of it.
    pub(crate) async fn keep(&self, board: &Board, beats: &Beats) -> Result<(), Error> {
        if let Some(Computed { from, through, failed }) = self.compute().await? {
            for (name, reason) in &failed {
                tracing::warn!(metric = name, reason, "a metric was not computed");
            }
            let now = self.doors.clock.time();
            let reached = Reached { bucket: Some(through), ..Reached::default() };
            let key = CheckpointKey::btc(components::METRICS, "10m");
            self.doors.control.checkpoint_reached(&key, &reached, now)?;
            board.change(|standing| standing.metrics_bucket = Some(through));
            board.tell(now, ChainNews::MetricsReady { from, through, failed });
        }
        beats.alive(components::NETWORK)
    }

    /// Computes what is due.
    pub async fn compute(&self) -> Result<Option<Computed>, Error> {
        if !self.waits_for_coins.load(Ordering::Relaxed) {
            self.coins.lock().await.compute().await?;
        }
        let Some(dirty) = self.doors.control.dirty(PART)? else { return Ok(None) };
        let Some((first, through)) = ends::buckets(&self.doors, TableName::BtcBuckets, BTC).await? else {
            return Ok(None);
        };
        let is_cut = self.cut(first, through).await.inspect_err(|_| {
            // What may still stand is looked for again.
            *self.extent.lock().unwrap_or_else(PoisonError::into_inner) = None;
        })?;
        let from = if is_cut { first } else { bucket_start(dirty.from, DAY).max(first) };
        let registered = self.doors.control.metrics()?;
        let (wanted, mut blocked) = plan(&registered);
        self.tell_blocked(&blocked)?;
        let mut broken = Vec::new();
        let mut start = from;
        while start <= through {
            let end = bucket_start(start, DAY).plus_micros(PIECE - BUCKET).min(through);
            let rows = self.values(&wanted, first, (start, end), &mut broken).await?;
            let is_last = end >= through;
            let next = LogPosition(self.doors.steps.step_of(TableName::Metrics)?.0 + 1);
            let rows = Rows::Metrics(rows).to_batch();
            let step =
                Step { table: TableName::Metrics, outgoing: None, rows, through: is_last.then_some(next) };
            self.doors.steps.apply(step).await?;
            start = end.plus_micros(BUCKET);
        }
        broken.sort();
        broken.dedup();
        self.tell(&wanted, through, &broken)?;
        self.doors.control.mark_clean(PART, dirty)?;
        blocked.extend(broken);
        Ok(Some(Computed { from, through, failed: told(&registered, &blocked) }))
    }

    /// Takes out values of buckets that are no more, before the first and behind the last. Whether values of the first day must
    /// be computed again: those of longer intervals begin before its first bucket.
    async fn cut(&self, first: Time, through: Time) -> Result<bool, Error> {
        let known = self.extent.lock().unwrap_or_else(PoisonError::into_inner).replace((first, through));
        if known.is_some_and(|(from, last)| from >= first && last <= through) {
            return Ok(false);
        }
        // Longer intervals begin before the first bucket by right, up to a day.
        let begins_later = known.is_some_and(|(from, _)| from < first);
        let low = if begins_later { first } else { bucket_start(first, DAY) };
        let before = TimeRange { start: Time(i64::MIN), end: low };
        let behind = TimeRange { start: through.plus_micros(1), end: Time(i64::MAX) };
        let mut is_cut = false;
        for metric in METRICS {
            let own = (TableName::Metrics, metric.name);
            if ends::has_rows(&self.doors, own, before).await? {
                self.doors.control.mark_dirty(PART, first)?;
                self.take_out(metric.name, (i64::MIN, first.0)).await?;
                is_cut = true;
            }
            if ends::has_rows(&self.doors, own, behind).await? {
                self.take_out(metric.name, (behind.start.0, i64::MAX)).await?;
            }
        }
        Ok(is_cut)
    }

    async fn take_out(&self, metric: &str, (start, end): (i64, i64)) -> Result<(), Error> {
        let outgoing = Some(Span { subject: metric.to_owned(), column: "bucket", start, end });
        let rows = Rows::Metrics(Vec::new()).to_batch();
        Ok(self.doors.steps.apply(Step { table: TableName::Metrics, outgoing, rows, through: None }).await?)
    }

    fn tell(&self, wanted: &[Wanted], through: Time, broken: &[Blocked]) -> Result<(), Error> {
        let now = self.doors.clock.time();
        for Wanted { metric, minutes } in wanted {
            for minutes in minutes.iter().filter(|_| !broken.iter().any(|broken| broken.name == metric.name))
            {
                let reached = Reached { bucket: Some(through), ..Reached::default() };
                self.doors.control.checkpoint_reached(&key_of(metric.name, *minutes), &reached, now)?;
            }
        }
        self.tell_blocked(broken)
    }

    fn tell_blocked(&self, blocked: &[Blocked]) -> Result<(), Error> {
        let now = self.doors.clock.time();
        for Blocked { name, interval, reason } in blocked {
            let component = format!("btc_metric_{name}_{interval}");
            let key = CheckpointKey::btc(&component, interval);
            self.doors.control.checkpoint_failed(&key, reason, now)?;
        }
        Ok(())
    }

    async fn values(
        &self,
        wanted: &[Wanted],
        first: Time,
        (from, through): (Time, Time),
        broken: &mut Vec<Blocked>,
    ) -> Result<Vec<MetricValue>, Error> {
        let lookback = wanted.iter().map(|wanted| wanted.metric.lookback_buckets).max().unwrap_or(0);
        let reach = bucket_start(Time(from.0 - lookback as i64 * BUCKET), DAY).max(first);
        let range = TimeRange { start: reach, end: through.plus_micros(BUCKET) };
        let buckets = self.buckets(range).await?;
        let prices = closes(&self.doors, range).await?;
        let coins = self.coin_flows(&buckets, range).await?;
        let closes: Vec<Option<f64>> =
            buckets.iter().map(|bucket| prices.get(&bucket.bucket).copied()).collect();
        let inputs = MetricInputs { buckets: &buckets, price_close: &closes, coins: Some(&coins) };
        let prepared = Prepared::new(inputs).map_err(|error| Error::Broken(error.to_string()))?;
        let mut rows = Vec::new();
        for Wanted { metric, minutes } in wanted {
            let compute = || {
                let of_interval = |minutes: &u16| {
                    let start = bucket_start(from, i64::from(*minutes) * model::time::MINUTE);
                    metric.values(&prepared, *minutes, (start, through))
                };
                minutes.iter().flat_map(of_interval).collect::<Vec<_>>()
            };
            // A mistake in one formula must not keep the others from their values.
            match catch_unwind(AssertUnwindSafe(compute)) {
                Ok(values) => rows.extend(values),
                Err(_) => broken.extend(minutes.iter().map(|minutes| Blocked {
                    name: metric.name.to_owned(),
                    reason: "its computation broke off".to_owned(),
                    interval: interval_name(*minutes),
                })),
            }
        }
        Ok(rows)
    }

    async fn buckets(&self, range: TimeRange) -> Result<Vec<ChainBucket>, Error> {
        let scan = TableScan { subject: Some(BTC.to_owned()), range: Some(range), ..TableScan::default() };
        let batches = self.doors.store.scan(TableName::BtcBuckets, scan).await?;
        Ok(batches.iter().flat_map(tables::btc_buckets::from_batch).collect())
    }

    /// What happened to coins in each bucket.
    async fn coin_flows(&self, buckets: &[ChainBucket], range: TimeRange) -> Result<Vec<CoinFlow>, Error> {
        let subject = Some(BTC.to_owned());
        let scan = TableScan { subject: subject.clone(), range: Some(range), ..TableScan::default() };
        let mut blocks = coin_blocks::read(&self.doors, scan).await?;
        // The highest block before them, as long as none of them is higher.
        if let Some(best) = buckets.first().map(|bucket| bucket.best_block_height_last)
            && !blocks.iter().any(|block| block.height == best)
        {
            let at_least = Some(("height", i64::from(best)));
            let scan = TableScan { subject, at_least, limit: Some(1), ..TableScan::default() };
            let before = coin_blocks::read(&self.doors, scan).await?;
            blocks.extend(before.into_iter().filter(|block| block.height == best));
            blocks.sort_by_key(|block| block.height);
        }
        // Those whose ground has changed since do not count.
        if let Some(dirty) = self.doors.control.dirty(coin_blocks::PART)? {
            let changed = blocks.iter().filter(|block| block.time >= bucket_of(dirty.from));
            let first = changed.map(|block| block.height).min().unwrap_or(u32::MAX);
            blocks.retain(|block| block.height < first);
        }
        Ok(coin_flows(buckets, &blocks))
    }
}

/// The canonical close of each bucket that has one.
pub(crate) async fn closes(doors: &Doors, range: TimeRange) -> Result<BTreeMap<Time, f64>, Error> {
    let method = doors.control.canonical_method()?.and_then(PriceMethod::of_number);
    let scan = TableScan {
        subject: Some(name_of(method.unwrap_or(PriceMethod::Median)).to_owned()),
        range: Some(range),
        columns: vec!["bucket", "close"],
        ..TableScan::default()
    };
    let batches = doors.store.scan(TableName::ComposedPrices, scan).await?;
    Ok(batches.iter().flat_map(tables::composed_prices::closes_of).collect())
}

/// The checkpoint of a metric at an interval.
fn key_of(name: &str, minutes: u16) -> CheckpointKey {
    let interval = interval_name(minutes);
    CheckpointKey::btc(&format!("btc_metric_{name}_{interval}"), &interval)
}
