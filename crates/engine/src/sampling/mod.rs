//! From logits to a token, and from text to the place where it stops.
//!
//! # Order
//!
//! A step does this, in the order that mlx-lm does it:
//!
//! 1. `logit_bias` is added;
//! 2. `repetition_penalty` on the distinct tokens among the last `repetition_context` of prompt
//!    and answer: positive logits are divided by it, negative ones multiplied;
//! 3. `presence_penalty` is subtracted once for every distinct token of the answer;
//! 4. `frequency_penalty` is subtracted once for every occurrence in the answer;
//! 5. log-probabilities are taken here, when asked for;
//! 6. a [`Constraint`] forbids tokens. No bias and no penalty brings one of them back, and the
//!    log-probabilities are still the model's own;
//! 7. `top_p`, `min_p` and `top_k` choose which tokens remain, from the distribution before
//!    temperature. Each keeps the most probable tokens, so together they keep what the strictest
//!    one keeps;
//! 8. `temperature` divides what remains, and one token is drawn.
//!
//! With temperature 0 the most probable token after step 6 is taken, and 7 and 8 do not matter.
//! Wherever two tokens are equally probable, the lower id counts as the more probable one.

mod candidates;
mod constraint;
mod params;
mod penalties;
mod sampler;
mod stop;
mod weights;

pub use constraint::{Acceptance, Constraint, ConstraintError};
pub use params::{SamplingError, SamplingParams};
pub use sampler::{Sampled, Sampler, TokenLogprob};
pub use stop::{Piece, StopMatcher};
