//! The commit log of one table: making it, reading it, adding to it.
//!
//! Every commit is written by us as the exact next version (the crate's own conflict checker lets two merges of the
//! same files both commit). Which actions a commit holds is left to the callers.

use std::sync::Arc;

use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, StructType, Transaction};
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, TableProperty};
use futures::{StreamExt, TryStreamExt};
use model::LogPosition;
use tables::Table;

use crate::error::{Error, failed};
use crate::file::DataFile;
use crate::place::Place;

/// The application transaction that carries the log position.
const APPLICATION: &str = "tickhouse";

/// A table as its log tells it.
#[derive(Clone, Debug)]
pub(crate) struct LogView {
    pub(crate) version: u64,
    pub(crate) files: Vec<Arc<DataFile>>,
    pub(crate) committed: LogPosition,
}

/// Whether a commit got its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It stands.
    Done,
    /// Somebody else took the version: read the log and look again.
    Taken,
}

/// What kind of change a commit is, for readers of the history.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// New rows.
    Append,
    /// Rows of a range, or of known keys, replaced by others.
    Replace(String),
    /// The same rows in fewer files.
    Merge,
}

impl Change {
    fn operation(&self) -> DeltaOperation {
        let write = |mode, predicate| DeltaOperation::Write { mode, partition_by: None, predicate };
        match self {
            Self::Append => write(SaveMode::Append, None),
            Self::Replace(which) => write(SaveMode::Overwrite, Some(which.clone())),
            Self::Merge => DeltaOperation::Optimize { predicate: None, target_size: 0 },
        }
    }
}

/// The log of one table.
#[derive(Debug)]
pub(crate) struct TableLog {
    pub(crate) table: &'static Table,
    pub(crate) store: LogStoreRef,
    /// The newest checkpoint when the log was opened.
    pub(crate) checkpoint: u64,
    place: Arc<Place>,
}

impl TableLog {
    /// Opens the log; makes the table if it is not there and `may_change`.
    pub(crate) async fn open(
        place: Arc<Place>,
        table: &'static Table,
        may_change: bool,
    ) -> Result<Option<(Self, LogView)>, Error> {
        let name = table.name;
        let handle = place.table(name.as_str()).map_err(failed(format!("open table {name}")))?;
        let mut log = Self { table, store: handle.log_store(), checkpoint: 0, place };
        let is_there = log.repair(may_change).await?;
        if !is_there {
            if !may_change {
                return Ok(None);
            }
            log.make(handle).await?;
        }
        let mut handle = log.load().await?;
        if may_change {
            handle = log.add_columns(handle).await?;
        }
        let view = log.view(&handle).await?;
        Ok(Some((log, view)))
    }

    /// Looks for commit entries without a byte, which would be read as empty commits. True if there are entries.
    ///
    /// Our own entries are synced before they get their name, so an empty one was never acknowledged to anyone: as the
    /// newest entry it is taken away. An empty one in the middle is damage that needs a person.
    async fn repair(&mut self, may_change: bool) -> Result<bool, Error> {
        let name = self.table.name;
        let folder = self.place.path(name.as_str(), "_delta_log");
        let listed = self.place.store.list(Some(&folder)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(failed(format!("list the log of table {name}")))?;
        let checkpoints = listed.iter().filter(|entry| is_checkpoint(&entry.location));
        self.checkpoint =
            checkpoints.filter_map(|entry| version_of(&entry.location)).max().unwrap_or_default();
        let mut entries: Vec<_> =
            listed.into_iter().filter(|entry| entry.location.extension() == Some("json")).collect();
        entries.sort_by(|one, next| one.location.cmp(&next.location));
        let newest = entries.last().map(|entry| entry.location.clone());
        for entry in entries.iter().filter(|entry| entry.size == 0) {
            let file = &entry.location;
            if Some(file) != newest.as_ref() || !may_change {
                return Err(Error::Corrupt(format!(
                    "table {name}: commit entry {file} is empty; restore it from a copy of the lake, or remove the \
                     table's folder and let it be written again from the raw log"
                )));
            }
            tracing::warn!(table = %name, file = %file, "newest commit entry is empty, taking it away");
            let path = futures::stream::once(futures::future::ready(Ok(file.clone()))).boxed();
            self.place
                .store
                .delete_stream(path)
                .try_collect::<Vec<_>>()
                .await
                .map_err(failed(format!("take away the empty commit entry {file}")))?;
        }
        let is_emptied = entries.len() == 1 && entries.iter().all(|entry| entry.size == 0);
        Ok(!entries.is_empty() && !is_emptied)
    }

    async fn make(&self, handle: DeltaTable) -> Result<(), Error> {
        let name = self.table.name;
        let schema: StructType = self
            .table
            .stored_schema()
            .as_ref()
            .try_into_kernel()
            .map_err(failed(format!("describe table {name}")))?;
        let made = handle
            .create()
            .with_table_name(name.as_str())
            .with_comment(self.table.doc)
            .with_columns(schema.fields().cloned())
            .with_partition_columns(self.table.partition.column())
            .with_configuration_property(TableProperty::EnableExpiredLogCleanup, Some("false"))
            .with_configuration_property(TableProperty::LogRetentionDuration, Some("interval 36500 days"))
            .await;
        made.map(drop).map_err(failed(format!("make table {name}")))
    }

    /// The table's own handle, freshly loaded.
    pub(crate) async fn load(&self) -> Result<DeltaTable, Error> {
        let name = self.table.name;
        let doing = || format!("read the log of table {name}");
        let mut handle = self.place.table(name.as_str()).map_err(failed(doing()))?;
        handle.load().await.map_err(|error| {
            Error::Corrupt(format!(
                "{}: {error}; restore the entry it names from a copy of the lake, or remove the table's folder and \
                 let it be written again from the raw log",
                doing()
            ))
        })?;
        Ok(handle)
    }

    /// Reads the newest version.
    pub(crate) async fn read(&self) -> Result<LogView, Error> {
        self.view(&self.load().await?).await
    }

    async fn view(&self, handle: &DeltaTable) -> Result<LogView, Error> {
        let name = self.table.name;
        let doing = || format!("read the log of table {name}");
        let state = handle.snapshot().map_err(failed(doing()))?;
        self.absent_columns(state.snapshot().arrow_schema().as_ref())?;
        let position = state.transaction_version(self.store.as_ref(), APPLICATION).await;
        let position = position.map_err(failed(doing()))?.unwrap_or(0);
        let data = state.log_data();
        let files = data.iter().map(|file| {
            let stats = file.stats();
            let path = file.object_store_path().to_string();
            let size = (file.size(), file.modification_time());
            let partitions = file.partition_values_map();
            Arc::new(DataFile::from_log(self.table, path, size, &partitions, stats.as_deref()))
        });
        Ok(LogView {
            version: state.version(),
            files: files.collect(),
            committed: LogPosition(u64::try_from(position).unwrap_or(0)),
        })
    }

    /// Columns declared since the table was made: older files are read as if they held nothing there.
    fn absent_columns(&self, found: &arrow_schema::Schema) -> Result<Vec<&'static str>, Error> {
        let name = self.table.name;
        let mut absent = Vec::new();
        for column in self.table.stored_schema().fields() {
            let stored = found.field_with_name(column.name()).ok().map(arrow_schema::Field::data_type);
            let declared = self.table.column(column.name()).filter(|declared| declared.is_nullable);
            match (stored, declared) {
                (Some(stored), _) if stored == column.data_type() => {}
                (None, Some(declared)) => absent.push(declared.name),
                _ => {
                    let stored = stored.map_or("absent".to_owned(), ToString::to_string);
                    return Err(Error::Unusable(format!(
                        "table {name}: column {} is {stored} in the lake, this version needs {}; use the version that \
                         wrote it or another folder",
                        column.name(),
                        column.data_type()
                    )));
                }
            }
        }
        Ok(absent)
    }

    /// Adds the columns that the table does not have yet, in a commit that changes nothing else.
    async fn add_columns(&self, handle: DeltaTable) -> Result<DeltaTable, Error> {
        let name = self.table.name;
        let doing = || format!("add columns to table {name}");
        let found = handle.snapshot().map_err(failed(doing()))?.snapshot().arrow_schema();
        let declared = self.table.stored_schema();
        // Merging would write such a table's files again without the column, and lose it.
        if let Some(unknown) =
            found.fields().iter().find(|field| declared.field_with_name(field.name()).is_err())
        {
            return Err(Error::Unusable(format!(
                "table {name}: column {} is not known to this version, which would lose it when it merges files; use \
                 the version that wrote it, or tickhouse sql without a running process to read alone",
                unknown.name()
            )));
        }
        let absent = self.absent_columns(found.as_ref())?;
        if absent.is_empty() {
            return Ok(handle);
        }
        tracing::info!(table = %name, columns = ?absent, "adding columns; older rows have none");
        let declared: StructType = declared.as_ref().try_into_kernel().map_err(failed(doing()))?;
        let fields: Vec<_> = absent.iter().filter_map(|column| declared.field(column).cloned()).collect();
        handle.add_columns().with_fields(fields).await.map_err(failed(doing()))
    }

    /// Writes a commit as exactly that version.
    pub(crate) async fn commit(
        &self,
        version: u64,
        actions: Vec<Action>,
        change: &Change,
        through: Option<LogPosition>,
    ) -> Result<Written, Error> {
        let name = self.table.name;
        let position = through.map(|through| Transaction::new(APPLICATION, through.0 as i64));
        let data = CommitData::new(
            actions,
            change.operation(),
            std::collections::HashMap::default(),
            position.into_iter().collect(),
        );
        let bytes = data.get_bytes().map_err(failed(format!("commit to table {name}")))?;
        let entry = CommitOrBytes::LogBytes(bytes);
        match self.store.write_commit_entry(version, entry, uuid::Uuid::new_v4()).await {
            Ok(()) => Ok(Written::Done),
            Err(TransactionError::VersionAlreadyExists(_)) => Ok(Written::Taken),
            Err(error) => Err(Error::Failed(format!("commit version {version} of table {name}: {error}"))),
        }
    }
}

/// `00000000000000000042.json`, `00000000000000000042.checkpoint.parquet`.
pub(crate) fn version_of(path: &Path) -> Option<u64> {
    path.filename()?.split('.').next()?.parse().ok()
}

pub(crate) fn is_checkpoint(path: &Path) -> bool {
    path.filename().is_some_and(|name| name.ends_with(".checkpoint.parquet"))
}
