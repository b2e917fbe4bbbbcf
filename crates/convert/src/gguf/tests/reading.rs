//! Files that are not what they should be.

use proptest::prelude::*;

use super::super::{plan, reader::Gguf};
use super::file::{GgufBuilder, tiny_metadata, tiny_model};
use crate::ConvertOptions;

/// The error of planning a conversion of `bytes`.
fn refusal(bytes: &[u8]) -> String {
    match Gguf::parse(bytes) {
        Err(error) => error.to_string(),
        Ok(gguf) => match plan(&gguf, &ConvertOptions::default()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("the file was accepted"),
        },
    }
}

#[test]
fn a_whole_file_is_accepted() {
    let bytes = tiny_model(3).build();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert_eq!(gguf.tensors().len(), 11);
    assert_eq!(
        plan(&gguf, &ConvertOptions::default()).unwrap().jobs.len(),
        11
    );
}

#[test]
fn what_is_no_gguf_file_is_said() {
    assert!(refusal(b"").contains("not a GGUF file"));
    assert!(refusal(b"PK\x03\x04....").contains("[50, 4b, 03, 04]"));
    assert!(refusal(b"GGUF\x01\0\0\0").contains("version 1"));
    assert!(refusal(b"GGUF\0\0\0\x03").contains("big-endian"));
}

#[test]
fn a_truncated_file_names_what_is_cut_off() {
    let bytes = tiny_model(3).build();
    let message = refusal(&bytes[..bytes.len() - 1]);
    assert!(
        message.contains("truncated") && message.contains("ffn_down"),
        "{message}"
    );
    let message = refusal(&bytes[..60]);
    assert!(
        message.contains("truncated") && message.contains("general.architecture"),
        "{message}"
    );
}

#[test]
fn every_length_of_a_truncated_file_is_refused() {
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
fn absurd_lengths_are_refused_without_allocating() {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend(u64::MAX.to_le_bytes());
    assert!(refusal(&bytes).contains("truncated"));

    let huge = GgufBuilder::default()
        .tensor("t", &[1 << 40, 1 << 40], 0, Vec::new())
        .build();
    assert!(refusal(&huge).contains("absurd shape"));
    let ragged = GgufBuilder::default()
        .tensor("t", &[1, 33], 2, vec![0; 18])
        .build();
    assert!(refusal(&ragged).contains("rows of 33 values; blocks have 32"));
}

#[test]
fn missing_and_wrong_metadata_is_named() {
    let without = |key: &str| {
        // A key of the same length that nothing asks for.
        let mut bytes = tiny_model(3).build();
        let at = bytes
            .windows(key.len())
            .position(|window| window == key.as_bytes())
            .unwrap();
        bytes[at] = b'x';
        refusal(&bytes)
    };
    assert!(without("llama.block_count").contains("no \"llama.block_count\""));
    assert!(without("tokenizer.ggml.tokens").contains("no \"tokenizer.ggml.tokens\""));
    let message = without("tokenizer.ggml.pre");
    assert!(message.contains("tokenizer.ggml.pre"), "{message}");

    let zero = tiny_metadata().u32("llama.attention.key_length", 0).build();
    assert!(refusal(&zero).contains("llama.attention.key_length"));
    let text = GgufBuilder::default()
        .u32("general.architecture", 3)
        .build();
    assert!(refusal(&text).contains("is the integer 3, expected a string"));
}

#[test]
fn what_cannot_be_converted_is_named() {
    let unknown = GgufBuilder::default()
        .text("general.architecture", "mamba")
        .build();
    let message = refusal(&unknown);
    assert!(
        message.contains("\"mamba\"") && message.contains("qwen3"),
        "{message}"
    );

    let experts = tiny_model(3).u32("llama.expert_count", 8).build();
    assert!(refusal(&experts).contains("mixture of 8 experts"));

    let stray = tiny_model(3)
        .f32_tensor("blk.0.ssm_a.weight", &[1], &[0.0])
        .build();
    assert!(refusal(&stray).contains("blk.0.ssm_a.weight"));

    let iq2 = tiny_metadata()
        .tensor("token_embd.weight", &[4, 256], 16, vec![0; 4 * 66])
        .build();
    assert!(refusal(&iq2).contains("IQ2_XXS"));

    let split = tiny_model(3).u32("split.count", 3).build();
    assert!(refusal(&split).contains("3 parts"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        header_only in any::<bool>(),
    ) {
        let mut bytes = tiny_model(8).build();
        // Most of the file is data; most of what can go wrong is before it.
        let reach = if header_only { 1600.min(bytes.len()) } else { bytes.len() };
        for (index, value) in &changes {
            let at = index.index(reach);
            bytes[at] = *value;
        }
        if let Ok(gguf) = Gguf::parse(&bytes)
            && let Ok(plan) = plan(&gguf, &ConvertOptions::default())
        {
            for job in &plan.jobs {
                let mut parts = vec![Vec::new(); job.outputs.len()];
                for row in 0..job.rows {
                    job.producer.produce(row, &mut parts);
                }
                for (part, output) in parts.iter().zip(&job.outputs) {
                    prop_assert_eq!(part.len() as u64, output.size_bytes());
                }
            }
        }
    }

    #[test]
    fn noise_after_the_magic_never_panics(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(noise);
        let _ = Gguf::parse(&bytes);
    }
}
