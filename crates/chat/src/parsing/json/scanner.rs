//! Incremental validation of a JSON value.

/// The position of a character relative to the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Inside the value.
    Inside,
    /// The last character of the value.
    Last,
    /// After the end of the value.
    AfterValue,
    /// The value is invalid JSON.
    Invalid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    CommaOrEnd,
    String { key: bool },
    Escape { key: bool },
    Unicode { key: bool, left: u8 },
    Number(Number),
    Word(&'static str),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// Validates a value by the grammar of RFC 8259, except that strings may contain control characters, because models write
/// them. They are escaped in the output.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    containers: Vec<Container>,
}

impl Scanner {
    /// At the start of a value.
    pub fn new() -> Self {
        Self {
            state: State::Value,
            containers: Vec::new(),
        }
    }

    /// Whether the value is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Classifies the next character and appends it to `out` if it is a part of the value.
    pub fn feed(&mut self, character: char, out: &mut String) -> Verdict {
        let in_string = matches!(self.state, State::String { .. });
        let verdict = self.advance(character);
        if matches!(verdict, Verdict::Inside | Verdict::Last) {
            if in_string && character < ' ' {
                super::escape_into(character.encode_utf8(&mut [0; 4]), out);
            } else {
                out.push(character);
            }
        }
        verdict
    }

    fn advance(&mut self, character: char) -> Verdict {
        self.state = match (self.state, character) {
            (State::Done, _) => return Verdict::AfterValue,
            (State::String { key }, '"') => return self.end_string(key),
            (State::String { key }, '\\') => State::Escape { key },
            (State::String { key }, _) => State::String { key },
            (State::Escape { key }, 'u') => State::Unicode { key, left: 4 },
            (State::Escape { key }, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => {
                State::String { key }
            }
            (State::Unicode { key, left }, digit) if digit.is_ascii_hexdigit() => match left {
                1 => State::String { key },
                _ => State::Unicode {
                    key,
                    left: left - 1,
                },
            },
            (State::Word(rest), _) => match rest.strip_prefix(character) {
                Some("") => return self.end_value(),
                Some(rest) => State::Word(rest),
                None => return Verdict::Invalid,
            },
            (State::Number(number), _) => return self.number(number, character),
            (state, ' ' | '\t' | '\n' | '\r') if state.allows_space() => state,
            (State::Value | State::FirstElement, _) => return self.begin_value(character),
            (State::FirstKey | State::Key, '"') => State::String { key: true },
            (State::Colon, ':') => State::Value,
            (State::FirstKey | State::CommaOrEnd, '}') => {
                return self.end_container(Container::Object);
            }
            (State::CommaOrEnd, ']') => return self.end_container(Container::Array),
            (State::CommaOrEnd, ',') => match self.containers.last() {
                Some(Container::Object) => State::Key,
                _ => State::Value,
            },
            _ => return Verdict::Invalid,
        };
        Verdict::Inside
    }

    fn begin_value(&mut self, character: char) -> Verdict {
        self.state = match character {
            '{' => {
                self.containers.push(Container::Object);
                State::FirstKey
            }
            '[' => {
                self.containers.push(Container::Array);
                State::FirstElement
            }
            ']' if self.state == State::FirstElement => {
                return self.end_container(Container::Array);
            }
            '"' => State::String { key: false },
            '-' => State::Number(Number::Minus),
            '0' => State::Number(Number::Zero),
            '1'..='9' => State::Number(Number::Integer),
            't' => State::Word("rue"),
            'f' => State::Word("alse"),
            'n' => State::Word("ull"),
            _ => return Verdict::Invalid,
        };
        Verdict::Inside
    }

    fn number(&mut self, number: Number, character: char) -> Verdict {
        let next = match (number, character) {
            (Number::Minus, '0') => Number::Zero,
            (Number::Minus | Number::Integer, '0'..='9') => Number::Integer,
            (Number::Zero | Number::Integer, '.') => Number::Point,
            (Number::Point | Number::Fraction, '0'..='9') => Number::Fraction,
            (Number::Zero | Number::Integer | Number::Fraction, 'e' | 'E') => Number::Exponent,
            (Number::Exponent, '+' | '-') => Number::ExponentSign,
            (Number::Exponent | Number::ExponentSign | Number::ExponentDigits, '0'..='9') => {
                Number::ExponentDigits
            }
            (Number::Zero | Number::Integer | Number::Fraction | Number::ExponentDigits, _) => {
                return match self.end_value() {
                    Verdict::Last => Verdict::AfterValue,
                    _ => self.advance(character),
                };
            }
            _ => return Verdict::Invalid,
        };
        self.state = State::Number(next);
        Verdict::Inside
    }

    fn end_string(&mut self, key: bool) -> Verdict {
        if key {
            self.state = State::Colon;
            return Verdict::Inside;
        }
        self.end_value()
    }

    fn end_container(&mut self, container: Container) -> Verdict {
        if self.containers.pop() == Some(container) {
            self.end_value()
        } else {
            Verdict::Invalid
        }
    }

    fn end_value(&mut self) -> Verdict {
        if self.containers.is_empty() {
            self.state = State::Done;
            Verdict::Last
        } else {
            self.state = State::CommaOrEnd;
            Verdict::Inside
        }
    }
}

impl State {
    fn allows_space(self) -> bool {
        matches!(
            self,
            Self::Value
                | Self::FirstElement
                | Self::FirstKey
                | Self::Key
                | Self::Colon
                | Self::CommaOrEnd
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// The scanned value and the final verdict.
    fn scan(text: &str) -> (String, Option<Verdict>) {
        let mut scanner = Scanner::new();
        let mut out = String::new();
        for character in text.chars() {
            match scanner.feed(character, &mut out) {
                Verdict::Inside => {}
                verdict => return (out, Some(verdict)),
            }
        }
        (out, None)
    }

    #[test]
    fn scanner_finds_the_end_of_a_value() {
        assert_eq!(
            scan("[1, -2.5e3]x"),
            ("[1, -2.5e3]".to_owned(), Some(Verdict::Last))
        );
        assert_eq!(scan("12,"), ("12".to_owned(), Some(Verdict::AfterValue)));
        assert_eq!(scan("{\"a\": [}").1, Some(Verdict::Invalid));
        assert_eq!(scan("{\"a\": 1"), ("{\"a\": 1".to_owned(), None));
    }

    #[test]
    fn scanner_escapes_control_characters_in_strings() {
        let (out, _) = scan("{\"a\":\n\"x\ny\t\"}");
        assert_eq!(out, "{\"a\":\n\"x\\ny\\t\"}");
    }

    proptest! {
        #[test]
        fn scanner_agrees_with_serde_json(text in r#"[\[\]{}",:0-9.eE+\-truefalsn\\ ]{0,24}"#) {
            let spaced = format!("{text} ");
            let valid = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            let (out, verdict) = scan(&spaced);
            let whole = matches!(verdict, Some(Verdict::Last | Verdict::AfterValue)) && out.trim_end() == text.trim_end();
            prop_assert_eq!(whole, valid, "{:?}", text);
        }
    }
}
