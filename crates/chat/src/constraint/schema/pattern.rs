//! `pattern`: ECMAScript regular expressions in the syntax of llguidance.

use std::fmt::Write as _;

use llguidance::derivre::RegexBuilder;
use llguidance::regex_to_lark;

use super::lookahead::{self, LookAround};
use super::pointer::Pointer;
use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// White space both in ECMAScript and in Unicode, inside and outside of a class.
const SPACE: &str = " \\t\\n\\r\\f\\v";
const SPACE_CLASS: &str = "[ \\t\\n\\r\\f\\v]";

/// The expressions of a `pattern` in the syntax of llguidance, all of which must match.
///
/// # Errors
/// If one cannot be enforced.
pub(super) fn conditions(
    pattern: &str,
    keyword: &str,
    at: &Pointer,
) -> Result<Vec<String>, GrammarError> {
    let patterns =
        lookahead::split(pattern).map_err(|found| look_around(pattern, keyword, at, &found))?;
    patterns
        .iter()
        .map(|pattern| translate(pattern, keyword, at))
        .collect()
}

fn look_around(pattern: &str, keyword: &str, at: &Pointer, found: &LookAround) -> GrammarError {
    let LookAround { text, position } = found;
    let reason = format!(
        "{pattern:?}: the look-around {text} at character {position} is not supported; write the pattern without it"
    );
    at.unsupported(keyword, reason)
}

/// The expression in the syntax of llguidance. `keyword` is `pattern` or `patternProperties`.
///
/// # Errors
/// If it cannot be enforced.
pub(super) fn translate(
    pattern: &str,
    keyword: &str,
    at: &Pointer,
) -> Result<String, GrammarError> {
    if pattern.len() > limits::REGEX_BYTES {
        return Err(GrammarError::TooLarge {
            what: format!("the pattern at {at} has {} bytes", pattern.len()),
            limit: limits::REGEX_BYTES,
        });
    }
    if let Some(found) = lookahead::find(pattern) {
        return Err(look_around(pattern, keyword, at, &found));
    }
    let translated = translated(pattern);
    let unsupported = |reason: String| at.unsupported(keyword, format!("{pattern:?}: {reason}"));
    if translated.contains("<stop>") {
        return Err(unsupported("a group cannot be named `stop`".into()));
    }
    let built = RegexBuilder::new().mk_regex_for_serach(&regex_to_lark(&translated, "dw"));
    match built {
        Ok(_) => Ok(translated),
        Err(error) => Err(unsupported(summary(&error.to_string()))),
    }
}

/// Rewrites the constructs in which the syntaxes differ, so that both match the same strings.
fn translated(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    // In a class: whether it is negated.
    let mut class: Option<bool> = None;
    while let Some(character) = characters.next() {
        match (character, class) {
            ('\\', _) => match (characters.next(), class) {
                (Some('s'), None) => translated += SPACE_CLASS,
                (Some('s'), Some(false)) => translated += SPACE,
                // A negated class excludes the white space of both syntaxes.
                (Some('s'), Some(true)) => translated += "\\s\\x{FEFF}",
                (Some('S'), None) => translated += "[^\\s\\x{FEFF}]",
                (Some('c'), _) if characters.as_str().starts_with(is_letter) => {
                    let letter = characters.next().unwrap_or_default();
                    // Writing to a string cannot fail.
                    let _ = write!(translated, "\\x{{{:02X}}}", letter as u32 % 32);
                }
                // Boundaries of words in the other syntax.
                (Some(escaped @ ('<' | '>')), _) => translated.push(escaped),
                (Some(escaped @ ('p' | 'P' | 'u' | 'x')), _) => {
                    translated.extend(['\\', escaped]);
                    let rest = characters.as_str();
                    if let Some(end) = rest.find('}').filter(|_| rest.starts_with('{')) {
                        translated += &rest[..=end];
                        characters = rest[end + 1..].chars();
                    }
                }
                (Some(escaped), _) => translated.extend(['\\', escaped]),
                (None, _) => translated.push('\\'),
            },
            ('[', None) => {
                let rest = characters.as_str();
                translated.push('[');
                class = Some(rest.starts_with('^'));
                if rest.starts_with('^') {
                    characters.next();
                    translated.push('^');
                }
            }
            (']', Some(_)) => {
                translated.push(']');
                class = None;
            }
            // ECMAScript has no nested classes and set operations.
            ('[' | '&' | '~', Some(_)) => translated.extend(['\\', character]),
            // A bracket that is not a repetition is text.
            ('{', None)
                if !characters
                    .as_str()
                    .starts_with(|next: char| next.is_ascii_digit()) =>
            {
                translated += "\\{";
            }
            ('.', None) => translated += "[^\\n\\r\\x{2028}\\x{2029}]",
            (other, _) => translated.push(other),
        }
    }
    translated
}

/// Whether `\c` and this character are a control character.
fn is_letter(character: char) -> bool {
    character.is_ascii_alphabetic()
}

/// The last line of a syntax error, which names the problem.
fn summary(message: &str) -> String {
    let last = message.lines().last().unwrap_or(message);
    last.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translation(pattern: &str) -> String {
        match translate(pattern, "pattern", &Pointer::root()) {
            Ok(translated) => translated,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn translate_rewrites_differing_syntax() {
        for unchanged in ["^a+$", "[a-z]{2,3}", "\\d\\w\\/\\.", "a|^b$", "(?:x)(y)"] {
            assert_eq!(translation(unchanged), unchanged);
        }
        assert_eq!(translation("[a&&[b]"), "[a\\&\\&\\[b]");
        assert_eq!(translation("[^.]\\."), "[^.]\\.");
        assert_eq!(translation("a.c"), "a[^\\n\\r\\x{2028}\\x{2029}]c");
        assert_eq!(translation("^{\\p{L}+}$"), "^\\{\\p{L}+}$");
        assert_eq!(translation("\\<a\\>"), "<a>");
        assert_eq!(translation("^\\cJ[\\ci-]$"), "^\\x{0A}[\\x{09}-]$");
        assert_eq!(
            translation("[\\s,]\\s"),
            "[ \\t\\n\\r\\f\\v,][ \\t\\n\\r\\f\\v]"
        );
    }

    #[test]
    fn look_around_is_rejected_with_its_position() {
        assert_eq!(
            translation("^ab(?=c).*"),
            "`pattern` at #/pattern cannot be enforced: \"^ab(?=c).*\": the look-around (?=c) at character 3 is not \
             supported; write the pattern without it"
        );
        let patterns = conditions("^(?!.*[<>]).{2,}$", "pattern", &Pointer::root()).unwrap();
        assert_eq!(patterns, ["^[^<>]*$", "^[^\\n\\r\\x{2028}\\x{2029}]{2,}$"]);
    }

    #[test]
    fn translate_rejects_unsupported_syntax() {
        for pattern in [
            "\\c1",
            "(?=a)",
            "(?!a)b",
            "(a)\\1",
            "\\bword\\b",
            "(",
            "a{2",
            "a^b",
        ] {
            let message = translation(pattern);
            assert!(
                message.starts_with("`pattern` at #/pattern cannot be enforced: "),
                "{pattern}: {message}"
            );
        }
    }
}
