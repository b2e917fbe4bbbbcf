//! The text that has come and is not given out yet.

use crate::parsing::marker::{self, Found};

/// The longest name of a function or an argument, in bytes. What is longer is not a name.
pub(crate) const LONGEST_NAME: usize = 256;

/// Whether something comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match<T = ()> {
    /// It was there and has been read.
    Found(T),
    /// Something else is there.
    Absent,
    /// That takes more text.
    Incomplete,
}

/// Text of three kinds in a row: given out, read but held, not read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    text: String,
    /// Everything before has been given out.
    held: usize,
    /// Everything before has been read.
    at: usize,
    ended: bool,
}

impl Input {
    /// Adds text at the end.
    pub fn push(&mut self, text: &str) {
        self.text.drain(..self.held);
        self.at -= self.held;
        self.held = 0;
        self.text.push_str(text);
    }

    /// No more text will come: from now on nothing is `Incomplete` but an empty rest.
    pub fn end(&mut self) {
        self.ended = true;
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What is not read.
    pub fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Reads this many bytes.
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Reads everything there is.
    pub fn advance_to_end(&mut self) {
        self.at = self.text.len();
    }

    /// What is read counts as given out.
    pub fn commit(&mut self) {
        self.held = self.at;
    }

    /// What was read and not given out; it counts as given out now.
    pub fn flush_as_content(&mut self) -> String {
        let text = self.text[self.held..self.at].to_owned();
        self.commit();
        text
    }

    /// The next character, after white space.
    pub fn peek(&mut self) -> Match<char> {
        let rest = self.rest();
        let text = rest.trim_start();
        let skipped = rest.len() - text.len();
        let next = text.chars().next();
        self.at += skipped;
        match next {
            Some(character) => Match::Found(character),
            None if self.ended => Match::Absent,
            None => Match::Incomplete,
        }
    }

    /// Reads `literal`, after white space.
    pub fn take(&mut self, literal: &str) -> Match {
        match self.take_one_of(&[literal]) {
            Match::Found(_) => Match::Found(()),
            Match::Absent => Match::Absent,
            Match::Incomplete => Match::Incomplete,
        }
    }

    /// Reads one of `literals`, after white space.
    pub fn take_one_of(&mut self, literals: &[&str]) -> Match<usize> {
        if !self.ended && self.peek() == Match::Incomplete {
            return Match::Incomplete;
        }
        let rest = self.rest().trim_start();
        let skipped = self.rest().len() - rest.len();
        if let Some(which) = literals.iter().position(|one| rest.starts_with(one)) {
            self.at += skipped + literals[which].len();
            return Match::Found(which);
        }
        if !self.ended && literals.iter().any(|one| one.starts_with(rest)) {
            return Match::Incomplete;
        }
        Match::Absent
    }

    /// Reads a name that `end` follows, and `end`. White space around the name is not part of it.
    pub fn take_name(&mut self, end: &str) -> Match<String> {
        match self.find(&[end]) {
            Found::At { start, .. } if start <= LONGEST_NAME => {
                let name = self.rest()[..start].trim().to_owned();
                self.at += start + end.len();
                Match::Found(name)
            }
            Found::Nowhere { safe } if safe <= LONGEST_NAME && !self.ended => Match::Incomplete,
            _ => Match::Absent,
        }
    }

    /// Reads a name up to a character that cannot be part of one, which is not read.
    pub fn take_word(&mut self, belongs: fn(char) -> bool) -> Match<String> {
        if self.peek() == Match::Incomplete {
            return Match::Incomplete;
        }
        let rest = self.rest();
        match rest.find(|character| !belongs(character)) {
            Some(end) if end > 0 && end <= LONGEST_NAME => {
                let name = rest[..end].to_owned();
                self.at += end;
                Match::Found(name)
            }
            None if rest.len() <= LONGEST_NAME && !self.ended => Match::Incomplete,
            _ => Match::Absent,
        }
    }

    /// Looks for delimiters in what is not read.
    pub fn find(&self, delimiters: &[&str]) -> Found {
        marker::find(self.rest(), delimiters, self.ended)
    }
}
