//! The ends of Python values.

/// Finds the end of a value incrementally: a comma or closing bracket outside of it.
#[derive(Debug, Default)]
pub(crate) struct ValueScanner {
    depth: usize,
    quote: Quote,
}

#[derive(Debug, Clone, Copy, Default)]
enum Quote {
    #[default]
    Outside,
    /// After the first quotation mark.
    Once(char),
    /// After the second: an empty string, or a third one follows.
    Twice(char),
    Inside {
        mark: char,
        escaped: bool,
    },
    /// In a triple-quoted string; `closing` counts the closing marks so far.
    Triple {
        mark: char,
        escaped: bool,
        closing: u8,
    },
}

impl ValueScanner {
    /// Whether the next character belongs to the value.
    pub fn feed(&mut self, character: char) -> bool {
        self.quote = match self.quote {
            Quote::Once(mark) if character == mark => Quote::Twice(mark),
            Quote::Twice(mark) if character == mark => Quote::Triple {
                mark,
                escaped: false,
                closing: 0,
            },
            Quote::Inside {
                mark,
                escaped: true,
            } => Quote::Inside {
                mark,
                escaped: false,
            },
            Quote::Inside { mark, .. } if character == mark => Quote::Outside,
            Quote::Once(mark) | Quote::Inside { mark, .. } => Quote::inside(mark, character),
            Quote::Triple {
                mark,
                escaped,
                closing,
            } => match (escaped, character == mark, closing) {
                (false, true, 2) => Quote::Outside,
                (false, true, _) => Quote::Triple {
                    mark,
                    escaped,
                    closing: closing + 1,
                },
                _ => Quote::Triple {
                    mark,
                    escaped: !escaped && character == '\\',
                    closing: 0,
                },
            },
            Quote::Outside | Quote::Twice(_) => match character {
                '"' | '\'' => Quote::Once(character),
                '(' | '[' | '{' => {
                    self.depth += 1;
                    Quote::Outside
                }
                ')' | ']' | '}' if self.depth > 0 => {
                    self.depth -= 1;
                    Quote::Outside
                }
                ')' | ']' | '}' => return false,
                ',' if self.depth == 0 => return false,
                _ => Quote::Outside,
            },
        };
        true
    }
}

impl Quote {
    fn inside(mark: char, character: char) -> Self {
        Self::Inside {
            mark,
            escaped: character == '\\',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanner_stops_at_a_comma_or_bracket_outside_the_value() {
        for (text, value) in [
            ("'a,b', c=1", "'a,b'"),
            ("[1, (2)], x", "[1, (2)]"),
            (r#""", x"#, r#""""#),
            (r#""""a, "b" )""")"#, r#""""a, "b" )""""#),
            (r"'\', ')", r"'\', '"),
            ("12)", "12"),
        ] {
            let mut scanner = ValueScanner::default();
            let read: String = text
                .chars()
                .take_while(|next| scanner.feed(*next))
                .collect();
            assert_eq!(read, value);
        }
    }
}
