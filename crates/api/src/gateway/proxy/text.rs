//! Decodes a JSON string byte by byte.

/// What follows the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More of the string.
    More,
    /// Nothing: the byte was the closing quote.
    Complete,
    /// Nothing: the escape does not exist.
    Invalid,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After a backslash.
    Started,
    /// After `\u` and this many digits.
    Unit { digits: u8, unit: u16 },
}

/// The content of a string, up to a length. As for the worker, lone surrogates are the replacement character.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
    is_truncated: bool,
    escape: Escape,
    /// The first half of a surrogate pair.
    high_surrogate: Option<u16>,
}

impl Text {
    /// Longer strings are truncated.
    pub const MAX_BYTES: usize = 1024;

    /// Starts another string.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.is_truncated = false;
        self.escape = Escape::None;
        self.high_surrogate = None;
    }

    /// Reads the next byte after the opening quote.
    pub fn push(&mut self, byte: u8) -> Progress {
        match self.escape {
            Escape::None => match byte {
                b'"' => {
                    self.end_surrogate();
                    return Progress::Complete;
                }
                b'\\' => self.escape = Escape::Started,
                _ => self.append(&[byte]),
            },
            Escape::Started => {
                self.escape = Escape::None;
                match byte {
                    b'"' | b'\\' | b'/' => self.append(&[byte]),
                    b'b' => self.append(b"\x08"),
                    b'f' => self.append(b"\x0c"),
                    b'n' => self.append(b"\n"),
                    b'r' => self.append(b"\r"),
                    b't' => self.append(b"\t"),
                    b'u' => self.escape = Escape::Unit { digits: 0, unit: 0 },
                    _ => return Progress::Invalid,
                }
            }
            Escape::Unit { digits, unit } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return Progress::Invalid;
                };
                let unit = (unit << 4) | digit as u16;
                if digits == 3 {
                    self.escape = Escape::None;
                    self.unit(unit);
                } else {
                    let digits = digits + 1;
                    self.escape = Escape::Unit { digits, unit };
                }
            }
        }
        Progress::More
    }

    /// The content; `None` if it is truncated or not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.bytes).ok();
        text.filter(|_| !self.is_truncated)
    }

    /// Whether the string is longer than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    fn unit(&mut self, unit: u16) {
        if let (Some(high), 0xDC00..=0xDFFF) = (self.high_surrogate, unit) {
            self.high_surrogate = None;
            let code = 0x10000 + (u32::from(high) - 0xD800) * 0x400 + (u32::from(unit) - 0xDC00);
            self.append_char(char::from_u32(code));
            return;
        }
        self.end_surrogate();
        if (0xD800..=0xDBFF).contains(&unit) {
            self.high_surrogate = Some(unit);
        } else {
            self.append_char(char::from_u32(unit.into()));
        }
    }

    /// Replaces a first half that has no second one.
    fn end_surrogate(&mut self) {
        if self.high_surrogate.take().is_some() {
            self.append_char(None);
        }
    }

    fn append_char(&mut self, letter: Option<char>) {
        let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
        self.append(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn append(&mut self, bytes: &[u8]) {
        self.end_surrogate();
        if self.bytes.len() + bytes.len() > Self::MAX_BYTES {
            self.is_truncated = true;
        } else if !self.is_truncated {
            self.bytes.extend_from_slice(bytes);
        }
    }
}
