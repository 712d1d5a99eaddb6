//! The raw log at its border: what is appended comes back, whatever happens in between.

mod archive;
mod damage;
mod disk;
mod golden;
mod tail;
mod world;
