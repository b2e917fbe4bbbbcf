//! Rejected grammars, and grammars that are expensive to compile.

use std::time::{Duration, Instant};

use mlxm_chat::constraint::{Compiler, Grammar, GrammarError, TokenText, Vocabulary, compile};
use mlxm_engine::sampling::Constraint;
use mlxm_engine::text::Tokenizer;
use serde_json::{Value, json};

use crate::support::{compiler, golden, written_tokenizer};

fn problem(grammar: Grammar) -> String {
    compiler().compile(&grammar).unwrap_err().to_string()
}

#[test]
fn errors_are_short_and_name_the_kind_of_grammar() {
    for (grammar, start) in [
        (
            Grammar::Regex("a(?=b)".into()),
            "the regular expression cannot be enforced: ",
        ),
        (
            Grammar::Regex("(".into()),
            "the regular expression cannot be enforced: ",
        ),
        (
            Grammar::Regex("a".repeat(100_000)),
            "the grammar is too large: ",
        ),
        (
            Grammar::Lark("start: missing".into()),
            "the grammar cannot be enforced: ",
        ),
        (
            Grammar::Lark("a: \"b\"".into()),
            "the grammar cannot be enforced: ",
        ),
        (
            Grammar::Lark(String::new()),
            "the grammar cannot be enforced: ",
        ),
        (
            Grammar::JsonSchema(json!({"type": "string", "pattern": "^a$", "minLength": 2})),
            "the JSON schema cannot be enforced: ",
        ),
        (
            Grammar::JsonSchema(json!({"allOf": [{"type": "string"}, {"type": "null"}]})),
            "the JSON schema cannot be enforced: ",
        ),
    ] {
        let message = problem(grammar);
        assert!(message.starts_with(start), "{message}");
        assert!(
            !message.contains("<state>") && message.len() < 500,
            "{message}"
        );
    }
}

#[test]
fn vocabulary_needs_an_eos_token_and_matching_tokens() {
    let tokens = || {
        [
            TokenText::Bytes(b"a".to_vec()),
            TokenText::Special("<end>".into()),
        ]
    };
    assert_eq!(
        Vocabulary::new(tokens(), &[]).unwrap_err(),
        GrammarError::NoEosToken
    );
    assert_eq!(
        Vocabulary::new(tokens(), &[7]).unwrap_err(),
        GrammarError::NoEosToken
    );
    let vocabulary = Vocabulary::new(tokens(), &[1]).unwrap();
    let matcher = compile(&vocabulary, &Grammar::Regex("a+".into())).unwrap();
    let mut logits = [0.0; 5];
    matcher.fork().mask(&mut logits).unwrap();
    let masked = f32::NEG_INFINITY;
    assert_eq!(logits, [0.0, masked, masked, masked, masked]);
    let unmatched = compile(&vocabulary, &Grammar::Regex("b".into()));
    assert!(unmatched.is_err());
}

#[test]
fn context_dependent_tokens_are_rejected() {
    let words = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "model": {"type": "WordLevel", "vocab": {"a</w>": 0, "b": 1}, "unk_token": "b"},
    });
    let tokenizer = written_tokenizer("suffixed", &words);
    let rejected = Compiler::new(tokenizer, 2, vec![1]).compile(&Grammar::JsonObject);
    assert_eq!(rejected.unwrap_err(), GrammarError::NoTokenText);
}

#[test]
fn vocabulary_without_json_tokens_is_rejected() {
    let tokenizer = Tokenizer::from_dir(golden("gemma3-window-8")).unwrap();
    let size = tokenizer.vocab_size();
    let rejected = Compiler::new(tokenizer, size, vec![1]).compile(&Grammar::JsonObject);
    assert!(rejected.is_err());
}

/// A cycle of definitions that refer to each other.
fn chain(length: usize) -> Value {
    let definitions = (0..length).map(|index| {
        let next = json!({"type": "object", "properties": {"a": {"$ref": format!("#/$defs/n{}", (index + 1) % length)}}});
        (format!("n{index}"), next)
    });
    json!({"$ref": "#/$defs/n0", "$defs": definitions.collect::<serde_json::Map<_, _>>()})
}

fn nested_choices(depth: usize) -> Value {
    (0..depth).fold(json!({"type": "string"}), |inner, _| {
        json!({"anyOf": [{"type": "array", "items": inner}, {"type": "object", "additionalProperties": inner}]})
    })
}

/// A conjunction of disjunctions: all pairs must be intersected.
fn products(choices: usize, factors: usize) -> Value {
    let factor = |factor: usize| {
        let options = (0..choices).map(|index| {
            json!({"type": "object", "properties": {format!("p{factor}_{index}"): {"type": "string", "maxLength": index + 1}}})
        });
        json!({"anyOf": options.collect::<Vec<_>>()})
    };
    json!({"allOf": (0..factors).map(factor).collect::<Vec<_>>()})
}

#[test]
fn expensive_grammars_are_rejected_or_fast() {
    let rules = (0..4000).map(|index| format!("r{index}: r{}", index + 1));
    let rules = rules.collect::<Vec<_>>().join("\n");
    let optional = (0..2000).map(|index| (format!("p{index}"), json!({"type": "integer"})));
    let grammars = vec![
        ("chain", Grammar::JsonSchema(chain(1500))),
        ("choices", Grammar::JsonSchema(nested_choices(10))),
        ("products", Grammar::JsonSchema(products(40, 4))),
        (
            "properties",
            Grammar::JsonSchema(
                json!({"type": "object", "properties": optional.collect::<serde_json::Map<_, _>>()}),
            ),
        ),
        (
            "length",
            Grammar::JsonSchema(
                json!({"type": "string", "minLength": 90_000, "maxLength": 100_000}),
            ),
        ),
        (
            "items",
            Grammar::JsonSchema(
                json!({"type": "array", "items": {"type": "array", "maxItems": 100_000}, "minItems": 90_000}),
            ),
        ),
        (
            "pattern",
            Grammar::JsonSchema(
                json!({"type": "string", "pattern": "(a|a?)*(b|[a-f]{0,90}){1,90}x.{90}$"}),
            ),
        ),
        (
            "repeats",
            Grammar::Regex("((a{1,100}){1,100}){1,100}".into()),
        ),
        ("window", Grammar::Regex("(.*a.{20}b.*){5}".into())),
        (
            "brackets",
            Grammar::Regex("(".repeat(8000) + &")".repeat(8000)),
        ),
        (
            "rules",
            Grammar::Lark(format!("start: r0\n{rules}\nr4000: \"a\"\n")),
        ),
        (
            "groups",
            Grammar::Lark(format!(
                "start: {}\"a\"{}",
                "(".repeat(20_000),
                ")".repeat(20_000)
            )),
        ),
        (
            "ambiguous",
            Grammar::Lark("start: a\na: a a | \"x\" | \"x\" a | a \"x\"\n".into()),
        ),
    ];
    for (name, grammar) in grammars {
        let start = Instant::now();
        let compiled = compiler().compile(&grammar);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{name} took {took:?}");
        let outcome = compiled.map(|matcher| {
            // No step of an accepted grammar may block the engine.
            let mut matcher = matcher.fork();
            let mut slowest = Duration::ZERO;
            for _ in 0..60 {
                let mut logits = vec![0.0; 279];
                let start = Instant::now();
                if matcher.mask(&mut logits).is_err() {
                    break;
                }
                slowest = slowest.max(start.elapsed());
                let Some(token) = (3u32..).zip(&logits[3..]).find(|(_, logit)| **logit == 0.0)
                else {
                    break;
                };
                if !matches!(
                    matcher.accept(token.0),
                    Ok(mlxm_engine::sampling::Acceptance::Continue)
                ) {
                    break;
                }
            }
            assert!(
                slowest < Duration::from_secs(2),
                "a step of {name} took {slowest:?}"
            );
            slowest
        });
        println!("{name}: {took:?}, {outcome:?}");
    }
}
