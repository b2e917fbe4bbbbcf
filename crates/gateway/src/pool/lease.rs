//! The right to use a worker.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::plan::{RequestId, WorkerId};
use super::task::Command;

/// A running request of a worker. The worker is not evicted until the lease is dropped, which is after the last byte of the
/// response, or when the client disconnects.
#[derive(Debug)]
pub struct Lease {
    /// The worker.
    pub server: Uuid,
    /// Its port on the loopback interface.
    pub port: u16,
    /// Its API key.
    pub key: String,
    /// Name of its model.
    pub name: String,
    pub(super) _release: Release,
}

impl Lease {
    /// Its address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Ends the lease when it is dropped.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) worker: WorkerId,
    pub(super) request: RequestId,
    pub(super) commands: UnboundedSender<Command>,
}

impl Drop for Release {
    fn drop(&mut self) {
        // Fails only after the pool has exited.
        let _ = self.commands.send(Command::Release {
            worker: self.worker,
            request: self.request,
        });
    }
}

/// Takes a request out of the queue when its client no longer waits.
#[derive(Debug)]
pub(super) struct CancelOnDrop {
    pub(super) request: RequestId,
    pub(super) commands: UnboundedSender<Command>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // A request that is no longer in the queue is not affected.
        let _ = self.commands.send(Command::Cancel(self.request));
    }
}
