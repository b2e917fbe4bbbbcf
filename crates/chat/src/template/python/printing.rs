//! `str()` and `repr()` of Python values.

use std::fmt::Write;

use minijinja::Value;
use minijinja::value::ValueKind;

/// `str(value)`; empty for undefined.
pub(in crate::template) fn to_text(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let mut out = String::new();
    write_text(value, &mut out);
    out
}

/// Whether the value is a Python `float`.
pub(super) fn is_float(value: &Value) -> bool {
    value.kind() == ValueKind::Number && !value.is_integer()
}

fn write_text(value: &Value, out: &mut String) {
    match value.kind() {
        ValueKind::Number if is_float(value) => {
            out.push_str(
                &f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float_repr),
            );
        }
        ValueKind::Seq => write_items(value, out),
        ValueKind::Iterable if value.len().is_some() => write_items(value, out),
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(&key, out);
                out.push_str(": ");
                write_repr(&value.get_item(&key).unwrap_or_default(), out);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

fn write_items(value: &Value, out: &mut String) {
    let is_tuple = value.is_tuple();
    out.push(if is_tuple { '(' } else { '[' });
    let mut count = 0;
    for item in value.try_iter().into_iter().flatten() {
        if count > 0 {
            out.push_str(", ");
        }
        write_repr(&item, out);
        count += 1;
    }
    if is_tuple && count == 1 {
        out.push(',');
    }
    out.push(if is_tuple { ')' } else { ']' });
}

pub(super) fn write_repr(value: &Value, out: &mut String) {
    match value.as_str() {
        Some(text) if value.is_safe() => {
            out.push_str("Markup(");
            write_quoted(text, out);
            out.push(')');
        }
        Some(text) => write_quoted(text, out),
        None if value.is_undefined() => out.push_str("Undefined"),
        None => write_text(value, out),
    }
}

fn write_quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character == quote => out.extend(['\\', quote]),
            _ if is_printable(character) => out.push(character),
            _ => {
                let code = character as u32;
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xFF => write!(out, "\\x{code:02x}"),
                    0x100..=0xFFFF => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Unicode's "other" and "separator" categories are not printable, except the space. `escape_debug` escapes them. It escapes
/// combining marks only at the start, hence the leading letter.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let mut text = String::from("a");
    text.push(character);
    text.escape_debug().nth(1) == Some(character)
}

/// `repr(float)`: the shortest digits that round-trip, with an exponent below 1e-4 and from 1e16.
pub(super) fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) || number == 0.0 {
        let plain = format!("{number}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::{float_repr, write_quoted};

    #[test]
    fn floats_print_as_in_python() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (1e-5, "1e-05"),
            (1.2345e300, "1.2345e+300"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float_repr(number), text);
        }
    }

    #[test]
    fn strings_are_quoted_as_in_python() {
        for (text, quoted) in [
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            (
                "é\u{301}日\u{200b}\u{a0}\x1b",
                "'é\u{301}日\\u200b\\xa0\\x1b'",
            ),
        ] {
            let mut out = String::new();
            write_quoted(text, &mut out);
            assert_eq!(out, quoted);
        }
    }
}
