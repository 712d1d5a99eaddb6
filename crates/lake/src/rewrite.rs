//! Writes files again without some of their rows: those with known keys, or those of a range. Committing is left to
//! `commit`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use deltalake::arrow::compute::filter_record_batch;
use deltalake::datafusion::error::DataFusionError;
use deltalake::kernel::Add;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use model::{Date, Source};
use tables::{Outgoing, Span, Table};

use crate::error::{Error, failed};
use crate::file::{Bounds, DataFile};
use crate::reader::FileAsk;
use crate::rows::{self, Keys, column_of};
use crate::shelf::{Captured, House, Shelf};
use crate::write::{FileWriter, Grade};

/// Files to take away, and what stays of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewritten {
    pub(crate) removed: Vec<Arc<DataFile>>,
    pub(crate) added: Vec<Add>,
}

/// The column that says how a row reached us.
const SOURCE: &str = "source";

type Keep<'a> = dyn Fn(&RecordBatch) -> Result<BooleanArray, Error> + Send + Sync + 'a;

/// Plans a commit after which no stored row has the key of one of these.
pub(crate) async fn without_keys(
    house: &House,
    shelf: &Shelf,
    captured: &Captured,
    new: &RecordBatch,
) -> Result<Rewritten, Error> {
    let table = shelf.table;
    let keys = Keys::of(table)?;
    let known = keys.set(new)?;
    let touched = Touched::of(table, new)?;
    let mut plan = Rewritten::default();
    for file in captured.files.iter().filter(|file| touched.may_meet(table, file)) {
        let keep = |batch: &RecordBatch| keys.absent(batch, &known);
        if holds_others(house, table, file, &keep).await? {
            without(house, table, file, &keep, &mut plan).await?;
        }
    }
    Ok(plan)
}

/// Plans a commit after which none of the outgoing rows is stored.
pub(crate) async fn without_range(
    house: &House,
    shelf: &Shelf,
    captured: &Captured,
    outgoing: &Outgoing,
) -> Result<Rewritten, Error> {
    let table = shelf.table;
    let mut plan = Rewritten::default();
    let (instrument, range) = (outgoing.instrument.as_str(), outgoing.range);
    for file in captured.files.iter().filter(|file| file.may_hold(table, Some(instrument), Some(range))) {
        let keep = |batch: &RecordBatch| {
            let inside = inside(table, batch, outgoing)?;
            Ok(inside.iter().map(|is_inside| Some(is_inside != Some(true))).collect())
        };
        if holds_others(house, table, file, &keep).await? {
            without(house, table, file, &keep, &mut plan).await?;
        }
    }
    Ok(plan)
}

/// Plans a commit after which no stored row lies in the span or has the key of one of the new rows.
pub(crate) async fn without_span_and_keys(
    house: &House,
    shelf: &Shelf,
    captured: &Captured,
    (span, new): (Option<&Span>, &RecordBatch),
) -> Result<Rewritten, Error> {
    let table = shelf.table;
    let keys = Keys::of(table)?;
    let known = keys.set(new)?;
    let touched = Touched::of(table, new)?;
    let mut plan = Rewritten::default();
    for file in captured.files.iter() {
        let span = span.filter(|span| may_reach(table, file, span));
        if span.is_none() && !touched.may_meet(table, file) {
            continue;
        }
        let keep = |batch: &RecordBatch| {
            let absent = keys.absent(batch, &known)?;
            let Some(span) = span else { return Ok(absent) };
            let within = within(table, batch, span)?;
            Ok(absent
                .iter()
                .zip(&within)
                .map(|(absent, within)| Some(absent == Some(true) && !within))
                .collect())
        };
        if holds_others(house, table, file, &keep).await? {
            without(house, table, file, &keep, &mut plan).await?;
        }
    }
    Ok(plan)
}

fn may_reach(table: &Table, file: &DataFile, span: &Span) -> bool {
    let is_among = match file.bounds(span.column) {
        Some(Bounds::Int(low, high)) => *low < span.end && span.start <= *high,
        _ => true,
    };
    is_among && file.may_hold(table, Some(&span.subject), None)
}

/// Which rows lie in the span.
fn within(table: &Table, batch: &RecordBatch, span: &Span) -> Result<Vec<bool>, Error> {
    let names = column_of(batch, table.subject())?.as_string::<i32>();
    let cells = column_of(batch, span.column)?;
    let cells = match cells.data_type() {
        DataType::Timestamp(..) => cells.as_primitive::<TimestampMicrosecondType>().values(),
        _ => cells.as_primitive::<Int64Type>().values(),
    };
    let is_within = |(name, cell): (Option<&str>, &i64)| {
        name == Some(span.subject.as_str()) && span.start <= *cell && *cell < span.end
    };
    Ok(names.iter().zip(cells).map(is_within).collect())
}

/// Which rows are outgoing.
pub(crate) fn inside(table: &Table, batch: &RecordBatch, outgoing: &Outgoing) -> Result<BooleanArray, Error> {
    let Outgoing { instrument, range, source } = outgoing;
    let names = column_of(batch, table.subject())?.as_string::<i32>();
    let times = column_of(batch, table.time)?.as_primitive::<TimestampMicrosecondType>();
    let sources = match source {
        Some(_) => Some(column_of(batch, SOURCE)?.as_string::<i32>()),
        None => None,
    };
    let wanted = source.map(Source::as_str);
    let is_inside = names.iter().zip(times.iter()).enumerate().map(|(row, (name, time))| {
        let is_in_range = time.is_some_and(|time| range.start.0 <= time && time < range.end.0);
        let is_from_there = sources.is_none_or(|sources| Some(sources.value(row)) == wanted);
        Some(is_in_range && is_from_there && name == Some(instrument.as_str()))
    });
    Ok(is_inside.collect())
}

/// Where new rows lie, to leave alone the files that cannot hold their keys.
struct Touched {
    times: Vec<i64>,
    subjects: Vec<String>,
    partitions: Vec<Date>,
}

impl Touched {
    fn of(table: &Table, new: &RecordBatch) -> Result<Self, Error> {
        let mut times =
            column_of(new, table.time)?.as_primitive::<TimestampMicrosecondType>().values().to_vec();
        times.sort_unstable();
        times.dedup();
        let names = column_of(new, table.subject())?.as_string::<i32>();
        let mut subjects: Vec<String> = names.iter().flatten().map(str::to_owned).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let mut partitions = Vec::new();
        if let Some(name) = table.partition.column() {
            partitions = column_of(new, name)?
                .as_primitive::<Date32Type>()
                .values()
                .iter()
                .map(|day| Date(*day))
                .collect();
            partitions.sort_unstable();
            partitions.dedup();
        }
        Ok(Self { times, subjects, partitions })
    }

    fn may_meet(&self, table: &Table, file: &DataFile) -> bool {
        let (low, high) = file.times(table);
        let next = self.times.partition_point(|time| *time < low);
        let is_in_time = self.times.get(next).is_some_and(|time| *time <= high);
        let is_in_part = file.partition.is_none_or(|day| self.partitions.binary_search(&day).is_ok());
        is_in_time && is_in_part && self.subjects.iter().any(|name| file.may_hold(table, Some(name), None))
    }
}

/// Whether some rows of the file are not to be kept. Reads the key columns and the source alone.
async fn holds_others(
    house: &House,
    table: &'static Table,
    file: &Arc<DataFile>,
    keep: &Keep<'_>,
) -> Result<bool, Error> {
    let schema = table.row_schema();
    let mut columns: Vec<usize> = table.key.iter().filter_map(|name| schema.index_of(name).ok()).collect();
    for name in [table.time, SOURCE] {
        columns.extend(schema.index_of(name).ok().filter(|index| !columns.contains(index)));
    }
    let mut stream = open(house, table, file, Some(columns))?;
    while let Some(batch) = next(house, table, file, &mut stream).await? {
        if keep(&batch)?.true_count() < batch.num_rows() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the kept rows of the file anew.
async fn without(
    house: &House,
    table: &'static Table,
    file: &Arc<DataFile>,
    keep: &Keep<'_>,
    plan: &mut Rewritten,
) -> Result<(), Error> {
    let columns = (0..table.columns.len()).collect();
    let mut stream = open(house, table, file, Some(columns))?;
    let mut writer = FileWriter::start(&house.place, table, file.partition, Grade::Merged)?;
    let is_sorted = file.is_sorted();
    let mut unsorted = Vec::new();
    while let Some(batch) = next(house, table, file, &mut stream).await? {
        let kept = filter_record_batch(&batch, &keep(&batch)?).map_err(failed("drop replaced rows"))?;
        if is_sorted {
            writer.write(&kept).await?;
        } else {
            unsorted.push(kept);
        }
    }
    if !unsorted.is_empty() {
        let joined = rows::concat(&table.row_schema(), &unsorted)?;
        writer.write(&rows::sort(table, &joined)?).await?;
    }
    plan.removed.push(Arc::clone(file));
    if writer.rows() > 0 {
        plan.added.push(writer.finish(house.now(), true).await?);
    }
    Ok(())
}

type Batches = BoxStream<'static, Result<RecordBatch, DataFusionError>>;

/// The next rows of a file; a damaged one is named.
async fn next(
    house: &House,
    table: &'static Table,
    file: &Arc<DataFile>,
    stream: &mut Batches,
) -> Result<Option<RecordBatch>, Error> {
    match stream.try_next().await {
        Ok(batch) => Ok(batch),
        Err(error) => Err(house.reader.explain(table, std::slice::from_ref(file), error).await),
    }
}

fn open(
    house: &House,
    table: &'static Table,
    file: &Arc<DataFile>,
    projection: Option<Vec<usize>>,
) -> Result<Batches, Error> {
    let files = [Arc::clone(file)];
    let ask = FileAsk { table, files: &files, predicate: None, projection, streams: 1 };
    let doing = || format!("read {} of table {}", file.path, table.name);
    let plan = house.reader.plan(&ask).map_err(failed(doing()))?;
    house.reader.stream(plan).map_err(failed(doing()))
}
