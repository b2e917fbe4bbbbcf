//! Tokens with replacements, and the text they give.

use super::token::Token;
use std::collections::{HashMap, HashSet};

/// The tokens of a source and what takes their places.
pub struct Edits<'a> {
    pub tokens: Vec<Token<'a>>,
    replaced: HashMap<usize, String>,
    inserted: HashMap<usize, String>,
    dropped: HashSet<usize>,
}

impl<'a> Edits<'a> {
    pub fn new(tokens: Vec<Token<'a>>) -> Self {
        Self {
            tokens,
            replaced: HashMap::new(),
            inserted: HashMap::new(),
            dropped: HashSet::new(),
        }
    }

    pub fn is(&self, index: usize, text: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| token.is(text))
    }

    /// Replaces one token. White space in front of it stays, so that lines keep their numbers.
    pub fn replace(&mut self, index: usize, text: impl Into<String>) {
        self.replaced.insert(index, text.into());
    }

    pub fn remove(&mut self, indices: impl IntoIterator<Item = usize>) {
        for index in indices {
            self.replace(index, "");
        }
    }

    /// Removes tokens, whatever later edits do to them.
    pub fn drop(&mut self, indices: impl IntoIterator<Item = usize>) {
        self.dropped.extend(indices);
    }

    /// Inserts text in front of a token.
    pub fn insert(&mut self, index: usize, text: &str) {
        self.inserted.entry(index).or_default().push_str(text);
    }

    /// The index after the bracket that closes the one at `open`.
    pub fn after_group(&self, open: usize) -> usize {
        let (opening, closing) = match self.tokens[open].text {
            "(" => ("(", ")"),
            "[" => ("[", "]"),
            "{" => ("{", "}"),
            _ => return self.after_angles(open),
        };
        let mut depth = 0;
        for index in open..self.tokens.len() {
            if self.is(index, opening) {
                depth += 1;
            } else if self.is(index, closing) {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
        }
        self.tokens.len()
    }

    /// The index after the `>` of the `<` at `open`, where comparisons are in parentheses.
    fn after_angles(&self, open: usize) -> usize {
        let mut depth = 0;
        let mut index = open;
        while index < self.tokens.len() {
            match self.tokens[index].text {
                "<" => depth += 1,
                ">" => depth -= 1,
                "(" | "[" | "{" => {
                    index = self.after_group(index);
                    continue;
                }
                _ => {}
            }
            index += 1;
            if depth == 0 {
                break;
            }
        }
        index
    }

    /// Splits a range at commas outside of brackets. `angles` tells whether `<` and `>` are brackets.
    pub fn split(&self, start: usize, end: usize, angles: bool) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        let mut first = start;
        let mut index = start;
        while index < end {
            match self.tokens[index].text {
                "(" | "[" | "{" => index = self.after_group(index),
                "<" if angles => index = self.after_group(index),
                "," => {
                    parts.push((first, index));
                    index += 1;
                    first = index;
                }
                _ => index += 1,
            }
        }
        if first < end {
            parts.push((first, end));
        }
        parts
    }

    /// The edited text of a range, in one line.
    pub fn text(&self, start: usize, end: usize) -> String {
        let mut text = String::new();
        for index in start..end {
            if index > start && !self.tokens[index].space.is_empty() {
                text.push(' ');
            }
            text.push_str(self.current(index));
        }
        text
    }

    /// The text of a range as it was before the edits, in one line.
    pub fn original(&self, start: usize, end: usize) -> String {
        let mut text = String::new();
        for token in &self.tokens[start..end] {
            if !text.is_empty() && !token.space.is_empty() {
                text.push(' ');
            }
            text.push_str(token.text);
        }
        text
    }

    /// The text of a token after the edits.
    pub fn current(&self, index: usize) -> &str {
        if self.dropped.contains(&index) {
            return "";
        }
        self.replaced
            .get(&index)
            .map_or(self.tokens[index].text, String::as_str)
    }

    /// The whole edited text.
    pub fn finish(&self) -> String {
        let mut text = String::new();
        for (index, token) in self.tokens.iter().enumerate() {
            text.push_str(token.space);
            if let Some(inserted) = self.inserted.get(&index) {
                text.push_str(inserted);
            }
            let replacement = self.current(index);
            text.push_str(replacement);
            // A removed word must not join its neighbours.
            if replacement.is_empty() {
                text.push(' ');
            }
        }
        text.push('\n');
        text
    }
}
