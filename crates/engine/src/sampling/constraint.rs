//! What an answer may say: the seam between the sampler and whatever knows the form that a text has to have.

use std::fmt;

/// What may come next in an answer: a grammar, a list of words, anything that can tell from the tokens so far.
///
/// It knows the tokens of the answer alone, not the prompt, and learns each of them through [`accept`](Self::accept) once
/// it is chosen. Both methods run between two steps of the model, so whoever shares the step waits for them.
pub trait Constraint: Send {
    /// Sets the logits of the tokens that may not come next to negative infinity and leaves the others as they are.
    ///
    /// Tokens that end an answer may come where the text may end, and nowhere else.
    ///
    /// # Errors
    /// When no token may come next, or it cannot be found out.
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError>;

    /// Takes note of the chosen token, which is not one that ends an answer.
    ///
    /// # Errors
    /// When the token was not allowed.
    fn accept(&mut self, token: u32) -> Result<Acceptance, ConstraintError>;

    /// A copy in the same state that goes its own way from here: several answers to one request.
    fn fork(&self) -> Box<dyn Constraint>;
}

/// What an accepted token leaves to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// More may follow.
    Continue,
    /// The text is complete and nothing but the end may follow.
    Terminated,
}

/// Why a constraint cannot go on. It ends the answer it belongs to and no other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the constraint on the answer cannot be followed further: {0}")]
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
