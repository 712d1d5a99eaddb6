//! How tasks live, die, wait and tell the time; and how the house reports on itself.
//!
//! Only this room reads clocks, starts tasks and threads, and makes channels. It knows nothing of markets.

pub mod backoff;
pub mod clock;
pub mod queue;
pub mod tasks;
pub mod telemetry;

pub use backoff::Backoff;
pub use clock::{Clock, SystemClock, TokioClock, sleep};
pub use queue::{Receiver, Sender, queue};
pub use tasks::{Restart, Stop, Stopper, Tasks};
