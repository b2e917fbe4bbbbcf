//! The Metal backend of mlxm-kernels on the host device, against the CPU backend.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod architectures;
mod attention;
mod bounds;
mod checkpoint;
mod device;
mod forward;
mod kv_memory;
mod linear;
mod loads;
mod misc;
mod noise;
mod passes;
mod self_test;
