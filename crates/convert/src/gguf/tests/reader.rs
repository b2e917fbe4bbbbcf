//! Invalid and unsupported files.

use proptest::prelude::*;

use super::super::{plan, reader::Gguf};
use super::builder::{GgufBuilder, tiny_metadata, tiny_model};
use crate::ConvertOptions;

/// The error of planning a conversion of `bytes`.
fn plan_error(bytes: &[u8]) -> String {
    match Gguf::parse(bytes) {
        Err(error) => error.to_string(),
        Ok(gguf) => match plan(&gguf, &ConvertOptions::default()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the file was accepted"),
        },
    }
}

#[test]
fn complete_file_is_accepted() {
    let bytes = tiny_model(3).build();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert_eq!(gguf.tensors().len(), 11);
    assert_eq!(
        plan(&gguf, &ConvertOptions::default())
            .unwrap()
            .tensors
            .len(),
        11
    );
}

#[test]
fn other_file_formats_are_rejected() {
    assert!(plan_error(b"").contains("not a GGUF file"));
    assert!(plan_error(b"PK\x03\x04....").contains("[50, 4b, 03, 04]"));
    assert!(plan_error(b"GGUF\x01\0\0\0").contains("version 1"));
    assert!(plan_error(b"GGUF\0\0\0\x03").contains("big-endian"));
}

#[test]
fn truncation_error_names_the_truncated_part() {
    let bytes = tiny_model(3).build();
    let message = plan_error(&bytes[..bytes.len() - 1]);
    assert!(
        message.contains("truncated") && message.contains("ffn_down"),
        "{message}"
    );
    let message = plan_error(&bytes[..60]);
    assert!(
        message.contains("truncated") && message.contains("general.architecture"),
        "{message}"
    );
}

#[test]
fn every_truncated_length_is_rejected() {
    let bytes = tiny_model(3).build();
    for length in 0..bytes.len() {
        assert!(
            Gguf::parse(&bytes[..length]).is_err(),
            "{length} of {} bytes",
            bytes.len()
        );
    }
}

#[test]
fn overflowing_lengths_are_rejected_without_allocation() {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend(u64::MAX.to_le_bytes());
    assert!(plan_error(&bytes).contains("18446744073709551615 tensors"));
    bytes[8..16].copy_from_slice(&1000_u64.to_le_bytes());
    bytes[16..].copy_from_slice(&1000_u64.to_le_bytes());
    assert!(plan_error(&bytes).contains("truncated"));

    let huge = GgufBuilder::default()
        .tensor("t", &[1 << 40, 1 << 40], 0, Vec::new())
        .build();
    assert!(plan_error(&huge).contains("overflows"));
    let ragged = GgufBuilder::default()
        .tensor("t", &[1, 33], 2, vec![0; 18])
        .build();
    assert!(
        plan_error(&ragged)
            .contains("rows of 33 values, which is not a multiple of the block size 32")
    );
}

#[test]
fn overlapping_tensors_are_rejected() {
    let values = [0.0; 8];
    let mut bytes = GgufBuilder::default()
        .f32_tensor("first", &[8], &values)
        .f32_tensor("second", &[8], &values)
        .build();
    assert!(Gguf::parse(&bytes).is_ok());
    let name = b"second";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    // The offset is after the name, the number of dimensions, the dimension and the type.
    bytes[at + name.len() + 16..][..8].copy_from_slice(&0_u64.to_le_bytes());
    let message = plan_error(&bytes);
    assert!(
        message.contains("\"first\"")
            && message.contains("\"second\"")
            && message.contains("overlap"),
        "{message}"
    );
}

#[test]
fn sizes_beyond_the_tensors_are_rejected_by_their_key() {
    for (key, value) in [
        ("llama.block_count", 12),
        ("llama.block_count", u32::MAX),
        ("llama.embedding_length", 1 << 31),
        ("llama.feed_forward_length", 65),
        ("llama.attention.head_count", 1 << 20),
        ("llama.attention.head_count_kv", 0),
    ] {
        let message = plan_error(&tiny_model(3).with_u32(key, value).build());
        assert!(
            message.contains(key) && message.contains(&value.to_string()),
            "{key} {value}: {message}"
        );
    }
    let head = tiny_model(3)
        .u32("llama.attention.key_length", 1 << 31)
        .build();
    assert!(plan_error(&head).contains("llama.attention.key_length"));
}

#[test]
fn missing_and_invalid_metadata_keys_are_named() {
    let without = |key: &str| {
        // Renames the key to an unknown one of the same length.
        let mut bytes = tiny_model(3).build();
        let at = bytes
            .windows(key.len())
            .position(|window| window == key.as_bytes())
            .unwrap();
        bytes[at] = b'x';
        plan_error(&bytes)
    };
    assert!(without("llama.block_count").contains("no \"llama.block_count\""));
    assert!(without("tokenizer.ggml.tokens").contains("no \"tokenizer.ggml.tokens\""));
    let message = without("tokenizer.ggml.pre");
    assert!(message.contains("tokenizer.ggml.pre"), "{message}");

    let zero = tiny_model(3).u32("llama.attention.key_length", 0).build();
    assert!(plan_error(&zero).contains("llama.attention.key_length"));
    let text = GgufBuilder::default()
        .u32("general.architecture", 3)
        .build();
    assert!(plan_error(&text).contains("is the integer 3, expected a string"));
}

#[test]
fn unsupported_models_are_rejected() {
    let unknown = GgufBuilder::default()
        .text("general.architecture", "mamba")
        .build();
    let message = plan_error(&unknown);
    assert!(
        message.contains("\"mamba\"") && message.contains("qwen3"),
        "{message}"
    );

    let experts = tiny_model(3).u32("llama.expert_count", 8).build();
    assert!(plan_error(&experts).contains("mixture of 8 experts"));

    let stray = tiny_model(3)
        .f32_tensor("blk.0.ssm_a.weight", &[1], &[0.0])
        .build();
    assert!(plan_error(&stray).contains("blk.0.ssm_a.weight"));

    let iq2 = tiny_metadata()
        .tensor("token_embd.weight", &[4, 256], 16, vec![0; 4 * 66])
        .build();
    assert!(plan_error(&iq2).contains("IQ2_XXS"));

    let split = tiny_model(3).u32("split.count", 3).build();
    assert!(plan_error(&split).contains("3 parts"));
}

/// Produces all rows of a file. Returns whether it is valid.
pub(super) fn produce_all(bytes: &[u8]) -> Result<bool, TestCaseError> {
    if let Ok(gguf) = Gguf::parse(bytes)
        && let Ok(plan) = plan(&gguf, &ConvertOptions::default())
    {
        for tensor in &plan.tensors {
            let mut parts = vec![Vec::new(); tensor.outputs.len()];
            for row in 0..tensor.rows {
                tensor.producer.produce(row, &mut parts);
            }
            for (part, output) in parts.iter().zip(&tensor.outputs) {
                prop_assert_eq!(part.len() as u64, output.size_bytes());
            }
        }
        return Ok(true);
    }
    Ok(false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn corrupt_files_do_not_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        header_only in any::<bool>(),
    ) {
        let mut bytes = tiny_model(8).build();
        // Most of the file is tensor data, but most errors are in the header.
        let end = if header_only { 1600.min(bytes.len()) } else { bytes.len() };
        for (index, value) in &changes {
            let at = index.index(end);
            bytes[at] = *value;
        }
        produce_all(&bytes)?;
    }

    #[test]
    fn random_bytes_after_the_magic_do_not_panic(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        let _ = Gguf::parse(&bytes);
    }
}
