//! Keywords for strings.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use super::walk::{Walk, count, limit};
use super::{formats, language, lookahead, pattern};
use crate::constraint::error::GrammarError;

impl Walk<'_> {
    /// Rewrites the keywords for strings.
    pub(super) fn string(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let lengths = lengths(keywords, at)?;
        for (keyword, length) in [("minLength", lengths.0), ("maxLength", lengths.1)] {
            if let Some(length) = length {
                prepared.insert(keyword.into(), length.into());
            }
        }
        let mut patterns = self.patterns(keywords, lengths, at)?.into_iter();
        if let Some(first) = patterns.next() {
            prepared.insert("pattern".into(), first.into());
        }
        let others: Vec<Value> = patterns
            .map(|pattern| json!({ "pattern": pattern }))
            .collect();
        if !others.is_empty() {
            prepared.insert("allOf".into(), others.into());
        }
        Ok(())
    }

    /// The expressions of `pattern` and `format`. Libraries write both for the same strings; the pattern decides where both
    /// cannot be enforced together.
    fn patterns(
        &mut self,
        keywords: &Map<String, Value>,
        (min, max): (Option<usize>, Option<usize>),
        at: &Pointer,
    ) -> Result<Vec<String>, GrammarError> {
        let format = format(keywords, at)?;
        let mut patterns = match keywords.get("pattern") {
            Some(value) => {
                let text = text(value, "pattern", at)?;
                let look_around = lookahead::find(text).filter(|_| format.is_some());
                if let Some(found) = look_around {
                    let reason =
                        format!("it has the look-around {}; format is enforced", found.text);
                    self.note_ignored(&at.child("pattern"), &reason);
                    Vec::new()
                } else {
                    pattern::conditions(text, "pattern", at)?
                }
            }
            None => Vec::new(),
        };
        if let Some(format) = format {
            let mut languages: Vec<_> = patterns
                .iter()
                .map(|pattern| language::search(pattern))
                .collect();
            let alone = languages.is_empty();
            languages.push(language::search(&format));
            if min.is_some() || max.is_some() {
                languages.push(language::length(min.unwrap_or(0), max));
            }
            if alone || language::is_empty(languages) == Some(false) {
                patterns.push(format);
            } else {
                self.note_ignored(&at.child("format"), "pattern is enforced instead");
            }
        }
        let all = || patterns.iter().map(|pattern| language::search(pattern));
        if self.is_best_effort()
            && patterns.len() > 1
            && language::is_empty(all().collect()) != Some(false)
        {
            self.note_ignored(&at.child("pattern"), "it is too complex");
            patterns.truncate(1);
        }
        Ok(patterns)
    }
}

/// `minLength` and `maxLength`.
pub(super) fn lengths(
    keywords: &Map<String, Value>,
    at: &Pointer,
) -> Result<(Option<usize>, Option<usize>), GrammarError> {
    let min = count(keywords, "minLength", at)?;
    let max = limit(keywords, "maxLength", at)?;
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(at
            .child("minLength")
            .unsatisfiable(format!("minLength {min} is greater than maxLength {max}"))),
        lengths => Ok(lengths),
    }
}

/// The expression of `format`, if it is enforced. Values that the schema lists are not restricted further.
pub(super) fn format(
    keywords: &Map<String, Value>,
    at: &Pointer,
) -> Result<Option<String>, GrammarError> {
    let Some(value) = keywords.get("format") else {
        return Ok(None);
    };
    let name = text(value, "format", at)?;
    let listed = keywords.contains_key("const") || keywords.contains_key("enum");
    Ok(formats::pattern(name).filter(|_| !listed))
}

/// The value of a keyword that is a string.
pub(super) fn text<'a>(
    value: &'a Value,
    keyword: &str,
    at: &Pointer,
) -> Result<&'a str, GrammarError> {
    let invalid = || at.child(keyword).invalid("it must be a string");
    value.as_str().ok_or_else(invalid)
}
