//! Import and export of Modelfiles.

use serde_json::{Value, json};

use super::*;

fn imported(content: &str) -> (Value, Vec<String>) {
    let (config, warnings) = import(content, |_| false).unwrap();
    (serde_json::to_value(config).unwrap(), warnings)
}

fn messages(content: &str) -> Vec<String> {
    let problem = import(content, |_| false).unwrap_err().to_wire(None);
    assert_eq!(problem.code, "modelfile_invalid");
    let messages: Vec<_> = problem
        .errors
        .into_iter()
        .map(|error| error.message)
        .collect();
    if messages.is_empty() {
        vec![problem.detail]
    } else {
        messages
    }
}

#[test]
fn parameters_become_settings() {
    let (config, warnings) = imported(
        "FROM mlx-community/Qwen3-4B-4bit\nPARAMETER num_ctx 8192\nPARAMETER temperature 0.2\nPARAMETER top_k 20\n\
         PARAMETER repeat_penalty 1.1\nPARAMETER repeat_last_n 64\nPARAMETER num_predict 256\nPARAMETER seed -7\n\
         PARAMETER stop <a>\nPARAMETER stop \"<b>\"\nPARAMETER num_gpu 99\nLICENSE MIT\nSYSTEM \"\"\"Be\nbrief.\"\"\"\n",
    );
    assert_eq!(config["model"], "mlx-community/Qwen3-4B-4bit");
    assert_eq!(config["load"], json!({"context_length": 8192}));
    let request = json!({
        "temperature": 0.2,
        "top_k": 20,
        "repetition_penalty": 1.1,
        "repetition_context_size": 64,
        "max_tokens": 256,
        "seed": -7,
        "stop": ["<a>", "<b>"],
        "system_prompt": "Be\nbrief.",
    });
    assert_eq!(config["request"], request);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("line 11: PARAMETER num_gpu"),
        "{warnings:?}"
    );
}

#[test]
fn unlimited_completions_are_the_default() {
    let (config, _) =
        imported("FROM org/model\nPARAMETER num_predict -1\nPARAMETER repeat_last_n 0");
    assert_eq!(config["request"], json!({"repetition_penalty": 1.0}));
}

#[test]
fn every_rejected_instruction_is_named_with_its_line() {
    let found = messages(
        "FROM org/model\nTEMPLATE \"\"\"{{ .Prompt }}\n\"\"\"\nADAPTER ./lora\nPARAMETER top_p high\nPARAMETER magic 1",
    );
    let starts = [
        "line 2: TEMPLATE",
        "line 4: ADAPTER",
        "line 5: PARAMETER top_p",
        "line 6: magic",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (message, start) in found.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn models_that_cannot_run_here_get_advice() {
    for (name, advice) in [
        ("llama3.2:1b", "mlxm search llama3.2"),
        ("mistral", "mlxm search mistral"),
        ("./model.gguf", "mlxm convert"),
        ("hf.co/org/model:Q4_K_M", "safetensors"),
    ] {
        let found = messages(&format!("FROM {name}"));
        assert!(found[0].contains(advice), "{found:?}");
    }
    for from in ["FROM hf.co/org/model", "FROM https://hub.example/org/model"] {
        assert_eq!(imported(from).0["model"], "org/model", "{from}");
    }
    assert!(messages("SYSTEM hi")[0].contains("FROM is missing"));
}

#[test]
fn local_models_can_have_any_name() {
    for name in ["mistral", "llama3.2:1b"] {
        let (config, _) = import(&format!("FROM {name}"), |local| local == name).unwrap();
        assert_eq!(config.model, name);
    }
}

#[test]
fn exported_profiles_can_be_imported() {
    let config: ProfileConfig = serde_json::from_value(json!({
        "name": "coder",
        "model": "org/model",
        "load": {"context_length": 4096, "device": "cpu"},
        "request": {"temperature": 0.25, "stop": ["a b", "\n"], "system_prompt": "Say \"hi\".", "max_tokens": 9,
            "thinking": true},
        "is_pinned": true,
        "color": 5,
    }))
    .unwrap();
    let exported = export(&config);
    let (imported, warnings) = import(&exported.content, |_| false).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(imported.model, config.model);
    assert_eq!(imported.load.context_length, Some(4096));
    assert_eq!(imported.request.stop, config.request.stop);
    assert_eq!(imported.request.system_prompt, config.request.system_prompt);
    assert_eq!(imported.request.temperature, Some(0.25));
    let left_out: Vec<_> = exported
        .warnings
        .iter()
        .filter_map(|warning| warning.split(' ').next())
        .collect();
    assert_eq!(left_out, ["is_pinned", "load.device", "request.thinking"]);
}
