//! The buffered input of a parser.

use crate::parsing::delimiter::{self, Found};

/// Longest name of a function or an argument, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// Whether the input continues with an expected token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match<T = ()> {
    /// It does, and the token is consumed.
    Found(T),
    /// It continues with something else.
    Absent,
    /// More input is needed to decide.
    Incomplete,
}

/// Buffered text: emitted up to `emitted`, consumed but pending up to `position`, then not consumed.
#[derive(Debug, Default)]
pub(crate) struct Input {
    text: String,
    emitted: usize,
    position: usize,
    ended: bool,
}

impl Input {
    /// Adds text at the end.
    pub fn push(&mut self, text: &str) {
        self.text.drain(..self.emitted);
        self.position -= self.emitted;
        self.emitted = 0;
        self.text.push_str(text);
    }

    /// Marks the end of the input: from now on only an empty rest is `Incomplete`.
    pub fn end(&mut self) {
        self.ended = true;
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The input that is not consumed.
    pub fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    /// Consumes this many bytes.
    pub fn advance(&mut self, bytes: usize) {
        self.position += bytes;
    }

    /// Consumes the whole rest.
    pub fn advance_to_end(&mut self) {
        self.position = self.text.len();
    }

    /// Discards the pending text.
    pub fn commit(&mut self) {
        self.emitted = self.position;
    }

    /// The pending text.
    pub fn pending(&self) -> &str {
        &self.text[self.emitted..self.position]
    }

    /// Returns the pending text after its first `bytes` to the rest.
    pub fn rewind(&mut self, bytes: usize) {
        self.position = self.emitted + bytes;
    }

    /// Removes `bytes` of the rest from `start` on.
    pub fn remove(&mut self, start: usize, bytes: usize) {
        let start = self.position + start;
        self.text.drain(start..start + bytes);
    }

    /// The pending text, which counts as emitted afterwards.
    pub fn take_pending(&mut self) -> String {
        let text = self.pending().to_owned();
        self.commit();
        text
    }

    /// Consumes white space and returns the next character, which is not consumed.
    pub fn peek(&mut self) -> Match<char> {
        let rest = self.rest();
        let text = rest.trim_start();
        let skipped = rest.len() - text.len();
        let next = text.chars().next();
        self.position += skipped;
        match next {
            Some(character) => Match::Found(character),
            None if self.ended => Match::Absent,
            None => Match::Incomplete,
        }
    }

    /// Consumes white space and `literal`.
    pub fn take(&mut self, literal: &str) -> Match {
        match self.take_one_of(&[literal]) {
            Match::Found(_) => Match::Found(()),
            Match::Absent => Match::Absent,
            Match::Incomplete => Match::Incomplete,
        }
    }

    /// Consumes white space and one of `literals`; returns its index.
    pub fn take_one_of(&mut self, literals: &[&str]) -> Match<usize> {
        if !self.ended && self.peek() == Match::Incomplete {
            return Match::Incomplete;
        }
        let rest = self.rest().trim_start();
        let skipped = self.rest().len() - rest.len();
        if let Some(which) = literals.iter().position(|one| rest.starts_with(one)) {
            self.position += skipped + literals[which].len();
            return Match::Found(which);
        }
        if !self.ended && literals.iter().any(|one| one.starts_with(rest)) {
            return Match::Incomplete;
        }
        Match::Absent
    }

    /// Consumes a name and the `end` that follows it. The name is trimmed.
    pub fn take_name(&mut self, end: &str) -> Match<String> {
        match self.find(&[end]) {
            Found::At { start, .. } if start <= MAX_NAME_BYTES => {
                let name = self.rest()[..start].trim().to_owned();
                self.position += start + end.len();
                Match::Found(name)
            }
            Found::Nowhere { safe } if safe <= MAX_NAME_BYTES && !self.ended => Match::Incomplete,
            _ => Match::Absent,
        }
    }

    /// Consumes a name up to the first character that cannot be part of it.
    pub fn take_word(&mut self, belongs: fn(char) -> bool) -> Match<String> {
        if self.peek() == Match::Incomplete {
            return Match::Incomplete;
        }
        let rest = self.rest();
        match rest.find(|character| !belongs(character)) {
            Some(end) if end > 0 && end <= MAX_NAME_BYTES => {
                let name = rest[..end].to_owned();
                self.position += end;
                Match::Found(name)
            }
            None if rest.len() <= MAX_NAME_BYTES && !self.ended => Match::Incomplete,
            _ => Match::Absent,
        }
    }

    /// Searches for delimiters in the rest.
    pub fn find(&self, delimiters: &[&str]) -> Found {
        delimiter::find(self.rest(), delimiters, self.ended)
    }
}
