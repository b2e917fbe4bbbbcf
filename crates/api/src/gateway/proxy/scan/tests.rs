use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use super::*;

fn scan(json: &str) -> Result<TopLevel, ScanError> {
    scan_chunks(json.as_bytes(), &[])
}

/// Scans the document in chunks that end at these positions.
fn scan_chunks(document: &[u8], cuts: &[usize]) -> Result<TopLevel, ScanError> {
    let mut cuts = cuts.to_vec();
    cuts.sort_unstable();
    let mut scanner = Scanner::default();
    let mut start = 0;
    for end in cuts.into_iter().chain([document.len()]) {
        scanner.feed(&document[start..end]);
        start = end;
    }
    scanner.finish()
}

fn model(name: &str) -> TopLevel {
    TopLevel {
        model: Some(name.to_owned()),
        ..TopLevel::default()
    }
}

#[test]
fn model_is_found_anywhere_at_the_top_level() {
    for json in [
        r#"{"model":"a/b"}"#,
        " {\n\t\"model\" : \"a/b\" }\r\n",
        r#"{"messages":[{"model":"x"},{"content":"\"model\":\"y\""}],"model":"a/b"}"#,
        r#"{"model":"a\/b","tools":{"model":{}}}"#,
        r#"{"x":1.5e-3,"y":null,"model":"a/b","z":false}"#,
        r#"{"mod\u0065l":"a\u002fb"}"#,
        r#"{"models":"x","Model":"y","model":"a/b"}"#,
    ] {
        assert_eq!(scan(json), Ok(model("a/b")), "{json}");
    }
    assert_eq!(
        scan(r#"{"model":"\ud83d\ude00 \ud83d"}"#),
        Ok(model("😀 \u{FFFD}"))
    );
    assert_eq!(scan(r#"{"model":null}"#), Ok(TopLevel::default()));
    assert_eq!(scan("{}"), Ok(TopLevel::default()));
}

#[test]
fn second_model_is_rejected_however_it_is_written() {
    for json in [
        r#"{"model":"a","model":"a"}"#,
        r#"{"model":"a","messages":[],"mod\u0065l":"b"}"#,
        r#"{"\u006d\u006F\u0064\u0065\u006C":"a","model":null}"#,
        r#"{"model":"a","model":"b""#,
    ] {
        assert_eq!(scan(json), Err(ScanError::DuplicateModel), "{json}");
    }
}

#[test]
fn model_must_be_a_short_string() {
    for json in [
        r#"{"model":1}"#,
        r#"{"model":true}"#,
        r#"{"model":["a"]}"#,
        r#"{"model":{}}"#,
    ] {
        assert_eq!(scan(json), Err(ScanError::ModelType), "{json}");
    }
    let longest = "x".repeat(Text::MAX_BYTES);
    assert_eq!(
        scan(&format!(r#"{{"model":"{longest}"}}"#)),
        Ok(model(&longest))
    );
    assert_eq!(
        scan(&format!(r#"{{"model":"{longest}x"}}"#)),
        Err(ScanError::ModelTooLong)
    );
}

#[test]
fn last_stream_counts() {
    for (json, expected) in [
        (r#"{"stream":true}"#, true),
        (r#"{"stream":false}"#, false),
        (r#"{"stream":"true"}"#, false),
        (r#"{"stream":true,"stream":[]}"#, false),
        (r#"{"stream":null,"stream":true}"#, true),
        (r#"{"x":{"stream":true}}"#, false),
    ] {
        assert_eq!(scan(json).unwrap().stream, expected, "{json}");
    }
}

#[test]
fn times_to_stay_loaded_have_the_forms_of_both_programs() {
    let seconds = |seconds| Some(KeepAlive::For(Duration::from_secs(seconds)));
    for (json, expected) in [
        (r#"{"ttl":300}"#, seconds(300)),
        (r#"{"keep_alive":"5m"}"#, seconds(300)),
        (r#"{"keep_alive":-1}"#, Some(KeepAlive::Forever)),
        (r#"{"keep_alive":0}"#, seconds(0)),
        (r#"{"keep_alive":"5m","ttl":60}"#, seconds(60)),
        (r#"{"ttl":60,"keep_alive":"5m"}"#, seconds(60)),
        (r#"{"ttl":null,"keep_alive":"5m"}"#, seconds(300)),
    ] {
        assert_eq!(scan(json).unwrap().keep_alive, expected, "{json}");
    }
    for (json, field) in [
        (r#"{"ttl":true}"#, "ttl"),
        (r#"{"ttl":"soon"}"#, "ttl"),
        (r#"{"keep_alive":{}}"#, "keep_alive"),
        (r#"{"keep_alive":[1]}"#, "keep_alive"),
    ] {
        assert_eq!(scan(json), Err(ScanError::KeepAlive(field)), "{json}");
    }
}

#[test]
fn what_is_no_object_is_not_searched() {
    for json in [
        "",
        "null",
        "[]",
        r#""model""#,
        "model=a",
        "{",
        r#"{"model":"a""#,
        r#"{"model":"a"}}"#,
        r#"{"model":"a"} x"#,
        r#"{"model" "a"}"#,
        r#"{"model":"a",}"#,
        r#"{,"model":"a"}"#,
        r#"{"model":"\x"}"#,
        r#"{"model":"\u12"}"#,
        r"{'model':'a'}",
        "\u{FEFF}{}",
    ] {
        assert_eq!(scan(json), Err(ScanError::NotAnObject), "{json}");
    }
    let not_utf8 = b"{\"model\":\"\xff\"}";
    assert_eq!(scan_chunks(not_utf8, &[]), Err(ScanError::NotAnObject));
}

/// A key or value as JSON, with every character escaped if `escaped`.
fn quoted(text: &str, escaped: bool) -> String {
    if !escaped {
        return Value::from(text).to_string();
    }
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("\"}],{\"model\":\"x\"")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let keys = prop_oneof![Just("model".to_owned()), any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A member of a document: its key and value as JSON, and the white space around them.
fn members() -> impl Strategy<Value = (String, String, &'static str)> {
    let keys = prop_oneof![
        Just("model".to_owned()),
        Just("stream".to_owned()),
        any::<String>().prop_filter("tested by examples", |key| {
            !["ttl", "keep_alive"].contains(&key.as_str())
        }),
    ];
    let space = prop::sample::select(vec!["", " ", "\r\n\t"]);
    (keys, values(), any::<bool>(), any::<bool>(), space).prop_map(
        |(key, value, escaped, pretty, space)| {
            let value = match &value {
                Value::String(text) => quoted(text, escaped),
                _ if pretty => serde_json::to_string_pretty(&value).unwrap(),
                _ => value.to_string(),
            };
            (quoted(&key, escaped), value, space)
        },
    )
}

fn documents() -> impl Strategy<Value = String> {
    prop::collection::vec(members(), 0..6).prop_map(|members| {
        let members = members
            .iter()
            .map(|(key, value, space)| format!("{space}{key}{space}:{space}{value}{space}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn positions(cuts: &[Index], length: usize) -> Vec<usize> {
    cuts.iter().map(|cut| cut.index(length + 1)).collect()
}

/// What `serde_json` reads, if the document is an object with at most one `model` of a valid type.
fn reference(document: &[u8]) -> Option<(Option<String>, bool)> {
    let object: Map<String, Value> = serde_json::from_slice(document).ok()?;
    let model = match object.get("model") {
        None | Some(Value::Null) => None,
        Some(Value::String(model)) if model.len() <= Text::MAX_BYTES => Some(model.clone()),
        Some(_) => return None,
    };
    let stream = object.get("stream") == Some(&Value::Bool(true));
    Some((model, stream))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn objects_are_read_as_serde_json_reads_them(
        document in documents(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let document = document.as_bytes();
        let cuts = positions(&cuts, document.len());
        match (scan_chunks(document, &cuts), reference(document)) {
            (Ok(found), Some((model, stream))) => {
                prop_assert_eq!(found.model, model);
                prop_assert_eq!(found.stream, stream);
            }
            (Err(error), _) => prop_assert!(
                matches!(error, ScanError::DuplicateModel | ScanError::ModelType | ScanError::ModelTooLong),
                "{error}"
            ),
            (Ok(found), None) => {
                return Err(TestCaseError::fail(format!("{found:?} should be rejected")));
            }
        }
    }

    #[test]
    fn chunks_do_not_change_the_result(
        document in prop_oneof![
            documents().prop_map(String::into_bytes),
            prop::collection::vec(prop::sample::select(br#"{}[]",:\u06d odelmtrue1"#.to_vec()), 0..40),
        ],
        cuts in prop::collection::vec(any::<Index>(), 0..12),
        damage in prop::option::of((any::<Index>(), any::<u8>())),
    ) {
        let mut document = document;
        if let (Some((at, byte)), false) = (damage, document.is_empty()) {
            let at = at.index(document.len());
            document[at] = byte;
        }
        let whole = scan_chunks(&document, &[]);
        let cuts = positions(&cuts, document.len());
        prop_assert_eq!(scan_chunks(&document, &cuts), whole.clone());
        // Never another model than the worker's.
        if let (Ok(found), Some((model, _))) = (whole, reference(&document)) {
            prop_assert_eq!(found.model, model);
        }
    }
}
