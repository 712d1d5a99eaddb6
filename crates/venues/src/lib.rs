//! The room `venues`, not furnished yet.
