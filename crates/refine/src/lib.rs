//! The room `refine`, not furnished yet.
