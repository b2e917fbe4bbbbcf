//! A builder of GGUF files.

/// Builds a version 3 file.
#[derive(Default, Clone)]
pub(super) struct GgufBuilder {
    metadata: Vec<u8>,
    metadata_count: u64,
    tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

impl GgufBuilder {
    fn value(mut self, key: &str, type_id: u32, value: &[u8]) -> Self {
        self.metadata.extend(string(key));
        self.metadata.extend(type_id.to_le_bytes());
        self.metadata.extend(value);
        self.metadata_count += 1;
        self
    }

    pub(super) fn u32(self, key: &str, value: u32) -> Self {
        self.value(key, 4, &value.to_le_bytes())
    }

    pub(super) fn f32(self, key: &str, value: f32) -> Self {
        self.value(key, 6, &value.to_le_bytes())
    }

    pub(super) fn bool(self, key: &str, value: bool) -> Self {
        self.value(key, 7, &[u8::from(value)])
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        self.value(key, 8, &string(value))
    }

    fn array(self, key: &str, type_id: u32, count: usize, items: Vec<u8>) -> Self {
        let mut bytes = type_id.to_le_bytes().to_vec();
        bytes.extend((count as u64).to_le_bytes());
        bytes.extend(items);
        self.value(key, 9, &bytes)
    }

    pub(super) fn texts(self, key: &str, values: &[&str]) -> Self {
        let items = values.iter().flat_map(|value| string(value)).collect();
        self.array(key, 8, values.len(), items)
    }

    pub(super) fn i32s(self, key: &str, values: &[i32]) -> Self {
        let items = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.array(key, 5, values.len(), items)
    }

    pub(super) fn f32s(self, key: &str, values: &[f32]) -> Self {
        let items = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.array(key, 6, values.len(), items)
    }

    /// `shape` has the outermost dimension first.
    pub(super) fn tensor(mut self, name: &str, shape: &[u64], type_id: u32, data: Vec<u8>) -> Self {
        let dimensions = shape.iter().rev().copied().collect();
        self.tensors
            .push((name.to_owned(), dimensions, type_id, data));
        self
    }

    pub(super) fn f32_tensor(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        let data = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, shape, 0, data)
    }

    /// Replaces the tensor `name`, or adds it.
    pub(super) fn with_tensor(
        self,
        name: &str,
        shape: &[u64],
        type_id: u32,
        data: Vec<u8>,
    ) -> Self {
        self.without_tensor(name).tensor(name, shape, type_id, data)
    }

    pub(super) fn without_tensor(mut self, name: &str) -> Self {
        self.tensors.retain(|(other, ..)| other != name);
        self
    }

    /// Replaces the u32 `key`.
    pub(super) fn with_u32(mut self, key: &str, value: u32) -> Self {
        let key = string(key);
        let at = self
            .metadata
            .windows(key.len())
            .position(|window| window == key)
            .unwrap();
        // The value is after the key and its type.
        self.metadata[at + key.len() + 4..][..4].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.metadata_count.to_le_bytes());
        file.extend(&self.metadata);
        let mut offset = 0_u64;
        for (name, dimensions, type_id, data) in &self.tensors {
            file.extend(string(name));
            file.extend((dimensions.len() as u32).to_le_bytes());
            for dimension in dimensions {
                file.extend(dimension.to_le_bytes());
            }
            file.extend(type_id.to_le_bytes());
            file.extend(offset.to_le_bytes());
            offset += (data.len() as u64).next_multiple_of(32);
        }
        for (.., data) in &self.tensors {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(data);
        }
        file
    }
}

/// The metadata of a one-layer Llama model with two heads of 16 dimensions and a byte-level tokenizer.
pub(super) fn tiny_metadata() -> GgufBuilder {
    metadata(32)
}

/// [`tiny_metadata`] with `hidden` columns.
pub(super) fn metadata(hidden: u32) -> GgufBuilder {
    metadata_of("llama", hidden, 64, 1)
}

/// The metadata of a one-layer model with two heads and an MLP of the width `intermediate`.
pub(super) fn metadata_of(
    architecture: &str,
    hidden: u32,
    intermediate: u32,
    key_value_heads: u32,
) -> GgufBuilder {
    let key = |name: &str| format!("{architecture}.{name}");
    GgufBuilder::default()
        .text("general.architecture", architecture)
        .u32(&key("block_count"), 1)
        .u32(&key("context_length"), 64)
        .u32(&key("embedding_length"), hidden)
        .u32(&key("feed_forward_length"), intermediate)
        .u32(&key("attention.head_count"), 2)
        .u32(&key("attention.head_count_kv"), key_value_heads)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .f32(&key("rope.freq_base"), 10000.0)
        .text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "gpt-2")
        .texts("tokenizer.ggml.tokens", &["<s>", "a", "b", "ab"])
        .i32s("tokenizer.ggml.token_type", &[3, 1, 1, 1])
        .texts("tokenizer.ggml.merges", &["a b"])
        .u32("tokenizer.ggml.bos_token_id", 0)
        .u32("tokenizer.ggml.eos_token_id", 0)
        .bool("tokenizer.ggml.add_bos_token", true)
        .text("tokenizer.chat_template", "{{ messages[0].content }}")
}

/// Pseudo-random blocks of `count` values with finite scales.
pub(super) fn blocks(type_id: u32, count: usize) -> Vec<u8> {
    let tensor_type = super::super::types::TensorType::from_id(type_id).unwrap();
    let (values, bytes) = tensor_type.block();
    let mut state = 0x2545_f491_u32;
    (0..count / values * bytes)
        .map(|index| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let byte = (state >> 24) as u8;
            // Clears the top exponent bit of every f16, so that none is infinite or NaN.
            if index % 2 == 1 { byte & 0xbf } else { byte }
        })
        .collect()
}

/// [`tiny_metadata`] and the tensors of the model. Two-dimensional weights have the type `type_id`.
pub(super) fn tiny_model(type_id: u32) -> GgufBuilder {
    with_tensors(tiny_metadata(), 32, type_id)
}

/// Adds the tensors of a model with `hidden` columns.
pub(super) fn with_tensors(builder: GgufBuilder, hidden: u64, type_id: u32) -> GgufBuilder {
    let norm: Vec<f32> = (0..hidden).map(|index| 1.0 + index as f32 / 64.0).collect();
    let mut builder = builder
        .f32_tensor("output_norm.weight", &[hidden], &norm)
        .f32_tensor("blk.0.attn_norm.weight", &[hidden], &norm)
        .f32_tensor("blk.0.ffn_norm.weight", &[hidden], &norm);
    for (name, shape) in [
        ("token_embd.weight", [4, hidden]),
        ("blk.0.attn_q.weight", [32, hidden]),
        ("blk.0.attn_k.weight", [16, hidden]),
        ("blk.0.attn_v.weight", [16, hidden]),
        ("blk.0.attn_output.weight", [hidden, 32]),
        ("blk.0.ffn_gate.weight", [64, hidden]),
        ("blk.0.ffn_up.weight", [64, hidden]),
        ("blk.0.ffn_down.weight", [hidden, 64]),
    ] {
        let count = (shape[0] * shape[1]) as usize;
        builder = builder.tensor(name, &shape, type_id, blocks(type_id, count));
    }
    builder
}
