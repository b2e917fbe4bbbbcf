//! Integers of any size in JSON.
//!
//! A [`Value`] rounds an integer beyond 64 bits to a double. Python, for which chat templates are written, keeps it. Where a
//! conversation has JSON that the model reads (arguments of calls, schemas of tools), such an integer is an object with its
//! digits. The key of the object is random in each process, so that no JSON from outside can contain it. The functions of this
//! module read and write such values; [`rounded`] gives values for everything else.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use mlxm_engine::json;
use serde::de::{Deserialize as _, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The key of an object that stands for an integer.
static KEY: LazyLock<String> = LazyLock::new(|| {
    let random = RandomState::new();
    let [high, low] = [0_u8, 1].map(|half| random.hash_one(half));
    format!("integer-{high:016x}{low:016x}")
});

/// Fewest digits of an integer beyond 64 bits, which is negative then.
const DIGITS: usize = 19;

/// Parses `text` with all digits of its integers.
///
/// # Errors
/// As [`serde_json::from_str`].
pub fn from_str(text: &str) -> serde_json::Result<Value> {
    serde_json::from_slice(&json::replace_numbers(text.as_bytes(), spelled_out))
}

/// Parses `text` with all digits of those integers that `round` keeps. It returns whether the others are within the range of a
/// double, as [`round`] and [`round_outside`] do. Text without long integers takes no longer than with [`serde_json::from_str`].
///
/// # Errors
/// As [`serde_json::from_str`], also for an integer that is rounded and beyond the range of a double.
pub fn from_str_rounding(
    text: &str,
    round: impl FnOnce(&mut Value) -> bool,
) -> serde_json::Result<Value> {
    if has_long_digits(text.as_bytes())
        && let Ok(mut value) = from_str(text)
        && digits(&value).is_none()
        && round(&mut value)
    {
        return Ok(value);
    }
    // The lines and columns of errors are those of the original text.
    serde_json::from_str(text)
}

/// Whether there may be an integer beyond 64 bits. Most bytes are not read: of a long number, each window has only digits.
fn has_long_digits(mut text: &[u8]) -> bool {
    while let Some(window) = text.get(..DIGITS) {
        match window.iter().rposition(|byte| !byte.is_ascii_digit()) {
            None => return true,
            Some(last) => text = &text[last + 1..],
        }
    }
    false
}

/// The object for a number that is an integer beyond 64 bits.
fn spelled_out(number: &str) -> Option<String> {
    let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    (is_integer(number) && !fits).then(|| format!("{{\"{}\":\"{number}\"}}", *KEY))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit() && first != '0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits of the integer that `value` stands for.
pub(crate) fn digits(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) if fields.len() == 1 => fields.get(KEY.as_str())?.as_str(),
        _ => None,
    }
}

/// `value` with integers beyond 64 bits as [`serde_json`] reads them: as doubles. Those beyond the range of a double become the
/// largest one.
pub fn rounded(mut value: Value) -> Value {
    round(&mut value);
    value
}

/// As [`rounded`]. Returns whether all integers were within the range of a double.
pub fn round(value: &mut Value) -> bool {
    if let Some(digits) = digits(value) {
        let number = serde_json::from_str::<Value>(digits);
        let largest = if digits.starts_with('-') {
            f64::MIN
        } else {
            f64::MAX
        };
        let fits = number.is_ok();
        *value = number.unwrap_or_else(|_| largest.into());
        return fits;
    }
    match value {
        Value::Array(items) => all_fit(items.iter_mut().map(round)),
        Value::Object(fields) => all_fit(fields.values_mut().map(round)),
        _ => true,
    }
}

/// As [`round`], except for integers in objects and lists that are the value of one of `fields`, at any depth.
pub fn round_outside(value: &mut Value, fields: &[&str]) -> bool {
    if digits(value).is_some() {
        return round(value);
    }
    match value {
        Value::Array(items) => all_fit(items.iter_mut().map(|item| round_outside(item, fields))),
        Value::Object(entries) => all_fit(entries.iter_mut().map(|(name, value)| {
            let is_kept = fields.contains(&name.as_str()) && digits(value).is_none();
            is_kept || round_outside(value, fields)
        })),
        _ => true,
    }
}

/// Whether each of `fits` is true. All of them are evaluated, since that rounds the integers.
fn all_fit(fits: impl Iterator<Item = bool>) -> bool {
    let mut all = true;
    for fit in fits {
        all &= fit;
    }
    all
}

/// `value` as JSON text with all digits of its integers.
pub fn to_string(value: &Value) -> String {
    // All keys are strings, so this does not fail.
    serde_json::to_string(&Exact(value)).unwrap_or_default()
}

/// Writes a list of values with all digits of their integers, for `#[serde(with = "mlxm_chat::integers")]` in types that are
/// written as JSON.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(values: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(Exact))
}

/// Reads what [`serialize`] writes.
///
/// # Errors
/// If it is not a list, or the format is not JSON.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    match from_str(text.get()) {
        Ok(Value::Array(values)) => Ok(values),
        Ok(_) => Err(D::Error::custom("expected a list")),
        Err(error) => Err(D::Error::custom(error)),
    }
}

struct Exact<'a>(&'a Value);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(digits) = digits(self.0) {
            let number = RawValue::from_string(digits.to_owned()).map_err(S::Error::custom)?;
            return number.serialize(serializer);
        }
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Exact)),
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(key, value)| (key, Exact(value))))
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn plain(text: &str) -> serde_json::Result<Value> {
        serde_json::from_str(text)
    }

    #[test]
    fn all_digits_of_integers_are_kept() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "{\"a\":[123456789012345678901234567890123456789012345678901234567890,1.5],\"b\":\"99999999999999999999\"}",
        ] {
            let value = from_str(text).unwrap();
            assert_eq!(to_string(&value), text);
            assert_ne!(value, plain(text).unwrap());
            assert_eq!(rounded(value), plain(text).unwrap());
        }
    }

    #[test]
    fn other_values_are_as_in_serde_json() {
        for text in [
            "18446744073709551615",
            "-9223372036854775808",
            "1e30",
            "-0",
            "123456789012345678901234.0",
            "{\"a\": [null, true, \"x\\n\", 0.1]}",
        ] {
            let value = plain(text).unwrap();
            assert_eq!(from_str(text).unwrap(), value);
            assert_eq!(to_string(&value), value.to_string());
        }
        for text in [
            "00000000000000000000001",
            "99999999999999999999x",
            "[99999999999999999999, 1e400]",
            "[99999999999999999999, NaN]",
            "{99999999999999999999: 1}",
            "{\"a\": ",
        ] {
            assert!(from_str(text).is_err(), "{text}");
        }
    }

    #[test]
    fn integers_are_kept_only_in_the_given_fields() {
        let text = r#"{"seed": 99999999999999999999, "calls": [{"arguments": {"a": [99999999999999999999]}},
            {"arguments": 99999999999999999999}, {"arguments": [-99999999999999999999]}]}"#;
        let read = |text: &str| {
            from_str_rounding(text, |value| round_outside(value, &["arguments"])).unwrap()
        };
        let value = read(text);
        assert_eq!(value["seed"], json!(1e20));
        assert_eq!(
            to_string(&value["calls"]),
            r#"[{"arguments":{"a":[99999999999999999999]}},{"arguments":1e20},{"arguments":[-99999999999999999999]}]"#
                .replace("1e20", &json!(1e20).to_string())
        );
        assert_eq!(rounded(value), plain(text).unwrap());
        assert_eq!(read("99999999999999999999"), json!(1e20));
    }

    #[test]
    fn rounded_integers_beyond_a_double_are_errors_of_the_text() {
        let digits = "9".repeat(400);
        for text in [
            digits.clone(),
            format!("{{\"seed\": {digits}}}"),
            format!("{{\"seed\": {digits}, \"arguments\": [{digits}]}}"),
            format!("{{\"arguments\": [{digits}, 1e400]}}"),
            format!("{{\"arguments\": [{digits}],\n x}}"),
        ] {
            let error = from_str_rounding(&text, |value| round_outside(value, &["arguments"]));
            let error = error.unwrap_err().to_string();
            assert_eq!(error, plain(&text).unwrap_err().to_string());
        }
        let kept = format!("{{\"arguments\":[-{digits}]}}");
        let value = from_str_rounding(&kept, |value| round_outside(value, &["arguments"])).unwrap();
        assert_eq!(to_string(&value), kept);
        assert_eq!(rounded(value), json!({"arguments": [f64::MIN]}));
    }

    #[test]
    fn no_text_is_an_integer_by_its_form() {
        for text in [
            r#"{"__integer__":"99999999999999999999"}"#,
            r#"{"integer":"99999999999999999999"}"#,
            r#"{"integer-00000000000000000000000000000000":"99999999999999999999"}"#,
        ] {
            let value = from_str(text).unwrap();
            assert_eq!(value, plain(text).unwrap());
            assert_eq!(to_string(&value), text);
            assert_eq!(digits(&value), None);
        }
    }

    #[test]
    fn long_digits_are_found_anywhere() {
        let digits = "1".repeat(DIGITS);
        for start in 0..40 {
            for end in ["", "x", "1"] {
                let text = format!("{}{digits}{end}", "x".repeat(start));
                assert!(has_long_digits(text.as_bytes()), "{text}");
            }
            let text = format!("{}{}x{digits}", "x".repeat(start), &digits[1..]);
            assert!(
                !has_long_digits(&text.as_bytes()[..text.len() - 1]),
                "{text}"
            );
        }
    }

    #[test]
    fn lists_are_written_and_read_with_all_digits() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Stored {
            #[serde(with = "super")]
            items: Vec<Value>,
        }
        let text = r#"{"items":[{"a":99999999999999999999},1e20]}"#;
        let stored: Stored = serde_json::from_str(text).unwrap();
        assert_eq!(digits(&stored.items[0]["a"]), Some("99999999999999999999"));
        assert_eq!(stored.items[1], json!(1e20));
        let written = serde_json::to_string(&stored).unwrap();
        let again: Stored = serde_json::from_str(&written).unwrap();
        assert_eq!(again.items, stored.items);
        assert!(serde_json::from_str::<Stored>(r#"{"items": 1}"#).is_err());
    }

    /// Compact JSON text.
    fn texts() -> impl Strategy<Value = String> {
        let quoted = |text: String| Value::from(text).to_string();
        let leaf = prop_oneof![
            4 => "-?[1-9][0-9]{0,399}",
            2 => "-?[1-9][0-9]{17,20}",
            1 => Just("0".to_owned()),
            1 => Just("null".to_owned()),
            1 => Just("-1.5".to_owned()),
            1 => ".*[0-9]{0,30}".prop_map(quoted),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            // Keys that occur twice would be one field.
            let name = "[a-z_\"\\\\0-9]{0,30}".prop_map(quoted);
            let field = (name, inner.clone());
            let unique = |(index, (name, value)): (usize, (String, String))| {
                format!("\"{index}{}:{value}", &name[1..])
            };
            prop_oneof![
                vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                vec(field, 0..6).prop_map(move |fields| {
                    let fields = fields.into_iter().enumerate().map(unique);
                    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_is_the_same_after_parsing_and_writing(text in texts()) {
            let value = from_str(&text).unwrap();
            prop_assert_eq!(to_string(&value), text.clone());
            let value = from_str_rounding(&text, round);
            match plain(&text) {
                Ok(plain) => prop_assert_eq!(value.unwrap(), plain),
                Err(_) => prop_assert!(value.is_err()),
            }
        }
    }
}
