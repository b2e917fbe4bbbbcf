use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;

fn path(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

fn set_in(text: &str, at: &str, value: &Value) -> String {
    let changed = set(text, &path(at), value).unwrap();
    assert_eq!(
        get(&changed, &path(at)).unwrap().as_ref(),
        Some(value),
        "{changed}"
    );
    changed
}

/// With what editors write: comments, trailing commas, and braces in strings.
const SETTINGS: &str = r#"// Settings
{
    "theme": "One // Dark", // a comment with "quotes" and {
    /* "env": 1, */
    "font": { "size": 12, "family": "}\"" },
    "list": [1, 2,],
}
"#;

#[test]
fn values_are_read_through_comments_and_trailing_commas() {
    let at = |at: &str| get(SETTINGS, &path(at)).unwrap();
    assert_eq!(at("theme"), Some(json!("One // Dark")));
    assert_eq!(at("font.family"), Some(json!("}\"")));
    assert_eq!(at("list"), Some(json!([1, 2])));
    assert_eq!(at("env"), None);
    assert_eq!(at("theme.name"), None);
    assert_eq!(get("\u{feff}{\"a\": 1}", &path("a")), Ok(Some(json!(1))));
}

#[test]
fn added_value_has_the_form_of_the_file() {
    let changed = set_in(SETTINGS, "env.URL", &json!("http://x"));
    let expected = SETTINGS.replace(
        "[1, 2,],",
        "[1, 2,],\n    \"env\": {\n        \"URL\": \"http://x\"\n    },",
    );
    assert_eq!(changed, expected);
    let changed = set_in(SETTINGS, "font.weight", &json!(400));
    let expected = SETTINGS.replace("\"}\\\"\" }", "\"}\\\"\",\n        \"weight\": 400 }");
    assert_eq!(changed, expected);
}

#[test]
fn changed_value_leaves_the_rest() {
    let changed = set_in(SETTINGS, "font.size", &json!({"unit": "px"}));
    assert!(
        changed.contains("// a comment with \"quotes\""),
        "{changed}"
    );
    assert!(
        changed.contains("\"size\": {\n            \"unit\": \"px\"\n        }, \"family\""),
        "{changed}"
    );
    // What is no object is replaced by one.
    let changed = set_in(SETTINGS, "theme.name", &json!("Two"));
    assert!(changed.contains("\"list\": [1, 2,],"), "{changed}");
}

#[test]
fn empty_files_and_objects_are_filled() {
    let expected = "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n";
    for text in ["", "  \n", "{}\n", "{\n}\n"] {
        assert_eq!(set_in(text, "a.b", &json!(1)), expected, "{text:?}");
    }
    let changed = set_in("{ // nothing yet\n}\n", "a", &json!(1));
    assert_eq!(changed, "{ // nothing yet\n  \"a\": 1\n}\n");
    assert_eq!(
        set_in(r#"{"a":1}"#, "b", &json!(2)),
        "{\"a\":1,\n  \"b\": 2}"
    );
}

#[test]
fn added_value_comes_after_the_comments_of_the_line() {
    let text = "{\n  \"a\": 1 // about a\n  // the end\n}\n";
    let changed = set_in(text, "b", &json!(2));
    assert_eq!(
        changed,
        "{\n  \"a\": 1, // about a\n  \"b\": 2\n  // the end\n}\n"
    );
    let text = "{\n  \"a\": 1, /* about */ // a\n}\n";
    let changed = set_in(text, "b", &json!(2));
    assert_eq!(changed, "{\n  \"a\": 1, /* about */ // a\n  \"b\": 2,\n}\n");
}

#[test]
fn removed_value_leaves_comments_and_no_empty_line() {
    for (text, at, expected) in [
        (
            "{\n  \"a\": 1, // about a\n  // about b\n  \"b\": 2\n}\n",
            "b",
            "{\n  \"a\": 1 // about a\n  // about b\n}\n",
        ),
        (
            "{\n  \"a\": 1 /* about a */,\n  \"b\": 2\n}\n",
            "a",
            "{\n   /* about a */\n  \"b\": 2\n}\n",
        ),
        ("{ \"a\": 1\n, \"b\": 2\n}\n", "b", "{ \"a\": 1\n}\n"),
        (
            "{ \"a\": 1, // b\n  \"b\": 2 }",
            "b",
            "{ \"a\": 1 // b\n   }",
        ),
        ("{\n  \"a\": 1,\n  \"b\": 2 }", "b", "{\n  \"a\": 1 }"),
        (
            "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n",
            "b",
            "{\r\n  \"a\": 1\r\n}\r\n",
        ),
    ] {
        assert_eq!(remove(text, &path(at)).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn removed_value_takes_its_comma() {
    let text = "{\n  \"a\": 1,\n  // about b\n  \"b\": 2,\n  \"c\": 3\n}\n";
    let without = |at: &str| remove(text, &path(at)).unwrap();
    assert_eq!(
        without("a"),
        "{\n  // about b\n  \"b\": 2,\n  \"c\": 3\n}\n"
    );
    assert_eq!(
        without("b"),
        "{\n  \"a\": 1,\n  // about b\n  \"c\": 3\n}\n"
    );
    assert_eq!(
        without("c"),
        "{\n  \"a\": 1,\n  // about b\n  \"b\": 2\n}\n"
    );
    assert_eq!(without("d"), text);
    assert_eq!(remove("{\n  \"a\": 1\n}\n", &path("a")).unwrap(), "{}\n");
    // A comment must not swallow what follows.
    let text = "{ // first\n  \"a\": 1, \"b\": 2 }";
    let without = remove(text, &path("a")).unwrap();
    assert_eq!(get(&without, &path("b")), Ok(Some(json!(2))), "{without}");
}

#[test]
fn restored_value_is_the_earlier_one_and_later_changes_remain() {
    let earlier = "{\n  \"env\": {\n    \"URL\": \"before\"\n  }\n}\n";
    let mut text = earlier.to_owned();
    for at in ["env.URL", "env.KEY", "provider.mlxm"] {
        text = set_in(&text, at, &json!("ours"));
    }
    text = set_in(&text, "theme", &json!("dark"));
    for at in ["env.URL", "env.KEY", "provider.mlxm"] {
        text = restore(&text, earlier, &path(at)).unwrap();
    }
    let restored: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        restored,
        json!({"env": {"URL": "before"}, "theme": "dark"}),
        "{text}"
    );
}

#[test]
fn value_that_an_object_has_replaced_is_restored() {
    let earlier = "{\n  \"env\": 5\n}\n";
    let mut text = earlier.to_owned();
    for at in ["env.URL", "env.KEY"] {
        text = set_in(&text, at, &json!("ours"));
    }
    for at in ["env.URL", "env.KEY"] {
        text = restore(&text, earlier, &path(at)).unwrap();
    }
    assert_eq!(text, earlier);
}

#[test]
fn what_is_no_object_is_an_error() {
    for text in ["[1]", "1", "{", "{\"a\": }", "{\"a\": 1,, }", "{} {}"] {
        assert!(set(text, &path("a"), &json!(1)).is_err(), "{text}");
        assert!(get(text, &path("a")).is_err(), "{text}");
    }
}

/// What can be between tokens.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just(""),
        6 => select(vec![
            " ",
            "\n  ",
            "\r\n\t",
            " // a \"comment\" }\n",
            "/* b, */",
            " /* two\n lines */ // and one\n",
            " // \u{e9}\r\n ",
        ]),
    ]
}

fn array(item: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let items = vec((space(), item, space()), 0..3);
    (items, any::<bool>(), space()).prop_map(|(items, has_comma, end)| {
        let items: Vec<String> = items
            .iter()
            .map(|(before, item, after)| format!("{before}{item}{after}"))
            .collect();
        let comma = if has_comma && !items.is_empty() {
            ","
        } else {
            ""
        };
        format!("[{}{comma}{end}]", items.join(","))
    })
}

/// Members have the names `m0`, `m1` and so on. Without any, there can be comments, but not only spaces: one form of them is kept.
fn object(value: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let members = vec((space(), space(), space(), value, space()), 0..4);
    (members, any::<bool>(), space()).prop_map(|(members, has_comma, end)| {
        let members: Vec<String> = members
            .iter()
            .enumerate()
            .map(|(index, (before, colon, after, value, end))| {
                format!("{before}\"m{index}\"{colon}:{after}{value}{end}")
            })
            .collect();
        let comma = if has_comma && !members.is_empty() {
            ","
        } else {
            ""
        };
        let end = if members.is_empty() && end.trim().is_empty() {
            ""
        } else {
            end
        };
        format!("{{{}{comma}{end}}}", members.join(","))
    })
}

fn document() -> impl Strategy<Value = String> {
    let scalars = vec!["1", "true", "\"// } , \\\" x\"", "null", "-1.5e3", "\"\""];
    let scalar = select(scalars).prop_map(str::to_owned);
    let value = scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![array(inner.clone()), object(inner)]
    });
    (space(), object(value.boxed()), space())
        .prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

/// Whether nothing that is not an object is on the way.
fn is_free(text: &str, path: &[String]) -> bool {
    (1..path.len()).all(|length| {
        let outer = get(text, &path[..length]).unwrap();
        outer.is_none_or(|outer| outer.is_object())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn added_and_restored_text_is_the_earlier_one(text in document()) {
        for at in ["ours", "ours.a.b", "m0.ours", "m1.m0.ours.a", "m2.ours"] {
            let at = path(at);
            if !is_free(&text, &at) {
                continue;
            }
            let value = json!({"a": [1, "b"]});
            let changed = set(&text, &at, &value).unwrap();
            prop_assert_eq!(get(&changed, &at), Ok(Some(value)), "{}", changed);
            prop_assert_eq!(restore(&changed, &text, &at), Ok(text.clone()), "{}", changed);
        }
    }

    #[test]
    fn removed_member_leaves_the_others_and_all_comments(text in document()) {
        let all = get(&text, &[]).unwrap().unwrap();
        let document = Document::parse(&text).unwrap();
        let root = document.root().unwrap();
        for (index, member) in root.members.iter().enumerate() {
            let removed = document.cut(&root, index);
            let mut expected = all.clone();
            expected.as_object_mut().unwrap().remove(&member.name);
            prop_assert_eq!(get(&removed, &[]), Ok(Some(expected)), "{}", removed);
            let range = member.start..member.value.end;
            let inside = document.comments.iter().filter(|comment| range.contains(&comment.start));
            let left = Document::parse(&removed).unwrap().comments.len();
            prop_assert_eq!(left + inside.count(), document.comments.len(), "{}", removed);
        }
    }
}
