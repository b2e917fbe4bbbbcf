//! Limits on sizes in templates. Templates are untrusted and could otherwise exhaust memory.

use minijinja::{Error, ErrorKind, Value};

/// Largest width, indentation or count.
const MAX: i64 = 10_000;

fn too_large(what: &str, number: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("{what} of {number} is not possible: it must be an integer up to {MAX}"),
    )
}

/// Checks a width or a count.
pub(in crate::template) fn check_count(what: &str, count: &Value) -> Result<(), Error> {
    match count.as_i64() {
        Some(number) if number <= MAX => Ok(()),
        _ => Err(too_large(what, count)),
    }
}

/// `count` spaces; none for a negative number.
pub(in crate::template) fn spaces(count: &Value) -> Result<String, Error> {
    check_count("an indentation", count)?;
    Ok(" ".repeat(count.as_usize().unwrap_or(0)))
}

/// Number of fill characters up to a width in characters.
pub(super) fn missing_width(width: usize, text: &str) -> Result<usize, Error> {
    if width > MAX as usize {
        return Err(too_large("a width", width));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// Checks the widths and precisions in a format: `%5d`, `{:>5}`.
pub(in crate::template) fn check_format(format: &str) -> Result<(), Error> {
    // Numbers with more digits are too large; text outside of specifications may have any digits.
    const DIGITS: usize = 4;
    let specification = |character: char| {
        character.is_ascii_digit() || matches!(character, '#' | '-' | '+' | ' ' | '.' | '*')
    };
    let after_percent = format.split('%').skip(1).map(|rest| {
        let length = rest
            .find(|character| !specification(character))
            .unwrap_or(rest.len());
        &rest[..length]
    });
    let in_braces = format
        .split('{')
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap_or(rest));
    for specification in after_percent.chain(in_braces) {
        let mut numbers = specification.split(|character: char| !character.is_ascii_digit());
        if let Some(number) = numbers.find(|number| number.len() > DIGITS) {
            return Err(too_large("a width", number));
        }
    }
    Ok(())
}
