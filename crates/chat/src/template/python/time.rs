//! `datetime.now().strftime(format)`

use std::fmt::Write;

use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use minijinja::{Error, ErrorKind};

/// Formats a naive local time as Python does in the C locale: unknown directives are kept, time zones are empty.
pub(in crate::template) fn strftime(time: DateTime, format: &str) -> Result<String, Error> {
    let mut directives = String::with_capacity(format.len());
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            directives.push(character);
            continue;
        }
        match characters.next() {
            Some('Z' | 'z') => {}
            Some('f') => {
                let _ = write!(directives, "{:06}", time.subsec_nanosecond() / 1_000);
            }
            Some(directive) => directives.extend(['%', directive]),
            None => directives.push_str("%%"),
        }
    }
    let config = Config::new().custom(PosixCustom::new()).lenient(true);
    BrokenDownTime::from(time)
        .to_string_with_config(&config, &directives)
        .map_err(|error| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("strftime_now({format:?}): {error}"),
            )
        })
}
