//! The cases.

use super::{
    SelfTest,
    weights::{Noise, WeightFormat},
};
use crate::{
    Activation, AttentionSpec, GateUp, KernelError, Kernels, KvCache, KvCacheDtype, KvShape,
    KvSpan, Mask, Norm, QkNorms, Rope, Rows,
};

/// Rows of decoding, of a few sequences, of a batch, and of prefill: each has other kernels.
const ROWS: [usize; 4] = [1, 3, 8, 40];

/// Inputs of linear layers. Kernels read 256 or 512 at a time and finish what is left otherwise.
const INPUTS: [usize; 2] = [512, 640];

/// Outputs of linear layers, which are not a multiple of what a threadgroup computes.
const OUTPUTS: usize = 36;

/// Positions that are in the KV cache before the rows of the case.
const CACHED: [usize; 2] = [0, 70];

/// An operation with its operands.
pub(super) struct Case {
    pub name: String,
    pub results: Results,
}

/// Computes the results on a device.
type Results = Box<dyn Fn(&Kernels) -> Result<Vec<Rows>, KernelError>>;

impl SelfTest<'_> {
    pub(super) fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut add = |name: String, results: Results| cases.push(Case { name, results });
        for rows in ROWS {
            for format in self.weights.iter().copied() {
                for inputs in INPUTS {
                    add(
                        format!("{rows} rows of {inputs} inputs, weights of {format}"),
                        Box::new(move |kernels| linear(kernels, format, rows, inputs)),
                    );
                }
                add(
                    format!("embeddings of {format}, {rows} rows"),
                    Box::new(move |kernels| embed(kernels, format, rows)),
                );
            }
            add(
                format!("norms of {rows} rows"),
                Box::new(move |kernels| elementwise(kernels, rows)),
            );
            for cached in CACHED {
                let layer = Layer {
                    spec: self.attention.clone(),
                    dtype: self.kv_cache_dtype,
                    block_size: self.block_size,
                };
                add(
                    format!("attention of {rows} rows after {cached} positions"),
                    Box::new(move |kernels| layer.attention(kernels, rows, cached)),
                );
            }
        }
        cases
    }
}

/// The linear operations of a decoder layer.
fn linear(
    kernels: &Kernels,
    format: WeightFormat,
    rows: usize,
    inputs: usize,
) -> Result<Vec<Rows>, KernelError> {
    let mut noise = Noise::new(1);
    let norm = Norm::rms(noise.floats(inputs).into(), 1e-5);
    let mut linear = |outputs| format.linear(kernels, outputs, inputs, &mut noise);
    let (first, second, square) = (linear(OUTPUTS)?, linear(OUTPUTS)?, linear(inputs)?);
    let x = kernels.upload(&noise.floats(rows * inputs), inputs)?;
    let mut pass = kernels.begin();
    let plain = pass.linear(&x, None, &[&first])?;
    let several = pass.linear(&x, Some(&norm), &[&first, &second, &first])?;
    let sum = pass.linear_add(&x, &square, &x, 0.5)?;
    let activation = Activation::Silu;
    let gate_up = GateUp::Separate(&first, &second);
    let gated = pass.gated_linear(&x, Some(&norm), gate_up, activation)?;
    let fused = pass.gated_linear(&x, None, GateUp::Fused(&first), activation)?;
    pass.finish()?;
    Ok(vec![plain, several, sum, gated, fused])
}

fn embed(kernels: &Kernels, format: WeightFormat, rows: usize) -> Result<Vec<Rows>, KernelError> {
    let table = format.weight(kernels, 64, INPUTS[0], &mut Noise::new(2))?;
    let tokens: Vec<u32> = (0..rows as u32).map(|row| row * 7 % 64).collect();
    let mut pass = kernels.begin();
    let tokens = pass.indices(&tokens);
    let rows = pass.embed(tokens, &table)?;
    pass.finish()?;
    Ok(vec![rows])
}

/// Norms, element-wise functions, gathers and argmax.
fn elementwise(kernels: &Kernels, rows: usize) -> Result<Vec<Rows>, KernelError> {
    let width = INPUTS[0];
    let mut noise = Noise::new(3);
    let norm = Norm::rms(noise.floats(width).into(), 1e-5);
    let x = kernels.upload(&noise.floats(rows * width), width)?;
    let last = [rows as u32 - 1, 0];
    let mut pass = kernels.begin();
    let normed = pass.norm(&x, &norm)?;
    let sum = pass.add_normed(&x, &normed, &norm, 0.5)?;
    let scaled = pass.scale(&sum, 3.0)?;
    let capped = pass.softcap(&scaled, 5.0)?;
    let last = pass.indices(&last);
    let gathered = pass.gather_rows(&capped, last)?;
    let largest = pass.argmax(&capped)?;
    pass.finish()?;
    Ok(vec![normed, sum, scaled, capped, gathered, largest])
}

/// An attention layer.
struct Layer {
    spec: AttentionSpec,
    dtype: KvCacheDtype,
    block_size: usize,
}

impl Layer {
    /// Norms of the heads, rotation, writes to the KV cache and attention, for `rows` rows after `cached` positions.
    fn attention(
        &self,
        kernels: &Kernels,
        rows: usize,
        cached: usize,
    ) -> Result<Vec<Rows>, KernelError> {
        let spec = &self.spec;
        let blocks = (cached + rows).div_ceil(self.block_size);
        let shape = KvShape {
            blocks,
            block_size: self.block_size,
            kv_heads: spec.kv_heads,
            key_dim: spec.head_dim,
            value_dim: spec.value_dim,
        };
        let mut cache = KvCache::new(kernels, shape, self.dtype)?;
        let mut noise = Noise::new(4);
        let mut norm = || Norm::rms(noise.floats(spec.head_dim).into(), 1e-5);
        let norms = QkNorms {
            q: norm(),
            k: norm(),
        };
        // In the reverse order, so that the block table matters.
        let table: Vec<u32> = (0..blocks as u32).rev().collect();
        let mut results = Vec::new();
        for (first, count) in [(0, cached), (cached, rows)] {
            if count > 0 {
                results.push(self.rows(kernels, &mut cache, &norms, &table, first, count)?);
            }
        }
        Ok(results)
    }

    /// The pass of `count` rows from position `first`.
    fn rows(
        &self,
        kernels: &Kernels,
        cache: &mut KvCache,
        norms: &QkNorms,
        blocks: &[u32],
        first: usize,
        count: usize,
    ) -> Result<Rows, KernelError> {
        let spec = &self.spec;
        let positions: Vec<u32> = (first..first + count).map(|row| row as u32).collect();
        let slot = |position: &u32| {
            let position = *position as usize;
            let block = blocks[position / self.block_size] as usize;
            (block * self.block_size + position % self.block_size) as u32
        };
        let slots: Vec<u32> = positions.iter().map(slot).collect();
        let dims = spec.head_dim / 2 * 2;
        let rope = Rope {
            dims,
            traditional: false,
            inverse_frequencies: (0..dims / 2)
                .map(|pair| 10_000_f32.powf(-2.0 * pair as f32 / dims as f32))
                .collect(),
            attention_factor: 1.0,
            before_norms: false,
            query_scaling: None,
        };
        let width = (spec.heads + spec.kv_heads) * spec.head_dim + spec.kv_heads * spec.value_dim;
        let qkv = Noise::new(5 + first as u64).floats(count * width);
        let qkv = kernels.upload(&qkv, width)?;
        let mut pass = kernels.begin();
        let slots = pass.slots(&slots)?;
        let angles = pass.rope_cos_sin(&rope, &positions)?;
        let spans = pass.spans(vec![KvSpan {
            rows: 0..count,
            first_position: first,
            blocks,
            mask: Mask::Causal,
        }])?;
        let q = pass.rope_and_cache(&qkv, spec, Some(norms), Some(angles), cache, slots)?;
        let attended = pass.attention(&q, cache, spans, spec)?;
        pass.finish()?;
        Ok(attended)
    }
}
