//! Handing a request to the engine.

use std::time::Instant;

use mlxm_chat::parsing::Parser;
use mlxm_engine::Request;

use super::Completion;
use crate::error::ApiError;
use crate::state::{AppState, ServedModel};

impl AppState {
    /// Starts one answer to a request that arrived at `arrived`.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub(crate) fn submit(
        &self,
        model: &ServedModel,
        request: Request,
        parser: Option<Parser>,
        received_at: Instant,
    ) -> Result<Completion, ApiError> {
        let timeout = self.options().limits.request_timeout;
        let in_flight = self.track_request();
        let generation = model.engine.submit(request)?;
        Ok(Completion::new(
            generation,
            parser,
            received_at + timeout,
            timeout.as_secs(),
            self.metrics().timer(received_at),
            in_flight,
        ))
    }
}
