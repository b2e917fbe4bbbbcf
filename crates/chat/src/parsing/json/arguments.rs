//! The arguments of a call: a JSON object, or a string that contains one.

use super::{Scanner, StringDecoder, Verdict};
use crate::parsing::input::{Input, Match};

/// Parses the arguments of a call; its output is the text of a JSON object.
#[derive(Debug)]
pub(crate) struct ArgumentsParser {
    state: State,
    scanner: Scanner,
}

#[derive(Debug)]
enum State {
    Start,
    Object,
    /// An object encoded as a string.
    Text {
        string: StringDecoder,
        empty: bool,
    },
}

impl ArgumentsParser {
    pub fn new() -> Self {
        Self {
            state: State::Start,
            scanner: Scanner::new(),
        }
    }

    /// Consumes as much input as possible and appends to `out`. White space before the object is skipped; `null` and an
    /// empty string are an empty object.
    pub fn read(&mut self, input: &mut Input, out: &mut String) -> Match {
        if matches!(self.state, State::Start) {
            match input.peek() {
                Match::Found('{') => self.state = State::Object,
                Match::Found('"') => {
                    input.advance(1);
                    self.state = State::Text {
                        string: StringDecoder::default(),
                        empty: true,
                    };
                }
                Match::Found('n') => {
                    let taken = input.take("null");
                    if taken == Match::Found(()) {
                        out.push_str("{}");
                    }
                    return taken;
                }
                Match::Found(_) | Match::Absent => return Match::Absent,
                Match::Incomplete => return Match::Incomplete,
            }
        }
        let mut read = 0;
        let mut result = Match::Incomplete;
        for character in input.rest().chars() {
            let verdict = self.feed(character, out);
            if verdict != Verdict::Invalid {
                read += character.len_utf8();
            }
            match verdict {
                Verdict::Inside => {}
                Verdict::Last => result = Match::Found(()),
                Verdict::AfterValue | Verdict::Invalid => result = Match::Absent,
            }
            if result != Match::Incomplete {
                break;
            }
        }
        input.advance(read);
        result
    }

    fn feed(&mut self, character: char, out: &mut String) -> Verdict {
        let State::Text { string, empty } = &mut self.state else {
            return self.scanner.feed(character, out);
        };
        let mut decoded = String::new();
        let verdict = string.feed(character, &mut decoded);
        for inner in decoded.chars() {
            if inner.is_whitespace() && (*empty || self.scanner.is_done()) {
                continue;
            }
            if *empty && inner != '{' {
                return Verdict::Invalid;
            }
            *empty = false;
            let inner = self.scanner.feed(inner, out);
            if matches!(inner, Verdict::AfterValue | Verdict::Invalid) {
                return Verdict::Invalid;
            }
        }
        match verdict {
            Verdict::Last if *empty => out.push_str("{}"),
            Verdict::Last if !self.scanner.is_done() => return Verdict::Invalid,
            _ => {}
        }
        verdict
    }
}
