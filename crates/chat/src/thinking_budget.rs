//! Thinking budget: a limit on the reasoning tokens of a completion.

use mlxm_engine::Engine;
use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError};

use crate::error::ChatError;
use crate::parsing::{Format, Phase, ReasoningTracker};

/// Closes the reasoning after a number of tokens by masking everything except the closing tag. The content after it is
/// unconstrained, or subject to another constraint.
pub(crate) struct ThinkingBudget {
    engine: Engine,
    tracker: ReasoningTracker,
    /// Reasoning tokens left.
    remaining: usize,
    /// Tokens to force, the next one last.
    forced: Vec<u32>,
    inner: Option<Box<dyn Constraint>>,
}

impl ThinkingBudget {
    /// A budget of `budget` tokens for the completion of `prompt`, in addition to `inner`.
    ///
    /// # Errors
    /// If the model does not delimit its reasoning with tags.
    pub(crate) fn new(
        engine: &Engine,
        format: Format,
        prompt: &str,
        budget: usize,
        inner: Option<Box<dyn Constraint>>,
    ) -> Result<Self, ChatError> {
        let tracker = ReasoningTracker::new(format, prompt).ok_or(ChatError::ThinkingBudget)?;
        Ok(Self {
            engine: engine.clone(),
            tracker,
            remaining: budget,
            forced: Vec::new(),
            inner,
        })
    }

    /// Counts a reasoning token; after the last one, forces the closing tag.
    fn count(&mut self, close: &str) -> Result<(), ConstraintError> {
        self.remaining = self.remaining.saturating_sub(1);
        if self.remaining == 0 && self.forced.is_empty() {
            let tokens = self.engine.tokenizer().encode(&format!("\n{close}"), false);
            self.forced = tokens.map_err(|error| ConstraintError(error.to_string()))?;
            self.forced.reverse();
        }
        Ok(())
    }
}

impl Constraint for ThinkingBudget {
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        if let Some(inner) = &mut self.inner {
            inner.mask(logits)?;
        }
        let next = self.forced.last().copied();
        if next.is_some_and(|next| logits[next as usize] == f32::NEG_INFINITY) {
            // The inner constraint does not allow the tag here; it may after the next token.
            self.forced.clear();
        } else if let Some(next) = next {
            for (id, logit) in logits.iter_mut().enumerate() {
                if id != next as usize {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<Acceptance, ConstraintError> {
        let acceptance = match &mut self.inner {
            Some(inner) => inner.accept(token)?,
            None => Acceptance::Continue,
        };
        let before = self.tracker.phase();
        if before != Phase::Content {
            let bytes = crate::model::token_bytes(&self.engine, token);
            self.tracker.push(&String::from_utf8_lossy(&bytes));
        }
        self.forced.pop();
        match (before, self.tracker.phase()) {
            (_, Phase::Content) => self.forced.clear(),
            (Phase::Inside { close }, Phase::Inside { .. }) if self.forced.is_empty() => {
                self.count(close)?;
            }
            _ => {}
        }
        Ok(acceptance)
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self {
            engine: self.engine.clone(),
            tracker: self.tracker.clone(),
            remaining: self.remaining,
            forced: self.forced.clone(),
            inner: self.inner.clone(),
        })
    }
}
