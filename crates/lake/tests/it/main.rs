//! The lake at its border: what goes in comes out, whatever happens in between.
#![expect(clippy::unwrap_used, reason = "a case that cannot be set up has failed")]

mod bulk;
mod columns;
mod damage;
mod ids;
mod keyed;
mod layout;
mod merging;
mod reading;
mod repair;
mod small;
mod sql;
mod steps;
mod support;
mod symbols;
mod traps;
mod upkeep;
