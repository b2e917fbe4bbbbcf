//! Small llama checkpoints that generate a known token sequence.
//!
//! The residual stream holds the current token as a one-hot vector: attention and MLP weights are zero, the embedding
//! is the identity, and `lm_head` maps each token to the next one.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// Tokens added to the 256 bytes; the first three are special.
pub const ADDED_TOKENS: [&str; 5] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<think>",
    "</think>",
];
const VOCAB_SIZE: usize = 256 + ADDED_TOKENS.len();
const HIDDEN_SIZE: usize = 288;
const HEADS: usize = 2;
const HEAD_DIM: usize = 16;
const INTERMEDIATE_SIZE: usize = 64;

/// A ChatML template.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}\
<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A checkpoint in memory.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub config: Value,
    pub chat_template: Option<String>,
    pub generation_config: Option<Value>,
    pub tensors: BTreeMap<String, Tensor>,
}

/// A tensor of f32 values.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Tensor {
    pub fn zeros(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()],
        }
    }

    fn ones(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        }
    }
}

/// The ID of a single-byte character or added token.
pub fn token_id(token: &str) -> usize {
    if let Some(index) = ADDED_TOKENS.iter().position(|added| *added == token) {
        return 256 + index;
    }
    assert_eq!(token.len(), 1, "{token:?} is not one byte");
    usize::from(token.as_bytes()[0])
}

impl Checkpoint {
    /// Generates these tokens after a newline, which ends the chat prompt, and then stops. No token may occur twice,
    /// because the next token depends only on the last one.
    pub fn saying(tokens: &[&str]) -> Self {
        let chain: Vec<usize> = std::iter::once("\n")
            .chain(tokens.iter().copied())
            .chain(["<|im_end|>"])
            .map(token_id)
            .collect();
        Self::following(
            &chain
                .windows(2)
                .map(|pair| (pair[0], pair[1]))
                .collect::<Vec<_>>(),
        )
    }

    /// Generates `abcabcabc…` endlessly.
    pub fn endless() -> Self {
        Self::following(
            &[("\n", "a"), ("a", "b"), ("b", "c"), ("c", "a")]
                .map(|(from, to)| (token_id(from), token_id(to))),
        )
    }

    /// Repeats the last character of the prompt endlessly.
    pub fn echoing() -> Self {
        let pairs: Vec<(usize, usize)> = (0..256).map(|token| (token, token)).collect();
        Self::following(&pairs)
    }

    /// The first token of each pair is followed by the second, any other token by the end of the turn.
    fn following(pairs: &[(usize, usize)]) -> Self {
        let mut embedding = Tensor::zeros(&[VOCAB_SIZE, HIDDEN_SIZE]);
        let mut lm_head = Tensor::zeros(&[VOCAB_SIZE, HIDDEN_SIZE]);
        for token in 0..VOCAB_SIZE {
            embedding.values[token * HIDDEN_SIZE + token] = 1.0;
            let next = pairs
                .iter()
                .find(|(from, _)| *from == token)
                .map_or(token_id("<|im_end|>"), |(_, to)| *to);
            lm_head.values[next * HIDDEN_SIZE + token] = 1.0;
        }
        let width = HEADS * HEAD_DIM;
        let tensors = [
            ("model.embed_tokens.weight", embedding),
            ("lm_head.weight", lm_head),
            ("model.norm.weight", Tensor::ones(&[HIDDEN_SIZE])),
            (
                "model.layers.0.input_layernorm.weight",
                Tensor::ones(&[HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.post_attention_layernorm.weight",
                Tensor::ones(&[HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.self_attn.q_proj.weight",
                Tensor::zeros(&[width, HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.self_attn.k_proj.weight",
                Tensor::zeros(&[width, HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.self_attn.v_proj.weight",
                Tensor::zeros(&[width, HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.self_attn.o_proj.weight",
                Tensor::zeros(&[HIDDEN_SIZE, width]),
            ),
            (
                "model.layers.0.mlp.gate_proj.weight",
                Tensor::zeros(&[INTERMEDIATE_SIZE, HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.mlp.up_proj.weight",
                Tensor::zeros(&[INTERMEDIATE_SIZE, HIDDEN_SIZE]),
            ),
            (
                "model.layers.0.mlp.down_proj.weight",
                Tensor::zeros(&[HIDDEN_SIZE, INTERMEDIATE_SIZE]),
            ),
        ];
        Self {
            config: json!({
                "model_type": "llama",
                "hidden_size": HIDDEN_SIZE,
                "intermediate_size": INTERMEDIATE_SIZE,
                "num_hidden_layers": 1,
                "num_attention_heads": HEADS,
                "num_key_value_heads": HEADS,
                "head_dim": HEAD_DIM,
                "vocab_size": VOCAB_SIZE,
                "rms_norm_eps": 1e-5,
                "max_position_embeddings": 4096,
                "rope_theta": 10000.0,
                "tie_word_embeddings": false,
                "torch_dtype": "float32",
                "eos_token_id": token_id("<|im_end|>"),
            }),
            chat_template: Some(CHAT_TEMPLATE.to_owned()),
            generation_config: None,
            tensors: tensors
                .map(|(name, tensor)| (name.to_owned(), tensor))
                .into(),
        }
    }

    /// Writes the checkpoint to a directory.
    pub fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        write_json(&folder.join("config.json"), &self.config);
        write_json(&folder.join("tokenizer.json"), &tokenizer());
        let mut tokenizer_config = json!({
            "eos_token": "<|im_end|>",
            "bos_token": "<|im_start|>",
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        if let Some(template) = &self.chat_template {
            tokenizer_config["chat_template"] = template.clone().into();
        }
        write_json(&folder.join("tokenizer_config.json"), &tokenizer_config);
        if let Some(generation_config) = &self.generation_config {
            write_json(&folder.join("generation_config.json"), generation_config);
        }
        write_tensors(&folder.join("model.safetensors"), &self.tensors);
    }
}

pub fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, serde_json::to_vec_pretty(value).unwrap()).unwrap();
}

pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = tensor
                .values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name.clone(), tensor.shape.clone(), bytes)
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            (
                name.as_str(),
                TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        })
        .collect();
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// A byte-level tokenizer without merges: the ID of each byte is its value.
fn tokenizer() -> Value {
    let vocabulary: serde_json::Map<String, Value> = (0..=255_u8)
        .map(|byte| (byte_character(byte).to_string(), Value::from(byte)))
        .collect();
    let added: Vec<Value> = ADDED_TOKENS
        .iter()
        .enumerate()
        .map(|(index, content)| {
            json!({
                "id": 256 + index, "content": content, "special": index < 3,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    })
}

/// The printable character for a byte in byte-level vocabularies.
fn byte_character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let index = (0..byte).filter(|byte| !printable(*byte)).count() as u32;
    char::from_u32(256 + index).unwrap()
}
