//! The interface for constrained sampling (structured output).

use std::fmt;

/// Decides which tokens may follow the tokens generated so far, for example by a grammar.
///
/// The state depends on the generated tokens only, not on the prompt. The engine calls [`mask`](Self::mask) and
/// [`accept`](Self::accept) within a step, so a slow constraint delays all requests in the batch.
pub trait Constraint: Send {
    /// Sets the logits of disallowed tokens to negative infinity and leaves the others unchanged.
    ///
    /// End-of-sequence tokens must be allowed exactly where the text may end.
    ///
    /// # Errors
    /// When no token is allowed, or the constraint fails.
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError>;

    /// Advances the state by the sampled token. Not called for end-of-sequence tokens.
    ///
    /// # Errors
    /// When the token was not allowed.
    fn accept(&mut self, token: u32) -> Result<Acceptance, ConstraintError>;

    /// An independent copy in the same state.
    fn fork(&self) -> Box<dyn Constraint>;
}

/// The state of a constraint after a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// More tokens may follow.
    Continue,
    /// The text is complete, and only its end may follow.
    Terminated,
}

/// A failed constraint. It ends its own request only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the constraint on the output failed: {0}")]
pub struct ConstraintError(pub String);

impl Clone for Box<dyn Constraint> {
    fn clone(&self) -> Self {
        self.fork()
    }
}

impl fmt::Debug for dyn Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Constraint")
    }
}
