//! Integers beyond 64 bits in the arguments of calls.
//!
//! A [`Value`] would round such an integer to a double. While a conversation is rendered, it is represented by an object with its
//! digits instead.

use mlxm_engine::json;
use serde::ser::{Error, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The key of an object that stands for an integer.
const KEY: &str = "__integer__";

/// Parses `text`, which may have integers of any size.
///
/// # Errors
/// As [`serde_json::from_str`].
pub(crate) fn from_str(text: &str) -> serde_json::Result<Value> {
    serde_json::from_slice(&json::replace_numbers(text.as_bytes(), spelled_out))
}

/// The object for a number that is an integer beyond 64 bits.
fn spelled_out(number: &str) -> Option<String> {
    let fits = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    (is_integer(number) && !fits).then(|| format!("{{\"{KEY}\":\"{number}\"}}"))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit() && first != '0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits of the integer that `value` stands for.
pub(crate) fn digits(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) if fields.len() == 1 => {
            fields.get(KEY)?.as_str().filter(|text| is_integer(text))
        }
        _ => None,
    }
}

/// `value` as JSON text with the digits of all integers.
pub(crate) fn to_string(value: &Value) -> String {
    // All keys are strings, so this does not fail.
    serde_json::to_string(&Exact(value)).unwrap_or_default()
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
    use serde_json::json;

    use super::*;

    #[test]
    fn all_digits_of_integers_are_kept() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "{\"a\":[123456789012345678901234567890123456789012345678901234567890,1.5],\"b\":\"99999999999999999999\"}",
        ] {
            let value = from_str(text).unwrap();
            assert_eq!(to_string(&value), text);
            assert_ne!(value, serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn other_values_are_as_in_serde_json() {
        for text in [
            "18446744073709551615",
            "-9223372036854775808",
            "1e30",
            "123456789012345678901234.0",
            "{\"a\": [null, true, \"x\\n\", 0.1]}",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(from_str(text).unwrap(), value);
            assert_eq!(to_string(&value), value.to_string());
        }
        for text in [
            "00000000000000000000001",
            "99999999999999999999x",
            "{\"a\": ",
        ] {
            assert!(from_str(text).is_err(), "{text}");
        }
        assert_eq!(digits(&json!({KEY: "x"})), None);
    }
}
