//! Answers of the engine on the committed checkpoints, whose weights are random: they say anything.

use mlxm_chat::constraint::{Compiler, Grammar};
use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{Engine, Event, Generation, LoadOptions, Request};
use serde_json::{Value, json};

use crate::support::{fault, golden};

fn load(name: &str) -> Engine {
    let options = LoadOptions {
        threads: Some(1),
        max_sequences: 8,
        max_batch_tokens: 64,
        ..LoadOptions::default()
    };
    Engine::load(golden(name), &options).unwrap()
}

struct Answer {
    tokens: Vec<u32>,
    text: String,
    reason: &'static str,
}

/// Reads the events as they come; each piece joins the text.
fn read(generation: Generation) -> Answer {
    let mut answer = Answer {
        tokens: Vec::new(),
        text: String::new(),
        reason: "",
    };
    for event in generation {
        match event.unwrap() {
            Event::Token(token) => {
                answer.tokens.push(token.id);
                answer.text.push_str(&token.text);
            }
            Event::Finished(end) => {
                answer.text.push_str(&end.text);
                answer.reason = end.reason.as_str();
            }
        }
    }
    answer
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
fn answers_fulfil_their_schema_alone_and_in_a_crowd() {
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
        let alone: Vec<Answer> = requests
            .iter()
            .map(|(request, _)| read(engine.submit(request.clone()).unwrap()))
            .collect();
        let crowd: Vec<Generation> = requests
            .iter()
            .map(|(request, _)| engine.submit(request.clone()).unwrap())
            .collect();
        let crowd: Vec<Answer> = crowd.into_iter().map(read).collect();
        let mut stopped = 0;
        for ((alone, together), (_, schema)) in alone.iter().zip(&crowd).zip(&requests) {
            assert_eq!(alone.tokens, together.tokens, "{name}");
            assert_eq!(alone.text, together.text, "{name}");
            if together.reason == "stop" {
                stopped += 1;
                assert_eq!(fault(schema, &together.text), None, "{name}");
            }
        }
        assert!(stopped >= 5, "{name}: only {stopped} answers ended");
    }
}
