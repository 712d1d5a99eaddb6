//! The lake at its border: what goes in comes out, whatever happens in between.
