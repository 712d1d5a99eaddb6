//! What SQL may ask for beside the tables: registries and checkpoints as small tables, and the names of the chain system as views.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use control::{Checkpoint, Control, MetricRow, PriceSourceRow};
use derivations::chain::METRICS;
use model::{PriceMethod, PriceSource, Time, interval_name};
use tables::composed_prices::name_of;
use tables::lent::{NamedView, SmallTable};

use crate::error::Error;

/// The small tables and views, with the method that is canonical now.
pub fn lent(control: &Control) -> Result<(Vec<SmallTable>, Vec<NamedView>), Error> {
    let method = control.canonical_method()?.and_then(PriceMethod::of_number).unwrap_or(PriceMethod::Median);
    let small = |name: &str, rows: fn(&Control) -> Result<RecordBatch, String>| {
        let control = control.clone();
        SmallTable { name: name.to_owned(), rows: Arc::new(move || rows(&control)) }
    };
    let tables = vec![
        small("checkpoints", checkpoints),
        small("metric_registry", metric_registry),
        small("mq_price_source_registry", price_sources),
    ];
    Ok((tables, views(method)))
}

fn views(method: PriceMethod) -> Vec<NamedView> {
    let view = |name: &str, sql: String| NamedView { name: name.to_owned(), sql };
    let canonical = name_of(method);
    let mut views = vec![
        view(
            "btc_blocks_raw",
            "SELECT chain, height, hash AS block_hash, previous_hash, time AS block_time, median_time, version, merkle_root, bits, \
             nonce, chainwork, tx_count, size_bytes, stripped_size_bytes, weight_wu, stored_file, stored_offset, \
             node_file, node_offset, node_undo_file, node_undo_offset, received_time FROM btc_blocks WHERE state = 'active'"
                .to_owned(),
        ),
        view(
            "btc_primitive_10m",
            format!(
                "SELECT b.*, p.open AS price_open_usd, p.high AS price_high_usd, p.low AS price_low_usd, \
                 p.close AS price_close_usd, p.volume AS price_volume_btc, \
                 coalesce(p.source_count, 0) AS price_source_count \
                 FROM btc_buckets b LEFT JOIN composed_prices_10m p \
                 ON p.bucket = b.bucket AND p.method = '{canonical}'"
            ),
        ),
        view(
            "mq_btc_price_10m",
            format!(
                "SELECT bucket AS bucket_start_utc, open, high, low, close, volume, source_count, venues_used, \
                 venues_rejected, basis_usdt_bp FROM composed_prices_10m WHERE method = '{canonical}'"
            ),
        ),
    ];
    views.extend(PriceSource::all().map(|source| {
        let sql = format!(
            "SELECT bucket AS bucket_start_utc, open, high, low, close, volume, quality_status, data_source_mode, child_minutes, \
             child_count, child_count_expected, first_received_time, received_time \
             FROM venue_prices_10m WHERE source = '{source}'"
        );
        view(&format!("{source}_price_10m"), sql)
    }));
    for metric in METRICS {
        for minutes in metric.intervals {
            // The spec calls NVT's value by its raw name, and all others by their own.
            let column = if metric.name == "nvt" { "nvt_raw" } else { metric.name };
            let sql = format!(
                "SELECT bucket AS bucket_start_utc, value AS {column}, reason FROM metrics \
                 WHERE metric = '{}' AND timeframe = '{}'",
                metric.name,
                interval_name(*minutes)
            );
            views.push(view(&metric.table(*minutes), sql));
        }
    }
    views
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

fn times(values: impl Iterator<Item = Option<Time>>) -> ArrayRef {
    let array: TimestampMicrosecondArray = values.map(|time| time.map(|time| time.0)).collect();
    Arc::new(array.with_timezone("UTC"))
}

fn ints(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let mut builder = Int64Builder::new();
    values.for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
}

fn truths(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, String> {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .map_err(|error| error.to_string())
}

fn metric_registry(control: &Control) -> Result<RecordBatch, String> {
    let rows: Vec<MetricRow> = control.metrics().map_err(|error| error.to_string())?;
    let text = |of: fn(&MetricRow) -> &str| texts(rows.iter().map(|row| Some(of(row))));
    batch(vec![
        ("metric_name", text(|row| &row.metric_name)),
        ("interval", text(|row| &row.interval)),
        ("enabled", truths(rows.iter().map(|row| row.is_enabled))),
        ("output_table", text(|row| &row.output_table)),
        ("dependencies", text(|row| &row.dependencies)),
        ("description", text(|row| &row.description)),
        ("updated_at", times(rows.iter().map(|row| Some(row.updated_time)))),
    ])
}

fn price_sources(control: &Control) -> Result<RecordBatch, String> {
    let rows: Vec<PriceSourceRow> = control.price_sources().map_err(|error| error.to_string())?;
    let text = |of: fn(&PriceSourceRow) -> &str| texts(rows.iter().map(|row| Some(of(row))));
    batch(vec![
        ("source_name", text(|row| &row.source_name)),
        ("enabled", truths(rows.iter().map(|row| row.is_enabled))),
        ("market_type", text(|row| &row.market_type)),
        ("config_json", text(|row| &row.config_json)),
        ("updated_at", times(rows.iter().map(|row| Some(row.updated_time)))),
    ])
}

fn checkpoints(control: &Control) -> Result<RecordBatch, String> {
    let rows: Vec<Checkpoint> = control.checkpoints().map_err(|error| error.to_string())?;
    let text = |of: fn(&Checkpoint) -> Option<&str>| texts(rows.iter().map(of));
    batch(vec![
        ("chain", text(|row| Some(&row.key.chain))),
        ("component", text(|row| Some(&row.key.component))),
        ("interval", text(|row| Some(&row.key.interval))),
        ("sequence", ints(rows.iter().map(|row| Some(row.reached.sequence as i64)))),
        ("last_height", ints(rows.iter().map(|row| row.reached.height.map(i64::from)))),
        ("last_hash", text(|row| row.reached.hash.as_deref())),
        ("last_bucket_time", times(rows.iter().map(|row| row.reached.bucket))),
        ("status", text(|row| Some(&row.status))),
        ("error_message", text(|row| row.error_message.as_deref())),
        ("updated_at", times(rows.iter().map(|row| Some(row.updated_time)))),
        ("failing_since", times(rows.iter().map(|row| row.failing_since))),
    ])
}

#[cfg(test)]
mod tests {
    //! Cases for columns of views.
    use super::*;

    fn sql(name: &str) -> String {
        views(PriceMethod::Median).into_iter().find(|view| view.name == name).unwrap().sql
    }

    #[test]
    fn a_metric_with_an_alias_keeps_its_name_as_column() {
        for metric in METRICS {
            let column = if metric.name == "nvt" { "nvt_raw" } else { metric.name };
            for minutes in metric.intervals {
                let table = metric.table(*minutes);
                assert!(sql(&table).contains(&format!("value AS {column}, reason")), "{table}");
            }
        }
        assert!(sql("btc_realized_cap_10m").contains("value AS realized_cap,"));
        assert!(sql("btc_nvt_1h").contains("value AS nvt_raw,"));
    }

    #[test]
    fn a_bucket_that_is_not_composed_yet_has_no_price_sources_rather_than_an_unknown_number() {
        assert!(sql("btc_primitive_10m").contains("coalesce(p.source_count, 0) AS price_source_count"));
    }
}
