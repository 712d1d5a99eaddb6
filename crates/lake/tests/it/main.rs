//! The lake at its border: what goes in comes out, whatever happens in between.

mod keyed;
mod reading;
mod repair;
mod sql;
mod support;
mod traps;
mod upkeep;
