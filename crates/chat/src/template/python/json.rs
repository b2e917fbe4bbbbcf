//! `json.dumps` with the defaults of the `tojson` filter of `transformers`.

use std::fmt::Write;

use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind, Value};

use super::arguments::arguments;
use super::integer::is_large_integer;
use super::limits::spaces;
use super::printing::{float_repr, is_float};

struct Style {
    ascii_only: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

/// `tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(in crate::template) fn to_json(
    value: &Value,
    args: Rest<ValueOrKwargs>,
) -> Result<String, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ensure_ascii, indent, separators, sort_keys] = arguments(args, names)?;
    let ascii_only = ensure_ascii.is_some_and(|value| value.is_true());
    let indent = match indent {
        None => None,
        Some(value) => Some(match value.as_str() {
            Some(text) => text.to_owned(),
            None => spaces(&value)?,
        }),
    };
    let (item_separator, key_separator) = match separators {
        Some(pair) => (separator(&pair, 0)?, separator(&pair, 1)?),
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let sort_keys = sort_keys.is_some_and(|value| value.is_true());
    let mut out = String::new();
    Style {
        ascii_only,
        indent,
        item_separator,
        key_separator,
        sort_keys,
    }
    .write(value, 0, &mut out)?;
    Ok(out)
}

fn separator(pair: &Value, index: usize) -> Result<String, Error> {
    pair.get_item_by_index(index)?
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                "tojson separators must be a pair of strings",
            )
        })
}

impl Style {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value)?),
            ValueKind::String => self.write_string(value.as_str().unwrap_or_default(), out),
            ValueKind::Seq | ValueKind::Iterable => self.write_items(value, depth, out)?,
            ValueKind::Map => self.write_entries(value, depth, out)?,
            _ if is_large_integer(value) => out.push_str(&value.to_string()),
            kind => {
                return Err(Error::new(
                    ErrorKind::BadSerialization,
                    format!("a value of type {kind} is not JSON serializable"),
                ));
            }
        }
        Ok(())
    }

    fn write_items(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let mut empty = true;
        out.push('[');
        for item in value.try_iter()?.checked() {
            if !empty {
                out.push_str(&self.item_separator);
            }
            empty = false;
            self.break_line(depth + 1, out);
            self.write(&item?, depth + 1, out)?;
        }
        if !empty {
            self.break_line(depth, out);
        }
        out.push(']');
        Ok(())
    }

    fn write_entries(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let mut keys = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        if self.sort_keys {
            keys.sort();
        }
        out.push('{');
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                out.push_str(&self.item_separator);
            }
            self.break_line(depth + 1, out);
            let name = match key.kind() {
                ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
                ValueKind::None => "null".to_owned(),
                ValueKind::Bool => if key.is_true() { "true" } else { "false" }.to_owned(),
                ValueKind::Number => number(key)?,
                kind => {
                    return Err(Error::new(
                        ErrorKind::BadSerialization,
                        format!("a key of type {kind} is not JSON serializable"),
                    ));
                }
            };
            self.write_string(&name, out);
            out.push_str(&self.key_separator);
            self.write(&value.get_item(key)?, depth + 1, out)?;
        }
        if !keys.is_empty() {
            self.break_line(depth, out);
        }
        out.push('}');
        Ok(())
    }

    fn break_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn write_string(&self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' => push_unit(character as u16, out),
                _ if self.ascii_only && character > '~' => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        push_unit(*unit, out);
                    }
                }
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

fn push_unit(unit: u16, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "\\u{unit:04x}");
}

fn number(value: &Value) -> Result<String, Error> {
    if !is_float(value) {
        return Ok(value.to_string());
    }
    let number = f64::try_from(value.clone())?;
    Ok(if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned()
    } else {
        float_repr(number)
    })
}
