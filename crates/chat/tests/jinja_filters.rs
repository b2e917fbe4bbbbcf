//! The filters that minijinja lacks give the text of Jinja 3.1 in Python, from which the expected texts are.

use mlxm_chat::template::{ChatTemplate, RenderOptions, TemplateError};
use mlxm_engine::text::SpecialTokens;
use serde_json::json;

/// The built-in filters of Jinja 3.1.
const NAMES: [&str; 54] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// Expressions and their text.
const EXPRESSIONS: [(&str, &str); 47] = [
    ("'ab'|center(7)", "   ab  "),
    ("'x'|center(width=4)", " x  "),
    ("1|filesizeformat", "1 Byte"),
    ("999|filesizeformat", "999 Bytes"),
    ("1000|filesizeformat", "1.0 kB"),
    ("1500000|filesizeformat", "1.5 MB"),
    ("1536|filesizeformat(true)", "1.5 KiB"),
    ("1048576|filesizeformat(binary=true)", "1.0 MiB"),
    ("'2e27'|filesizeformat", "2000.0 YB"),
    ("'<a>'|escape|forceescape", "&amp;lt;a&amp;gt;"),
    (
        "'<b>bold</b> <!-- no -->  and&amp;more'|striptags",
        "bold and&more",
    ),
    ("'foo bar baz qux'|truncate(9)", "foo..."),
    ("'foo bar baz qux'|truncate(9, true)", "foo ba..."),
    ("'foo bar baz qux'|truncate(11)", "foo bar baz qux"),
    (
        "'foo bar baz qux'|truncate(11, false, '...', 0)",
        "foo bar...",
    ),
    (
        "'foo bar baz qux'|truncate(length=5, end='', leeway=0)",
        "foo",
    ),
    ("'a b/ü~?&='|urlencode", "a%20b/%C3%BC~%3F%26%3D"),
    (
        "{'q': 'a b', 'n': 1, 'p': '/'}|urlencode",
        "q=a+b&n=1&p=%2F",
    ),
    ("[('a', 'ä+'), ('b', none)]|urlencode", "a=%C3%A4%2B&b=None"),
    (
        "'see https://x.org/a, (www.y.com) and me@z.net.'|urlize",
        "see <a href=\"https://x.org/a\" rel=\"noopener\">https://x.org/a</a>, (<a href=\"https://www.y.com\" rel=\"noopener\">www.y.com</a>) and <a href=\"mailto:me@z.net\">me@z.net</a>.",
    ),
    (
        "'https://example.org/long'|urlize(10, true, '_blank')",
        "<a href=\"https://example.org/long\" rel=\"nofollow noopener\" target=\"_blank\">https://ex...</a>",
    ),
    ("\"it's a well-known_fact: 3 über\"|wordcount", "7"),
    (
        "'The quick brown fox jumps over'|wordwrap(10)",
        "The quick\nbrown fox\njumps over",
    ),
    (
        "'a\\n\\nlong supercalifragilistic word'|wordwrap(8)",
        "a\n\nlong sup\nercalifr\nagilisti\nc word",
    ),
    (
        "'supercalifragilistic'|wordwrap(8, false)",
        "supercalifragilistic",
    ),
    (
        "'a well-known state-of-the-art x'|wordwrap(12)",
        "a well-known\nstate-of-\nthe-art x",
    ),
    (
        "'a well-known state-of-the-art x'|wordwrap(12, break_on_hyphens=false)",
        "a well-known\nstate-of-the\n-art x",
    ),
    (
        "'  lead  and   trail  '|wordwrap(6, wrapstring='|')",
        "  lead|and|trail",
    ),
    (
        "{'class': 'a b', 'id': 1, 'x': none, 't': '<\"'}|xmlattr",
        " class=\"a b\" id=\"1\" t=\"&lt;&#34;\"",
    ),
    ("{'class': 'a'}|xmlattr(false)", "class=\"a\""),
    (
        "{'b': 1, 'a': [1, 'x', none]}|pprint",
        "{'a': [1, 'x', None], 'b': 1}",
    ),
    (
        "{'key': ['abcdefghijklmnopqrstuvwxyz', 'abcdefghijklmnopqrstuvwxyz', 'abcdefghijklmnopqrstuvwxyz'], 'a': 1}|pprint",
        "{'a': 1,\n 'key': ['abcdefghijklmnopqrstuvwxyz',\n         'abcdefghijklmnopqrstuvwxyz',\n         'abcdefghijklmnopqrstuvwxyz']}",
    ),
    (
        "range(40)|list|pprint",
        "[0,\n 1,\n 2,\n 3,\n 4,\n 5,\n 6,\n 7,\n 8,\n 9,\n 10,\n 11,\n 12,\n 13,\n 14,\n 15,\n 16,\n 17,\n 18,\n 19,\n 20,\n 21,\n 22,\n 23,\n 24,\n 25,\n 26,\n 27,\n 28,\n 29,\n 30,\n 31,\n 32,\n 33,\n 34,\n 35,\n 36,\n 37,\n 38,\n 39]",
    ),
    (
        "('abcdefghijklmnopqrstuvwxyzabcdefghijklmnop', 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnop')|pprint",
        "('abcdefghijklmnopqrstuvwxyzabcdefghijklmnop',\n 'abcdefghijklmnopqrstuvwxyzabcdefghijklmnop')",
    ),
    ("'text'|pprint", "'text'"),
    ("[3, 1, 2]|sort(true)|join(',')", "3,2,1"),
    (
        "['b', 'A', 'a', 'B']|sort(false, true)|join(',')",
        "A,B,a,b",
    ),
    ("['b', 'A', 'a', 'B']|unique|join(',')", "b,A"),
    ("['b', 'A', 'a', 'B']|unique(true)|join(',')", "b,A,a,B"),
    ("['b', 'A']|max(true)", "b"),
    ("['b', 'A']|min", "A"),
    (
        "[{'n': 1, 'k': 'x'}, {'n': 2, 'k': 'y'}, {'n': 3, 'k': 'x'}]|groupby('k')|map('first')|join(',')",
        "x,y",
    ),
    (
        "[{'n': 1}, {'n': 2, 'k': 'y'}]|groupby('k', 'a')|map('first')|join(',')",
        "a,y",
    ),
    ("[7]|random", "7"),
    ("12345678901234567890123|tojson", "12345678901234567890123"),
    ("(2**70)|tojson", "1180591620717411303424"),
    (
        "{'n': -12345678901234567890123}|tojson",
        "{\"n\": -12345678901234567890123}",
    ),
];

fn evaluate(expression: &str) -> Result<String, TemplateError> {
    let source = format!("{{{{ {expression} }}}}");
    ChatTemplate::from_source(source, &SpecialTokens::default())?.render(
        &[json!({"role": "user", "content": "hi"})],
        &RenderOptions::default(),
    )
}

#[test]
fn every_filter_of_jinja_exists() {
    for name in NAMES {
        assert_eq!(
            evaluate(&format!("'{name}' is filter")).unwrap(),
            "True",
            "{name}"
        );
    }
}

#[test]
fn filters_give_the_text_of_python() {
    for (expression, expected) in EXPRESSIONS {
        assert_eq!(evaluate(expression).unwrap(), expected, "{expression}");
    }
}

#[test]
fn random_item_is_one_of_the_items() {
    for _ in 0..20 {
        assert!(["1", "2"].contains(&evaluate("[1, 2]|random").unwrap().as_str()));
    }
    assert_eq!(evaluate("[]|random is defined").unwrap(), "False");
}

#[test]
fn invalid_arguments_are_errors() {
    for (expression, reason) in [
        ("'x'|center(1000000)", "a width"),
        ("'x'|center(1, 2)", "too many arguments"),
        ("'x'|center(unknown=1)", "unknown"),
        ("'x'|truncate(2)", "expected a length"),
        ("'x'|wordwrap(0)", "must be positive"),
        ("'x'|filesizeformat", "is not a number of bytes"),
        ("{'a b': 1}|xmlattr", "is not a name of an attribute"),
    ] {
        let error = evaluate(expression).unwrap_err().to_string();
        assert!(error.contains(reason), "{expression}: {error}");
    }
}
