//! `$ref`: pointers into the schema itself.

use std::borrow::Cow;

use serde_json::Value;

/// The name of a definition in the prepared schema.
pub(super) fn name(index: usize) -> String {
    format!("d{index}")
}

/// The name of a definition for numbers in the prepared schema.
pub(super) fn number_name(index: usize) -> String {
    format!("n{index}")
}

/// The reference to a definition in the prepared schema.
pub(super) fn reference(index: usize) -> String {
    format!("#/$defs/{}", name(index))
}

/// The definition that such a reference names.
pub(super) fn index(reference: &str) -> Option<usize> {
    reference.strip_prefix("#/$defs/d")?.parse().ok()
}

/// The subschema of `root` that a reference points to; none if it is external or missing.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = percent_decoded(reference.strip_prefix('#')?)?;
    // Anchors, which start with a letter, are not valid pointers and yield none.
    root.pointer(&fragment)
}

fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
