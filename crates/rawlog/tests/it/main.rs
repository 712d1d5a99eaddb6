//! The raw log at its border: what is appended comes back, whatever happens in between.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tail;
#[cfg(test)]
mod world;
