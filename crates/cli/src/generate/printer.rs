//! Prints a completion as text.

use std::io;

use super::{CompletionSink, DeltaKind, TokenLogprob};
use crate::output::Output;

/// Streams a completion to stdout: reasoning dimmed or hidden, then the content.
#[derive(Debug)]
pub struct Printer<'a> {
    output: &'a Output,
    show_reasoning: bool,
    last: Option<DeltaKind>,
    at_line_start: bool,
}

impl<'a> Printer<'a> {
    /// A printer at the start of a line.
    pub fn new(output: &'a Output, show_reasoning: bool) -> Self {
        Self {
            output,
            show_reasoning,
            last: None,
            at_line_start: true,
        }
    }

    /// Ends an unfinished line.
    pub fn end_line(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            self.output.line("")?;
            self.at_line_start = true;
        }
        Ok(())
    }
}

impl CompletionSink for Printer<'_> {
    fn on_logprob(&mut self, _token: &TokenLogprob) -> io::Result<()> {
        Ok(())
    }

    fn on_delta(&mut self, kind: DeltaKind, text: &str) -> io::Result<()> {
        if kind == DeltaKind::Reasoning && !self.show_reasoning {
            return Ok(());
        }
        if kind == DeltaKind::Content && self.last == Some(DeltaKind::Reasoning) {
            self.output.delta("\n\n", false)?;
        }
        self.output.delta(text, kind == DeltaKind::Reasoning)?;
        self.last = Some(kind);
        self.at_line_start = text.ends_with('\n');
        Ok(())
    }
}
