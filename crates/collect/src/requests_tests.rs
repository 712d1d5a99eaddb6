//! Cases for `requests`.
