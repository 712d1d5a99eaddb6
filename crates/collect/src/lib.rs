//! The room `collect`, not furnished yet.
