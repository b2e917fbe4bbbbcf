//! Handing a request to the engine.

use std::time::Instant;

use mlxm_chat::parsing::Parser;
use mlxm_engine::Request;

use super::Answer;
use crate::error::ApiError;
use crate::server::{Model, Server};

impl Server {
    /// Starts one answer to a request that arrived at `arrived`.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub(crate) fn submit(
        &self,
        model: &Model,
        request: Request,
        parser: Option<Parser>,
        arrived: Instant,
    ) -> Result<Answer, ApiError> {
        let timeout = self.options().limits.request_timeout;
        let active = self.enter();
        let generation = model.engine.submit(request)?;
        Ok(Answer::new(
            generation,
            parser,
            arrived + timeout,
            timeout.as_secs(),
            self.metrics().timer(arrived),
            active,
        ))
    }
}
