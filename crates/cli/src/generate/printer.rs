//! An answer for people.

use std::io;

use super::{Kind, ScoredToken, Sink};
use crate::output::Output;

/// Prints an answer as it comes: thinking dimmed or not at all, then the answer.
#[derive(Debug)]
pub struct Printer<'a> {
    output: &'a Output,
    shows_thinking: bool,
    last: Option<Kind>,
    at_line_start: bool,
}

impl<'a> Printer<'a> {
    /// A printer on standard output.
    pub fn new(output: &'a Output, shows_thinking: bool) -> Self {
        Self {
            output,
            shows_thinking,
            last: None,
            at_line_start: true,
        }
    }

    /// Ends the last line, if it is open.
    pub fn end_line(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            self.output.line("")?;
            self.at_line_start = true;
        }
        Ok(())
    }
}

impl Sink for Printer<'_> {
    fn scored(&mut self, _token: &ScoredToken) -> io::Result<()> {
        Ok(())
    }

    fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()> {
        if kind == Kind::Thinking && !self.shows_thinking {
            return Ok(());
        }
        if kind == Kind::Answer && self.last == Some(Kind::Thinking) {
            self.output.piece("\n\n", false)?;
        }
        self.output.piece(text, kind == Kind::Thinking)?;
        self.last = Some(kind);
        self.at_line_start = text.ends_with('\n');
        Ok(())
    }
}
