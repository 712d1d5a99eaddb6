//! Merges sorted files into fewer, larger ones: which, and how. Readers and flushes go on meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use deltalake::kernel::Add;
use futures::TryStreamExt;
use model::Date;
use tables::Table;

use crate::CompactReport;
use crate::commit::commit_merge;
use crate::error::{Error, failed};
use crate::file::DataFile;
use crate::reader::FileAsk;
use crate::rows;
use crate::shelf::{House, Shelf};
use crate::write::{FileWriter, Grade};

/// Rows at which a file of an event table is cut.
const EVENT_ROWS_MAX: u64 = 15_000_000;
/// The same for keyed tables, whose files are written again when a row in them is replaced.
const KEYED_ROWS_MAX: u64 = 1_000_000;
/// Each tier holds files so many times larger than the one below.
const TIER_FACTOR: u64 = 10;
/// Files up to so many rows are the lowest tier.
const TIER_FIRST: u64 = 400_000;

/// One merge that is due.
#[derive(Debug)]
pub(crate) struct Merge {
    pub(crate) partition: Option<Date>,
    pub(crate) inputs: Vec<Arc<DataFile>>,
    pub(crate) grade: Grade,
}

/// Merges what is due in every table until nothing is left.
pub(crate) async fn compact(house: &House) -> Result<CompactReport, Error> {
    let mut report = CompactReport::default();
    for shelf in &house.shelves {
        // Each merge shortens the list, so this ends; the bound only guards against a writer that is faster.
        for _ in 0..1_000 {
            let captured = house.capture(shelf);
            let Some(merge) = due(house, shelf.table, &captured.files) else { break };
            let adds = match merge_files(house, shelf, &merge).await {
                Err(Error::Damaged { path, what }) => {
                    // The others must not wait for a person.
                    tracing::error!(%what, "a damaged file is left out of merging until the next start");
                    house.leave_out(path);
                    continue;
                }
                merged => merged?,
            };
            if !commit_merge(house, shelf, &merge.inputs, &adds).await? {
                tracing::info!(table = %shelf.table.name, "files of a merge were changed meanwhile, merge dropped");
                break;
            }
            report.merges += 1;
            report.files_before += merge.inputs.len();
            report.files_after += adds.len();
            report.rows += merge.inputs.iter().map(|file| file.rows).sum::<u64>();
        }
    }
    Ok(report)
}

/// The next merge of a table, if one is due.
fn due(house: &House, table: &'static Table, files: &[Arc<DataFile>]) -> Option<Merge> {
    let mut partitions: BTreeMap<Option<Date>, Vec<Arc<DataFile>>> = BTreeMap::new();
    // Only files that we wrote are known to be sorted; the others are left to whoever wrote them.
    for file in files.iter().filter(|file| file.is_sorted() && !house.is_left_out(&file.path)) {
        partitions.entry(file.partition).or_default().push(Arc::clone(file));
    }
    partitions.into_iter().find_map(|(partition, files)| {
        let settled = is_settled(house, table, partition, &files);
        due_in(house, table, &files, settled).map(|(inputs, grade)| Merge { partition, inputs, grade })
    })
}

/// Whether a partition has got its last form: its time is over, and no file came for a while.
fn is_settled(house: &House, table: &Table, partition: Option<Date>, files: &[Arc<DataFile>]) -> bool {
    let Some(day) = partition else { return false };
    let quiet = i64::try_from(house.settings.settle_after.as_micros()).unwrap_or(i64::MAX);
    let newest =
        files.iter().filter(|file| !file.is_settled()).map(|file| file.written).max().unwrap_or_default();
    let now = house.now();
    rows::partition_of(table, now) != day && now.0.saturating_sub(newest.0) >= quiet
}

fn due_in(
    house: &House,
    table: &Table,
    files: &[Arc<DataFile>],
    is_settled: bool,
) -> Option<(Vec<Arc<DataFile>>, Grade)> {
    let fan_in = house.settings.fan_in_max.max(2);
    let rows_max = if table.is_keyed { KEYED_ROWS_MAX } else { EVENT_ROWS_MAX };
    if is_settled {
        return due_in_settled(files, rows_max, fan_in);
    }
    let mut tiers: BTreeMap<u32, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_final() && file.rows < rows_max / 2) {
        tiers.entry(tier(file.rows)).or_default().push(Arc::clone(file));
    }
    let count_min = house.settings.compact_files_min.clamp(2, fan_in);
    for mut tier in tiers.into_values() {
        // Neighbours in time go together, so that merged files stay apart in time.
        tier.sort_by_key(|file| file.times(table));
        if tier.len() >= count_min {
            tier.truncate(fan_in);
            return Some((tier, Grade::Merged));
        }
    }
    None
}

/// In a settled partition everything that has not got its last form is merged, with the smallest of the rest.
fn due_in_settled(
    files: &[Arc<DataFile>],
    rows_max: u64,
    fan_in: usize,
) -> Option<(Vec<Arc<DataFile>>, Grade)> {
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let has_news = files.iter().any(|file| !file.is_final());
    let count_best = rows.div_ceil(rows_max).max(1) as usize;
    if !has_news && files.len() <= count_best + 1 {
        return None;
    }
    let mut inputs = files.to_vec();
    inputs.sort_by_key(|file| (file.is_final(), file.rows));
    inputs.truncate(fan_in);
    let is_last = inputs.len() == files.len();
    Some((inputs, if is_last { Grade::Final } else { Grade::Settled }))
        .filter(|(inputs, _)| inputs.len() > 1 || has_news)
}

fn tier(rows: u64) -> u32 {
    let mut limit = TIER_FIRST;
    let mut tier = 0;
    while rows > limit {
        limit = limit.saturating_mul(TIER_FACTOR);
        tier += 1;
    }
    tier
}

/// Merges sorted files in one stream. Memory is bounded by one row group of each.
pub(crate) async fn merge_files(house: &House, shelf: &Shelf, merge: &Merge) -> Result<Vec<Add>, Error> {
    let table = shelf.table;
    let ask = FileAsk {
        table,
        files: &merge.inputs,
        predicate: None,
        projection: Some((0..table.columns.len()).collect()),
        streams: merge.inputs.len(),
    };
    let doing = || format!("merge files of table {}", table.name);
    let plan = house.reader.merged(&ask).map_err(failed(doing()))?;
    let mut stream = house.reader.stream(plan).map_err(failed(doing()))?;
    let rows_max = if table.is_keyed { KEYED_ROWS_MAX } else { EVENT_ROWS_MAX };
    let mut output = Output { house, table, merge, rows_max, writer: None, adds: Vec::new(), last: None };
    loop {
        match stream.try_next().await {
            Ok(Some(batch)) => output.take(&batch).await?,
            Ok(None) => break,
            Err(error) => return Err(house.reader.explain(table, &merge.inputs, error).await),
        }
    }
    let (adds, written) = output.finish().await?;
    let read: u64 = merge.inputs.iter().map(|file| file.rows).sum();
    if written != read {
        return Err(Error::Corrupt(format!(
            "{}: {read} rows went in, {written} came out; nothing changed",
            doing()
        )));
    }
    Ok(adds)
}

/// The files of one merge, cut between subjects once they are large.
struct Output<'a> {
    house: &'a House,
    table: &'static Table,
    merge: &'a Merge,
    rows_max: u64,
    writer: Option<FileWriter>,
    adds: Vec<Add>,
    last: Option<String>,
}

impl Output<'_> {
    async fn take(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut rest = batch.clone();
        while rest.num_rows() > 0 {
            let is_large = self.writer.as_ref().is_some_and(|writer| writer.rows() >= self.rows_max);
            let mut count = rest.num_rows();
            if is_large {
                count = self.rows_before_next_subject(&rest)?;
                if count < rest.num_rows() {
                    self.write(&rest.slice(0, count)).await?;
                    self.close().await?;
                    rest = rest.slice(count, rest.num_rows() - count);
                    continue;
                }
            }
            self.write(&rest).await?;
            rest = rest.slice(count, rest.num_rows() - count);
        }
        Ok(())
    }

    fn rows_before_next_subject(&self, rows: &RecordBatch) -> Result<usize, Error> {
        let names = rows::column_of(rows, self.table.subject())?.as_string::<i32>();
        let last = self.last.as_deref();
        Ok((0..names.len()).find(|row| Some(names.value(*row)) != last).unwrap_or(names.len()))
    }

    async fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let names = rows::column_of(rows, self.table.subject())?.as_string::<i32>();
        let last = names.value(rows.num_rows() - 1);
        if self.last.as_deref() != Some(last) {
            self.last = Some(last.to_owned());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(FileWriter::start(
                &self.house.place,
                self.table,
                self.merge.partition,
                self.merge.grade,
            )?),
        };
        writer.write(rows).await
    }

    async fn close(&mut self) -> Result<(), Error> {
        if let Some(writer) = self.writer.take() {
            self.adds.push(writer.finish(self.house.now(), false).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(Vec<Add>, u64), Error> {
        self.close().await?;
        let rows = self.adds.iter().map(|add| DataFile::from_add(self.table, add).rows).sum();
        Ok((self.adds, rows))
    }
}
