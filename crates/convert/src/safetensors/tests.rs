//! Conversion of safetensors checkpoints.

mod unusable;

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

use half::{bf16, f16};
use mlxm_kernels::quant::QuantMode;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::*;
use crate::{ConvertEvent, Recipe, WeightFormat};

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

fn floats(values: &[f32], dtype: Dtype) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| match dtype {
            Dtype::F16 => f16::from_f32(*value).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f32(*value).to_le_bytes().to_vec(),
            Dtype::I8 => vec![*value as i8 as u8],
            _ => value.to_le_bytes().to_vec(),
        })
        .collect()
}

/// The tensors of a one-layer Llama model with a hidden size of 64.
fn tensors(dtype: Dtype) -> Tensors {
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let shapes = [
        ("model.embed_tokens.weight".to_owned(), vec![40, 64]),
        ("lm_head.weight".to_owned(), vec![40, 64]),
        ("model.norm.weight".to_owned(), vec![64]),
        (layer("input_layernorm"), vec![64]),
        (layer("post_attention_layernorm"), vec![64]),
        (layer("self_attn.q_proj"), vec![64, 64]),
        (layer("self_attn.k_proj"), vec![32, 64]),
        (layer("self_attn.v_proj"), vec![32, 64]),
        (layer("self_attn.o_proj"), vec![64, 64]),
        (layer("mlp.gate_proj"), vec![96, 64]),
        (layer("mlp.up_proj"), vec![96, 64]),
        (layer("mlp.down_proj"), vec![64, 96]),
    ];
    shapes
        .into_iter()
        .enumerate()
        .map(|(seed, (name, shape))| {
            let values = noise(shape.iter().product(), seed as u32);
            (name, (dtype, shape, floats(&values, dtype)))
        })
        .collect()
}

fn config() -> Map<String, Value> {
    let value = json!({
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": 40,
        "tie_word_embeddings": false, "_name_or_path": "/somewhere",
    });
    value.as_object().unwrap().clone()
}

fn write(directory: &Path, config: &Map<String, Value>, tensors: &Tensors) {
    std::fs::create_dir_all(directory).unwrap();
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| {
            (
                name.as_str(),
                TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
            )
        })
        .collect();
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(directory.join("model.safetensors"), bytes).unwrap();
    let text = Value::Object(config.clone()).to_string();
    std::fs::write(directory.join("config.json"), text).unwrap();
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    });
    std::fs::write(directory.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

struct Converted {
    report: ConvertReport,
    config: Value,
    tensors: Tensors,
    outcomes: HashMap<String, Outcome>,
}

fn run(source: &Path, output: &Path, options: &ConvertOptions) -> Result<Converted, ConvertError> {
    let mut outcomes = HashMap::new();
    let mut written = 0;
    let report = crate::convert(source, output, options, &mut |event| {
        match event {
            ConvertEvent::Tensor { name, outcome, .. } => {
                outcomes.insert(name.to_owned(), outcome.clone());
            }
            ConvertEvent::Written { written_bytes } => {
                assert!(written_bytes > written, "progress decreased");
                written = written_bytes;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    assert_eq!(written, report.size_bytes);
    let config = std::fs::read(output.join("config.json")).unwrap();
    let bytes = std::fs::read(output.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| {
            (
                name.to_owned(),
                (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
            )
        })
        .collect();
    Ok(Converted {
        report,
        config: serde_json::from_slice(&config).unwrap(),
        tensors,
        outcomes,
    })
}

fn convert_once(
    config: &Map<String, Value>,
    tensors: &Tensors,
    options: &ConvertOptions,
) -> Result<Converted, ConvertError> {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("source"), config, tensors);
    run(
        &directory.path().join("source"),
        &directory.path().join("out"),
        options,
    )
}

fn affine(bits: u32, group_size: usize) -> WeightFormat {
    WeightFormat::Quantize(QuantSpec {
        mode: QuantMode::Affine,
        group_size,
        bits,
    })
}

fn options(weights: WeightFormat) -> ConvertOptions {
    ConvertOptions {
        weights,
        ..ConvertOptions::default()
    }
}

#[test]
fn layers_with_divisible_columns_are_quantized() {
    let converted = convert_once(&config(), &tensors(Dtype::F16), &options(affine(4, 64))).unwrap();
    let found = &converted.tensors["model.layers.0.self_attn.q_proj.weight"];
    assert_eq!((found.0, &found.1[..]), (Dtype::U32, &[64, 8][..]));
    let scales = &converted.tensors["model.layers.0.self_attn.q_proj.scales"];
    assert_eq!((scales.0, &scales.1[..]), (Dtype::F16, &[64, 1][..]));
    // 96 columns are not a multiple of 64.
    assert_eq!(
        converted.tensors["model.layers.0.mlp.down_proj.weight"].0,
        Dtype::F16
    );
    assert_eq!(
        converted.tensors["model.norm.weight"],
        tensors(Dtype::F16)["model.norm.weight"]
    );
    assert_eq!(converted.report.quantized, 8);
    assert_eq!(converted.report.exact, 4);
    assert_eq!(
        converted.config["quantization"],
        json!({"group_size": 64, "bits": 4, "mode": "affine"})
    );
    assert_eq!(
        converted.config["quantization"],
        converted.config["quantization_config"]
    );
    assert!(converted.config.get("_name_or_path").is_none());
    let parameters: usize = tensors(Dtype::F16)
        .values()
        .map(|(_, shape, _)| shape.iter().product::<usize>())
        .sum();
    assert_eq!(converted.report.parameters, parameters as u64);
}

#[test]
fn floats_are_converted_to_torch_dtype() {
    let mut with_dtype = config();
    with_dtype.insert("torch_dtype".to_owned(), json!("bfloat16"));
    let converted = convert_once(
        &with_dtype,
        &tensors(Dtype::F32),
        &ConvertOptions::default(),
    )
    .unwrap();
    for (name, (dtype, _, bytes)) in &converted.tensors {
        assert_eq!(*dtype, Dtype::BF16);
        assert_eq!(*bytes, tensors(Dtype::BF16)[name].2);
    }
    assert_eq!(converted.report.rounded, 12);
}

#[test]
fn float_type_is_read_and_replaced_under_each_of_its_names() {
    for stated in [
        json!({"dtype": "bfloat16"}),
        json!({"torch_dtype": "bfloat16"}),
        json!({"dtype": "torch.bfloat16"}),
        json!({"dtype": "bfloat16", "torch_dtype": "float32"}),
        json!({"dtype": null, "torch_dtype": "bfloat16"}),
        json!({"dtype": "auto", "torch_dtype": "bfloat16"}),
        json!({"text_config": {"dtype": "bfloat16"}}),
        json!({"text_config": {"torch_dtype": "bfloat16"}}),
    ] {
        let mut with_dtype = config();
        with_dtype.extend(stated.as_object().unwrap().clone());
        let weights = tensors(Dtype::F32);
        let types_of = |options: &ConvertOptions| {
            let converted = convert_once(&with_dtype, &weights, options).unwrap();
            let keys: Vec<Value> = [
                "/dtype",
                "/torch_dtype",
                "/text_config/dtype",
                "/text_config/torch_dtype",
            ]
            .iter()
            .filter_map(|key| converted.config.pointer(key).cloned())
            .collect();
            let floats: Vec<Dtype> = converted
                .tensors
                .values()
                .map(|(dtype, ..)| *dtype)
                .filter(|dtype| *dtype != Dtype::U32)
                .collect();
            (keys, floats)
        };
        let all_are = |found: (Vec<Value>, Vec<Dtype>), name: &str, dtype: Dtype| {
            assert!(!found.0.is_empty(), "{stated}");
            assert!(found.0.iter().all(|key| key == name), "{stated}: {found:?}");
            assert!(found.1.iter().all(|float| *float == dtype), "{stated}");
        };
        all_are(
            types_of(&ConvertOptions::default()),
            "bfloat16",
            Dtype::BF16,
        );
        all_are(types_of(&options(affine(4, 64))), "bfloat16", Dtype::BF16);
        let half = ConvertOptions {
            float_type: Some(FloatType::F16),
            ..ConvertOptions::default()
        };
        all_are(types_of(&half), "float16", Dtype::F16);
    }
    // Without a float type, it is added only when one is requested.
    let converted = |options: &ConvertOptions| {
        let converted = convert_once(&config(), &tensors(Dtype::F32), options).unwrap();
        converted.config.get("torch_dtype").cloned()
    };
    assert_eq!(converted(&ConvertOptions::default()), None);
    let half = ConvertOptions {
        float_type: Some(FloatType::F16),
        ..ConvertOptions::default()
    };
    assert_eq!(converted(&half), Some(json!("float16")));
}

#[test]
fn unused_tensors_are_dropped() {
    let mut tied = config();
    tied.insert("tie_word_embeddings".to_owned(), json!(true));
    let mut with_frequencies = tensors(Dtype::F16);
    for name in [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.0.self_attn.rotary_emb.cos_cached",
        "model.rotary_emb.inv_freq",
        "model.rotary_emb.original_inv_freq",
        "model.rotary_emb_local.inv_freq",
        "rotary_emb.inv_freq",
        "model.rotary_pos_emb.inv_freq",
    ] {
        let frequencies = (Dtype::F32, vec![8], floats(&[1.0; 8], Dtype::F32));
        with_frequencies.insert(name.to_owned(), frequencies);
    }
    let converted = convert_once(&tied, &with_frequencies, &ConvertOptions::default()).unwrap();
    assert_eq!(converted.tensors.len(), 11);
    assert!(!converted.tensors.contains_key("lm_head.weight"));
}

#[test]
fn quantized_layers_are_copied_recast_requantized_or_dequantized() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    write(&at("source"), &config(), &tensors(Dtype::F16));
    let first = run(&at("source"), &at("four"), &options(affine(4, 32))).unwrap();

    let copy = run(&at("four"), &at("copy"), &ConvertOptions::default()).unwrap();
    assert_eq!(copy.tensors, first.tensors);
    assert_eq!(copy.config, first.config);
    assert_eq!(copy.report.exact, copy.report.tensors);
    let same = run(&at("four"), &at("same"), &options(affine(4, 32))).unwrap();
    assert_eq!(same.tensors, first.tensors);

    let wide = ConvertOptions {
        float_type: Some(FloatType::F32),
        ..ConvertOptions::default()
    };
    let wide = run(&at("four"), &at("wide"), &wide).unwrap();
    let scales = |converted: &Converted| converted.tensors["lm_head.scales"].clone();
    assert_eq!(scales(&wide).0, Dtype::F32);
    let (_, _, half) = scales(&first);
    let widened: Vec<f32> = half
        .chunks_exact(2)
        .map(|bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32())
        .collect();
    assert_eq!(scales(&wide).2, floats(&widened, Dtype::F32));
    assert_eq!(
        wide.tensors["lm_head.weight"],
        first.tensors["lm_head.weight"]
    );

    let eight = run(&at("four"), &at("eight"), &options(affine(8, 64))).unwrap();
    match &eight.outcomes["lm_head"] {
        Outcome::Requantized {
            from,
            relative_error,
            ..
        } => {
            assert!(from.contains("4-bit"), "{from}");
            assert!(*relative_error < 0.01, "{relative_error}");
        }
        other => panic!("{other:?}"),
    }

    let dense = run(&at("four"), &at("dense"), &options(WeightFormat::Dense)).unwrap();
    assert_eq!(dense.report.dequantized, 9);
    assert!(dense.config.get("quantization").is_none());
    let (dtype, shape, bytes) = &dense.tensors["lm_head.weight"];
    assert_eq!((*dtype, &shape[..]), (Dtype::F16, &[40, 64][..]));
    let original = &tensors(Dtype::F16)["lm_head.weight"].2;
    for (after, before) in bytes.chunks_exact(2).zip(original.chunks_exact(2)) {
        let value = |bytes: &[u8]| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        assert!((value(after) - value(before)).abs() <= 2.0 / 15.0);
    }
}

#[test]
fn recipes_and_overrides_select_bits_per_layer() {
    let recipe = ConvertOptions {
        overrides: vec!["*.gate_proj=dense".parse().unwrap()],
        ..options(WeightFormat::Recipe {
            recipe: Recipe::Mixed2To6,
            group_size: 32,
        })
    };
    let converted = convert_once(&config(), &tensors(Dtype::F32), &recipe).unwrap();
    let words = |name: &str| converted.tensors[&format!("{name}.weight")].1[1];
    assert_eq!(words("lm_head"), 64 * 6 / 32);
    assert_eq!(words("model.embed_tokens"), 64 * 2 / 32);
    assert_eq!(words("model.layers.0.mlp.down_proj"), 96 * 6 / 32);
    assert_eq!(words("model.layers.0.self_attn.q_proj"), 64 * 2 / 32);
    assert_eq!(words("model.layers.0.mlp.gate_proj"), 64);
}

#[test]
fn tokenizer_files_are_copied() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    write(&source, &config(), &tensors(Dtype::F16));
    for name in ["chat_template.jinja", "pytorch_model.bin"] {
        std::fs::write(source.join(name), name).unwrap();
    }
    let output = directory.path().join("out");
    run(&source, &output, &ConvertOptions::default()).unwrap();
    assert_eq!(
        std::fs::read(output.join("chat_template.jinja")).unwrap(),
        b"chat_template.jinja"
    );
    assert!(output.join("tokenizer.json").exists());
    assert!(!output.join("pytorch_model.bin").exists());
}

#[test]
fn unsupported_source_is_named_in_the_error() {
    let error_message =
        |config: &Map<String, Value>, tensors: &Tensors, options: &ConvertOptions| {
            convert_once(config, tensors, options)
                .err()
                .unwrap()
                .to_string()
        };
    let mut other = config();
    other.insert("model_type".to_owned(), json!("mamba"));
    let message = error_message(&other, &tensors(Dtype::F16), &ConvertOptions::default());
    assert!(
        message.contains("mamba") && message.contains("state-space"),
        "{message}"
    );

    let mut packed = tensors(Dtype::F16);
    packed.insert(
        "lm_head.weight".to_owned(),
        (Dtype::U32, vec![40, 8], vec![0; 1280]),
    );
    let message = error_message(&config(), &packed, &ConvertOptions::default());
    assert!(
        message.contains("lm_head.weight") && message.contains("scales are missing"),
        "{message}"
    );

    let scales = (Dtype::F16, vec![40, 3], vec![0; 240]);
    packed.insert("lm_head.scales".to_owned(), scales);
    let message = error_message(&config(), &packed, &ConvertOptions::default());
    assert!(message.contains("lm_head"), "{message}");

    let message = error_message(&config(), &tensors(Dtype::I8), &ConvertOptions::default());
    assert!(message.contains("I8"), "{message}");

    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    write(&source, &config(), &tensors(Dtype::F16));
    let force = ConvertOptions {
        force: true,
        ..ConvertOptions::default()
    };
    let message = run(&source, &source, &force).err().unwrap().to_string();
    assert!(
        message.contains("contains the model to convert"),
        "{message}"
    );
    assert!(source.join("config.json").exists());
}
