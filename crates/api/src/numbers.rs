//! Numbers as clients send them.

use std::fmt;
use std::marker::PhantomData;

use mlxm_chat::integers;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde_json::Value;

/// Fields of a body with messages, items or tools.
const CONVERSATIONS: [&str; 4] = ["messages", "input", "tools", "functions"];

/// Fields in them that the model reads as JSON: arguments of calls, those of calls of client tools, and schemas of tools.
const MODEL_JSON: [&str; 6] = [
    "arguments",
    "input",
    "operation",
    "action",
    "parameters",
    "input_schema",
];

/// Parses a request body. In what the model reads as JSON, integers keep all digits, see [`integers`]; others are numbers.
///
/// # Errors
/// As [`serde_json::from_str`].
pub fn parse_body(text: &str) -> serde_json::Result<Value> {
    integers::from_str_rounding(text, |body| match body {
        Value::Object(fields) => fields.iter_mut().fold(true, |fit, (name, value)| {
            let fits = if CONVERSATIONS.contains(&name.as_str()) {
                integers::round_outside(value, &MODEL_JSON)
            } else {
                integers::round(value)
            };
            fits && fit
        }),
        body => integers::round(body),
    })
}

/// Reads an optional whole number. `20.0` is one, as some languages have only one number type.
///
/// # Errors
/// If the value is another type, has a fraction, or does not fit `T`.
pub fn whole<'de, T: TryFrom<i64>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Whole<T>(PhantomData<T>);

    impl<'de, T: TryFrom<i64>> Visitor<'de> for Whole<T> {
        type Value = Option<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            let allows_negative = T::try_from(-1).is_ok();
            formatter.write_str(if allows_negative {
                "a whole number"
            } else {
                "a whole number from 0 up"
            })
        }

        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            T::try_from(value)
                .map(Some)
                .map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
        }

        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            match i64::try_from(value) {
                Ok(value) => self.visit_i64(value),
                Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
            }
        }

        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            // Beyond 2^53 a double does not say which whole number it is.
            if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
                self.visit_i64(value as i64)
            } else {
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    deserializer.deserialize_any(Whole(PhantomData))
}

/// Reads a count where `-1` means no limit, as in vLLM and llama.cpp.
///
/// # Errors
/// As [`whole`], and for other negative numbers.
pub fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match whole::<i64, D>(deserializer)? {
        None | Some(-1) => Ok(None),
        Some(value) => usize::try_from(value).map(Some).map_err(|_| {
            D::Error::invalid_value(Unexpected::Signed(value), &"a whole number from -1 up")
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Numbers {
        #[serde(default, deserialize_with = "whole")]
        count: Option<usize>,
        #[serde(default, deserialize_with = "whole")]
        seed: Option<i64>,
        #[serde(default, deserialize_with = "limit")]
        limit: Option<usize>,
    }

    fn read(fields: Value) -> Result<Numbers, String> {
        serde_json::from_value(fields).map_err(|error: serde_json::Error| error.to_string())
    }

    fn numbers(count: Option<usize>, seed: Option<i64>, limit: Option<usize>) -> Numbers {
        Numbers { count, seed, limit }
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_fraction_of_zero() {
        let fields = json!({"count": 20.0, "seed": -1e3, "limit": 7.0});
        assert_eq!(read(fields), Ok(numbers(Some(20), Some(-1000), Some(7))));
    }

    #[test]
    fn null_absent_and_a_limit_of_minus_one_are_none() {
        assert_eq!(
            read(json!({"count": null, "limit": -1})),
            Ok(numbers(None, None, None))
        );
    }

    #[test]
    fn other_values_are_errors() {
        for fields in [
            json!({"count": 1.5}),
            json!({"count": -1}),
            json!({"count": "1"}),
            json!({"count": true}),
            json!({"seed": 1e300}),
            json!({"limit": -2}),
        ] {
            assert!(read(fields.clone()).is_err(), "{fields}");
        }
    }

    #[test]
    fn integers_keep_their_digits_in_what_the_model_reads_as_json() {
        let text = r#"{"seed":N,"metadata":{"input":{"a":N}},
            "messages":[{"name":N,"tool_calls":[{"function":{"arguments":{"a":N}}}]},
            {"content":[{"type":"tool_use","input":{"a":[N]}}]},{"function_call":{"arguments":{"a":N}}}],
            "tools":[{"strict":N,"function":{"parameters":{"maximum":N}},"input_schema":{"enum":[N]}}],
            "functions":[{"parameters":{"const":N}}],"input":[{"operation":{"a":N},"call_id":N}],
            "response_format":{"json_schema":{"schema":{"properties":{"input":{"maximum":N}}}}}}"#;
        let digits = "123456789012345678901234567890";
        let text = text.replace('N', digits).replace("\n            ", "");
        let body = parse_body(&text).unwrap();
        let rounded: Value = serde_json::from_str(digits).unwrap();
        let expected = ["seed", "name", "strict", "call_id"]
            .map(|field| format!("\"{field}\":{digits}"))
            .iter()
            .fold(text.clone(), |text, field| {
                text.replace(field, &field.replace(digits, &rounded.to_string()))
            });
        let (conversation, format) = expected.split_once("\"response_format\"").unwrap();
        let metadata = format!("\"metadata\":{{\"input\":{{\"a\":{digits}}}}}");
        let conversation =
            conversation.replace(&metadata, &metadata.replace(digits, &rounded.to_string()));
        let format = format.replace(digits, &rounded.to_string());
        assert_eq!(
            integers::to_string(&body),
            format!("{conversation}\"response_format\"{format}")
        );
        let plain: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(integers::rounded(body), plain);
        assert_eq!(parse_body(digits).unwrap(), rounded);
    }
}
