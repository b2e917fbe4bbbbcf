//! Parameters that are in several tensors, or in another order of rows or columns.

use mlxm_kernels::quant::FloatType;
use proptest::prelude::*;
use safetensors::Dtype;

use super::builder::{GgufBuilder, blocks, metadata_of};
use super::convert::{affine, run, source_values};
use super::reader::produce_all;
use crate::{ConvertOptions, Outcome};

/// Adds tensors of the type `type_id`, and norms.
fn with_tensors(builder: GgufBuilder, type_id: u32, tensors: &[(&str, [u64; 2])]) -> GgufBuilder {
    tensors.iter().fold(builder, |builder, (name, shape)| {
        let data = blocks(type_id, (shape[0] * shape[1]) as usize);
        builder.tensor(&format!("{name}.weight"), shape, type_id, data)
    })
}

fn with_vectors(builder: GgufBuilder, vectors: &[(&str, u64)]) -> GgufBuilder {
    vectors.iter().fold(builder, |builder, (name, size)| {
        let values: Vec<f32> = (0..*size).map(|index| 1.0 + index as f32 / 64.0).collect();
        builder.f32_tensor(name, &[*size], &values)
    })
}

/// Two heads of queries, keys and values, with 128 rows of 256 columns each.
fn internlm2(qk_type: u32, value_type: u32) -> GgufBuilder {
    let builder = with_vectors(
        metadata_of("internlm2", 256, 256, 2).u32("internlm2.attention.key_length", 128),
        &[
            ("output_norm.weight", 256),
            ("blk.0.attn_norm.weight", 256),
            ("blk.0.ffn_norm.weight", 256),
        ],
    );
    let builder = with_tensors(
        builder,
        0,
        &[
            ("token_embd", [4, 256]),
            ("blk.0.attn_output", [256, 256]),
            ("blk.0.ffn_gate", [256, 256]),
            ("blk.0.ffn_up", [256, 256]),
            ("blk.0.ffn_down", [256, 256]),
        ],
    );
    let builder = with_tensors(
        builder,
        qk_type,
        &[("blk.0.attn_q", [256, 256]), ("blk.0.attn_k", [256, 256])],
    );
    with_tensors(builder, value_type, &[("blk.0.attn_v", [256, 256])])
}

/// The rows of the weight of [`internlm2`]: queries, keys and values of the first head, then those of the second.
fn wqkv(qk_type: u32, value_type: u32) -> Vec<f32> {
    let values = |type_id| source_values(type_id, &blocks(type_id, 256 * 256), 256);
    let (qk, value) = (values(qk_type), values(value_type));
    let mut rows = Vec::new();
    for head in 0..2 {
        for _ in ["query", "key"] {
            // The first half of a head has the even rows of the file.
            for row in (0..128).step_by(2).chain((1..128).step_by(2)) {
                rows.extend(&qk[(head * 128 + row) * 256..][..256]);
            }
        }
        rows.extend(&value[head * 128 * 256..][..128 * 256]);
    }
    rows
}

const WQKV: &str = "model.layers.0.attention.wqkv";

#[test]
fn parts_of_the_same_type_are_repacked() {
    for (type_id, bits) in [(2, 4), (3, 4), (8, 8)] {
        let converted = run(&internlm2(type_id, type_id), &ConvertOptions::default()).unwrap();
        assert_eq!(converted.outcomes[WQKV], Outcome::Exact);
        let found = converted.values(WQKV, affine(bits));
        assert_eq!(found, wqkv(type_id, type_id), "type {type_id}");
    }
    let options = ConvertOptions {
        float_type: Some(FloatType::F32),
        ..ConvertOptions::default()
    };
    let converted = run(&internlm2(12, 12), &options).unwrap();
    assert_eq!(converted.values(WQKV, affine(4)), wqkv(12, 12));
}

#[test]
fn parts_of_several_types_are_requantized() {
    for (qk_type, value_type, from, bits, bound) in [
        (12, 14, "Q4_K, Q6_K", 8, 0.01),
        (2, 3, "Q4_0, Q4_1", 6, 0.05),
    ] {
        let converted = run(&internlm2(qk_type, value_type), &ConvertOptions::default()).unwrap();
        match &converted.outcomes[WQKV] {
            Outcome::Requantized {
                from: found, to, ..
            } => assert_eq!((found.as_str(), *to), (from, affine(bits))),
            other => panic!("{other:?}"),
        }
        let (before, after) = (
            wqkv(qk_type, value_type),
            converted.values(WQKV, affine(bits)),
        );
        let square = |values: &mut dyn Iterator<Item = f32>| -> f32 { values.map(|v| v * v).sum() };
        let error = (square(&mut before.iter().zip(&after).map(|(a, b)| a - b))
            / square(&mut before.iter().copied()))
        .sqrt();
        assert!(error < bound, "{from}: {error}");
    }
}

#[test]
fn dense_part_makes_the_parameter_dense() {
    let converted = run(&internlm2(8, 0), &ConvertOptions::default()).unwrap();
    let (dtype, shape, _) = &converted.tensors[&format!("{WQKV}.weight")];
    assert_eq!((*dtype, shape.as_slice()), (Dtype::F16, &[768, 256][..]));
    let options = ConvertOptions {
        float_type: Some(FloatType::F32),
        ..ConvertOptions::default()
    };
    let converted = run(&internlm2(8, 0), &options).unwrap();
    let (_, _, bytes) = &converted.tensors[&format!("{WQKV}.weight")];
    let floats = bytes.chunks_exact(4);
    let found: Vec<f32> = floats
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(found, wqkv(8, 0));
}

#[test]
fn incomplete_or_different_parts_are_rejected() {
    let error = |builder: &GgufBuilder| {
        let result = run(builder, &ConvertOptions::default());
        result.err().unwrap().to_string()
    };
    let message = error(&internlm2(8, 8).without_tensor("blk.0.attn_k.weight"));
    assert!(message.contains("blk.0.attn_"), "{message}");
    assert!(
        message.contains(WQKV) && message.contains("lacks"),
        "{message}"
    );
    let narrow = blocks(8, 256 * 128);
    let narrow = internlm2(8, 8).with_tensor("blk.0.attn_v.weight", &[256, 128], 8, narrow);
    let message = error(&narrow);
    assert!(message.contains("blk.0.attn_v.weight"), "{message}");
    assert!(message.contains("does not match"), "{message}");
    let short = blocks(8, 255 * 256);
    let short = internlm2(8, 8).with_tensor("blk.0.attn_v.weight", &[255, 256], 8, short);
    let message = error(&short);
    assert!(message.contains("255 rows"), "{message}");
}

/// Four heads of queries and two of keys and values.
fn plamo(hidden: u32, type_id: u32) -> GgufBuilder {
    let wide = u64::from(hidden);
    let builder = metadata_of("plamo", hidden, 256, 2)
        .with_u32("plamo.attention.head_count", 4)
        .with_u32("plamo.attention.head_count_kv", 2);
    let builder = with_vectors(
        builder,
        &[
            ("output_norm.weight", wide),
            ("blk.0.attn_norm.weight", wide),
        ],
    );
    with_tensors(
        builder,
        type_id,
        &[
            ("token_embd", [4, wide]),
            ("output", [4, wide]),
            ("blk.0.attn_q", [wide, wide]),
            ("blk.0.attn_k", [wide / 2, wide]),
            ("blk.0.attn_v", [wide / 2, wide]),
            ("blk.0.attn_output", [wide, wide]),
            ("blk.0.ffn_gate", [256, wide]),
            ("blk.0.ffn_up", [256, wide]),
            ("blk.0.ffn_down", [wide, 256]),
        ],
    )
}

#[test]
fn heads_in_columns_are_reordered_with_their_blocks() {
    let converted = run(&plamo(128, 8), &ConvertOptions::default()).unwrap();
    assert_eq!(converted.config["n_shared_head"], 2);
    let stored = source_values(8, &blocks(8, 128 * 128), 128);
    // Heads 0 and 2 read the first head of keys and values: they are first in the file.
    let head = [0, 2, 1, 3];
    let module = "model.layers.layers.0.self_attn.o_proj";
    assert_eq!(converted.outcomes[module], Outcome::Exact);
    let columns: Vec<f32> = (0..128 * 128)
        .map(|index| {
            let (row, column) = (index / 128, index % 128);
            stored[row * 128 + head[column / 32] * 32 + column % 32]
        })
        .collect();
    assert_eq!(converted.values(module, affine(8)), columns);
    let rows: Vec<f32> = (0..128 * 128)
        .map(|index| {
            let (row, column) = (index / 128, index % 128);
            stored[(head[row / 32] * 32 + row % 32) * 128 + column]
        })
        .collect();
    let module = "model.layers.layers.0.self_attn.q_proj";
    assert_eq!(converted.values(module, affine(8)), rows);
}

#[test]
fn blocks_that_heads_split_are_requantized() {
    // A block of 256 values has four heads.
    let converted = run(&plamo(256, 12), &ConvertOptions::default()).unwrap();
    let outcome = |module: &str| &converted.outcomes[&format!("model.layers.layers.0.{module}")];
    assert!(
        matches!(outcome("self_attn.o_proj"), Outcome::Requantized { to, .. } if *to == affine(6)),
        "{:?}",
        outcome("self_attn.o_proj")
    );
    assert!(matches!(
        outcome("self_attn.q_proj"),
        Outcome::Rounded { .. } | Outcome::Exact
    ));
}

/// GPT-2 with one layer.
fn gpt2() -> GgufBuilder {
    let builder = metadata_of("gpt2", 32, 128, 2).f32("gpt2.attention.layer_norm_epsilon", 1e-5);
    let norms = ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"];
    let builder = norms.iter().fold(builder, |builder, name| {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        with_vectors(builder, &[(&weight, 32), (&bias, 32)])
    });
    let builder = with_vectors(
        builder,
        &[
            ("blk.0.attn_qkv.bias", 96),
            ("blk.0.attn_output.bias", 32),
            ("blk.0.ffn_up.bias", 128),
            ("blk.0.ffn_down.bias", 32),
        ],
    );
    with_tensors(
        builder,
        0,
        &[
            ("token_embd", [4, 32]),
            ("position_embd", [64, 32]),
            ("blk.0.attn_qkv", [96, 32]),
            ("blk.0.attn_output", [32, 32]),
            ("blk.0.ffn_up", [128, 32]),
            ("blk.0.ffn_down", [32, 128]),
        ],
    )
}

#[test]
fn copy_of_a_tied_embedding_is_dropped() {
    let copy = gpt2().tensor("output.weight", &[4, 32], 0, blocks(0, 4 * 32));
    let quantized = gpt2().tensor("output.weight", &[4, 32], 8, blocks(8, 4 * 32));
    for builder in [copy, quantized] {
        let converted = run(&builder, &ConvertOptions::default()).unwrap();
        assert!(!converted.tensors.contains_key("lm_head.weight"));
        let notes = &converted.report.notes;
        assert!(
            notes.iter().any(|note| note.contains("output.weight")),
            "{notes:?}"
        );
    }
    let other = gpt2().f32_tensor("output.weight", &[4, 32], &[0.5; 4 * 32]);
    let error = run(&other, &ConvertOptions::default()).err().unwrap();
    assert!(error.to_string().contains("output.weight"), "{error}");
}

#[test]
fn fixed_sizes_of_the_model_are_checked() {
    let error = |builder: GgufBuilder| {
        let result = run(&builder, &ConvertOptions::default());
        result.err().unwrap().to_string()
    };
    let message = error(gpt2().with_u32("gpt2.feed_forward_length", 64));
    assert!(
        message.contains("gpt2.feed_forward_length is 64"),
        "{message}"
    );
    let message = error(gpt2().with_u32("gpt2.attention.head_count_kv", 1));
    assert!(
        message.contains("gpt2.attention.head_count_kv is 1"),
        "{message}"
    );
}

/// `StableLM` with two heads, which have norms, and Phi-2 and GPT-NeoX with queries, keys and values in one tensor.
fn other_layouts() -> [GgufBuilder; 3] {
    let model = |architecture: &str| {
        let epsilon = format!("{architecture}.attention.layer_norm_epsilon");
        let builder = metadata_of(architecture, 32, 128, 2).f32(&epsilon, 1e-5);
        with_tensors(
            builder,
            0,
            &[
                ("token_embd", [4, 32]),
                ("output", [4, 32]),
                ("blk.0.ffn_up", [128, 32]),
            ],
        )
    };
    let norms = [
        ("blk.0.attn_q_norm", [2, 16]),
        ("blk.0.attn_k_norm", [2, 16]),
    ];
    let fused = |architecture: &str| {
        let builder = with_vectors(model(architecture), &[("blk.0.attn_qkv.bias", 96)]);
        with_tensors(builder, 8, &[("blk.0.attn_qkv", [96, 32])])
    };
    [
        with_tensors(model("stablelm"), 0, &norms),
        fused("phi2"),
        fused("gptneox"),
    ]
}

#[test]
fn norms_of_other_heads_are_rejected() {
    let [stablelm, ..] = other_layouts();
    let norms = blocks(0, 3 * 16);
    let file = stablelm.with_tensor("blk.0.attn_q_norm.weight", &[3, 16], 0, norms);
    let error = run(&file, &ConvertOptions::default()).err().unwrap();
    assert!(error.to_string().contains("each of 2 heads"), "{error}");
}

fn all_layouts() -> Vec<GgufBuilder> {
    let mut all = vec![internlm2(8, 8), plamo(128, 8), gpt2()];
    all.extend(other_layouts());
    all
}

#[test]
fn all_rows_of_layouts_are_produced() {
    for builder in all_layouts() {
        assert!(produce_all(&builder.build()).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn corrupt_layouts_do_not_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for builder in all_layouts() {
            let mut bytes = builder.build();
            for (index, value) in &changes {
                // The header and some of the data.
                let at = index.index(2000.min(bytes.len()));
                bytes[at] = *value;
            }
            produce_all(&bytes)?;
        }
    }
}
