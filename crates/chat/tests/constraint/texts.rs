//! Output that is constrained by regular expressions and Lark grammars.

use mlxm_chat::constraint::Grammar;
use proptest::prelude::*;
use regex::Regex;
use serde_json::json;

use crate::support::{RandomModel, compiler, sample, violation, written_tokenizer};

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
    fn output_matches_its_regex(expression in prop::sample::select(EXPRESSIONS.to_vec()), seed in any::<u64>()) {
        let matcher = compiler().compile(&Grammar::Regex(expression.into())).unwrap();
        if let Some(output) = sample(&matcher, seed, 200) {
            let expected = Regex::new(&format!("^(?:{expression})$")).unwrap();
            prop_assert!(expected.is_match(&output), "{expression}: {output:?}");
        }
    }
}

/// The language of this grammar is not regular.
#[test]
fn output_matches_its_lark_grammar() {
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
    let mut complete = 0;
    for seed in 0..60 {
        let Some(output) = sample(&matcher, seed, 200) else {
            continue;
        };
        complete += 1;
        let mut open = 0i32;
        for character in output.chars() {
            open += i32::from(character == '(') - i32::from(character == ')');
            assert!(open >= 0, "{output}");
        }
        assert_eq!(open, 0, "{output}");
        assert!(alphabet.is_match(&output), "{output}");
        assert!(!misplaced.is_match(&output), "{output}");
    }
    assert!(complete > 30, "{complete}");
}

#[test]
fn lark_refers_to_special_tokens_by_name_or_id() {
    for lark in [
        "start: <[1]> \"a\" <|im_start|>",
        "start: \"a\" <[1]> | <|im_start|> \"a\"",
    ] {
        let matcher = compiler().compile(&Grammar::Lark(lark.into())).unwrap();
        assert_eq!(sample(&matcher, 1, 10).as_deref(), Some("a"), "{lark}");
    }
    let error = compiler()
        .compile(&Grammar::Lark("start: <|missing|>".into()))
        .unwrap_err();
    assert!(error.to_string().contains("<|missing|>"), "{error}");
}

#[test]
fn lark_enforces_embedded_schemas() {
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
        let Some(output) = sample(&matcher, seed, 600) else {
            continue;
        };
        assert_eq!(calls.replace_all(&output, "").trim(), "", "{output}");
        for call in calls.captures_iter(&output) {
            assert_eq!(violation(&schema, &call[1]), None);
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

/// A tokenizer in the style of SentencePiece: byte fallback, and decoding removes a leading space.
fn sentencepiece() -> RandomModel {
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
    RandomModel::new(written_tokenizer("sentencepiece", &document), vec![2])
}

#[test]
fn grammars_apply_to_the_decoded_text_of_sentencepiece() {
    let model = sentencepiece();
    for expression in ["\u{e9}\u{4e2d}{1,3}a?", " ?a+", "  b", "17|x"] {
        let matcher = model
            .compiler
            .compile(&Grammar::Regex(expression.into()))
            .unwrap();
        let expected = Regex::new(&format!("^(?:{expression})$")).unwrap();
        let outputs: Vec<String> = (0..20)
            .filter_map(|seed| model.sample(&matcher, seed, 100))
            .collect();
        assert!(outputs.len() > 10, "{expression}: {outputs:?}");
        for output in outputs {
            assert!(expected.is_match(&output), "{expression}: {output:?}");
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
    let outputs: Vec<String> = (0..40)
        .filter_map(|seed| model.sample(&matcher, seed, 200))
        .collect();
    assert!(outputs.len() > 20, "{outputs:?}");
    for output in outputs {
        assert!(output.starts_with('{'), "{output}");
        assert_eq!(violation(&schema, &output), None);
    }
    let lark = Grammar::Lark("start: \"a \" %json {\"type\": \"boolean\"}".into());
    let matcher = model.compiler.compile(&lark).unwrap();
    let output = model.sample(&matcher, 1, 50).unwrap();
    assert!(["a true", "a false"].contains(&output.as_str()), "{output}");
}
