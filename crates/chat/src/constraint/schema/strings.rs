//! Keywords for strings.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use super::walk::count;
use super::{formats, pattern};
use crate::constraint::error::GrammarError;

/// Rewrites the keywords for strings.
pub(super) fn prepare(
    keywords: &Map<String, Value>,
    at: &Pointer,
    prepared: &mut Map<String, Value>,
) -> Result<(), GrammarError> {
    let min = count(keywords, "minLength", at)?;
    let max = count(keywords, "maxLength", at)?;
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(at
            .child("minLength")
            .unsatisfiable(format!("minLength {min} is greater than maxLength {max}")));
    }
    for (keyword, length) in [("minLength", min), ("maxLength", max)] {
        if let Some(length) = length {
            prepared.insert(keyword.into(), length.into());
        }
    }
    let mut patterns = Vec::new();
    if let Some(value) = keywords.get("pattern") {
        let text = text(value, "pattern", at)?;
        patterns.push(pattern::translate(text, "pattern", at)?);
    }
    if let Some(value) = keywords.get("format") {
        let name = text(value, "format", at)?;
        patterns.push(formats::pattern(name).ok_or_else(|| {
            let known = formats::NAMES.join(", ");
            at.unsupported("format", format!("`{name}` is not one of {known}"))
        })?);
    }
    let mut patterns = patterns.into_iter();
    if let Some(first) = patterns.next() {
        prepared.insert("pattern".into(), first.into());
    }
    if let Some(second) = patterns.next() {
        prepared.insert("allOf".into(), json!([{ "pattern": second }]));
    }
    Ok(())
}

fn text<'a>(value: &'a Value, keyword: &str, at: &Pointer) -> Result<&'a str, GrammarError> {
    let invalid = || at.child(keyword).invalid("it must be a string");
    value.as_str().ok_or_else(invalid)
}
