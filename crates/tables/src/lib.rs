//! The room `tables`, not furnished yet.
