//! Tokenizer for the source of templates.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    Operator,
    Space,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

impl Token<'_> {
    pub(super) fn is(&self, operator: &str) -> bool {
        self.kind == Kind::Operator && self.text == operator
    }
}

/// A part of the source.
pub(super) enum Part<'a> {
    /// Text, comments and raw blocks, which are not rewritten.
    Plain(&'a str),
    /// The inside of `{{ }}` or `{% %}`.
    Code {
        tokens: Vec<Token<'a>>,
        is_block: bool,
    },
    /// The rest of the source from a `{{` or `{%` without an end. minijinja reports the error.
    Unterminated {
        text: &'a str,
        tokens: Vec<Token<'a>>,
    },
}

/// Whether the code contains a name, as a variable or otherwise.
pub(in crate::template) fn mentions(source: &str, name: &str) -> bool {
    parts(source).iter().any(|part| match part {
        Part::Plain(_) | Part::Unterminated { .. } => false,
        Part::Code { tokens, .. } => tokens
            .iter()
            .any(|token| token.kind == Kind::Name && token.text == name),
    })
}

pub(super) fn parts(source: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some(start) = next_delimiter(rest) {
        parts.push(Part::Plain(&rest[..start]));
        rest = &rest[start..];
        let length = if rest.starts_with("{#") {
            let length = rest.find("#}").map_or(rest.len(), |end| end + 2);
            parts.push(Part::Plain(&rest[..length]));
            length
        } else if let Some((opening, length)) = raw_block(rest) {
            // In Python, only the opening tag of a raw block does not trim the line break after it.
            let tag = &rest[..opening];
            match tag.strip_suffix("%}") {
                Some(tag) if !tag.ends_with(['-', '+']) => {
                    parts.extend([Part::Plain(tag), Part::Plain("+%}")]);
                }
                _ => parts.push(Part::Plain(tag)),
            }
            parts.push(Part::Plain(&rest[opening..length]));
            length
        } else {
            let (tokens, length) = tokenize(rest);
            let Some(length) = length else {
                parts.push(Part::Unterminated { text: rest, tokens });
                return parts;
            };
            let opening = rest.len() - after_delimiter(rest).len();
            let is_block = rest.starts_with("{%");
            parts.extend([
                Part::Plain(&rest[..opening]),
                Part::Code { tokens, is_block },
            ]);
            opening + length
        };
        rest = &rest[length..];
    }
    parts.push(Part::Plain(rest));
    parts
}

fn next_delimiter(text: &str) -> Option<usize> {
    text.match_indices('{')
        .map(|(position, _)| position)
        .find(|position| matches!(text.as_bytes().get(position + 1), Some(b'{' | b'%' | b'#')))
}

/// The length of a block tag that contains only `name`.
fn block_without_arguments<'a>(text: &'a str, name: &str) -> Option<usize> {
    let inside = text.strip_prefix("{%")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    let after: &'a str = inside.trim_start().strip_prefix(name)?.trim_start();
    let after = after
        .strip_prefix(['-', '+'])
        .unwrap_or(after)
        .strip_prefix("%}")?;
    Some(text.len() - after.len())
}

/// The length of a raw block's opening tag and of the whole block.
fn raw_block(text: &str) -> Option<(usize, usize)> {
    let opening = block_without_arguments(text, "raw")?;
    let body = &text[opening..];
    let length = body
        .match_indices("{%")
        .find_map(|(position, _)| {
            Some(opening + position + block_without_arguments(&body[position..], "endraw")?)
        })
        .unwrap_or(text.len());
    Some((opening, length))
}

/// The code after `{{` or `{%` and an optional sign for trimming.
fn after_delimiter(text: &str) -> &str {
    let inside = &text[2..];
    inside.strip_prefix(['-', '+']).unwrap_or(inside)
}

/// The tokens between the delimiters of `{{ }}` or `{% %}` and their signs, and the length of the code; no length if it has no
/// end.
fn tokenize(text: &str) -> (Vec<Token<'_>>, Option<usize>) {
    let end = if text.starts_with("{{") { "}}" } else { "%}" };
    let code = after_delimiter(text);
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    let mut position = 0;
    loop {
        let rest = &code[position..];
        let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        if depth == 0 && (rest.starts_with(end) || unsigned.starts_with(end)) {
            return (tokens, Some(position));
        }
        let Some(first) = rest.chars().next() else {
            return (tokens, None);
        };
        let (kind, length) = match first {
            '"' | '\'' => match text_length(rest, first) {
                Some(length) => (Kind::Text, length),
                None => return (tokens, None),
            },
            _ if first.is_whitespace() => (Kind::Space, run_length(rest, char::is_whitespace)),
            '0'..='9' => (Kind::Number, run_length(rest, is_name_character)),
            _ if is_name_character(first) => (Kind::Name, run_length(rest, is_name_character)),
            _ => (Kind::Operator, first.len_utf8()),
        };
        match first {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token {
            kind,
            text: &rest[..length],
        });
        position += length;
    }
}

fn is_name_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn run_length(text: &str, matches: impl Fn(char) -> bool) -> usize {
    text.find(|character| !matches(character))
        .unwrap_or(text.len())
}

fn text_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices()
        .skip(1)
        .find_map(|(position, character)| {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == quote {
                return Some(position + 1);
            }
            None
        })
}

/// The tokens outside of brackets, with their positions.
pub(super) fn top_level<'a, 't>(
    tokens: &'t [Token<'a>],
) -> impl Iterator<Item = (usize, &'t Token<'a>)> {
    let mut depth = 0usize;
    tokens.iter().enumerate().filter(move |(_, token)| {
        let before = depth;
        if token.kind == Kind::Operator {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        before == 0 || depth == 0
    })
}

/// Number of tokens before the closing bracket of a bracket that precedes `tokens`.
pub(super) fn closing(tokens: &[Token]) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate() {
        if token.kind == Kind::Operator {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 0 => return index,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
        }
    }
    tokens.len()
}
