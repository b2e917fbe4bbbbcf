//! Answers to regular expressions and Lark grammars.

use mlxm_grammar::Grammar;
use proptest::prelude::*;
use regex::Regex;

use crate::support::{babble, compiler, fault};

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

/// What a tool call looks like.
#[test]
fn text_around_json_is_kept_and_the_json_fulfils_its_schema() {
    let lark = r#"
start: call ("\n" call)~0..2
call: "<tool_call>\n" body "\n</tool_call>"
body: "{\"name\": \"get_weather\", \"arguments\": " arguments "}"
arguments: %json {"type": "object", "properties": {"city": {"type": "string", "maxLength": 4}}, "required": ["city"], "additionalProperties": false}
"#;
    let schema = serde_json::json!({
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
