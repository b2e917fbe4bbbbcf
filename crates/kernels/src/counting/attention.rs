//! Dispatches of attention.

use super::{Encoder, scratch};
use crate::{AttentionSpec, KernelError, KvCache, KvSpan, Rows, hazards::Access};

/// Up to this many rows of a span are computed by the kernel for decoding.
const MAX_DECODE_ROWS: usize = 8;
/// Positions of a part of the first pass when decoding takes two passes.
const POSITIONS_PER_PART: usize = 512;
/// More visible positions than these are decoded in two passes.
const MAX_ONE_PASS_POSITIONS: usize = 1024;

impl Encoder<'_> {
    /// One dispatch for spans of few rows and one for longer spans; a second pass over the partial results of the former
    /// if a span of them sees many positions.
    pub(super) fn attention(
        &mut self,
        q: &Rows,
        cache: &KvCache,
        spans: &[KvSpan<'_>],
        spec: &AttentionSpec,
        out: &Rows,
    ) -> Result<(), KernelError> {
        let per_position = cache.shape().bytes_per_position(cache.dtype());
        self.read_param(spec.sinks.as_ref());
        let mut longest_decode = None;
        let mut decode_rows = 0;
        let mut has_prefill = false;
        for span in spans.iter().filter(|span| !span.rows.is_empty()) {
            let end = span.first_position + span.rows.len();
            let visible = end - span.first_visible(spec.window);
            self.current().kv_bytes += visible * per_position;
            if span.rows.len() <= MAX_DECODE_ROWS {
                longest_decode = longest_decode.max(Some(visible));
                decode_rows += span.rows.len();
            } else {
                has_prefill = true;
            }
        }
        self.count_activations(&[q, out]);
        let reads = [Access::rows(q), Access::kv_cache(cache.id())];
        let one_pass = usize::from(has_prefill) + usize::from(longest_decode.is_some());
        match longest_decode {
            Some(positions) if positions > MAX_ONE_PASS_POSITIONS => {
                let parts = positions.div_ceil(POSITIONS_PER_PART);
                // The largest score and the sum of the weights in addition to the values.
                let width = spec.heads * parts * (spec.value_dim + 2);
                let partials = scratch(q, decode_rows, width)?;
                self.count_activations(&[&partials, &partials]);
                let writes = [Access::rows(out), Access::rows(&partials)];
                self.count(one_pass, &reads, &writes);
                self.count(1, &[Access::rows(&partials)], &[Access::rows(out)]);
            }
            _ => self.count(one_pass.max(1), &reads, &[Access::rows(out)]),
        }
        Ok(())
    }
}
