//! What the house must remember about itself besides market data: budgets, files of archives, jobs,
//! checkpoints and registries. Kept in one SQLite file.
//!
//! Deciding what to do with it is left to the callers; market data never comes here.

mod dirty;
mod error;
mod frontiers;
mod oldest;
mod store;
mod tokens;
mod unfolded;

pub mod archives;
pub mod budgets;
pub mod checkpoints;
pub mod jobs;
pub mod registry;

pub use archives::{ArchiveRecord, FileState};
pub use budgets::{Budget, BudgetEndpoint};
pub use checkpoints::{Checkpoint, CheckpointKey, Reached};
pub use dirty::{Dirty, parts};
pub use error::Error;
pub use jobs::{Job, JobAsk, JobState, Progress};
pub use registry::{MetricRow, PriceSourceRow};
pub use store::Control;

#[cfg(test)]
mod tests;
