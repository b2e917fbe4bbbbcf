//! The pool with real processes: shell scripts that behave like workers, in front of a small HTTP server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod adoption;
mod estimate;
mod leases;
mod processes;
mod support;
mod threads;
