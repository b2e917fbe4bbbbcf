//! Mutations of JSON documents: other values, missing, renamed and repeated entries, and deep nesting.

use fastrand::Rng;
use serde_json::{Value, json};

use super::bytes;

/// Depth of nested arrays in a mutated document, below the limit of the parser.
const DEPTH: usize = 100;

/// Brackets beyond every limit for nesting.
const BRACKETS: usize = 100_000;

/// One to three changes of the document, or now and then of its text.
pub(crate) fn mutate(rng: &mut Rng, example: &[u8], other: &[u8]) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Value>(example) else {
        return bytes::mutate(rng, example, other);
    };
    for _ in 0..rng.u8(1..=3) {
        let mut index = rng.usize(..count(&document));
        if let Some(node) = nth(&mut document, &mut index) {
            change(rng, node);
        }
    }
    let mut text = document.to_string().into_bytes();
    match rng.u8(..20) {
        0 => {
            let at = rng.usize(..=text.len());
            let bracket = if rng.bool() { b'[' } else { b'{' };
            text.splice(at..at, std::iter::repeat_n(bracket, BRACKETS));
            text
        }
        1 | 2 => bytes::mutate(rng, &text, other),
        _ => text,
    }
}

/// Number of values in the document.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(entries) => entries.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// The value with this index, in the order of the document.
fn nth<'a>(value: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
    if *index == 0 {
        return Some(value);
    }
    *index -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, index)),
        Value::Object(entries) => entries.values_mut().find_map(|entry| nth(entry, index)),
        _ => None,
    }
}

fn change(rng: &mut Rng, value: &mut Value) {
    match (rng.u8(..4), &mut *value) {
        (0 | 1, Value::Array(items)) if !items.is_empty() => {
            let at = rng.usize(..items.len());
            if rng.bool() {
                items.remove(at);
            } else {
                let repeated = vec![items[at].clone(); rng.usize(1..50)];
                items.splice(at..at, repeated);
            }
        }
        (0 | 1, Value::Object(entries)) if !entries.is_empty() => {
            let name = entries
                .keys()
                .nth(rng.usize(..entries.len()))
                .cloned()
                .unwrap_or_default();
            let removed = entries.remove(&name);
            if rng.bool() {
                entries.insert(format!("{name}_"), removed.unwrap_or_default());
            }
        }
        (0, Value::String(text)) => text.push_str(odd_text(rng)),
        (0, Value::Number(number)) => {
            let factor = [-1.0, 0.5, 2.0, 1e6, 1e18, 1e200][rng.usize(..6)];
            let scaled = number.as_f64().unwrap_or_default() * factor;
            *value = if scaled.fract() == 0.0 && scaled.abs() < 1e18 {
                json!(scaled as i64)
            } else {
                json!(scaled)
            };
        }
        _ => *value = odd_value(rng),
    }
}

fn odd_text(rng: &mut Rng) -> &'static str {
    rng.choice([
        "",
        "\u{0}",
        "../../x",
        "\u{feff}",
        "\u{1f980}",
        "%s%n{}",
        "(a*)*b",
        "[",
        "\\p{L}{9}",
        "<0x41>",
        "\u{2581}",
    ])
    .unwrap_or_default()
}

fn odd_value(rng: &mut Rng) -> Value {
    match rng.u8(..18) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(1),
        5 => json!(0.5),
        6 => json!(1e308),
        7 => json!(-1e-308),
        8 => json!(i64::MAX),
        9 => json!(u64::MAX),
        10 => json!(1_u64 << 31),
        11 => json!(1_u64 << 40),
        12 => json!(rng.i64(-1000..1000)),
        13 => json!(odd_text(rng)),
        14 => json!("a".repeat(5000)),
        15 => json!([]),
        16 => json!({}),
        _ => (0..DEPTH).fold(Value::Null, |inner, _| Value::Array(vec![inner])),
    }
}
