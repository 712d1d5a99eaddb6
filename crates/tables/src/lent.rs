//! Small tables and views that others lend to SQL: registries, checkpoints, names of other systems.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;

/// A table whose rows are made when it is asked for. Few rows: all of them stand in memory for the length of a query.
#[derive(Clone)]
pub struct SmallTable {
    /// Its name.
    pub name: String,
    /// Makes its rows, or says why not.
    pub rows: Arc<dyn Fn() -> Result<RecordBatch, String> + Send + Sync>,
}

impl fmt::Debug for SmallTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmallTable").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A view over tables, small ones included, but not over other views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedView {
    /// Its name.
    pub name: String,
    /// The statement behind it.
    pub sql: String,
}
