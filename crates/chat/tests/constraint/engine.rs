//! Constrained generation with the committed checkpoints, whose weights are random.

use mlxm_chat::constraint::{Compiler, Grammar};
use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{Engine, Event, Generation, LoadOptions, Request};
use serde_json::{Value, json};

use crate::support::{golden, violation};

fn load(name: &str) -> Engine {
    let options = LoadOptions {
        threads: Some(1),
        max_sequences: 8,
        max_batch_tokens: 64,
        ..LoadOptions::default()
    };
    Engine::load(golden(name), &options).unwrap()
}

struct Output {
    tokens: Vec<u32>,
    text: String,
    reason: &'static str,
}

fn collect(generation: Generation) -> Output {
    let mut output = Output {
        tokens: Vec::new(),
        text: String::new(),
        reason: "",
    };
    for event in generation {
        match event.unwrap() {
            Event::Prefill(_) | Event::Started(_) => {}
            Event::Token(token) => {
                output.tokens.push(token.id);
                output.text.push_str(&token.text);
            }
            Event::Finished(finished) => {
                output.text.push_str(&finished.text);
                output.reason = finished.reason.as_str();
            }
        }
    }
    output
}

fn schemas() -> Vec<Value> {
    vec![
        json!({
            "type": "object", "required": ["name", "age", "tags"], "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
                "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "maxItems": 3},
            },
        }),
        json!({"type": "integer", "minimum": -50, "maximum": 50}),
        json!({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
        json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 4}),
    ]
}

#[test]
fn output_matches_its_schema_alone_and_in_a_batch() {
    for name in ["llama-4bit", "llama-f16"] {
        let engine = load(name);
        let compiler = Compiler::for_engine(&engine);
        let schemas = schemas();
        let requests: Vec<(Request, &Value)> = (0..8u32)
            .map(|index| {
                let schema = &schemas[index as usize % schemas.len()];
                let matcher = compiler
                    .compile(&Grammar::JsonSchema(schema.clone()))
                    .unwrap();
                let sampling = SamplingParams {
                    temperature: 1.5,
                    seed: Some(u64::from(index)),
                    ..SamplingParams::default()
                };
                let request = Request {
                    prompt: (3..4 + 9 * index).collect(),
                    sampling,
                    max_tokens: Some(120),
                    constraint: Some(Box::new(matcher)),
                    no_prefix_cache: true,
                    ..Request::default()
                };
                (request, schema)
            })
            .collect();
        let alone: Vec<Output> = requests
            .iter()
            .map(|(request, _)| collect(engine.submit(request.clone()).unwrap()))
            .collect();
        let batch: Vec<Generation> = requests
            .iter()
            .map(|(request, _)| engine.submit(request.clone()).unwrap())
            .collect();
        let batch: Vec<Output> = batch.into_iter().map(collect).collect();
        let mut stopped = 0;
        for ((alone, batched), (_, schema)) in alone.iter().zip(&batch).zip(&requests) {
            assert_eq!(alone.tokens, batched.tokens, "{name}");
            assert_eq!(alone.text, batched.text, "{name}");
            if batched.reason == "stop" {
                stopped += 1;
                assert_eq!(violation(schema, &batched.text), None, "{name}");
            }
        }
        assert!(stopped >= 5, "{name}: only {stopped} completions stopped");
    }
}
