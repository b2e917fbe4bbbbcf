//! JSON as Python's `json` module reads it. Files of checkpoints are written by Python, which accepts and writes more than the
//! standard: `NaN`, `Infinity`, `-Infinity`, and numbers beyond the range of a double, which it reads as infinity.
//!
//! A [`Value`] cannot hold such a number. It is represented as newer versions of transformers write it,
//! `{"__float__": "Infinity"}`, so it is preserved when the value is written again.

use std::borrow::Cow;

use serde_json::Value;

/// The key of an object that stands for a number that is not finite.
const FLOAT_KEY: &str = "__float__";

/// The words for numbers that are not finite.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Parses `bytes`. A byte order mark at the start is ignored.
///
/// # Errors
/// When Python's `json` module would not accept them either. The error has the line and, unless the line has numbers that are not
/// finite, the column.
///
/// ```
/// use mlxm_engine::json;
///
/// let value = json::from_slice(br#"{"time_step_limit": [0.0, Infinity], "name": "NaN"}"#)?;
/// assert_eq!(json::non_finite(&value["time_step_limit"][1]), Some("Infinity"));
/// assert_eq!(value["name"], "NaN");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn from_slice(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    serde_json::from_slice(bytes).or_else(|error| match spell_out_non_finite(bytes) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(spelled_out) => serde_json::from_slice(&spelled_out),
    })
}

/// The word for `value` if it stands for a number that is not finite.
pub fn non_finite(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) if fields.len() == 1 => fields.get(FLOAT_KEY)?.as_str(),
        _ => None,
    }
}

/// Replaces numbers that are not finite by objects. Borrowed if there are none.
fn spell_out_non_finite(bytes: &[u8]) -> Cow<'_, [u8]> {
    replace_numbers(bytes, |number| {
        let word = match WORDS.into_iter().find(|word| *word == number) {
            Some(word) => word,
            None => match number.parse::<f64>() {
                Ok(f64::INFINITY) => "Infinity",
                Ok(f64::NEG_INFINITY) => "-Infinity",
                _ => return None,
            },
        };
        Some(format!("{{\"{FLOAT_KEY}\":\"{word}\"}}"))
    })
}

/// Replaces the numbers of a JSON text for which `replacement` returns another text. Numbers are `NaN` and the infinities, too.
/// Borrowed if none is replaced.
pub fn replace_numbers(
    bytes: &[u8],
    replacement: impl Fn(&str) -> Option<String>,
) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, number) = token(rest);
        if let Some(replaced) = number.and_then(&replacement) {
            out.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
            out.extend_from_slice(replaced.as_bytes());
            copied = at + length;
        }
        at += length;
    }
    if out.is_empty() {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// The length of the first token, at least 1, and its text if it is a number.
fn token(rest: &[u8]) -> (usize, Option<&str>) {
    match rest.first() {
        Some(b'"') => (string_length(rest), None),
        Some(b'-' | b'0'..=b'9' | b'I' | b'N') => {
            if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word.as_bytes())) {
                return (word.len(), Some(*word));
            }
            let is_part =
                |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            let length = rest.iter().take_while(|byte| is_part(byte)).count().max(1);
            let digits = rest.get(..length);
            (
                length,
                digits.and_then(|digits| std::str::from_utf8(digits).ok()),
            )
        }
        _ => (1, None),
    }
}

/// The length of the string at the start, quotes included; of all bytes if it does not end.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_are_not_finite_are_spelled_out() {
        for (text, word) in [
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"),
            ("1e400", "Infinity"),
            ("-1.5E+999", "-Infinity"),
        ] {
            for (text, path) in [
                (text.to_owned(), ""),
                (format!("[0, {text}]"), "/1"),
                (format!("{{\"a\": {{\"b\": {text}, \"c\": 1}}}}"), "/a/b"),
            ] {
                let value = from_slice(text.as_bytes()).unwrap();
                let found = value.pointer(path).and_then(non_finite);
                assert_eq!(found, Some(word), "{text}");
            }
        }
    }

    #[test]
    fn words_in_strings_and_finite_numbers_are_unchanged() {
        let text =
            r#"{"NaN": "Infinity, \" -Infinity \\", "a": [-1, 1e3, 0.5, NaN], "1e400": "1e400"}"#;
        let value = from_slice(text.as_bytes()).unwrap();
        let nan = json!({"__float__": "NaN"});
        assert_eq!(
            value,
            json!({"NaN": "Infinity, \" -Infinity \\", "a": [-1, 1e3, 0.5, nan], "1e400": "1e400"})
        );
    }

    #[test]
    fn byte_order_mark_is_ignored() {
        assert_eq!(
            from_slice(b"\xef\xbb\xbf{\"a\": 1}").unwrap(),
            json!({"a": 1})
        );
    }

    #[test]
    fn invalid_json_is_rejected_with_its_line() {
        for text in [
            "{\"a\": 1,\n\"b\": }",
            "{\"a\": NaN,\n\"b\": }",
            "{\"a\": 1,\n\"b\": Infinityy}",
            "{\"a\": 1,\n\"b\": +Infinity}",
            "{\"a\": 1,\n\"b\": 1e400e}",
            "{\"a\": 1,\n\"b\": \"NaN",
        ] {
            let error = from_slice(text.as_bytes()).unwrap_err();
            assert_eq!(error.line(), 2, "{text}: {error}");
        }
    }
}
