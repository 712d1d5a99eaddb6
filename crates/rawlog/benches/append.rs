//! How fast records are appended and read back.
fn main() {
    divan::main();
}
