//! The room `lake`, not furnished yet.
