//! What the house must remember about itself besides market data: budgets and files of archives now, jobs and keys later. Kept in one SQLite file.
//!
//! Deciding what to do with it is left to the callers; market data never comes here.

mod error;
mod frontiers;
mod store;
mod unfolded;

pub mod archives;
pub mod budgets;

pub use archives::{ArchiveRecord, FileState};
pub use budgets::{Budget, BudgetEndpoint};
pub use error::Error;
pub use store::Control;

#[cfg(test)]
mod tests;
