//! `const` and `enum`.

use serde_json::Value;

use super::pointer::Pointer;
use super::types::Types;
use super::walk::Walk;
use crate::constraint::error::GrammarError;

/// llguidance does not represent larger integers exactly.
const MAX_EXACT_INTEGER: i64 = 1 << 53;

impl Walk<'_> {
    /// Checks the values of `const` or `enum`.
    pub(super) fn literals(
        &mut self,
        keyword: &str,
        values: &[Value],
        types: Types,
        at: &Pointer,
    ) -> Result<(), GrammarError> {
        let here = at.child(keyword);
        if values.is_empty() {
            return Err(here.unsatisfiable("it has no values"));
        }
        for value in values {
            self.literal(keyword, value, at)?;
        }
        if !values.iter().any(|value| types.has(Types::of(value))) {
            return Err(here.unsatisfiable("no value has the required type"));
        }
        Ok(())
    }

    fn literal(&mut self, keyword: &str, value: &Value, at: &Pointer) -> Result<(), GrammarError> {
        self.count()?;
        match value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(number) => {
                let exact = match number.as_i64() {
                    Some(integer) => (-MAX_EXACT_INTEGER..=MAX_EXACT_INTEGER).contains(&integer),
                    None => number.is_f64(),
                };
                if exact {
                    return Ok(());
                }
                Err(at.unsupported(
                    keyword,
                    format!("{number} is larger than 2^53 and not exact; use a string"),
                ))
            }
            Value::String(text) => check_text(text, keyword, at),
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.literal(keyword, item, at)),
            Value::Object(properties) => properties.iter().try_for_each(|(name, value)| {
                check_text(name, keyword, at)?;
                self.literal(keyword, value, at)
            }),
        }
    }
}

fn check_text(text: &str, keyword: &str, at: &Pointer) -> Result<(), GrammarError> {
    match text.chars().find(|&character| is_not_generated(character)) {
        None => Ok(()),
        Some(character) => Err(at.unsupported(
            keyword,
            format!(
                "the control character U+{:04X} in {text:?} is not supported",
                character as u32
            ),
        )),
    }
}

/// Control characters that JSON can only escape by number.
fn is_not_generated(character: char) -> bool {
    let short_escape = matches!(character, '\u{8}' | '\u{c}' | '\n' | '\r' | '\t');
    character.is_ascii_control() && !short_escape
}
