//! The `sheaf` program.
fn main() {}
