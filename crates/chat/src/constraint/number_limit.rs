//! Numbers within the range of a double.
//!
//! The grammar of JSON numbers has no limit, but parsers reject numbers such as `1e999`, or read them as infinity. The limit is
//! on tokens: llguidance has no other expression for numbers with an exponent.

use toktrie::{SimpleVob, TokTrie};

/// Most digits of an exponent.
const EXPONENT_DIGITS: usize = 2;

/// Most digits of the integral part. With the largest exponent, the number is below the largest double.
const INTEGER_DIGITS: usize = 200;

/// The tokens of a vocabulary that may continue a number.
#[derive(Debug, Default)]
pub(crate) struct NumberTokens {
    tokens: Vec<(u32, Vec<u8>)>,
    /// A token that continues text, but no number.
    letter: Option<u32>,
}

impl NumberTokens {
    pub(crate) fn new(trie: &TokTrie) -> Self {
        let tokens = (0..trie.vocab_size() as u32)
            .map(|token| (token, trie.token(token)))
            .filter(|(_, text)| text.first().is_some_and(|first| is_in_number(*first)))
            .filter(|(_, text)| text.iter().any(u8::is_ascii_digit))
            .map(|(token, text)| (token, text.to_vec()))
            .collect();
        Self {
            tokens,
            letter: trie.token_id(b"z"),
        }
    }

    /// Removes from `allowed` the tokens after which the number that `written` ends with exceeds a double.
    pub(crate) fn limit(&self, written: &WrittenNumber, allowed: &mut SimpleVob) {
        let number = &written.text;
        let in_text = self.letter.is_none_or(|letter| allowed.is_allowed(letter));
        if number.is_empty() || in_text {
            return;
        }
        let exceeding: Vec<u32> = self
            .tokens
            .iter()
            .filter(|(token, text)| allowed.is_allowed(*token) && exceeds(number, text))
            .map(|(token, _)| *token)
            .collect();
        // A pattern may require such text.
        if exceeding.len() < allowed.num_set() {
            for token in exceeding {
                allowed.disallow_token(token);
            }
        }
    }
}

/// The number that the output ends with, if any.
#[derive(Debug, Clone, Default)]
pub(crate) struct WrittenNumber {
    text: Vec<u8>,
    /// Whether the last characters are a part of a word.
    in_word: bool,
}

impl WrittenNumber {
    pub(crate) fn push(&mut self, text: &[u8]) {
        for &byte in text {
            let continues = is_in_number(byte) && !self.text.is_empty();
            if continues || (starts_number(byte) && !self.in_word) {
                self.text.push(byte);
                continue;
            }
            self.text.clear();
            self.in_word = !matches!(byte, b' ' | b'\n' | b':' | b',' | b'[' | b'(' | b'=' | b'>');
        }
    }
}

fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'e' | b'E' | b'.' | b'+' | b'-')
}

fn starts_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'-'
}

/// Whether `number`, continued by the start of `text`, may exceed a double.
fn exceeds(number: &[u8], text: &[u8]) -> bool {
    let more = text.iter().take_while(|byte| is_in_number(**byte));
    let (mut integer, mut exponent) = (0, 0);
    let (mut in_fraction, mut in_exponent) = (false, false);
    for byte in number.iter().chain(more) {
        match byte {
            b'e' | b'E' => in_exponent = true,
            b'.' => in_fraction = true,
            digit if !digit.is_ascii_digit() => {}
            _ if in_exponent => exponent += 1,
            _ if !in_fraction => integer += 1,
            _ => {}
        }
    }
    exponent > EXPONENT_DIGITS || integer > INTEGER_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut number = WrittenNumber::default();
        for piece in text.as_bytes().chunks(3) {
            number.push(piece);
        }
        String::from_utf8(number.text).unwrap()
    }

    #[test]
    fn the_number_at_the_end_is_found() {
        for (text, number) in [
            ("{\"a\": 1.5e", "1.5e"),
            ("[-1, -2E+3", "-2E+3"),
            ("<parameter=a>\n12", "12"),
            ("12", "12"),
            ("{\"a\": 1,", ""),
            ("\"123e4567-", ""),
            ("{\"id\": \"1e", ""),
            ("a1e", ""),
        ] {
            assert_eq!(written(text), number, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_a_double_are_found() {
        let digits = "1".repeat(INTEGER_DIGITS);
        for (number, text, expected) in [
            ("1e9", "9", false),
            ("1e99", "9", true),
            ("1e99", "}9", false),
            ("1e-9", "99", true),
            ("1.5", "e999", true),
            ("0.", "123456789", false),
            (digits.as_str(), "1", true),
            (digits.as_str(), ".1", false),
        ] {
            let found = exceeds(number.as_bytes(), text.as_bytes());
            assert_eq!(found, expected, "{number} {text}");
        }
        assert!(format!("{digits}e99").parse::<f64>().unwrap().is_finite());
    }
}
