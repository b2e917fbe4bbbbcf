//! The hub crate against a hub on this machine that speaks the protocol and fails on demand.

mod access;
mod any_faults;
mod config;
mod disk;
mod faults;
mod local;
mod processes;
mod pull;
mod support;
