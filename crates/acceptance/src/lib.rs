//! Journeys of the built binary through simulated worlds. Everything is in `tests/`; nothing here is shipped.
