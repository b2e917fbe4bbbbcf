//! `pattern`: regular expressions as ECMAScript has them, in the parser's syntax.

use llguidance::derivre::RegexBuilder;
use llguidance::regex_to_lark;

use super::pointer::Pointer;
use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// White space of ECMAScript and of Unicode both, within brackets and with them.
const SPACE: &str = " \\t\\n\\r\\f\\v";
const SPACE_CLASS: &str = "[ \\t\\n\\r\\f\\v]";

/// The expression in the parser's syntax, of the keyword (`pattern`, or a name in `patternProperties`) at `at`.
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
    let translated = translated(pattern);
    let refused = |reason: String| at.unsupported(keyword, format!("{pattern:?}: {reason}"));
    if translated.contains("<stop>") {
        return Err(refused("a group cannot be called `stop`".into()));
    }
    let built = RegexBuilder::new().mk_regex_for_serach(&regex_to_lark(&translated, "dw"));
    match built {
        Ok(_) => Ok(translated),
        Err(error) => Err(refused(readable(&error.to_string()))),
    }
}

/// The parts that the two syntaxes read differently, spelled so that a match in one is a match in the other.
fn translated(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    // Whether within brackets, and if so whether they begin with `^`.
    let mut class: Option<bool> = None;
    while let Some(character) = characters.next() {
        match (character, class) {
            ('\\', _) => match (characters.next(), class) {
                (Some('s'), None) => translated += SPACE_CLASS,
                (Some('s'), Some(false)) => translated += SPACE,
                // Left out of the class is what either takes for white space.
                (Some('s'), Some(true)) => translated += "\\s\\x{FEFF}",
                (Some('S'), None) => translated += "[^\\s\\x{FEFF}]",
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
            // Nested classes and operations on them exist in one syntax only.
            ('[' | '&' | '~', Some(_)) => translated.extend(['\\', character]),
            ('.', None) => translated += "[^\\n\\r\\x{2028}\\x{2029}]",
            (other, _) => translated.push(other),
        }
    }
    translated
}

/// The last line of a syntax error says what it is.
fn readable(message: &str) -> String {
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
    fn both_syntaxes_match_the_same() {
        for unchanged in ["^a+$", "[a-z]{2,3}", "\\d\\w\\/\\.", "a|^b$", "(?:x)(y)"] {
            assert_eq!(translation(unchanged), unchanged);
        }
        assert_eq!(translation("[a&&[b]"), "[a\\&\\&\\[b]");
        assert_eq!(translation("[^.]\\."), "[^.]\\.");
        assert_eq!(translation("a.c"), "a[^\\n\\r\\x{2028}\\x{2029}]c");
        assert_eq!(
            translation("[\\s,]\\s"),
            "[ \\t\\n\\r\\f\\v,][ \\t\\n\\r\\f\\v]"
        );
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for pattern in ["(?=a)", "(?!a)b", "(a)\\1", "\\bword\\b", "(", "a{2", "a^b"] {
            let message = translation(pattern);
            assert!(
                message.starts_with("`pattern` at #/pattern cannot be enforced: "),
                "{pattern}: {message}"
            );
        }
    }
}
