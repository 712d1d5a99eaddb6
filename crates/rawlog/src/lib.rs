//! The room `rawlog`, not furnished yet.
