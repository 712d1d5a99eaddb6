//! Cases for `slot`.
