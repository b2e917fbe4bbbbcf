//! Tests with the starter model.

use crate::support::{TestEnv, starter_model};

#[test]
fn run_completes_a_prompt_correctly() {
    let model = starter_model();
    let question = "What is the capital of France? Answer in one sentence.";
    let outcome = TestEnv::new().run(&["run", model.to_str().unwrap(), question, "--temp", "0"]);
    assert_eq!(outcome.success(), "The capital of France is Paris.\n");
}

#[test]
fn show_prints_the_architecture() {
    let model = starter_model();
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
fn perplexity_is_lower_on_english_than_on_shuffled_words() {
    let model = starter_model();
    let env = TestEnv::new();
    let text = "The sun rises in the east and sets in the west. Water boils at one hundred degrees Celsius at sea level.";
    std::fs::write(env.path().join("english.txt"), text).unwrap();
    let reversed: String = text.split(' ').rev().collect::<Vec<_>>().join(" ");
    std::fs::write(env.path().join("reversed.txt"), reversed).unwrap();
    let perplexity = |file: &str| {
        let arguments = ["perplexity", model.to_str().unwrap(), file, "--json"];
        env.run(&arguments).json()["perplexity"].as_f64().unwrap()
    };
    let (english, reversed) = (perplexity("english.txt"), perplexity("reversed.txt"));
    assert!(
        english < 30.0 && reversed > 5.0 * english,
        "{english} {reversed}"
    );
}
