//! Words of texts and of searches. Pure.
//!
//! A word is a run of letters and digits, without case and diacritics. Scripts that have no spaces between words give one
//! word per character, and a search for several characters in a row finds them only in a row.

use std::collections::{BTreeSet, VecDeque};
use std::iter;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest distinguished part of a word.
const MAX_WORD_CHARS: usize = 64;

/// The terms of a text that are stored at most: Postgres limits a `tsvector` to 1 MB.
const MAX_TERM_BYTES: usize = 256 * 1024;

/// The words of a search that count.
const MAX_SEARCHED_WORDS: usize = 50;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Without case and diacritics.
    pub folded: String,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// Whether it continues a run of characters of a script without spaces.
    pub is_joined: bool,
}

/// The words of a text, in order. The text is read as far as they are taken.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word> {
    spans(text)
        .map(move |span| Word {
            folded: fold(&text[span.range.clone()]),
            range: span.range,
            is_joined: span.is_joined,
        })
        .filter(|word| !word.folded.is_empty())
}

struct Span {
    range: Range<usize>,
    is_spaced: bool,
    is_joined: bool,
}

fn spans(text: &str) -> impl Iterator<Item = Span> {
    let mut characters = text.char_indices();
    let mut last: Option<Span> = None;
    iter::from_fn(move || {
        for (start, character) in characters.by_ref() {
            let end = start + character.len_utf8();
            let is_spaced = !has_no_spaces(character);
            let is_letter = character.is_alphanumeric();
            let mut is_joined = false;
            if let Some(span) = &mut last
                && span.range.end == start
            {
                if is_combining_mark(character) || (is_letter && is_spaced && span.is_spaced) {
                    span.range.end = end;
                    continue;
                }
                is_joined = !is_spaced && !span.is_spaced;
            }
            if is_letter {
                let complete = last.replace(Span {
                    range: start..end,
                    is_spaced,
                    is_joined,
                });
                if complete.is_some() {
                    return complete;
                }
            }
        }
        last.take()
    })
}

/// Whether words of the character's script are not separated by spaces.
const fn has_no_spaces(character: char) -> bool {
    matches!(
        character,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{3040}'..='\u{30ff}' // Hiragana, Katakana
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' // Han
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}'
    )
}

fn fold(word: &str) -> String {
    word.nfkd()
        .flat_map(char::to_lowercase)
        .filter(|character| !('\u{300}'..='\u{36f}').contains(character))
        .filter(|character| character.is_alphanumeric() || is_combining_mark(*character))
        .nfc()
        .take(MAX_WORD_CHARS)
        .collect()
}

/// The terms of a text for the database, each once, with a space between two. Two characters in a row of a script without
/// spaces are a term too.
pub(super) fn terms(text: &str) -> String {
    let mut terms = BTreeSet::new();
    let mut bytes = 0;
    let mut previous: Option<String> = None;
    for word in words(text) {
        let pair = previous
            .filter(|_| word.is_joined)
            .map(|previous| previous + &word.folded);
        for term in pair.into_iter().chain([word.folded.clone()]) {
            let size = term.len() + 1;
            if bytes + size > MAX_TERM_BYTES {
                return join(terms);
            }
            if terms.insert(term) {
                bytes += size;
            }
        }
        previous = Some(word.folded);
    }
    join(terms)
}

fn join(terms: BTreeSet<String>) -> String {
    terms.into_iter().collect::<Vec<_>>().join(" ")
}

/// The words of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    sequences: Vec<Sequence>,
}

/// A word, or several characters in a row of a script without spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sequence {
    words: Vec<String>,
    /// Whether the last word may be the beginning of a longer one.
    is_prefix: bool,
}

impl Words {
    /// The first words of what a user typed. The last one may be incomplete, unless something follows it.
    pub(crate) fn new(text: &str) -> Self {
        let mut sequences: Vec<Sequence> = Vec::new();
        for word in words(text).take(MAX_SEARCHED_WORDS) {
            let is_prefix = word.range.end == text.len();
            match sequences.last_mut() {
                Some(sequence) if word.is_joined => {
                    sequence.words.push(word.folded);
                    sequence.is_prefix = is_prefix;
                }
                _ => sequences.push(Sequence {
                    words: vec![word.folded],
                    is_prefix,
                }),
            }
        }
        Self { sequences }
    }

    /// Whether there is no word.
    pub(crate) fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Where the words are in a text, in order and apart from each other. The text is read as far as they are taken.
    pub(super) fn find(
        &self,
        text: impl Iterator<Item = Word>,
    ) -> impl Iterator<Item = Range<usize>> {
        let lengths = self.sequences.iter().map(|sequence| sequence.words.len());
        let longest = lengths.max().unwrap_or(0);
        let mut text = text.fuse();
        let mut next: VecDeque<Word> = VecDeque::new();
        iter::from_fn(move || {
            loop {
                next.extend(text.by_ref().take(longest - next.len()));
                let rest = &*next.make_contiguous();
                let first = rest.first()?;
                let length = self
                    .sequences
                    .iter()
                    .filter(|sequence| sequence.begins(rest))
                    .map(|sequence| sequence.words.len())
                    .max();
                let found = length
                    .and_then(|length| rest.get(length - 1))
                    .map(|last| first.range.start..last.range.end);
                next.drain(..length.unwrap_or(1));
                if found.is_some() {
                    return found;
                }
            }
        })
    }

    /// As a query of FTS5.
    pub(super) fn to_fts5(&self) -> String {
        self.terms(|term, is_prefix| format!("\"{term}\"{}", if is_prefix { " *" } else { "" }))
            .join(" AND ")
    }

    /// As a `tsquery` of Postgres.
    pub(super) fn to_tsquery(&self) -> String {
        self.terms(|term, is_prefix| format!("'{term}'{}", if is_prefix { ":*" } else { "" }))
            .join(" & ")
    }

    /// Terms have letters, digits and marks only, so that quotes need no escapes.
    fn terms(&self, quote: impl Fn(&str, bool) -> String) -> Vec<String> {
        let mut terms = Vec::new();
        for sequence in &self.sequences {
            let pairs = sequence.words.windows(2).map(<[String]>::concat);
            let single = (sequence.words.len() == 1).then(|| sequence.words.concat());
            let mut of_sequence: Vec<String> = pairs.chain(single).collect();
            let last = of_sequence.pop();
            terms.extend(of_sequence.iter().map(|term| quote(term, false)));
            terms.extend(last.map(|term| quote(&term, sequence.is_prefix)));
        }
        terms
    }
}

impl Sequence {
    fn begins(&self, text: &[Word]) -> bool {
        let Some(text) = text.get(..self.words.len()) else {
            return false;
        };
        let last = self.words.len() - 1;
        text.iter()
            .zip(&self.words)
            .enumerate()
            .all(|(index, (word, searched))| {
                let is_equal = if index == last && self.is_prefix {
                    word.folded.starts_with(searched.as_str())
                } else {
                    word.folded == *searched
                };
                is_equal && (index == 0 || word.is_joined)
            })
    }
}

#[cfg(test)]
mod tests;
