//! Answers to regular expressions and Lark grammars.

use mlxm_chat::constraint::Grammar;
use proptest::prelude::*;
use regex::Regex;
use serde_json::json;

use crate::support::{Babbler, babble, compiler, fault, written_tokenizer};

const EXPRESSIONS: [&str; 12] = [
    "yes|no",
    "^(?:[0-9]{1,3}\\.){3}[0-9]{1,3}$",
    "[A-Z][a-z]{2,8}(?: [A-Z][a-z]{2,8})*",
    "(?i)true|false",
    "\\d+(?:\\.\\d{2})? (?:EUR|USD)",
    "[^\\n]{1,20}",
    "\\p{Lu}\\p{Ll}*",
    " leading space",
    "a{0,5}b?",
    "\\$[1-9]\\d*\\$",
    "(?:https?://)[a-z]+(?:/[a-z0-9]*)*",
    "é+中?|😀",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_match_their_expression(expression in prop::sample::select(EXPRESSIONS.to_vec()), seed in any::<u64>()) {
        let matcher = compiler().compile(&Grammar::Regex(expression.into())).unwrap();
        if let Some(answer) = babble(&matcher, seed, 200) {
            let expected = Regex::new(&format!("^(?:{expression})$")).unwrap();
            prop_assert!(expected.is_match(&answer), "{expression}: {answer:?}");
        }
    }
}

/// A grammar that no regular expression describes.
#[test]
fn answers_follow_their_grammar() {
    let lark = r#"
start: sum
sum: product (("+" | "-") product)*
product: atom (("*" | "/") atom)*
atom: NUMBER | "(" sum ")"
NUMBER: /[1-9][0-9]{0,3}/
"#;
    let matcher = compiler().compile(&Grammar::Lark(lark.into())).unwrap();
    let alphabet = Regex::new("^[-+*/()0-9]+$").unwrap();
    let misplaced = Regex::new("[-+*/(][-+*/)]|[0-9)]\\(|\\)[0-9]").unwrap();
    let mut ended = 0;
    for seed in 0..60 {
        let Some(answer) = babble(&matcher, seed, 200) else {
            continue;
        };
        ended += 1;
        let mut open = 0i32;
        for character in answer.chars() {
            open += i32::from(character == '(') - i32::from(character == ')');
            assert!(open >= 0, "{answer}");
        }
        assert_eq!(open, 0, "{answer}");
        assert!(alphabet.is_match(&answer), "{answer}");
        assert!(!misplaced.is_match(&answer), "{answer}");
    }
    assert!(ended > 30, "{ended}");
}

#[test]
fn special_tokens_are_asked_for_by_name_or_id_and_are_no_text() {
    for lark in [
        "start: <[1]> \"a\" <|im_start|>",
        "start: \"a\" <[1]> | <|im_start|> \"a\"",
    ] {
        let matcher = compiler().compile(&Grammar::Lark(lark.into())).unwrap();
        assert_eq!(babble(&matcher, 1, 10).as_deref(), Some("a"), "{lark}");
    }
    let error = compiler()
        .compile(&Grammar::Lark("start: <|missing|>".into()))
        .unwrap_err();
    assert!(error.to_string().contains("<|missing|>"), "{error}");
}

/// What a tool call looks like.
#[test]
fn text_around_json_is_kept_and_the_json_fulfils_its_schema() {
    let lark = r#"
start: call ("\n" call)~0..2
call: "<tool_call>\n" body "\n</tool_call>"
body: "{\"name\": \"get_weather\", \"arguments\": " arguments "}"
arguments: %json {"type": "object", "properties": {"city": {"type": "string", "maxLength": 4}}, "required": ["city"], "additionalProperties": false}
"#;
    let schema = json!({
        "type": "object", "required": ["name", "arguments"],
        "properties": {"name": {"const": "get_weather"}, "arguments": {
            "type": "object", "properties": {"city": {"type": "string", "maxLength": 4}}, "required": ["city"],
            "additionalProperties": false,
        }},
    });
    let matcher = compiler().compile(&Grammar::Lark(lark.into())).unwrap();
    let calls = Regex::new("(?s)<tool_call>\n(.*?)\n</tool_call>").unwrap();
    let mut found = 0;
    for seed in 0..30 {
        let Some(answer) = babble(&matcher, seed, 600) else {
            continue;
        };
        assert_eq!(calls.replace_all(&answer, "").trim(), "", "{answer}");
        for call in calls.captures_iter(&answer) {
            assert_eq!(fault(&schema, &call[1]), None);
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

/// SentencePiece's way: characters without a token are spelled in bytes, and a text loses the space it begins with.
fn sentencepiece() -> Babbler {
    let pieces = [
        "\u{2581}",
        "\u{2581}{",
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\u{2581}\"",
        "a",
        "b",
        "\u{2581}a",
        "\u{e9}",
        "0",
        "1",
        "17",
        "-",
        ".",
        "\u{2581}\u{2581}",
        "true",
        "null",
        "x",
    ];
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    let special = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let all = special
        .into_iter()
        .chain(bytes)
        .chain(pieces.map(str::to_owned));
    let vocabulary: serde_json::Map<_, _> = all
        .zip(0u32..)
        .map(|(token, id)| (token, id.into()))
        .collect();
    let added = |id: u32, content: &str| json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "byte_fallback": true, "unk_token": "<unk>", "fuse_unk": true},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
    });
    Babbler::new(written_tokenizer("sentencepiece", &document), vec![2])
}

#[test]
fn the_text_counts_where_a_tokenizer_drops_a_space_or_spells_bytes() {
    let model = sentencepiece();
    for expression in ["\u{e9}\u{4e2d}{1,3}a?", " ?a+", "  b", "17|x"] {
        let matcher = model
            .compiler
            .compile(&Grammar::Regex(expression.into()))
            .unwrap();
        let expected = Regex::new(&format!("^(?:{expression})$")).unwrap();
        let answers: Vec<String> = (0..20)
            .filter_map(|seed| model.answer(&matcher, seed, 100))
            .collect();
        assert!(answers.len() > 10, "{expression}: {answers:?}");
        for answer in answers {
            assert!(expected.is_match(&answer), "{expression}: {answer:?}");
        }
    }
    let schema = json!({
        "type": "object", "required": ["a"], "additionalProperties": {"type": "string", "maxLength": 3},
        "properties": {"a": {"type": "array", "items": {"type": "integer", "maximum": 17}, "maxItems": 3}},
    });
    let matcher = model
        .compiler
        .compile(&Grammar::JsonSchema(schema.clone()))
        .unwrap();
    let answers: Vec<String> = (0..40)
        .filter_map(|seed| model.answer(&matcher, seed, 200))
        .collect();
    assert!(answers.len() > 20, "{answers:?}");
    for answer in answers {
        assert!(answer.starts_with('{'), "{answer}");
        assert_eq!(fault(&schema, &answer), None);
    }
    let lark = Grammar::Lark("start: \"a \" %json {\"type\": \"boolean\"}".into());
    let matcher = model.compiler.compile(&lark).unwrap();
    let answer = model.answer(&matcher, 1, 50).unwrap();
    assert!(["a true", "a false"].contains(&answer.as_str()), "{answer}");
}
