//! How fast the lake writes, merges and answers.
fn main() {
    divan::main();
}
