//! One file per subcommand.

pub mod bench;
pub mod check_mac;
pub mod demo;
pub mod faults;
pub mod fuzz;
pub mod install;
pub mod metal_host;
pub mod metal_model;
pub mod python;
pub mod test;
pub mod web;
