//! Tests of the gateway's proxy over real connections, with HTTP servers in place of workers.

#![expect(clippy::unwrap_used, reason = "panics fail the test")]

mod access;
mod attacks;
mod cancellation;
mod cancelled_by_user;
mod end_to_end;
mod failures;
mod forwarding;
mod keepalive;
mod names;
mod responses;
mod support;
#[path = "../common/wait.rs"]
mod wait;
mod worker;
