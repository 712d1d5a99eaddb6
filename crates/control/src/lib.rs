//! The room `control`, not furnished yet.
