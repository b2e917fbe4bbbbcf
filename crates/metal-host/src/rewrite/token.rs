//! Splits preprocessed source into tokens.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name.
    Word,
    Number,
    /// A string or character literal.
    Literal,
    /// One character, or `::` or `->`.
    Punctuation,
    /// A whole line that starts with `#`.
    Directive,
}

/// A token and the white space in front of it.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub space: &'a str,
    pub text: &'a str,
    /// Line of the source, from 1.
    pub line: u32,
}

impl Token<'_> {
    pub fn is(&self, text: &str) -> bool {
        self.text == text && self.kind != Kind::Literal
    }
}

/// All tokens of the text. White space at its end is dropped.
pub fn tokenize(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut position = 0;
    let mut line = 1;
    loop {
        let start = position;
        position += space_length(&bytes[position..]);
        let space = &text[start..position];
        line += space.bytes().filter(|&byte| byte == b'\n').count() as u32;
        let at_line_start = space.contains('\n') || tokens.is_empty();
        let Some(&first) = bytes.get(position) else {
            return tokens;
        };
        let (kind, length) = match first {
            b'#' if at_line_start => (Kind::Directive, line_length(&bytes[position..])),
            b'"' | b'\'' => (Kind::Literal, literal_length(&bytes[position..])),
            b'0'..=b'9' => (Kind::Number, number_length(&bytes[position..])),
            b'.' if bytes.get(position + 1).is_some_and(u8::is_ascii_digit) => {
                (Kind::Number, number_length(&bytes[position..]))
            }
            _ if is_word(first) => {
                let length = bytes[position..].iter().take_while(|&&byte| is_word(byte));
                (Kind::Word, length.count())
            }
            _ => {
                let two = bytes.get(position..position + 2);
                let length = if two == Some(b"::") || two == Some(b"->") {
                    2
                } else {
                    text[position..].chars().next().map_or(1, char::len_utf8)
                };
                (Kind::Punctuation, length)
            }
        };
        let token = &text[position..position + length];
        tokens.push(Token {
            kind,
            space,
            text: token,
            line,
        });
        if kind == Kind::Directive
            && let Some(marked) = marked_line(token)
        {
            // The marker gives the number of the line after it.
            line = marked.saturating_sub(1);
        }
        position += length;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// White space and comments.
fn space_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let rest = &bytes[length..];
        if rest.first().is_some_and(u8::is_ascii_whitespace) {
            length += 1;
        } else if rest.starts_with(b"//") {
            length += line_length(rest);
        } else if rest.starts_with(b"/*") {
            let end = rest.windows(2).skip(2).position(|two| two == b"*/");
            length += end.map_or(rest.len(), |end| end + 4);
        } else {
            return length;
        }
    }
}

/// Up to the end of the line, or of the last line that a backslash continues.
fn line_length(bytes: &[u8]) -> usize {
    let mut previous = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'\n' && previous != b'\\' {
            return index;
        }
        previous = byte;
    }
    bytes.len()
}

fn literal_length(bytes: &[u8]) -> usize {
    let mut index = 1;
    while index < bytes.len() && bytes[index] != bytes[0] && bytes[index] != b'\n' {
        index += if bytes[index] == b'\\' { 2 } else { 1 };
    }
    (index + 1).min(bytes.len())
}

fn number_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&byte) = bytes.get(length) {
        let exponent = length > 0 && b"eEpP".contains(&bytes[length - 1]);
        let hexadecimal = bytes.starts_with(b"0x") || bytes.starts_with(b"0X");
        let sign = (byte == b'+' || byte == b'-')
            && exponent
            && (!hexadecimal || b"pP".contains(&bytes[length - 1]));
        if !is_word(byte) && byte != b'.' && !sign {
            break;
        }
        length += 1;
    }
    length
}

/// The number of `# 12 "source.metal"` or `#line 12`.
fn marked_line(directive: &str) -> Option<u32> {
    let rest = directive.strip_prefix('#')?.trim_start();
    let rest = rest.strip_prefix("line").unwrap_or(rest).trim_start();
    let digits = rest.find(|character: char| !character.is_ascii_digit());
    rest[..digits.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_spaces_give_the_text() {
        let text = "# 1 \"a\"\nfloat4 v = a->b + 0x1.8p+3f; // c\nchar c = '\\''; x[[1]] >>= 2;";
        let tokens = tokenize(text);
        let joined: String = tokens.iter().flat_map(|t| [t.space, t.text]).collect();
        assert_eq!(joined, text);
        assert!(
            tokens
                .iter()
                .any(|t| t.text == "0x1.8p+3f" && t.kind == Kind::Number)
        );
    }

    #[test]
    fn lines_follow_the_markers() {
        let tokens = tokenize("# 40 \"source.metal\"\na\n\nb\n# 7 \"source.metal\" 2\nc");
        let lines: Vec<_> = tokens
            .iter()
            .filter(|t| t.kind == Kind::Word)
            .map(|t| (t.text, t.line))
            .collect();
        assert_eq!(lines, [("a", 40), ("b", 42), ("c", 7)]);
    }
}
