//! `mlxm convert`.

use crate::support::{Checkpoint, Surroundings};

#[test]
fn a_quantized_model_answers_the_same_and_is_found_by_name() {
    let surroundings = Surroundings::new();
    let source = surroundings.path().join("source-model");
    Checkpoint::saying(&["O", "k", "!"]).write(&source);
    let outcome = surroundings.run(&[
        "convert",
        "source-model",
        "--bits",
        "8",
        "--group-size",
        "32",
    ]);
    assert!(outcome.success().contains("quantized"), "{outcome:#?}");
    assert!(
        surroundings
            .models()
            .join("source-model/config.json")
            .exists()
    );
    assert_eq!(
        surroundings
            .run(&["run", "source-model", "?", "--temp", "0"])
            .success(),
        "Ok!\n"
    );
    let model = surroundings
        .run(&[
            "show",
            surroundings.models().join("source-model").to_str().unwrap(),
            "--json",
        ])
        .json();
    assert_eq!(model["quantization"], "8-bit g32");
}

#[test]
fn overrides_recipes_and_dequantizing() {
    let surroundings = Surroundings::new();
    Checkpoint::saying(&["O", "k"]).write(&surroundings.path().join("source"));
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
    let report = surroundings.run(&arguments).json();
    assert!(report["quantized"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(surroundings.run(&["run", "./mixed", "?"]).success(), "Ok\n");
    surroundings
        .run(&[
            "convert",
            "source",
            "recipe",
            "--recipe",
            "mixed_4_6",
            "--group-size",
            "32",
        ])
        .success();
    assert_eq!(
        surroundings.run(&["run", "./recipe", "?"]).success(),
        "Ok\n"
    );
    surroundings
        .run(&[
            "convert",
            "mixed",
            "dense",
            "--dequantize",
            "--dtype",
            "float32",
        ])
        .success();
    let model = surroundings.run(&["show", "./dense", "--json"]).json();
    assert_eq!(model["quantization"], "dense");
    assert_eq!(surroundings.run(&["run", "./dense", "?"]).success(), "Ok\n");
}

#[test]
fn contradictions_are_wrong_usage() {
    let surroundings = Surroundings::new();
    Checkpoint::saying(&["O"]).write(&surroundings.path().join("source"));
    for arguments in [
        ["--bits", "7"].as_slice(),
        &["--bits", "4", "--group-size", "17"],
        &["--bits", "4", "--dequantize"],
        &["--mode", "mxfp4", "--bits", "8"],
        &["--recipe", "unheard_of"],
        &["--override", "lm_head"],
        &["--dtype", "int8"],
    ] {
        let arguments = [&["convert", "source", "output"], arguments].concat();
        surroundings.run(&arguments).failure_with(2, &[]);
        assert!(!surroundings.path().join("output").exists());
    }
}

#[test]
fn an_existing_output_is_replaced_only_when_told_to() {
    let surroundings = Surroundings::new();
    Checkpoint::saying(&["O"]).write(&surroundings.path().join("source"));
    let arguments = ["convert", "source", "output", "--dtype", "float16"];
    surroundings.run(&arguments).success();
    surroundings.run(&arguments).failure(&["output", "--force"]);
    surroundings
        .run(&[arguments.as_slice(), &["--force"]].concat())
        .success();
}

#[test]
fn an_output_that_cannot_be_written() {
    let surroundings = Surroundings::new();
    Checkpoint::saying(&["O"]).write(&surroundings.path().join("source"));
    std::fs::write(surroundings.path().join("taken"), "a file").unwrap();
    surroundings
        .run(&["convert", "source", "taken", "--bits", "4"])
        .failure(&["taken", "--force"]);
    surroundings
        .run(&["convert", "source", "taken/below", "--bits", "4"])
        .failure(&["taken"]);
    assert!(surroundings.path().join("source/config.json").exists());
}
