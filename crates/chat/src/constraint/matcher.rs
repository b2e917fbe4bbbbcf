//! A grammar at some point of an answer.

use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError};

/// What a compiled grammar allows after the tokens it has accepted.
pub struct Matcher {
    inner: llguidance::Matcher,
}

impl Matcher {
    pub(crate) fn new(inner: llguidance::Matcher) -> Self {
        Self { inner }
    }

    /// Whether any token may come next. Finds it out on the caller's thread, and leaves what it learned for later steps.
    pub(crate) fn can_begin(&mut self) -> Result<bool, ConstraintError> {
        let allowed = self.inner.compute_mask_or_eos().map_err(failed)?;
        Ok(allowed.num_set() > 0)
    }
}

impl Constraint for Matcher {
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let allowed = self.inner.compute_mask_or_eos().map_err(failed)?;
        let known = allowed.len().min(logits.len());
        let (logits, without_token) = logits.split_at_mut(known);
        without_token.fill(f32::NEG_INFINITY);
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
        // A plain clone would share caches behind a lock, and with them a failure.
        Self::new(self.inner.deep_clone())
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

/// What of a parser's message is for the person who asked: it goes on with the parser's state, and quotes all of a grammar.
pub(crate) fn summary(message: &str) -> String {
    const LONGEST: usize = 300;
    let end = message.find("\n<").unwrap_or(message.len());
    let words: Vec<&str> = message[..end].split_whitespace().collect();
    let mut summary = words.join(" ");
    if let Some((end, _)) = summary.char_indices().nth(LONGEST) {
        summary.truncate(end);
        summary.push('…');
    }
    summary
}
