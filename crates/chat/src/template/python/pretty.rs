//! `pprint.pformat`.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::printing::write_repr;

const WIDTH: usize = 80;

/// `pprint.pformat(value)`: what does not fit in a line of 80 characters has an item per line. Unlike in Python, long texts are
/// not divided.
pub(in crate::template) fn pretty_print(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, 0, &mut out);
    out
}

/// Writes a value from column `indent` on, with `allowance` characters after it on its last line.
fn write(value: &Value, indent: usize, allowance: usize, out: &mut String) {
    let start = out.len();
    write_sorted_repr(value, out);
    let fits = |text: &str| text.chars().count() + indent + allowance <= WIDTH;
    if out.get(start..).is_none_or(fits) {
        return;
    }
    match value.kind() {
        ValueKind::Map => {
            out.truncate(start);
            out.push('{');
            let keys = sorted_keys(value);
            for (index, key) in keys.iter().enumerate() {
                separate(index, indent, out);
                let mut name = String::new();
                write_repr(key, &mut name);
                out.push_str(&name);
                out.push_str(": ");
                let column = indent + name.chars().count() + 3;
                let allowance = if index + 1 == keys.len() {
                    allowance + 1
                } else {
                    1
                };
                write(
                    &value.get_item(key).unwrap_or_default(),
                    column,
                    allowance,
                    out,
                );
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
            let (open, close) = match (value.is_tuple(), items.len()) {
                (true, 1) => ("(", ",)"),
                (true, _) => ("(", ")"),
                (false, _) => ("[", "]"),
            };
            out.truncate(start);
            out.push_str(open);
            for (index, item) in items.iter().enumerate() {
                separate(index, indent, out);
                let allowance = if index + 1 == items.len() {
                    allowance + close.len()
                } else {
                    1
                };
                write(item, indent + 1, allowance, out);
            }
            out.push_str(close);
        }
        _ => {}
    }
}

/// Starts a line for all items but the first.
fn separate(index: usize, indent: usize, out: &mut String) {
    if index > 0 {
        out.push_str(",\n");
        out.push_str(&" ".repeat(indent + 1));
    }
}

/// `repr(value)` with sorted keys.
fn write_sorted_repr(value: &Value, out: &mut String) {
    match value.kind() {
        ValueKind::Map => {
            out.push('{');
            for (index, key) in sorted_keys(value).iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(key, out);
                out.push_str(": ");
                write_sorted_repr(&value.get_item(key).unwrap_or_default(), out);
            }
            out.push('}');
        }
        ValueKind::Seq if !value.is_tuple() => {
            out.push('[');
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_sorted_repr(&item, out);
            }
            out.push(']');
        }
        _ => write_repr(value, out),
    }
}

fn sorted_keys(value: &Value) -> Vec<Value> {
    let mut keys: Vec<Value> = value.try_iter().into_iter().flatten().collect();
    keys.sort();
    keys
}
