//! What the lake knows of one data file without opening it: size, rows, partition and bounds of its columns.

mod stats;

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use deltalake::arrow::compute;
use deltalake::kernel::{Add, Remove};
use model::{Date, Time};
use serde_json::{Map, json};
use tables::{ColumnKind, Table, TimeRange};

use crate::file::stats::{Cell, Stats};
use crate::write::uniform;

/// Smallest and largest value of a column in a file, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// Integers; times in microseconds.
    Int(i64, i64),
    /// Texts, bytewise.
    Text(String, String),
}

impl Bounds {
    /// Bounds of both.
    pub(crate) fn wider(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(a, b), Self::Int(c, d)) => Self::Int(a.min(c), b.max(d)),
            (Self::Text(a, b), Self::Text(c, d)) => Self::Text(a.min(c), b.max(d)),
            (own, _) => own,
        }
    }
}

/// Bounds of numbers and times; `None` for other kinds, and where every value is absent.
pub(crate) fn bounds_of(kind: ColumnKind, array: &dyn Array) -> Option<Bounds> {
    match kind {
        ColumnKind::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            int_bounds(compute::min(array), compute::max(array))
        }
        ColumnKind::Int32 => {
            let array = array.as_primitive::<Int32Type>();
            int_bounds(compute::min(array).map(i64::from), compute::max(array).map(i64::from))
        }
        ColumnKind::Time => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            int_bounds(compute::min(array), compute::max(array))
        }
        _ => None,
    }
}

/// One data file of a table.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Path within the table's folder.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Day of the partition.
    pub(crate) partition: Option<Date>,
    /// When it was written.
    pub(crate) written: Time,
    bounds: BTreeMap<&'static str, Bounds>,
}

impl DataFile {
    /// From what the log says of it. Without statistics a file may hold anything.
    pub(crate) fn from_log(
        table: &'static Table,
        path: String,
        (size, written_millis): (i64, i64),
        partitions: &HashMap<String, Option<String>>,
        stats: Option<&str>,
    ) -> Self {
        let stats: Stats<'_> = stats.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let day = |name| partitions.get(name).and_then(|value| Date::parse(value.as_deref()?));
        let bounds = table.columns.iter().filter_map(|column| {
            let bounds = match (column.kind, stats.low.get(column.name)?, stats.high.get(column.name)?) {
                (ColumnKind::Int64 | ColumnKind::Int32, Cell::Int(low), Cell::Int(high)) => {
                    Bounds::Int(*low, *high)
                }
                // Other writers cut times to milliseconds, so the largest one may be a little later.
                (ColumnKind::Time, Cell::Text(low), Cell::Text(high)) => {
                    Bounds::Int(Time::parse(low)?.0, Time::parse(high)?.0 + 999)
                }
                (ColumnKind::Text, Cell::Text(low), Cell::Text(high)) => {
                    Bounds::Text(low.clone().into_owned(), high.clone().into_owned())
                }
                _ => return None,
            };
            Some((column.name, bounds))
        });
        Self {
            path,
            size: u64::try_from(size).unwrap_or(0),
            rows: stats.rows,
            partition: table.partition.column().and_then(day),
            written: Time::from_millis(written_millis).unwrap_or_default(),
            bounds: bounds.collect(),
        }
    }

    /// From the entry that adds it.
    pub(crate) fn from_add(table: &'static Table, add: &Add) -> Self {
        Self::from_log(
            table,
            add.path.clone(),
            (add.size, add.modification_time),
            &add.partition_values,
            add.stats.as_deref(),
        )
    }

    /// The entry that takes it out of the table.
    pub(crate) fn to_remove(&self, table: &Table, now: Time, is_change: bool) -> Remove {
        Remove {
            path: self.path.clone(),
            data_change: is_change,
            deletion_timestamp: Some(now.millis()),
            extended_file_metadata: Some(true),
            partition_values: Some(partition_values(table, self.partition)),
            size: i64::try_from(self.size).ok(),
            ..Remove::default()
        }
    }

    /// Bounds of a column, if known.
    pub(crate) fn bounds(&self, column: &str) -> Option<&Bounds> {
        self.bounds.get(column)
    }

    /// First and last moment of the table's time column.
    pub(crate) fn times(&self, table: &Table) -> (i64, i64) {
        match self.bounds.get(table.time) {
            Some(Bounds::Int(low, high)) => (*low, *high),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// Whether rows of the subject in the range can be in it.
    pub(crate) fn may_hold(&self, table: &Table, subject: Option<&str>, range: Option<TimeRange>) -> bool {
        if let (Some(subject), Some(Bounds::Text(low, high))) = (subject, self.bounds.get(table.subject()))
            && (subject < low.as_str() || subject > high.as_str())
        {
            return false;
        }
        let (low, high) = self.times(table);
        range.is_none_or(|range| low < range.end.0 && range.start.0 <= high)
    }

    /// Whether the rows are known to stand in the order of the table's key: we wrote it.
    pub(crate) fn is_sorted(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.starts_with(SORTED_PREFIX))
    }

    /// Whether it is the result of the last merge of a settled partition.
    pub(crate) fn is_final(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.starts_with(FINAL_PREFIX))
    }

    /// Whether it was made by merging a settled partition, so that its age says nothing about the partition.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_final() || self.path.rsplit('/').next().is_some_and(|name| name.starts_with(SETTLED_PREFIX))
    }
}

/// Names of files that we wrote, and that stand in the order of the key, start so.
pub(crate) const SORTED_PREFIX: &str = "sorted-";
/// Names of files made on the way to the last form of a partition start so.
pub(crate) const SETTLED_PREFIX: &str = "sorted-settled-";
/// Names of files that are the last form of a partition start so.
pub(crate) const FINAL_PREFIX: &str = "sorted-final-";

/// The partition as the log wants it.
pub(crate) fn partition_values(table: &Table, partition: Option<Date>) -> HashMap<String, Option<String>> {
    table
        .partition
        .column()
        .map(|name| (name.to_owned(), partition.map(|day| day.to_string())))
        .into_iter()
        .collect()
}

/// Gathers the statistics of a file while it is written.
pub(crate) struct Gathered {
    table: &'static Table,
    rows: u64,
    nulls: Vec<u64>,
    bounds: Vec<Option<Bounds>>,
}

impl Gathered {
    pub(crate) fn new(table: &'static Table) -> Self {
        let count = table.columns.len();
        Self { table, rows: 0, nulls: vec![0; count], bounds: vec![None; count] }
    }

    /// Takes rows in the table's row schema.
    pub(crate) fn take(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for (index, column) in self.table.columns.iter().enumerate() {
            let array = batch.column(index);
            self.nulls[index] += array.null_count() as u64;
            let is_key = self.table.key.contains(&column.name);
            let found = match column.kind {
                // Texts outside of the key are free text or near-random: bounds would only fatten the log.
                ColumnKind::Text if is_key && !column.is_nullable => {
                    let array = array.as_string::<i32>();
                    let bounds = match uniform(array) {
                        Some(text) => Some((text, text)),
                        None => compute::min_string(array).zip(compute::max_string(array)),
                    };
                    bounds.map(|(low, high)| Bounds::Text(low.to_owned(), high.to_owned()))
                }
                kind => bounds_of(kind, array),
            };
            let slot = &mut self.bounds[index];
            *slot = match (slot.take(), found) {
                (Some(old), Some(new)) => Some(old.wider(new)),
                (old, new) => old.or(new),
            };
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The statistics as the log wants them.
    pub(crate) fn to_json(&self) -> String {
        let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
        for (index, column) in self.table.columns.iter().enumerate() {
            let name = column.name.to_owned();
            // The log counts nulls of plain cells alone.
            if column.kind != ColumnKind::Int64List {
                nulls.insert(name.clone(), self.nulls[index].into());
            }
            let (least, most) = match &self.bounds[index] {
                Some(Bounds::Int(least, most)) if column.kind == ColumnKind::Time => {
                    (millis_text(*least).into(), millis_text(most.saturating_add(999)).into())
                }
                Some(Bounds::Int(least, most)) => (json!(least), json!(most)),
                Some(Bounds::Text(least, most)) => (json!(least), json!(most)),
                None => continue,
            };
            low.insert(name.clone(), least);
            high.insert(name, most);
        }
        json!({ "numRecords": self.rows, "minValues": low, "maxValues": high, "nullCount": nulls })
            .to_string()
    }
}

fn int_bounds(low: Option<i64>, high: Option<i64>) -> Option<Bounds> {
    Some(Bounds::Int(low?, high?))
}

/// `2024-08-08T12:34:56.397Z`: readers of statistics know milliseconds only.
fn millis_text(micros: i64) -> String {
    let text = Time(micros).to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    //! Cases for statistics.
    use super::*;

    #[test]
    fn times_are_widened_to_milliseconds_and_come_back_wide_enough() {
        let time = Time::parse("2024-08-08T12:00:00.397674Z").unwrap();
        let low = Time::parse(&millis_text(time.0)).unwrap();
        let high = Time::parse(&millis_text(time.0 + 999)).unwrap();
        assert!(low <= time && time <= high, "{low} {time} {high}");
    }

    #[test]
    fn a_file_without_statistics_may_hold_anything() {
        let table = tables::table(tables::TableName::Trades);
        let file = DataFile::from_log(table, "x.parquet".into(), (1, 1), &HashMap::new(), None);
        let range = TimeRange { start: Time(0), end: Time(1) };
        assert!(file.may_hold(table, Some("binance:BTC-USDT"), Some(range)));
        assert!(!file.is_sorted());
    }
}
