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
    own_id: String,
    client: WorkerClient,
    runtime: Handle,
}

impl InFlight {
    /// A request that the worker of the lease knows as `own_id`. Called within a runtime.
    pub fn new(lease: Lease, mut recorder: Recorder, own_id: String, client: WorkerClient) -> Self {
        recorder.update(|record| record.worker = Some(lease.worker.clone()));
        Self {
            running: Some((lease, recorder)),
            own_id,
            client,
            runtime: Handle::current(),
        }
    }

    /// The lease, until the request has ended.
    pub fn lease(&self) -> Option<&Lease> {
        self.running.as_ref().map(|(lease, _)| lease)
    }

    /// Returns the lease, and the record of a request that has failed.
    pub fn take_back(&mut self) -> Option<Recorder> {
        self.running.take().map(|(_, recorder)| recorder)
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
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some((lease, recorder)) = self.running.take() {
            let (client, own_id) = (self.client.clone(), std::mem::take(&mut self.own_id));
            // The lease keeps the worker until it has reported the usage.
            self.runtime.spawn(async move {
                let usage = client.usage(&lease, &own_id).await;
                recorder.cancel(usage);
            });
        }
    }
}
