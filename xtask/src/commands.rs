//! One file per subcommand.

pub mod bench;
pub mod check_mac;
pub mod demo;
pub mod fuzz;
pub mod python;
pub mod test;
