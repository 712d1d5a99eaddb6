//! Talks to exchanges: keeps connections and streams alive, asks over REST, and writes whatever comes into the raw log.
//!
//! One driver serves every venue; what differs is said by `venues`. Frames are not decoded here: that is left to `refine`.

pub mod budget;
pub mod error;
pub mod settings;

mod collector;

pub use budget::{BudgetState, BudgetStore, NoBudgetStore};
pub use collector::{Collector, Doors, start};
pub use error::Error;
pub use settings::{Bounds, CollectSettings, SessionSettings, VenueSettings, Wanted};
