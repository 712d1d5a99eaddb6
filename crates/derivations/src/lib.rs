//! The room `derivations`, not furnished yet.
