//! The room `serve`, not furnished yet.
