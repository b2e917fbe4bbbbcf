//! `mlxm convert`.

use crate::support::{Checkpoint, TestEnv};

#[test]
fn quantized_model_is_saved_locally_and_runs() {
    let env = TestEnv::new();
    let source = env.path().join("source-model");
    Checkpoint::saying(&["O", "k", "!"]).write(&source);
    let outcome = env.run(&[
        "convert",
        "source-model",
        "--bits",
        "8",
        "--group-size",
        "32",
    ]);
    assert!(outcome.success().contains("quantized"), "{outcome:#?}");
    assert!(env.models().join("source-model/config.json").exists());
    assert_eq!(
        env.run(&["run", "source-model", "?", "--temp", "0"])
            .success(),
        "Ok!\n"
    );
    let model = env
        .run(&[
            "show",
            env.models().join("source-model").to_str().unwrap(),
            "--json",
        ])
        .json();
    assert_eq!(model["quantization"], "8-bit g32");
}

#[test]
fn overrides_recipes_and_dequantization_produce_runnable_models() {
    let env = TestEnv::new();
    Checkpoint::saying(&["O", "k"]).write(&env.path().join("source"));
    let arguments = [
        "convert",
        "source",
        "mixed",
        "--bits",
        "4",
        "--group-size",
        "32",
        "--override",
        "lm_head=8:32",
        "--json",
    ];
    let report = env.run(&arguments).json();
    assert!(report["quantized"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(env.run(&["run", "./mixed", "?"]).success(), "Ok\n");
    env.run(&[
        "convert",
        "source",
        "recipe",
        "--recipe",
        "mixed_4_6",
        "--group-size",
        "32",
    ])
    .success();
    assert_eq!(env.run(&["run", "./recipe", "?"]).success(), "Ok\n");
    env.run(&[
        "convert",
        "mixed",
        "dense",
        "--dequantize",
        "--dtype",
        "float32",
    ])
    .success();
    let model = env.run(&["show", "./dense", "--json"]).json();
    assert_eq!(model["quantization"], "dense");
    assert_eq!(env.run(&["run", "./dense", "?"]).success(), "Ok\n");
}

#[test]
fn model_that_cannot_run_is_not_written() {
    let env = TestEnv::new();
    let mut checkpoint = Checkpoint::saying(&["O"]);
    checkpoint
        .tensors
        .remove("model.layers.0.self_attn.k_proj.weight");
    checkpoint.write(&env.path().join("source"));
    env.run(&["convert", "source", "output", "--bits", "4"])
        .failure(&["output", "k_proj"]);
    assert!(!env.path().join("output").exists());
}

#[test]
fn invalid_options_are_usage_errors() {
    let env = TestEnv::new();
    Checkpoint::saying(&["O"]).write(&env.path().join("source"));
    for arguments in [
        ["--bits", "7"].as_slice(),
        &["--bits", "4", "--group-size", "17"],
        &["--bits", "4", "--dequantize"],
        &["--mode", "mxfp4", "--bits", "8"],
        &["--recipe", "unknown"],
        &["--override", "lm_head"],
        &["--dtype", "int8"],
    ] {
        let arguments = [&["convert", "source", "output"], arguments].concat();
        env.run(&arguments).failure_with(2, &[]);
        assert!(!env.path().join("output").exists());
    }
}

#[test]
fn existing_output_is_replaced_only_with_force() {
    let env = TestEnv::new();
    Checkpoint::saying(&["O"]).write(&env.path().join("source"));
    let arguments = ["convert", "source", "output", "--dtype", "float16"];
    env.run(&arguments).success();
    env.run(&arguments).failure(&["output", "--force"]);
    env.run(&[arguments.as_slice(), &["--force"]].concat())
        .success();
}

#[test]
fn unwritable_output_is_an_error() {
    let env = TestEnv::new();
    Checkpoint::saying(&["O"]).write(&env.path().join("source"));
    std::fs::write(env.path().join("taken"), "a file").unwrap();
    env.run(&["convert", "source", "taken", "--bits", "4"])
        .failure(&["taken", "--force"]);
    env.run(&["convert", "source", "taken/below", "--bits", "4"])
        .failure(&["taken"]);
    assert!(env.path().join("source/config.json").exists());
}
