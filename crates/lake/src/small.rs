//! Remembers the decoded columns of small files: tables that grow by a few rows at a time are read again and again, and opening a file
//! costs more than its rows. A data file never changes, so what was decoded once holds as long as it is kept.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use deltalake::arrow::compute::filter_record_batch;
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::physical_expr::expressions::Column;
use deltalake::datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use futures::{StreamExt, TryStreamExt};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tables::Table;

use crate::error::{Error, failed};
use crate::file::DataFile;
use crate::reader::{FileAsk, Reader};
use crate::rows;

/// Files of more rows are decoded as far as they are asked for, and not remembered.
const ROWS_MAX: u64 = 16_384;
/// Files of more bytes likewise.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// Decoded bytes remembered.
const BYTES_MAX: u64 = 32 << 20;
/// Files for which room is prepared.
const FILES: usize = 1_024;
/// Where more files than these are not known, they are read together: that costs less than one by one.
const UNKNOWN_MAX: usize = 128;

/// Table, file, columns.
type Key = (&'static str, String, Vec<usize>);

/// What was decoded.
#[derive(Debug)]
pub(crate) struct SmallFiles(Cache<Key, RecordBatch, Bytes>);

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, RecordBatch> for Bytes {
    fn weight(&self, (_, path, columns): &Key, rows: &RecordBatch) -> u64 {
        (rows.get_array_memory_size() + path.len() + columns.len() * size_of::<usize>()) as u64
    }
}

impl Default for SmallFiles {
    fn default() -> Self {
        Self(Cache::with_weighter(FILES, BYTES_MAX, Bytes))
    }
}

/// What is left to be read as files are, and the rows of those that are remembered now.
#[derive(Debug)]
pub(crate) struct Recalled {
    pub(crate) files: Vec<Arc<DataFile>>,
    pub(crate) rows: Vec<RecordBatch>,
}

impl SmallFiles {
    /// The rows that match in those files that are small, and the files that are not.
    pub(crate) async fn recall(&self, reader: &Reader, ask: &FileAsk<'_>) -> Result<Recalled, Error> {
        let Some(wanted) = &ask.projection else {
            return Ok(Recalled { files: ask.files.to_vec(), rows: Vec::new() });
        };
        let (small, mut large): (Vec<_>, Vec<_>) = ask
            .files
            .iter()
            .cloned()
            .partition(|file| (1..=ROWS_MAX).contains(&file.rows) && file.size <= FILE_BYTES_MAX);
        let mut columns = wanted.clone();
        if let Some(predicate) = &ask.predicate {
            columns.extend(collect_columns(predicate).iter().map(Column::index));
        }
        columns.sort_unstable();
        columns.dedup();
        let key = |file: &DataFile| (ask.table.name.as_str(), file.path.clone(), columns.clone());
        let mut known = Vec::with_capacity(small.len());
        let mut unknown = Vec::new();
        for file in small {
            match self.0.get(&key(&file)) {
                Some(rows) => known.push(rows),
                None => unknown.push(file),
            }
        }
        if unknown.len() > UNKNOWN_MAX {
            large.extend(unknown);
        } else {
            let read = futures::stream::iter(unknown).map(|file| {
                let (key, columns) = (key(&file), columns.clone());
                async move {
                    let rows = whole(reader, (ask.table, file), columns).await?;
                    self.0.insert(key, rows.clone());
                    Ok::<_, Error>(rows)
                }
            });
            known.extend(read.buffered(ask.streams.max(1)).try_collect::<Vec<_>>().await?);
        }
        let rows = known.iter().map(|rows| matching(rows, ask, (&columns, wanted)));
        let rows =
            rows.collect::<Result<Vec<_>, _>>().map_err(failed(format!("read table {}", ask.table.name)))?;
        Ok(Recalled { files: large, rows: rows.into_iter().filter(|rows| rows.num_rows() > 0).collect() })
    }
}

/// All rows of a file, as one batch.
async fn whole(
    reader: &Reader,
    (table, file): (&'static Table, Arc<DataFile>),
    columns: Vec<usize>,
) -> Result<RecordBatch, Error> {
    let schema = table.stored_schema().project(&columns).map_err(failed("choose columns"))?;
    let files = [file];
    let ask = FileAsk { table, files: &files, predicate: None, projection: Some(columns), streams: 1 };
    let found = reader.read_files(&ask).await?;
    rows::concat(&Arc::new(schema), &found)
}

/// Rows that match, with the columns asked for.
fn matching(
    rows: &RecordBatch,
    ask: &FileAsk<'_>,
    (columns, wanted): (&[usize], &[usize]),
) -> Result<RecordBatch, DataFusionError> {
    let places: Vec<usize> = wanted.iter().filter_map(|column| columns.binary_search(column).ok()).collect();
    let chosen = rows.project(&places)?;
    let Some(predicate) = &ask.predicate else { return Ok(chosen) };
    let predicate: Arc<dyn PhysicalExpr> = reassign_expr_columns(Arc::clone(predicate), &rows.schema())?;
    let mask = predicate.evaluate(rows)?.into_array(rows.num_rows())?;
    let mask = mask.as_boolean();
    if mask.true_count() == rows.num_rows() {
        return Ok(chosen);
    }
    Ok(filter_record_batch(&chosen, mask)?)
}
