//! Bounds on what a template may ask for. Templates come from strangers, and a large number in the right place would take
//! all memory there is.

use minijinja::{Error, ErrorKind, Value};

/// Widths, indentations and counts beyond this have no place in a prompt.
const MOST: i64 = 10_000;

fn too_large(what: &str, number: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("{what} of {number} is not possible: it must be an integer up to {MOST}"),
    )
}

/// Checks a width or a count.
pub(in crate::template) fn check_count(what: &str, count: &Value) -> Result<(), Error> {
    match count.as_i64() {
        Some(number) if number <= MOST => Ok(()),
        _ => Err(too_large(what, count)),
    }
}

/// As many spaces as asked for; none for a negative number.
pub(in crate::template) fn spaces(count: &Value) -> Result<String, Error> {
    check_count("an indentation", count)?;
    Ok(" ".repeat(count.as_usize().unwrap_or(0)))
}

/// Spaces, or whatever fills, up to a width in characters.
pub(super) fn missing_width(width: usize, text: &str) -> Result<usize, Error> {
    if width > MOST as usize {
        return Err(too_large("a width", width));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// Checks the widths and precisions in a format: `%5d`, `{:>5}`.
pub(in crate::template) fn check_format(format: &str) -> Result<(), Error> {
    // Longer than the largest number allowed; the rest of the text may have any digits.
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
