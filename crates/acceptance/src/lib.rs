//! The room `acceptance`, not furnished yet.
