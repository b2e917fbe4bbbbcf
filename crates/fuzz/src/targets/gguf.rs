//! GGUF files that are converted.

use std::fs;
use std::ops::ControlFlow;

use mlxm_convert::{ConvertOptions, convert};

use super::Subject;
use super::gguf_file::GgufFile;

/// Type, values per block, and bytes per block of the weights in the examples: `F32`, `Q4_0`, `Q8_0`.
const TYPES: [(u32, u64, u64); 3] = [(0, 1, 4), (2, 32, 18), (8, 32, 34)];

/// A one-layer llama with each kind of tokenizer and each of [`TYPES`].
pub(super) fn seeds() -> Vec<Vec<u8>> {
    TYPES
        .iter()
        .flat_map(|kind| [byte_level, sentencepiece].map(|tokenizer| model(*kind, tokenizer)))
        .collect()
}

/// Converts the input and removes the output.
pub(super) fn convert_with() -> anyhow::Result<Subject> {
    let folder = tempfile::tempdir()?;
    Ok(Box::new(move |input| {
        let (source, output) = (folder.path().join("m.gguf"), folder.path().join("out"));
        fs::write(&source, input)?;
        let result = convert(&source, &output, &ConvertOptions::default(), &mut |_| {
            ControlFlow::Continue(())
        });
        let left = fs::read_dir(folder.path())?.count();
        if result.is_ok() {
            fs::remove_dir_all(&output)?;
        } else {
            anyhow::ensure!(left == 1, "a failed conversion left files");
        }
        Ok(result.is_ok())
    }))
}

fn model(kind: (u32, u64, u64), tokenizer: fn(&mut GgufFile) -> u64) -> Vec<u8> {
    let mut file = GgufFile::default();
    file.text("general.architecture", "llama");
    for (name, value) in [
        ("block_count", 1),
        ("context_length", 64),
        ("embedding_length", 32),
        ("feed_forward_length", 64),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
    ] {
        file.number(&format!("llama.{name}"), value);
    }
    file.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
    file.text("tokenizer.chat_template", "{{ messages[0].content }}");
    let tokens = tokenizer(&mut file);
    let ones: Vec<u8> = [1.0_f32; 32]
        .iter()
        .flat_map(|one| one.to_le_bytes())
        .collect();
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
        file.tensor(&format!("{name}.weight"), &[32], 0, &ones);
    }
    let (kind, values, bytes) = kind;
    for (name, rows, columns) in [
        ("token_embd", tokens, 32),
        ("blk.0.attn_q", 32, 32),
        ("blk.0.attn_k", 16, 32),
        ("blk.0.attn_v", 16, 32),
        ("blk.0.attn_output", 32, 32),
        ("blk.0.ffn_gate", 64, 32),
        ("blk.0.ffn_up", 64, 32),
        ("blk.0.ffn_down", 32, 64),
    ] {
        let data = vec![0x11; (rows * columns / values * bytes) as usize];
        file.tensor(&format!("{name}.weight"), &[rows, columns], kind, &data);
    }
    file.build()
}

/// Writes a vocabulary for GPT-2's algorithm and returns its size.
fn byte_level(file: &mut GgufFile) -> u64 {
    let tokens = ["<s>", "a", "b", "c", "ab", "abc"].map(str::to_owned);
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", "llama-bpe");
    file.texts("tokenizer.ggml.tokens", &tokens);
    file.integers("tokenizer.ggml.token_type", &[3, 1, 1, 1, 1, 1]);
    file.texts("tokenizer.ggml.merges", &["a b", "ab c"].map(str::to_owned));
    file.number("tokenizer.ggml.bos_token_id", 0);
    file.number("tokenizer.ggml.eos_token_id", 0);
    tokens.len() as u64
}

/// Writes a vocabulary for SentencePiece's algorithm and returns its size.
fn sentencepiece(file: &mut GgufFile) -> u64 {
    let tokens = ["<unk>", "<s>", "a", "b", "ab", "\u{2581}a"].map(str::to_owned);
    file.text("tokenizer.ggml.model", "llama");
    file.texts("tokenizer.ggml.tokens", &tokens);
    file.integers("tokenizer.ggml.token_type", &[2, 3, 1, 1, 1, 1]);
    file.floats("tokenizer.ggml.scores", &[0.0, 0.0, -1.0, -2.0, -3.0, -4.0]);
    file.number("tokenizer.ggml.bos_token_id", 1);
    file.number("tokenizer.ggml.eos_token_id", 1);
    tokens.len() as u64
}
