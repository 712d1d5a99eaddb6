//! Which rows a reader wants of a series of buckets: interval, bounds, order, page; and the rows themselves.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use model::time::MINUTE;
use model::{BUCKET, Time};
use tables::{TableName, TableScan, TimeRange, table};

use super::sheet::failed;
use crate::house::{House, cut};
use crate::refusal::Refusal;
use crate::rest::ask::{self, Bounds};
use crate::rest::rows::turned;

const LIMIT_DEFAULT: usize = 500;
/// Most rows of any answer.
const LIMIT_MAX: usize = 105_408;

/// Length of a bucket in minutes, and how many of them one answer may have: two years, of days three.
const INTERVALS: [(&str, u16, usize); 3] =
    [("10m", 10, LIMIT_MAX), ("1h", 60, 17_568), ("24h", 1_440, 1_098)];

/// A length of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) name: &'static str,
    pub(crate) minutes: u16,
    limit_max: usize,
}

impl Interval {
    /// Ten minutes unless told.
    pub(crate) fn read(text: Option<&str>, more: &str) -> Result<Self, Refusal> {
        let name = text.unwrap_or("10m");
        let found = INTERVALS.into_iter().find(|(known, ..)| *known == name);
        found.map(|(name, minutes, limit_max)| Self { name, minutes, limit_max }).ok_or_else(|| {
            Refusal::bad(
                "bad_interval",
                format!("unknown interval {:?}", cut(name)),
                format!("choose 10m, 1h or 24h{more}"),
            )
        })
    }

    pub(crate) fn micros(self) -> i64 {
        i64::from(self.minutes) * MINUTE
    }

    fn parts(self) -> usize {
        usize::from(self.minutes / 10).max(1)
    }
}

/// Bounds, order and size of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) bounds: Bounds,
    pub(crate) limit: usize,
    pub(crate) is_descending: bool,
}

impl Window {
    /// The newest rows.
    pub(crate) fn newest(limit: usize) -> Self {
        Self { bounds: Bounds::default(), limit, is_descending: false }
    }
}

/// The words of a question that every series understands.
#[derive(Clone, Copy, Default)]
pub(crate) struct WindowWords<'a> {
    pub(crate) start: Option<&'a str>,
    pub(crate) end: Option<&'a str>,
    pub(crate) limit: Option<&'a str>,
    pub(crate) order: Option<&'a str>,
}

impl<'a> WindowWords<'a> {
    /// Start, end, limit and order, in this order.
    pub(crate) fn of(words: [&'a Option<String>; 4]) -> Self {
        let [start, end, limit, order] = words.map(Option::as_deref);
        Self { start, end, limit, order }
    }
}

impl Window {
    pub(crate) fn read(words: WindowWords<'_>, interval: Interval) -> Result<Self, Refusal> {
        let is_descending = match words.order {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => {
                let message = format!("unknown order {:?}", cut(other));
                return Err(Refusal::bad("bad_order", message, "choose asc or desc"));
            }
        };
        let bounds = Bounds::read(words.start, words.end)?;
        let limit = ask::limit(words.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        if limit > interval.limit_max {
            return Err(Refusal::bad(
                "limit_over_interval",
                format!(
                    "limit is {limit}, an answer over {} holds {} rows at most",
                    interval.name, interval.limit_max
                ),
                format!("ask for {} and follow next", interval.limit_max),
            ));
        }
        Ok(Self { bounds, limit, is_descending })
    }

    /// Whether the oldest rows of the bounds are wanted, not the newest.
    pub(crate) fn is_forward(&self) -> bool {
        self.bounds.start.is_some() && !self.is_descending
    }

    /// The buckets of ten minutes that make up the longer ones which begin within the bounds.
    fn parts(&self, interval: Interval) -> Option<TimeRange> {
        let (length, range) = (interval.micros(), self.bounds.range()?);
        let below = |time: i64| time - time.rem_euclid(length);
        Some(TimeRange {
            start: Time(below(range.start.0 + length - 1)),
            end: Time(below(range.end.0 - 1) + length),
        })
    }

    /// How many ten minutes hold one bucket more than is wanted, whole.
    fn rows_wanted(&self, interval: Interval) -> usize {
        let spare = if interval.parts() > 1 { 2 } else { 1 };
        (self.limit + spare) * interval.parts()
    }

    /// The page out of ascending rows: those that are wanted, in the order that is wanted, and how to ask for the next.
    pub(crate) fn page(&self, rows: &RecordBatch, interval: Interval) -> (RecordBatch, Option<String>) {
        let count = rows.num_rows();
        let is_cut = count > self.limit;
        let page = match (is_cut, self.is_forward()) {
            (false, _) => rows.clone(),
            (true, true) => rows.slice(0, self.limit),
            (true, false) => rows.slice(count - self.limit, self.limit),
        };
        let buckets = buckets(&page);
        let next = match (is_cut, self.is_forward()) {
            (false, _) => None,
            (true, true) => {
                buckets.last().map(|last| format!("start={}", last.plus_micros(interval.micros()).millis()))
            }
            (true, false) => buckets.first().map(|first| format!("end={}", first.millis() - 1)),
        };
        let page =
            if self.is_descending { turned(&[page]).pop().unwrap_or_else(|| rows.slice(0, 0)) } else { page };
        (page, next)
    }
}

/// The starts of the buckets of rows.
pub(crate) fn buckets(batch: &RecordBatch) -> Vec<Time> {
    let array = batch
        .column_by_name("bucket")
        .filter(|array| array.as_primitive_opt::<TimestampMicrosecondType>().is_some());
    let times = array.map(|array| array.as_primitive::<TimestampMicrosecondType>().values().to_vec());
    times.unwrap_or_default().into_iter().map(Time).collect()
}

/// A series of one subject.
pub(crate) struct Series<'a> {
    pub(crate) table: TableName,
    pub(crate) subject: &'a str,
    pub(crate) columns: Vec<&'static str>,
    /// Where it is likely to end.
    pub(crate) newest: Option<Time>,
}

impl Series<'_> {
    fn scan(&self, range: Option<TimeRange>, is_descending: bool, limit: usize) -> TableScan {
        TableScan {
            subject: Some(self.subject.to_owned()),
            range,
            columns: self.columns.clone(),
            is_descending,
            limit: Some(limit),
            ..TableScan::default()
        }
    }

    /// Rows of ten minutes, ascending: what the window needs, and a little more where there is more.
    pub(crate) async fn read(
        &self,
        house: &House,
        window: &Window,
        interval: Interval,
    ) -> Result<RecordBatch, Refusal> {
        let (range, wanted) = (window.parts(interval), window.rows_wanted(interval));
        if window.is_forward() {
            let rows = house.doors.store.scan(self.table, self.scan(range, false, wanted)).await?;
            return self.joined(&rows);
        }
        // A table of years is not searched for its last rows when the last days hold them.
        let end = range
            .map(|range| range.end)
            .into_iter()
            .chain(self.newest.map(|newest| newest.plus_micros(BUCKET)))
            .min();
        let first = range.map_or(Time(0), |range| range.start);
        let near =
            end.map(|end| TimeRange { start: end.plus_micros(-(wanted as i64) * BUCKET).max(first), end });
        let near = near.filter(|near| near.start < near.end);
        let mut rows = Vec::new();
        for range in near.map(Some).into_iter().chain([range]) {
            rows = house.doors.store.scan(self.table, self.scan(range, true, wanted)).await?;
            if rows.iter().map(RecordBatch::num_rows).sum::<usize>() >= wanted {
                break;
            }
        }
        self.joined(&turned(&rows))
    }

    /// About where rows begin within the bounds.
    pub(crate) async fn first(&self, house: &House, window: &Window) -> Result<Option<Time>, Refusal> {
        let scan = TableScan { columns: vec!["bucket"], ..self.scan(window.bounds.range(), false, 1) };
        let rows = house.doors.store.scan(self.table, scan).await?;
        Ok(rows.iter().flat_map(buckets).next())
    }

    /// Rows of all that lies in a range, ascending.
    pub(crate) async fn read_range(&self, house: &House, range: TimeRange) -> Result<RecordBatch, Refusal> {
        let scan = TableScan { limit: None, ..self.scan(Some(range), false, 0) };
        let rows = house.doors.store.scan(self.table, scan).await?;
        self.joined(&rows)
    }

    fn joined(&self, rows: &[RecordBatch]) -> Result<RecordBatch, Refusal> {
        let mut schema = table(self.table).row_schema();
        if let Some(first) = rows.first() {
            schema = first.schema();
        } else if !self.columns.is_empty() {
            let places = self.columns.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
            let places = places.map_err(|error| failed(&error))?;
            schema = Arc::new(schema.project(&places).map_err(|error| failed(&error))?);
        }
        arrow_select::concat::concat_batches(&schema, rows).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    //! Cases for windows of longer buckets.
    use super::*;

    #[test]
    fn longer_buckets_take_all_their_parts_and_no_others() {
        let hour = Interval::read(Some("1h"), "").unwrap();
        for (start, end, expect) in [
            (
                "2024-08-08T12:00:00Z",
                "2024-08-08T13:00:00Z",
                ("2024-08-08T12:00:00Z", "2024-08-08T14:00:00Z"),
            ),
            (
                "2024-08-08T12:00:01Z",
                "2024-08-08T13:59:59Z",
                ("2024-08-08T13:00:00Z", "2024-08-08T14:00:00Z"),
            ),
        ] {
            let words = WindowWords { start: Some(start), end: Some(end), ..WindowWords::default() };
            let range = Window::read(words, hour).unwrap().parts(hour).unwrap();
            assert_eq!(
                (range.start, range.end),
                (Time::parse(expect.0).unwrap(), Time::parse(expect.1).unwrap())
            );
        }
    }
}
