//! The state of a grammar during generation.

use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError};

use crate::constraint::number_limit::WrittenNumber;
use crate::constraint::vocabulary::Vocabulary;

/// A compiled grammar after the tokens that it has accepted.
pub struct Matcher {
    inner: llguidance::Matcher,
    vocabulary: Vocabulary,
    /// The number that the output ends with.
    number: WrittenNumber,
}

impl Matcher {
    pub(crate) fn new(inner: llguidance::Matcher, vocabulary: Vocabulary) -> Self {
        Self {
            inner,
            vocabulary,
            number: WrittenNumber::default(),
        }
    }

    /// Whether the grammar allows any token next. Fills caches that later steps use.
    pub(crate) fn allows_any_token(&mut self) -> Result<bool, ConstraintError> {
        let allowed = self.inner.compute_mask_or_eos().map_err(failed)?;
        Ok(allowed.num_set() > 0)
    }
}

impl Constraint for Matcher {
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let mut allowed = self.inner.compute_mask_or_eos().map_err(failed)?;
        self.vocabulary.numbers().limit(&self.number, &mut allowed);
        let known = allowed.len().min(logits.len());
        let (logits, padding) = logits.split_at_mut(known);
        padding.fill(f32::NEG_INFINITY);
        for (logits, &bits) in logits.chunks_mut(32).zip(allowed.as_slice()) {
            match bits {
                u32::MAX => {}
                0 => logits.fill(f32::NEG_INFINITY),
                bits => {
                    for (bit, logit) in logits.iter_mut().enumerate() {
                        if bits >> bit & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<Acceptance, ConstraintError> {
        self.inner.consume_token(token).map_err(failed)?;
        self.number.push(self.vocabulary.token_text(token));
        if !self.inner.is_stopped() {
            return Ok(Acceptance::Continue);
        }
        let reason = self.inner.stop_reason();
        if reason.is_ok() {
            Ok(Acceptance::Terminated)
        } else {
            Err(ConstraintError(reason.to_string()))
        }
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(self.clone())
    }
}

impl Clone for Matcher {
    fn clone(&self) -> Self {
        // A plain clone shares caches behind a lock, so that an error of one clone affects the other.
        Self {
            inner: self.inner.deep_clone(),
            vocabulary: self.vocabulary.clone(),
            number: self.number.clone(),
        }
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Matcher").finish_non_exhaustive()
    }
}

fn failed(error: impl std::fmt::Display) -> ConstraintError {
    ConstraintError(summary(&error.to_string()))
}

/// The start of an error message of llguidance, which otherwise contains the parser's state and the whole grammar.
pub(crate) fn summary(message: &str) -> String {
    const MAX_CHARACTERS: usize = 300;
    let end = message.find("\n<").unwrap_or(message.len());
    let words: Vec<&str> = message[..end].split_whitespace().collect();
    let mut summary = words.join(" ");
    if let Some((end, _)) = summary.char_indices().nth(MAX_CHARACTERS) {
        summary.truncate(end);
        summary.push('…');
    }
    summary
}
