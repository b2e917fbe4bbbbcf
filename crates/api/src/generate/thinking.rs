//! A limit to how much a model reasons before it answers.

use mlxm_chat::parsing::{Format, Phase, ReasoningWatch};
use mlxm_engine::Engine;
use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError};

use crate::error::ApiError;
use crate::state::{ServedModel, token_bytes};

/// Closes the reasoning of an answer once it has taken a number of tokens, by leaving the model no other choice than to
/// write the closing tag. The answer itself is free, or held to another constraint.
pub struct ThinkingBudget {
    engine: Engine,
    watch: ReasoningWatch,
    /// Tokens of reasoning that are left.
    left: usize,
    /// Tokens that are to be written, the next one last.
    closing: Vec<u32>,
    inner: Option<Box<dyn Constraint>>,
}

impl ThinkingBudget {
    /// A limit of `budget` tokens for an answer behind `prompt` that is held to `inner`, too.
    ///
    /// # Errors
    /// When the model does not reason between tags.
    pub fn new(
        model: &ServedModel,
        format: Format,
        prompt: &str,
        budget: usize,
        inner: Option<Box<dyn Constraint>>,
    ) -> Result<Self, ApiError> {
        let Some(watch) = ReasoningWatch::new(format, prompt) else {
            let message =
                "thinking.budget_tokens is not supported: this model does not reason between tags";
            return Err(ApiError::unsupported("thinking", message));
        };
        Ok(Self {
            engine: model.engine.clone(),
            watch,
            left: budget,
            closing: Vec::new(),
            inner,
        })
    }

    /// Counts a token of reasoning; behind the last one the closing tag is due.
    fn count(&mut self, close: &str) -> Result<(), ConstraintError> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && self.closing.is_empty() {
            let tokens = self.engine.tokenizer().encode(&format!("\n{close}"), false);
            self.closing = tokens.map_err(|error| ConstraintError(error.to_string()))?;
            self.closing.reverse();
        }
        Ok(())
    }
}

impl Constraint for ThinkingBudget {
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        if let Some(inner) = &mut self.inner {
            inner.mask(logits)?;
        }
        let next = self.closing.last().copied();
        if next.is_some_and(|next| logits[next as usize] == f32::NEG_INFINITY) {
            // The form has no room for the tag here; behind the next token it may.
            self.closing.clear();
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
        let before = self.watch.phase();
        if before != Phase::Behind {
            let bytes = token_bytes(&self.engine, token);
            self.watch.push(&String::from_utf8_lossy(&bytes));
        }
        self.closing.pop();
        match (before, self.watch.phase()) {
            (_, Phase::Behind) => self.closing.clear(),
            (Phase::Inside { close }, Phase::Inside { .. }) if self.closing.is_empty() => {
                self.count(close)?;
            }
            _ => {}
        }
        Ok(acceptance)
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self {
            engine: self.engine.clone(),
            watch: self.watch.clone(),
            left: self.left,
            closing: self.closing.clone(),
            inner: self.inner.clone(),
        })
    }
}
