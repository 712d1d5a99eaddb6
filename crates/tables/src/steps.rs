//! Changes of tables that follow a sequence of their own: a chain that grows and is rewound. Implemented by `lake`, used by
//! `refine`.

use arrow_array::RecordBatch;
use futures::future::BoxFuture;
use model::LogPosition;

use crate::rows::TableName;
use crate::store::StoreError;

/// Stored rows of one subject whose whole number or time (in microseconds) in a column lies in a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What the rows are about: their cell in the table's [subject](crate::Table::subject).
    pub subject: String,
    /// The column.
    pub column: &'static str,
    /// The least that leaves.
    pub start: i64,
    /// The first that stays again.
    pub end: i64,
}

/// One change of one table: what leaves, what comes, and the step up to which the table is complete then.
#[derive(Clone, Debug)]
pub struct Step {
    /// The table.
    pub table: TableName,
    /// Rows that leave; those with the keys of the new rows leave anyway.
    pub outgoing: Option<Span>,
    /// Rows that come, in the table's row schema; none are allowed.
    pub rows: RecordBatch,
    /// The step, which only grows: a rewound chain is a new one. `None` for a piece of a larger change, whose last piece
    /// carries the step.
    pub through: Option<LogPosition>,
}

/// Tables that are changed step by step.
pub trait StepStore: Send + Sync {
    /// Makes the change in one commit that carries the step, durable when it returns. A step that the table has already is
    /// refused as a [conflict](StoreError::Conflict): the rows under that number may be others. Whoever is told so looks at
    /// [`StepStore::step_of`] again, and plans anew from what is stored.
    fn apply(&self, step: Step) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The step up to which a table is complete; 0 before the first.
    fn step_of(&self, table: TableName) -> Result<LogPosition, StoreError>;
}
