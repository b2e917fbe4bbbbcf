//! The starter model, where the test runner provides it.

use crate::support::{TestEnv, starter_model};

#[test]
fn knows_the_capital_of_france() {
    let Some(model) = starter_model() else { return };
    let question = "What is the capital of France? Answer in one sentence.";
    let outcome = TestEnv::new().run(&["run", model.to_str().unwrap(), question, "--temp", "0"]);
    assert_eq!(outcome.success(), "The capital of France is Paris.\n");
}

#[test]
fn shows_its_characteristics() {
    let Some(model) = starter_model() else { return };
    let shown = TestEnv::new()
        .run(&["show", model.to_str().unwrap(), "--json"])
        .json();
    assert_eq!(
        (&shown["model_type"], shown["layers"].as_u64()),
        (&"llama".into(), Some(30))
    );
    assert_eq!(shown["parameters"], 134_515_008);
    assert_eq!(shown["chat_template"], true);
}

#[test]
fn predicts_english_better_than_noise() {
    let Some(model) = starter_model() else { return };
    let env = TestEnv::new();
    let text = "The sun rises in the east and sets in the west. Water boils at one hundred degrees Celsius at sea level.";
    std::fs::write(env.path().join("english.txt"), text).unwrap();
    let noise: String = text.split(' ').rev().collect::<Vec<_>>().join(" ");
    std::fs::write(env.path().join("noise.txt"), noise).unwrap();
    let perplexity = |file: &str| {
        let arguments = ["perplexity", model.to_str().unwrap(), file, "--json"];
        env.run(&arguments).json()["perplexity"].as_f64().unwrap()
    };
    let (english, noise) = (perplexity("english.txt"), perplexity("noise.txt"));
    assert!(english < 30.0 && noise > 5.0 * english, "{english} {noise}");
}
