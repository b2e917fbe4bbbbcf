//! The `mlxm` binary.
fn main() {}
