//! Keywords about strings.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use super::walk::count;
use super::{formats, pattern};
use crate::constraint::error::GrammarError;

/// Writes the keywords of a schema that takes strings.
pub(super) fn prepare(
    keywords: &Map<String, Value>,
    at: &Pointer,
    prepared: &mut Map<String, Value>,
) -> Result<(), GrammarError> {
    let shortest = count(keywords, "minLength", at)?;
    let longest = count(keywords, "maxLength", at)?;
    if let (Some(shortest), Some(longest)) = (shortest, longest)
        && shortest > longest
    {
        return Err(at.child("minLength").impossible(format!(
            "minLength {shortest} is greater than maxLength {longest}"
        )));
    }
    for (keyword, length) in [("minLength", shortest), ("maxLength", longest)] {
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
    let invalid = || at.child(keyword).invalid("it has to be a string");
    value.as_str().ok_or_else(invalid)
}
