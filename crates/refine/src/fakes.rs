//! Stand-ins for tests: venues that speak a few plain words, a store in memory, and a log written by hand.

mod script;
mod store;
mod venue;

pub(crate) use script::{BYBIT, Script, number};
pub(crate) use store::{FakeBulk, FakeStore};
pub(crate) use venue::lookup;

use std::time::Duration;

use crate::house::{House, Rules};
use crate::settings::RefineSettings;

/// The rules of most tests.
pub(crate) fn rules() -> Rules {
    Rules::of(&settings(), lookup)
}

/// The settings of most tests.
pub(crate) fn settings() -> RefineSettings {
    RefineSettings { flush_every: Duration::from_hours(1), ..RefineSettings::new("unused") }
}

/// A house without a past.
pub(crate) fn house() -> House {
    House::new(rules())
}
