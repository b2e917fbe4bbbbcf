//! A request that a worker is processing.

use tokio::runtime::Handle;

use super::client::WorkerClient;
use super::usage::Recorder;
use super::workers::Lease;
use crate::worker::RequestUsage;

/// Holds the lease and the record of a request until it ends. Dropping it before means that the client has disconnected; the
/// worker then reports what the request used.
pub struct InFlight {
    /// `None` once the request has ended.
    running: Option<(Lease, Recorder)>,
    client: WorkerClient,
    runtime: Handle,
}

impl InFlight {
    /// A request that the worker of the lease gets. Called within a runtime.
    pub fn new(lease: Lease, mut recorder: Recorder, client: WorkerClient) -> Self {
        recorder.set_worker(&lease);
        Self {
            running: Some((lease, recorder)),
            client,
            runtime: Handle::current(),
        }
    }

    /// The lease, until the request has ended.
    pub fn lease(&self) -> Option<&Lease> {
        self.running.as_ref().map(|(lease, _)| lease)
    }

    /// Runs `action` when a user cancels the request.
    pub fn on_cancel(&self, action: impl FnOnce() + Send + 'static) {
        if let Some((_, recorder)) = &self.running {
            recorder.on_cancel(action);
        }
    }

    /// Returns the lease, and the record of a request that has failed.
    pub fn take_back(&mut self) -> Option<Recorder> {
        let (_, recorder) = self.running.take()?;
        recorder.lose_worker();
        Some(recorder)
    }

    /// Returns the lease and sends the record; only the first call counts.
    pub fn finish(
        &mut self,
        status: u16,
        error: Option<&'static str>,
        usage: Option<RequestUsage>,
    ) {
        if let Some((_, recorder)) = self.running.take() {
            recorder.finish(status, error, usage);
        }
    }

    /// Ends a request that no one waits for any more: the worker reports what it has used when it has ended, too. Only the first
    /// call counts.
    pub fn cancel(&mut self, error: Option<&'static str>) {
        if let Some((lease, mut recorder)) = self.running.take() {
            recorder.leave();
            let client = self.client.clone();
            // The lease keeps the worker until it has reported the usage.
            self.runtime.spawn(async move {
                let usage = client.usage(&lease, recorder.own_id()).await;
                recorder.cancel(error, usage);
            });
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.cancel(None);
    }
}
