//! Speed of decoding.
fn main() {}
