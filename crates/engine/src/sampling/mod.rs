//! Sampling a token from logits, and finding stop strings in the text.
//!
//! # Order of operations
//!
//! As in mlx-lm:
//!
//! 1. `logit_bias` is added;
//! 2. `repetition_penalty` is applied to the distinct tokens among the last `repetition_context` tokens of prompt and
//!    completion: positive logits are divided by it, negative ones multiplied;
//! 3. `presence_penalty` is subtracted once for every distinct token of the completion;
//! 4. `frequency_penalty` is subtracted once for every occurrence in the completion;
//! 5. log-probabilities are computed, if requested. The steps that follow do not affect them;
//! 6. a [`Constraint`] masks tokens;
//! 7. `top_p`, `min_p` and `top_k` filter the tokens, each based on the distribution without temperature. Each keeps the
//!    most probable tokens, so together they keep what the strictest one keeps;
//! 8. the remaining logits are divided by `temperature`, and a token is sampled from their softmax.
//!
//! With temperature 0, the most probable token after step 6 is taken instead of steps 7 and 8. Of two equally probable
//! tokens, the one with the lower id ranks first.

mod candidates;
mod constraint;
mod params;
mod penalties;
mod sampler;
mod softmax;
mod stop;

pub use constraint::{Acceptance, Constraint, ConstraintError};
pub use params::{SamplingError, SamplingParams};
pub use sampler::{Sampled, Sampler, TokenLogprob};
pub use stop::{Piece, StopMatcher};
