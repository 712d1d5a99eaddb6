//! Questions in SQL. Answered by `lake`, asked by `serve` and the commands.

use std::fmt;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// What a query may use.
#[derive(Clone, Copy, Debug)]
pub struct QueryLimits {
    /// Longest run.
    pub time_max: Duration,
    /// Most memory for sorting and grouping, bytes.
    pub memory_bytes_max: usize,
    /// Most rows returned; one more is an error unless the query itself limits.
    pub rows_max: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { time_max: Duration::from_secs(30), memory_bytes_max: 256 << 20, rows_max: 1_000_000 }
    }
}

/// Why a query was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The text is no SQL, names something unknown, or wants to write. The asker's mistake.
    Refused(String),
    /// A limit was hit: which one, and what to do.
    OverLimit(String),
    /// We failed.
    Failed(String),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(what) | Self::OverLimit(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for QueryError {}

/// Rows as they come.
pub struct BatchStream {
    /// Their schema, known even without rows.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch, QueryError>>,
}

/// Answers SQL over committed and buffered rows as one. Reading only.
pub trait QueryEngine: Send + Sync {
    /// Plans and starts the query.
    fn query<'a>(
        &'a self,
        sql: &'a str,
        limits: QueryLimits,
    ) -> BoxFuture<'a, Result<BatchStream, QueryError>>;
}
