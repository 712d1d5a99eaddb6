//! SQL for readers: one statement that only reads, within limits of time, memory and rows.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use deltalake::arrow::compute::cast;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::context::SQLOptions;
use deltalake::datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use deltalake::datafusion::execution::memory_pool::GreedyMemoryPool;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::execution::session_state::SessionStateBuilder;
use deltalake::datafusion::execution::{SendableRecordBatchStream, SessionState};
use deltalake::datafusion::physical_plan::execute_stream;
use deltalake::datafusion::prelude::SessionConfig;
use deltalake::datafusion::sql::parser::{DFParser, Statement};
use deltalake::datafusion::sql::sqlparser::ast::Statement as Ast;
use futures::StreamExt;
use runtime::clock::{Stopwatch, within};
use runtime::{Sender, queue};
use tables::{BatchStream, QueryError, QueryLimits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::catalog::{CATALOG, Names, SCHEMA};
use crate::engine::Engine;
use crate::error::{Error, failed};
use crate::extremes;
use crate::growth;
use crate::lent::{Lent, Loan};
use crate::reader::Reader;
use crate::settings::LakeSettings;
use crate::shelf::{Captured, House};
use crate::symbols::{ByInstrument, SymbolBook};

/// Longest statement. A chain of conditions becomes a tree as deep as the chain is long, and trees are walked by
/// recursion: this and the stack of a query's threads belong together.
const STATEMENT_BYTES_MAX: usize = 32 << 10;

/// What a query needs besides the tables; made once.
#[derive(Debug)]
pub(crate) struct Sql {
    base: SessionState,
    book: Arc<SymbolBook>,
    pub(crate) lent: Lent,
    places: Arc<Semaphore>,
}

impl Sql {
    pub(crate) fn new(reader: &Reader, settings: &LakeSettings) -> Result<Self, Error> {
        let config = SessionConfig::new()
            .with_target_partitions(settings.threads.max(1))
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            // Beside `max(a)` it forgets `max(b + 0)`: rows that cannot raise a are dropped, whatever their b.
            .set_bool("datafusion.optimizer.enable_aggregate_dynamic_filter_pushdown", false)
            .set_str("datafusion.execution.time_zone", "+00:00");
        let environment = RuntimeEnvBuilder::from_runtime_env(reader.environment())
            .build_arc()
            .map_err(failed("prepare SQL"))?;
        let base = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(environment)
            .with_default_features()
            .with_optimizer_rule(Arc::new(ByInstrument))
            .build();
        let lent = Lent::default();
        Ok(Self {
            base,
            book: Arc::default(),
            lent,
            places: Arc::new(Semaphore::new(settings.queries_max.max(1))),
        })
    }

    fn state(&self, house: &House, memory_bytes: usize) -> Result<SessionState, DataFusionError> {
        // Sorting and grouping may not go to disk: what does not fit is an error that names the limit.
        let environment = RuntimeEnvBuilder::from_runtime_env(house.reader.environment())
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut state =
            SessionStateBuilder::new_from_existing(self.base.clone()).with_runtime_env(environment).build();
        Names::register(&mut state, (&house.reader, &self.book, &self.lent.now()), house.capture_all())?;
        Ok(state)
    }
}

/// Plans and starts a query.
///
/// Each query runs on threads of its own: a plan that computes for long without a pause cannot be cut off in the
/// middle, and must not hold up others. The clock is watched outside of them, and the number running is bounded.
pub(crate) async fn query(
    house: Arc<House>,
    sql: Arc<Sql>,
    (text, limits): (String, QueryLimits),
) -> Result<BatchStream, QueryError> {
    let watch = Stopwatch::start();
    let place = within(limits.time_max, Arc::clone(&sql.places).acquire_owned())
        .await
        .and_then(Result::ok)
        .ok_or_else(|| {
        QueryError::OverLimit("too many queries are running; try again later".to_owned())
    })?;
    let engine =
        Engine::start_deep(house.settings.threads).map_err(|error| QueryError::Failed(error.to_string()))?;
    let planner = Arc::clone(&house);
    let planning = engine.start_work(async move { (plan(&planner, &sql, &text, limits).await, place) });
    let (planned, place) = within(left(limits, watch), planning)
        .await
        .ok_or_else(|| too_slow(limits))?
        .map_err(|error| QueryError::Failed(format!("planning broke off: {error}")))?;
    let (stream, captured) = planned?;
    let schema = plain_schema(&stream.schema());
    let (sender, receiver) = queue("lake.query", 4);
    let pump = Pump { house, captured, schema: Arc::clone(&schema), limits, sender, _place: place };
    let work = engine.start_work(pump.run(stream));
    let batches = futures::stream::unfold(Some((receiver, work, engine)), move |rest| async move {
        let (mut receiver, work, engine) = rest?;
        match within(left(limits, watch), receiver.receive()).await {
            Some(Some(Parcel::Rows(batch))) => Some((Ok(batch), Some((receiver, work, engine)))),
            Some(Some(Parcel::Broken(error))) => Some((Err(error), None)),
            Some(Some(Parcel::End)) => None,
            Some(None) => Some((Err(QueryError::Failed("the query broke off".to_owned())), None)),
            None => Some((Err(too_slow(limits)), None)),
        }
    });
    Ok(BatchStream { schema, batches: batches.boxed() })
}

fn left(limits: QueryLimits, watch: Stopwatch) -> Duration {
    limits.time_max.saturating_sub(watch.elapsed())
}

async fn plan(
    house: &House,
    sql: &Sql,
    text: &str,
    limits: QueryLimits,
) -> Result<(SendableRecordBatchStream, Vec<Captured>), QueryError> {
    let memory = limits.memory_bytes_max.min(house.settings.query_memory_bytes);
    let lent = sql.lent.now();
    let names = || Names::all(&lent, house.shelves.iter().map(|shelf| shelf.table.name.as_str()));
    let statement = only_reading(text)?;
    let mut state = sql.state(house, memory).map_err(|error| explain(&error, limits, names))?;
    // Without a moment of its own, a query that says now() or current_date breaks off.
    state.mark_start_execution();
    let captured = house.capture_all();
    let planned = async {
        let logical = state.statement_to_plan(statement).await?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&logical)?;
        growth::check(&logical)?;
        // As it was asked already: planning what needs no reading takes longer than the answer.
        let logical = extremes::answer(logical).await?;
        let logical = extremes::answer(state.optimize(&logical)?).await?;
        let physical = state.query_planner().create_physical_plan(&logical, &state).await?;
        execute_stream(physical, state.task_ctx())
    };
    let stream = planned.await.map_err(|error| explain(&error, limits, names))?;
    Ok((stream, captured))
}

/// Reads the text as one statement, and refuses everything that does more than read.
fn only_reading(text: &str) -> Result<Statement, QueryError> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(QueryError::Refused(format!(
            "the statement has more than {} KiB; shorten it, for instance by joining with VALUES",
            STATEMENT_BYTES_MAX >> 10
        )));
    }
    let mut statements = DFParser::parse_sql(text)
        .map_err(|error| QueryError::Refused(format!("not understood as SQL: {}", root(&error))))?;
    let statement = match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (None, _) => return Err(QueryError::Refused("there is no statement; write SELECT …".to_owned())),
        (Some(_), false) => {
            return Err(QueryError::Refused("more than one statement; send them one by one".to_owned()));
        }
    };
    match forbidden(&statement) {
        None => Ok(statement),
        Some(what) => Err(QueryError::Refused(format!(
            "{what} is refused: this interface only reads; use SELECT, WITH, EXPLAIN, SHOW TABLES or DESCRIBE"
        ))),
    }
}

fn forbidden(statement: &Statement) -> Option<String> {
    match statement {
        Statement::Explain(explain) => forbidden(&explain.statement),
        Statement::Statement(statement) => match statement.as_ref() {
            Ast::Query(_)
            | Ast::Explain { .. }
            | Ast::ExplainTable { .. }
            | Ast::ShowTables { .. }
            | Ast::ShowColumns { .. }
            | Ast::ShowFunctions { .. }
            | Ast::ShowVariable { .. } => None,
            other => Some(first_words(&other.to_string())),
        },
        other => Some(first_words(&other.to_string())),
    }
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Moves rows from the plan to the reader, within the limits.
struct Pump {
    house: Arc<House>,
    captured: Vec<Captured>,
    schema: SchemaRef,
    limits: QueryLimits,
    sender: Sender<Parcel>,
    /// Given back when the plan has truly ended.
    _place: OwnedSemaphorePermit,
}

enum Parcel {
    Rows(RecordBatch),
    Broken(QueryError),
    End,
}

impl Pump {
    async fn run(self, mut stream: SendableRecordBatchStream) {
        let mut rows = 0;
        loop {
            let parcel = match stream.next().await {
                None => Parcel::End,
                Some(Err(error)) => Parcel::Broken(self.broken(error).await),
                Some(Ok(batch)) => {
                    rows += batch.num_rows();
                    self.parcel(&batch, rows)
                }
            };
            let is_last = !matches!(parcel, Parcel::Rows(_));
            if self.sender.send(parcel).await.is_err() || is_last {
                return;
            }
        }
    }

    fn parcel(&self, batch: &RecordBatch, rows: usize) -> Parcel {
        let max = self.limits.rows_max;
        if rows > max {
            return Parcel::Broken(QueryError::OverLimit(format!(
                "the answer has more than {max} rows; add a LIMIT or narrow the range"
            )));
        }
        match plain(batch, &self.schema) {
            Ok(batch) => Parcel::Rows(batch),
            Err(error) => Parcel::Broken(QueryError::Failed(error.to_string())),
        }
    }

    /// Errors of running plans; a damaged file is named.
    async fn broken(&self, error: DataFusionError) -> QueryError {
        let is_of_file = matches!(
            error.find_root(),
            DataFusionError::ParquetError(_)
                | DataFusionError::ObjectStore(_)
                | DataFusionError::External(_)
                | DataFusionError::IoError(_)
                | DataFusionError::ArrowError(..)
        );
        if is_of_file {
            let text = error.to_string();
            for captured in &self.captured {
                let found = self.house.reader.explain(captured.table, &captured.files, clone_of(&text)).await;
                if let Error::Damaged { .. } = found {
                    return QueryError::Failed(found.to_string());
                }
            }
        }
        // What is not there was told when the query was planned.
        let lent = Loan::default();
        let names = || Names::all(&lent, self.captured.iter().map(|captured| captured.table.name.as_str()));
        explain(&error, self.limits, names)
    }
}

fn clone_of(text: &str) -> DataFusionError {
    DataFusionError::Execution(text.to_owned())
}

fn too_slow(limits: QueryLimits) -> QueryError {
    QueryError::OverLimit(format!(
        "the query took longer than {:?}; narrow it by instrument and time, or ask for more time",
        limits.time_max
    ))
}

fn root(error: &DataFusionError) -> String {
    let text = error.find_root().to_string();
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// Names like the one of a table that is not there. All would be a long list (there is a view for each metric), and how to get it is
/// said with every refusal.
fn like(what: &str, names: Vec<String>) -> String {
    let asked = what.split('\'').nth(1).and_then(|path| path.rsplit('.').next()).unwrap_or_default();
    let mut near: Vec<(f64, String)> =
        names.into_iter().map(|name| (strsim::jaro_winkler(asked, &name), name)).collect();
    near.retain(|(likeness, _)| *likeness > 0.8);
    near.sort_by(|left, right| right.0.total_cmp(&left.0));
    let near: Vec<String> = near.into_iter().take(4).map(|(_, name)| name).collect();
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) }
}

/// Turns an error of planning or running into the asker's language.
fn explain(error: &DataFusionError, limits: QueryLimits, names: impl Fn() -> Vec<String>) -> QueryError {
    let what = root(error);
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(own) = inner.downcast_ref::<Error>()
    {
        return QueryError::Failed(own.to_string());
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => QueryError::OverLimit(format!(
            "the query needs more than {} MiB of memory; narrow it by instrument and time, or aggregate earlier ({what})",
            limits.memory_bytes_max >> 20
        )),
        DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::ArrowError(..)
        | DataFusionError::Execution(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::Plan(_) => {
            let is_unknown_table = what.contains("not found") && what.contains("table");
            let help = if is_unknown_table { like(&what, names()) } else { String::new() };
            QueryError::Refused(format!("{what}{help}"))
        }
        _ => QueryError::Failed(what),
    }
}

/// The schema with plain texts in place of views and dictionaries, which not every reader knows.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let kind = match field.data_type() {
            DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
            DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
            DataType::Dictionary(_, value) if value.is_string() => DataType::Utf8,
            kind => kind.clone(),
        };
        Field::new(field.name(), kind, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast(column, field.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
