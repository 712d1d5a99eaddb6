//! The room `simulate`, not furnished yet.
