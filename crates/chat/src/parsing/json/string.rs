//! JSON strings.

use super::Verdict;

/// Decodes a string after its opening quote incrementally.
#[derive(Debug, Default)]
pub(crate) struct StringDecoder {
    state: State,
    /// High surrogate of a pair.
    high: Option<u16>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Plain,
    Escape,
    Unicode {
        value: u16,
        left: u8,
    },
}

impl StringDecoder {
    /// Decodes the next character and appends to `out`. The closing quote is the last character.
    pub fn feed(&mut self, character: char, out: &mut String) -> Verdict {
        match self.state {
            State::Plain => match character {
                '"' => {
                    self.flush(out);
                    return Verdict::Last;
                }
                '\\' => self.state = State::Escape,
                _ => self.add(character, out),
            },
            State::Escape => {
                self.state = State::Plain;
                match character {
                    'u' => self.state = State::Unicode { value: 0, left: 4 },
                    '"' | '\\' | '/' => self.add(character, out),
                    'b' => self.add('\u{8}', out),
                    'f' => self.add('\u{c}', out),
                    'n' => self.add('\n', out),
                    'r' => self.add('\r', out),
                    't' => self.add('\t', out),
                    _ => return Verdict::Invalid,
                }
            }
            State::Unicode { value, left } => {
                let Some(digit) = character.to_digit(16) else {
                    return Verdict::Invalid;
                };
                let value = value << 4 | digit as u16;
                if left > 1 {
                    self.state = State::Unicode {
                        value,
                        left: left - 1,
                    };
                } else {
                    self.state = State::Plain;
                    self.add_unit(value, out);
                }
            }
        }
        Verdict::Inside
    }

    fn add(&mut self, character: char, out: &mut String) {
        self.flush(out);
        out.push(character);
    }

    fn add_unit(&mut self, unit: u16, out: &mut String) {
        match (self.high.take(), unit) {
            (high, 0xD800..=0xDBFF) => {
                if high.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                self.high = Some(unit);
            }
            (high, _) => {
                let units = high.into_iter().chain([unit]);
                out.extend(
                    char::decode_utf16(units)
                        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)),
                );
            }
        }
    }

    fn flush(&mut self, out: &mut String) {
        if self.high.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Appends `text` with the escapes of a JSON string, without quotes.
pub(crate) fn escape_into(text: &str, out: &mut String) {
    let quoted = quote(text);
    out.push_str(&quoted[1..quoted.len() - 1]);
}

/// `text` as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (String, Verdict) {
        let mut decoder = StringDecoder::default();
        let mut out = String::new();
        for character in text.chars() {
            match decoder.feed(character, &mut out) {
                Verdict::Inside => {}
                verdict => return (out, verdict),
            }
        }
        (out, Verdict::Inside)
    }

    #[test]
    fn decoder_decodes_escapes() {
        assert_eq!(
            read(r#"a\n\"\u00fc\ud83e\udd80\/" rest"#),
            ("a\n\"ü🦀/".to_owned(), Verdict::Last)
        );
        assert_eq!(read(r#"\ud83e!""#).0, "\u{fffd}!");
        assert_eq!(read(r"\x").1, Verdict::Invalid);
    }

    proptest! {
        #[test]
        fn decoder_inverts_quote(text in any::<String>()) {
            let quoted = quote(&text);
            prop_assert_eq!(read(&quoted[1..]), (text, Verdict::Last));
        }
    }
}
