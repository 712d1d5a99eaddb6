//! Writes one Parquet file: settings, statistics, notes on its ids, and the entry for the log. Nothing is committed here.

mod groups;
mod text;

use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::kernel::Add;
use deltalake::logstore::object_store::{ObjectStoreExt, buffered::BufWriter, path::Path};
use deltalake::parquet::basic::{Compression, Encoding as Coding, ZstdLevel};
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use model::{Date, Time};
use tables::{Encoding, Table};
use tokio::io::AsyncWriteExt;

use crate::error::{Error, failed};
use crate::file::{FINAL_PREFIX, Gathered, SETTLED_PREFIX, SORTED_PREFIX, partition_values};
use crate::ids::IdNotes;
use crate::place::Place;
use crate::rows;
use crate::write::groups::Groups;

pub(crate) use text::uniform;

/// Rows sorted and written at once.
const PIECE_ROWS: usize = 16_384;

/// How hard a file is pressed, and how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// Fresh rows.
    Flush,
    /// Rows of several files.
    Merged,
    /// The same, of a partition that is over.
    Settled,
    /// The last form of a settled partition.
    Final,
}

/// A file being written.
pub(crate) struct FileWriter {
    place: Arc<Place>,
    table: &'static Table,
    partition: Option<Date>,
    path: String,
    groups: Groups,
    output: BufWriter,
    gathered: Gathered,
    notes: Option<IdNotes>,
}

impl FileWriter {
    /// Starts a file of a partition.
    pub(crate) fn start(
        place: &Arc<Place>,
        table: &'static Table,
        partition: Option<Date>,
        grade: Grade,
    ) -> Result<Self, Error> {
        let prefix = match grade {
            Grade::Flush | Grade::Merged => SORTED_PREFIX,
            Grade::Settled => SETTLED_PREFIX,
            Grade::Final => FINAL_PREFIX,
        };
        let folder = match (table.partition.column(), partition) {
            (Some(column), Some(day)) => format!("{column}={day}/"),
            _ => String::new(),
        };
        let path = format!("{folder}{prefix}{}.parquet", uuid::Uuid::new_v4());
        let target = place.path(table.name.as_str(), &path);
        let output = BufWriter::new(Arc::clone(&place.store), target);
        let groups = Groups::new(table.row_schema(), properties(table, grade)?)
            .map_err(failed(format!("start {path} of table {}", table.name)))?;
        let (gathered, notes) = (Gathered::new(table), IdNotes::of(table));
        Ok(Self { place: Arc::clone(place), table, partition, path, groups, output, gathered, notes })
    }

    /// Adds rows in the table's row schema, in the order of the key.
    pub(crate) async fn write(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        self.gathered.take(rows);
        if let Some(notes) = &mut self.notes {
            notes.take(rows);
        }
        self.groups.write(rows).map_err(|error| self.broken(&error))?;
        self.pass_on().await
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.gathered.rows()
    }

    /// Ends the file; it is durable then, and still unknown to the table.
    pub(crate) async fn finish(mut self, now: Time, is_change: bool) -> Result<Add, Error> {
        let notes = self.notes.take().map(IdNotes::into_entry);
        self.groups.finish(notes).map_err(|error| self.broken(&error))?;
        self.pass_on().await?;
        self.output.shutdown().await.map_err(|error| self.broken(&error))?;
        let target = self.target();
        let found = self.place.store.head(&target).await.map_err(|error| self.broken(&error))?;
        Ok(Add {
            path: self.path,
            partition_values: partition_values(self.table, self.partition),
            size: i64::try_from(found.size).unwrap_or(i64::MAX),
            modification_time: now.millis(),
            data_change: is_change,
            stats: Some(self.gathered.to_json()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    /// Hands on what is encoded.
    async fn pass_on(&mut self) -> Result<(), Error> {
        let bytes = self.groups.bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        self.output.put(bytes.into()).await.map_err(|error| self.broken(&error))
    }

    fn target(&self) -> Path {
        self.place.path(self.table.name.as_str(), &self.path)
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Failed(format!("write {} of table {}: {error}", self.path, self.table.name))
    }
}

/// Sorts rows in the stored schema and writes a file per partition. They are sorted piece by piece, so that they do not
/// stand in memory twice.
pub(crate) async fn write_files(
    place: &Arc<Place>,
    table: &'static Table,
    rows: &RecordBatch,
    now: Time,
) -> Result<Vec<Add>, Error> {
    let order = rows::order(table, rows)?;
    let mut adds = Vec::new();
    let mut open: Option<FileWriter> = None;
    for start in (0..order.len()).step_by(PIECE_ROWS) {
        let piece = rows::at(rows, &order.slice(start, PIECE_ROWS.min(order.len() - start)))?;
        for (partition, part) in rows::split(table, &piece)? {
            let mut writer = match open.take() {
                Some(writer) if writer.partition == partition => writer,
                other => {
                    if let Some(done) = other {
                        adds.push(done.finish(now, true).await?);
                    }
                    FileWriter::start(place, table, partition, Grade::Flush)?
                }
            };
            writer.write(&part).await?;
            open = Some(writer);
        }
    }
    if let Some(done) = open {
        adds.push(done.finish(now, true).await?);
    }
    Ok(adds)
}

// Measured: dictionaries for texts and floats, packed differences for ids and times, and zstd give the smallest files;
// level 1 costs nothing next to sorting, level 3 pays off once for files that stay.
fn properties(table: &Table, grade: Grade) -> Result<WriterProperties, Error> {
    let level = if grade == Grade::Final { 3 } else { 1 };
    let level = ZstdLevel::try_new(level).map_err(failed("choose the compression"))?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_data_page_row_count_limit(text::PAGE_ROWS)
        .set_write_batch_size(4_096)
        .set_statistics_enabled(EnabledStatistics::Page);
    for column in table.columns.iter().filter(|column| column.encoding == Encoding::Delta) {
        properties = properties
            .set_column_dictionary_enabled(column.name.into(), false)
            .set_column_encoding(column.name.into(), Coding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}
