//! Checkpoints whose conversion could not be loaded.

use super::*;

#[test]
fn model_that_cannot_be_loaded_is_rejected_before_writing() {
    let vector = || (Dtype::F16, vec![64], floats(&[1.0; 64], Dtype::F16));
    let mut missing = tensors(Dtype::F16);
    missing.remove("model.layers.0.self_attn.k_proj.weight");
    let mut extra = tensors(Dtype::F16);
    extra.insert("model.layers.0.self_attn.sinks".to_owned(), vector());
    let mut wrong = tensors(Dtype::F16);
    wrong.insert(
        "model.norm.weight".to_owned(),
        (Dtype::F16, vec![32], floats(&[1.0; 32], Dtype::F16)),
    );
    let mut layers = config();
    layers.insert("num_hidden_layers".to_owned(), json!(2));
    for (config, tensors, names) in [
        (config(), missing, ["k_proj", "missing"]),
        (config(), extra, ["sinks", "does not use"]),
        (config(), wrong, ["model.norm.weight", "shape"]),
        (layers, tensors(Dtype::F16), ["model.layers.1.", "missing"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (source, output) = (
            directory.path().join("source"),
            directory.path().join("out"),
        );
        write(&source, &config, &tensors);
        let result = crate::convert(&source, &output, &options(affine(4, 64)), &mut |event| {
            panic!("{event:?}")
        });
        let message = result.unwrap_err().to_string();
        for name in names {
            assert!(message.contains(name), "{name}: {message}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

#[test]
fn source_without_a_usable_tokenizer_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let (source, output) = (
        directory.path().join("source"),
        directory.path().join("out"),
    );
    write(&source, &config(), &tensors(Dtype::F16));
    let error_message = || {
        let error = run(&source, &output, &ConvertOptions::default()).err();
        assert!(!output.exists());
        error.unwrap().to_string()
    };
    std::fs::write(source.join("tokenizer.json"), "{\"model\": 3}").unwrap();
    assert!(error_message().contains("tokenizer.json"));
    std::fs::remove_file(source.join("tokenizer.json")).unwrap();
    let message = error_message();
    assert!(message.contains("no tokenizer.json"), "{message}");
}
