//! Errors name the problem and the next step, and the exit code is not zero.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::checkpoint::Tensor;
use crate::support::{Checkpoint, TestEnv};

const Q_PROJ: &str = "model.layers.0.self_attn.q_proj.weight";

struct Model {
    env: TestEnv,
    folder: PathBuf,
}

impl Model {
    fn of(checkpoint: &Checkpoint) -> Self {
        let env = TestEnv::new();
        let folder = env.local_model("tiny", checkpoint);
        Self { env, folder }
    }

    fn good() -> Self {
        Self::of(&Checkpoint::saying(&["o", "k"]))
    }

    fn weights(&self) -> PathBuf {
        self.folder.join("model.safetensors")
    }

    #[track_caller]
    fn run_fails(&self, words: &[&str]) {
        self.env
            .run(&["run", self.folder.to_str().unwrap(), "hello"])
            .failure(words);
    }

    #[track_caller]
    fn run_fails_with(&self, arguments: &[&str], words: &[&str]) {
        let arguments = [&["run", self.folder.to_str().unwrap(), "hello"], arguments].concat();
        let outcome = self.env.run(&arguments);
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:#?}");
        assert!(
            outcome.stderr.contains("error: ") && !outcome.stderr.contains("panicked"),
            "{outcome:#?}"
        );
        for word in words {
            assert!(outcome.stderr.contains(word), "no {word:?} in {outcome:#?}");
        }
    }
}

fn with_config(change: impl FnOnce(&mut Value)) -> Model {
    let mut checkpoint = Checkpoint::saying(&["o", "k"]);
    change(&mut checkpoint.config);
    Model::of(&checkpoint)
}

#[test]
fn unknown_model_lists_similar_ones() {
    let env = TestEnv::new();
    env.local_model("SmolLM2-135M", &Checkpoint::saying(&["o"]));
    env.run(&["run", "nothing-like-it", "?"])
        .failure(&["no local model `nothing-like-it`", "mlxm list"]);
    env.run(&["run", "SmolLM-135M", "?"])
        .failure(&["SmolLM2-135M"]);
    env.run(&["run", "./nowhere", "?"]).failure(&["./nowhere"]);
    env.run(&["run", "owner/name", "?"])
        .failure(&["mlxm pull owner/name"]);
}

#[test]
fn ambiguous_name_lists_the_candidates() {
    let env = TestEnv::new();
    for name in ["owner/tiny-4bit", "owner/tiny-8bit"] {
        env.local_model(name, &Checkpoint::saying(&["o"]));
    }
    env.run(&["run", "tiny", "?"])
        .failure(&["owner/tiny-4bit", "owner/tiny-8bit", "longer name"]);
}

#[test]
fn empty_directory_is_an_error() {
    let env = TestEnv::new();
    let folder = env.path().join("empty");
    fs::create_dir(&folder).unwrap();
    for command in ["show", "run"] {
        let mut arguments = vec![command, "./empty"];
        arguments.extend((command == "run").then_some("?"));
        env.run(&arguments).failure(&["empty"]);
    }
}

#[test]
fn directory_without_a_model_is_not_searched() {
    let env = TestEnv::new();
    let nested = env.path().join("project/nested");
    fs::create_dir_all(&nested).unwrap();
    std::os::unix::fs::symlink("nowhere", nested.join("dangling")).unwrap();
    let outcome = env.run(&["run", "./project", "?"]);
    outcome.failure(&["config.json is missing"]);
    assert!(!outcome.stderr.contains("dangling"), "{outcome:#?}");
}

#[test]
fn other_formats_are_errors_with_a_hint() {
    let env = TestEnv::new();
    for (file, word) in [
        ("model.gguf", "mlxm convert"),
        ("pytorch_model.bin", "pickle"),
    ] {
        let folder = env.path().join(file.replace('.', "-"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.json"), "{\"model_type\": \"llama\"}").unwrap();
        fs::write(folder.join(file), "x").unwrap();
        env.run(&["run", folder.to_str().unwrap(), "?"])
            .failure(&[word]);
    }
    let file = env.path().join("model.gguf");
    fs::write(&file, "GGUF").unwrap();
    env.run(&["run", file.to_str().unwrap(), "?"])
        .failure(&["GGUF", "mlxm convert"]);
}

#[test]
fn truncated_weights_are_errors() {
    let model = Model::good();
    let bytes = fs::read(model.weights()).unwrap();
    for length in [0, 5, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(model.weights(), &bytes[..length]).unwrap();
        model.run_fails(&["model.safetensors"]);
    }
}

#[test]
fn corrupt_weights_are_errors() {
    let model = Model::good();
    let mut bytes = fs::read(model.weights()).unwrap();
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(model.weights(), &bytes).unwrap();
    model.run_fails(&["model.safetensors"]);
    bytes[..8].copy_from_slice(&16_u64.to_le_bytes());
    fs::write(model.weights(), &bytes).unwrap();
    model.run_fails(&["model.safetensors"]);
}

#[test]
fn tensor_of_the_wrong_shape_is_named() {
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint
        .tensors
        .insert(Q_PROJ.to_owned(), Tensor::zeros(&[32, 100]));
    Model::of(&checkpoint).run_fails(&["model.layers.0.self_attn.q_proj", "100"]);
}

#[test]
fn tensor_of_the_wrong_dtype_is_named() {
    let model = Model::good();
    let bytes = fs::read(model.weights()).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header[Q_PROJ]["dtype"] = json!("I32");
    let header = serde_json::to_vec(&header).unwrap();
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header);
    changed.extend(&bytes[8 + length..]);
    fs::write(model.weights(), changed).unwrap();
    model.run_fails(&["model.layers.0.self_attn.q_proj"]);
}

#[test]
fn missing_tensors_are_named() {
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.tensors.remove(Q_PROJ);
    Model::of(&checkpoint).run_fails(&[Q_PROJ, "missing", "llama"]);
}

#[test]
fn unknown_tensors_are_named() {
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.tensors.insert(
        "model.layers.0.unknown.weight".to_owned(),
        Tensor::zeros(&[4]),
    );
    Model::of(&checkpoint).run_fails(&["model.layers.0.unknown.weight", "llama"]);
}

#[test]
fn unsupported_architecture_error_says_what_is_missing_and_where_the_list_is() {
    with_config(|config| config["model_type"] = json!("qwen3_moe")).run_fails(&[
        "qwen3_moe",
        "mixture-of-experts",
        "`qwen3`",
        "docs/models.md",
    ]);
}

#[test]
fn invalid_config_is_an_error() {
    let model = Model::good();
    fs::write(model.folder.join("config.json"), "{ \"model_type\": ").unwrap();
    model.run_fails(&["config.json"]);
    with_config(|config| {
        config.as_object_mut().unwrap().remove("num_hidden_layers");
    })
    .run_fails(&["config.json", "num_hidden_layers"]);
    with_config(|config| config["hidden_size"] = json!("wide")).run_fails(&["config.json"]);
    with_config(|config| config["num_attention_heads"] = json!(0)).run_fails(&[]);
    with_config(|config| config["num_key_value_heads"] = json!(7)).run_fails(&[]);
}

#[test]
fn invalid_quantization_is_an_error() {
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.config["quantization"] = json!({"group_size": 64, "bits": 4});
    let scales = Q_PROJ.replace("weight", "scales");
    checkpoint
        .tensors
        .insert(scales.clone(), Tensor::zeros(&[32, 3]));
    checkpoint
        .tensors
        .insert(Q_PROJ.replace("weight", "biases"), Tensor::zeros(&[32, 3]));
    Model::of(&checkpoint).run_fails(&["model.layers.0.self_attn.q_proj"]);
    checkpoint.config["quantization"] = json!({"group_size": 17, "bits": 11});
    Model::of(&checkpoint).run_fails(&["11"]);
}

#[test]
fn missing_or_invalid_tokenizer_is_an_error() {
    let model = Model::good();
    let path = model.folder.join("tokenizer.json");
    fs::remove_file(&path).unwrap();
    model.run_fails(&["tokenizer.json"]);
    fs::write(&path, "{").unwrap();
    model.run_fails(&["tokenizer.json"]);
}

#[test]
fn template_errors_are_reported() {
    let mut checkpoint = Checkpoint::saying(&["o"]);
    checkpoint.chat_template = Some("{{ raise_exception('only robots may speak') }}".to_owned());
    Model::of(&checkpoint).run_fails(&["only robots may speak"]);
    checkpoint.chat_template = Some("{% for message in %}".to_owned());
    Model::of(&checkpoint).run_fails(&["template"]);
    checkpoint.chat_template = Some("{{ messages | no_such_filter }}".to_owned());
    Model::of(&checkpoint).run_fails(&["no_such_filter"]);
}

#[test]
fn too_long_prompt_suggests_context_length() {
    let model = Model::good();
    model.run_fails_with(
        &["--context-length", "20"],
        &["context", "20", "--context-length N"],
    );
}

#[test]
fn context_length_beyond_the_model_is_an_error() {
    Model::good().run_fails_with(&["--context-length", "1000000"], &["4096"]);
}

#[test]
fn memory_limit_is_enforced() {
    Model::good().run_fails_with(&["--memory", "100KB"], &["needs", "weights"]);
}

#[test]
fn invalid_sampling_values_are_errors() {
    let model = Model::good();
    for arguments in [
        ["--temp", "-1"],
        ["--temp", "nan"],
        ["--temp", "inf"],
        ["--top-p", "1.5"],
        ["--top-p", "0"],
        ["--min-p", "-0.1"],
        ["--min-p", "2"],
        ["--repetition-penalty", "0"],
        ["--repetition-penalty", "-3"],
        ["--presence-penalty", "nan"],
        ["--frequency-penalty", "inf"],
        ["--logit-bias", "99999=1"],
        ["--logit-bias", "12"],
        ["--logit-bias", "12=nan"],
        ["--max-tokens", "0"],
        ["--context-length", "0"],
        ["--seed", "-1"],
        ["--logprobs", "100000"],
        ["--threads", "0"],
        ["--stop", ""],
    ] {
        model.run_fails_with(&arguments, &[]);
    }
}

#[test]
fn input_must_be_utf8() {
    let model = Model::good();
    let file = model.env.path().join("binary");
    fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    let mut command = model.env.command(&["run", model.folder.to_str().unwrap()]);
    let outcome = crate::support::Outcome::of(command.stdin(fs::File::open(&file).unwrap()));
    outcome.failure(&["standard input", "UTF-8"]);
}

#[test]
fn invalid_gguf_files_are_errors() {
    let env = TestEnv::new();
    let file = env.path().join("bad.gguf");
    let convert = |content: &[u8]| {
        fs::write(&file, content).unwrap();
        let outcome = env.run(&["convert", "bad.gguf", "output"]);
        assert!(!env.path().join("output").exists());
        outcome
    };
    convert(b"").failure(&["bad.gguf"]);
    convert(b"PK\x03\x04 not a model").failure(&[]);
    let mut truncated = b"GGUF".to_vec();
    truncated.extend(3_u32.to_le_bytes());
    truncated.extend(1_000_000_u64.to_le_bytes());
    truncated.extend(5_u64.to_le_bytes());
    convert(&truncated).failure(&[]);
    env.run(&["convert", "absent.gguf", "output"])
        .failure(&["absent.gguf"]);
}

#[test]
fn doctor_fails_with_an_unwritable_cache() {
    let env = TestEnv::new();
    fs::write(env.path().join("hf"), "not a directory").unwrap();
    let outcome = env.run(&["doctor"]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(
        outcome.stdout.contains("FAILED") && outcome.stdout.contains("is a file"),
        "{outcome:#?}"
    );
}

#[test]
fn invalid_settings_are_errors() {
    let env = TestEnv::new();
    let mut command = env.online(&["search", "x"]);
    let outcome = crate::support::Outcome::of(command.env("HF_ENDPOINT", "not an address"));
    outcome.failure(&["not an address"]);
    env.run(&["pull", "owner/name"])
        .failure(&["HF_HUB_OFFLINE"]);
    env.run(&["pull", "a/b/c"])
        .failure(&["a/b/c", "owner/name"]);
}
