//! Cases for `listing`.
