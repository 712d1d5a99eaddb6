//! Reads data files: plans over chosen files with pruning inside of them, sorted merges, and plain streams.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use deltalake::arrow::compute::SortOptions;
use deltalake::datafusion::common::stats::Precision;
use deltalake::datafusion::common::{DataFusionError, Statistics};
use deltalake::datafusion::datasource::listing::PartitionedFile;
use deltalake::datafusion::datasource::memory::DataSourceExec;
use deltalake::datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use deltalake::datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use deltalake::datafusion::datasource::table_schema::TableSchema;
use deltalake::datafusion::execution::TaskContext;
use deltalake::datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use deltalake::datafusion::physical_expr::expressions::Column;
use deltalake::datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use deltalake::datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use deltalake::datafusion::physical_plan::{ExecutionPlan, execute_stream};
use deltalake::datafusion::prelude::SessionConfig;
use deltalake::datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tables::Table;

use crate::error::{Error, failed};
use crate::extremes::Extremes;
use crate::file::DataFile;
use crate::ids::KnownNotes;
use crate::place::Place;
use crate::small::{Recalled, SmallFiles};

/// Most bytes of data files that are decoded in search of a damaged one.
const DEEP_BYTES_MAX: u64 = 256 << 20;

/// Reads the files of a place, remembering their footers.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) place: Arc<Place>,
    pub(crate) extremes: Extremes,
    pub(crate) notes: KnownNotes,
    small: SmallFiles,
    environment: Arc<RuntimeEnv>,
    footers: Arc<CachedParquetFileReaderFactory>,
}

/// Which files to read, and how.
#[derive(Clone, Debug)]
pub(crate) struct FileAsk<'a> {
    pub(crate) table: &'static Table,
    pub(crate) files: &'a [Arc<DataFile>],
    /// Rows that cannot match are skipped where the file's structure tells; and dropped where they are decoded.
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Columns of the stored schema; `None` for all.
    pub(crate) projection: Option<Vec<usize>>,
    /// Read in so many streams at once.
    pub(crate) streams: usize,
}

impl Reader {
    pub(crate) fn new(place: Arc<Place>, footer_memory_bytes: usize) -> Result<Self, Error> {
        let environment = RuntimeEnvBuilder::new()
            .with_metadata_cache_limit(footer_memory_bytes)
            .build_arc()
            .map_err(failed("prepare reading"))?;
        environment.register_object_store(place.store_url.as_ref(), Arc::clone(&place.store));
        let footers = CachedParquetFileReaderFactory::new(
            Arc::clone(&place.store),
            environment.cache_manager.get_file_metadata_cache(),
        );
        let footers = Arc::new(footers);
        let (extremes, notes) = (Extremes::default(), KnownNotes::default());
        Ok(Self { place, extremes, notes, small: SmallFiles::default(), environment, footers })
    }

    /// What queries share: the store and the footers.
    pub(crate) fn environment(&self) -> &RuntimeEnv {
        &self.environment
    }

    /// A context to run plans of this room in.
    pub(crate) fn context(&self) -> Arc<TaskContext> {
        let config = SessionConfig::new().with_batch_size(8_192);
        let context = TaskContext::default().with_session_config(config);
        Arc::new(context.with_runtime(Arc::clone(&self.environment)))
    }

    /// A plan over files, in no order.
    pub(crate) fn plan(&self, ask: &FileAsk<'_>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let mut groups = vec![(0_u64, Vec::new()); ask.streams.clamp(1, ask.files.len().max(1))];
        for file in ask.files {
            let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) else { continue };
            *bytes += file.size;
            group.push(self.partitioned(ask.table, file));
        }
        let groups = groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect();
        let config = self.config(ask)?.with_file_groups(groups).with_preserve_order(ask.streams == 1).build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// A plan over files in the order of the table's key; every file must be sorted.
    pub(crate) fn merged(&self, ask: &FileAsk<'_>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let order = ordering(ask.table);
        let groups =
            ask.files.iter().map(|file| FileGroup::new(vec![self.partitioned(ask.table, file)])).collect();
        let config = self
            .config(ask)?
            .with_file_groups(groups)
            .with_output_ordering(vec![order.clone()])
            .with_preserve_order(true)
            .build();
        let files = DataSourceExec::from_data_source(config);
        Ok(Arc::new(SortPreservingMergeExec::new(order, files)))
    }

    fn config(&self, ask: &FileAsk<'_>) -> Result<FileScanConfigBuilder, DataFusionError> {
        let table = ask.table;
        let partition =
            table.stored_schema().fields().iter().skip(table.columns.len()).cloned().collect::<Vec<_>>();
        let schema = TableSchema::builder(table.row_schema()).with_table_partition_cols(partition).build();
        let mut source = ParquetSource::new(schema)
            .with_enable_page_index(true)
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_metadata_size_hint(64 << 10)
            .with_parquet_file_reader_factory(Arc::clone(&self.footers) as _);
        if let Some(predicate) = &ask.predicate {
            source = source.with_predicate(Arc::clone(predicate));
        }
        let mut statistics = Statistics::new_unknown(&table.stored_schema());
        if ask.files.iter().all(|file| file.rows > 0) {
            let rows = ask.files.iter().map(|file| file.rows as usize).sum();
            statistics.num_rows = Precision::Exact(rows);
        }
        FileScanConfigBuilder::new(self.place.store_url.clone(), Arc::new(source))
            .with_statistics(statistics)
            .with_projection_indices(ask.projection.clone())
    }

    fn partitioned(&self, table: &Table, file: &DataFile) -> PartitionedFile {
        let path = self.place.path(table.name.as_str(), &file.path);
        let day = file.partition.map(|day| ScalarValue::Date32(Some(day.0)));
        let mut partitioned = PartitionedFile::new("", file.size);
        partitioned.object_meta.location = path;
        if table.partition.column().is_some() {
            partitioned.partition_values = vec![day.unwrap_or(ScalarValue::Date32(None))];
        }
        partitioned
    }

    /// The rows of a plan as they come.
    pub(crate) fn stream(
        &self,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, DataFusionError>>, DataFusionError> {
        Ok(execute_stream(plan, self.context())?.boxed())
    }

    /// All rows of the files that match, each file's rows in their order.
    pub(crate) async fn read(&self, ask: &FileAsk<'_>) -> Result<Vec<RecordBatch>, Error> {
        let Recalled { files, mut rows } = self.small.recall(self, ask).await?;
        rows.extend(self.read_files(&FileAsk { files: &files, ..ask.clone() }).await?);
        Ok(rows)
    }

    /// The same from the files themselves.
    pub(crate) async fn read_files(&self, ask: &FileAsk<'_>) -> Result<Vec<RecordBatch>, Error> {
        if ask.files.is_empty() {
            return Ok(Vec::new());
        }
        let doing = || format!("read table {}", ask.table.name);
        let plan = self.plan(ask).map_err(failed(doing()))?;
        let streams = deltalake::datafusion::physical_plan::execute_stream_partitioned(plan, self.context())
            .map_err(failed(doing()))?;
        let batches = futures::stream::select_all(streams).try_collect::<Vec<_>>().await;
        match batches {
            Ok(batches) => Ok(batches.into_iter().filter(|batch| batch.num_rows() > 0).collect()),
            Err(error) => Err(self.explain(ask.table, ask.files, error).await),
        }
    }

    /// Names the damaged file behind an error, if there is one.
    pub(crate) async fn explain(
        &self,
        table: &'static Table,
        files: &[Arc<DataFile>],
        error: DataFusionError,
    ) -> Error {
        // Sizes and footers first; every row is only decoded where that ends soon.
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        let looks: &[bool] = if bytes <= DEEP_BYTES_MAX { &[false, true] } else { &[false] };
        let mut looked = Vec::with_capacity(files.len() * looks.len());
        for is_deep in looks {
            looked.extend(files.iter().map(|file| (*is_deep, file)));
        }
        for (is_deep, file) in looked {
            if let Some(reason) = crate::verify::damage(self, table, file, is_deep).await {
                let what = format!(
                    "table {}: data file {} is damaged: {reason}; restore it from a copy of the lake, everything \
                     else stays readable",
                    table.name, file.path
                );
                return Error::Damaged { path: file.path.clone(), what };
            }
        }
        Error::Failed(format!("read table {}: {error}", table.name))
    }
}

/// The order in which every sorted file of a table stands.
pub(crate) fn ordering(table: &Table) -> LexOrdering {
    let schema: SchemaRef = table.stored_schema();
    let options = SortOptions { descending: false, nulls_first: true };
    let columns = table.key.iter().filter_map(|name| {
        let index = schema.index_of(name).ok()?;
        Some(PhysicalSortExpr::new(Arc::new(Column::new(name, index)), options))
    });
    LexOrdering::new(columns).expect("every table has a key")
}
