//! Multi-line input: a trailing backslash continues a line, and `"""` encloses a block.

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::command::NAMES;

const FENCE: &str = "\"\"\"";

/// Whether the input is a complete message.
pub fn is_complete(typed: &str) -> bool {
    match open_block(typed) {
        Some(block) => block.contains(FENCE),
        None => !typed.ends_with('\\'),
    }
}

/// The message without fences and continuation backslashes.
pub fn message(typed: &str) -> String {
    match open_block(typed) {
        Some(block) => {
            let (inside, after) = block.split_once(FENCE).unwrap_or((block, ""));
            let after = after.trim();
            let inside = inside.trim_matches('\n');
            if after.is_empty() {
                inside.to_owned()
            } else {
                format!("{inside}\n{after}")
            }
        }
        None => typed.replace("\\\n", "\n").trim().to_owned(),
    }
}

fn open_block(typed: &str) -> Option<&str> {
    typed.trim_start().strip_prefix(FENCE)
}

/// Validates multi-line input and completes command names.
#[derive(Debug, Default)]
pub struct InputHelper;

impl Helper for InputHelper {}
impl Highlighter for InputHelper {}

impl Hinter for InputHelper {
    type Hint = String;
}

impl Validator for InputHelper {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Completer for InputHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        if !typed.starts_with('/') || typed.contains(char::is_whitespace) {
            return Ok((position, Vec::new()));
        }
        Ok((
            0,
            NAMES
                .iter()
                .filter(|name| name.starts_with(typed))
                .map(|name| (*name).to_owned())
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_continues_the_line() {
        assert!(is_complete("one line"));
        assert!(!is_complete("first \\"));
        assert!(is_complete("first \\\nsecond"));
        assert_eq!(message("first\\\nsecond"), "first\nsecond");
        assert_eq!(message("a path C:\\dir"), "a path C:\\dir");
    }

    #[test]
    fn fences_enclose_a_block() {
        assert!(!is_complete("\"\"\"def f():"));
        assert!(!is_complete("\"\"\"\nline\\"));
        assert!(is_complete("\"\"\"\na\n\n  b\n\"\"\""));
        assert_eq!(message("\"\"\"\na\n\n  b\n\"\"\""), "a\n\n  b");
        assert_eq!(message("\"\"\"one\"\"\""), "one");
        assert_eq!(message("\"\"\"code\"\"\" explain it"), "code\nexplain it");
    }
}
