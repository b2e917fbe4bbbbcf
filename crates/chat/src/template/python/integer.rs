//! Integers beyond 64 bits.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{DynObject, Object, ObjectRepr};

/// An integer beyond 64 bits as a template value. minijinja computes with up to 128 bits; larger ones are only printed
/// and compared with each other.
pub(super) fn from_digits(digits: &str) -> Value {
    let signed = digits.parse::<i128>().map(Value::from);
    signed
        .or_else(|_| digits.parse::<u128>().map(Value::from))
        .unwrap_or_else(|_| Value::from_object(LargeInteger(digits.to_owned())))
}

/// Whether the value is an integer beyond 128 bits.
pub(in crate::template) fn is_large_integer(value: &Value) -> bool {
    value.downcast_object_ref::<LargeInteger>().is_some()
}

/// The digits of an integer beyond 128 bits.
#[derive(Debug)]
struct LargeInteger(String);

impl Object for LargeInteger {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(compare(&self.0, &other.0))
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn compare(left: &str, right: &str) -> Ordering {
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (None, None) => (left.len(), left).cmp(&(right.len(), right)),
        (Some(left), Some(right)) => (right.len(), right).cmp(&(left.len(), left)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use crate::integers;
    use crate::template::{ChatTemplate, RenderOptions};
    use mlxm_engine::text::SpecialTokens;

    /// The text of `expression`, where `v` is the list of these integers.
    fn evaluate(expression: &str, numbers: &[&str]) -> String {
        let values = integers::from_str(&format!("[{}]", numbers.join(","))).unwrap();
        let source = format!("{{{{ {expression} }}}}");
        let options = RenderOptions {
            kwargs: Map::from_iter([("v".to_owned(), values)]),
            ..RenderOptions::default()
        };
        ChatTemplate::from_source(source, &SpecialTokens::default())
            .unwrap()
            .render(&[json!({"role": "user", "content": "hi"})], &options)
            .unwrap()
    }

    #[test]
    fn integers_of_any_size_are_printed_with_all_digits() {
        for count in [20, 38, 39, 40, 400] {
            for sign in ["", "-"] {
                let digits = format!("{sign}{}", "123456789".repeat(45).split_at(count).0);
                for (expression, expected) in [
                    ("v[0]|tojson", digits.clone()),
                    ("v[0]", digits.clone()),
                    ("v[0]|string", digits.clone()),
                    ("v[0]|int", digits.clone()),
                    ("'n=' ~ v[0]", format!("n={digits}")),
                    ("v", format!("[{digits}]")),
                    ("v|pprint", format!("[{digits}]")),
                    (
                        "{'n': v}|tojson(indent=1)",
                        format!("{{\n \"n\": [\n  {digits}\n ]\n}}"),
                    ),
                ] {
                    assert_eq!(
                        evaluate(expression, &[digits.as_str()]),
                        expected,
                        "{expression}"
                    );
                }
            }
        }
    }

    #[test]
    fn integers_of_any_size_are_numbers() {
        for digits in ["99999999999999999999".to_owned(), "9".repeat(60)] {
            for (expression, expected) in [
                ("v[0] is number", "True"),
                ("v[0] is integer", "True"),
                ("v[0] is float", "False"),
                ("v[0] is string", "False"),
                ("v[0] is mapping", "False"),
                ("v[0] is iterable", "False"),
                ("v[0] is callable", "False"),
                ("'yes' if v[0] else 'no'", "yes"),
            ] {
                assert_eq!(
                    evaluate(expression, &[digits.as_str()]),
                    expected,
                    "{expression}"
                );
            }
        }
    }

    #[test]
    fn large_integers_are_ordered_by_value() {
        let (small, large) = ("1".repeat(50), "2".repeat(50));
        let (longer, negative) = ("1".repeat(51), format!("-{}", "9".repeat(60)));
        let lower = format!("-{}", "9".repeat(61));
        let numbers = [&large, &negative, &longer, &small, &lower].map(String::as_str);
        let sorted = [&lower, &negative, &small, &large, &longer].map(String::as_str);
        assert_eq!(evaluate("v|sort|join(' ')", &numbers), sorted.join(" "));
        assert_eq!(
            evaluate("v[0] == v[1]", &[small.as_str(), small.as_str()]),
            "True"
        );
        assert_eq!(
            evaluate("v[0] == v[1]", &[small.as_str(), large.as_str()]),
            "False"
        );
    }
}
