//! Rewrites constructs of a template's source that minijinja does not support or treats differently from Jinja in Python.
//!
//! - `x[a:b:c]` becomes a call of [`SLICE`].
//! - `x['items']` becomes a call of [`ITEM`] for names that are also methods of dicts: Python falls back to the method.
//! - `'..' % x` becomes a call of [`FORMAT`].
//! - `a + b` becomes a call of [`ADD`] in templates that mark text as safe, because safe text escapes what is added to it.
//! - `{% generation %}`, which marks the assistant's messages for training, becomes a plain block.
//! - Escapes in string literals, line breaks and the trimming of raw blocks are normalized.
//!
//! Line numbers do not change, so that errors refer to the original file.

mod complexity;
mod tokens;

use tokens::{Kind, Part, Token, closing, parts, top_level};

pub(super) use complexity::check_complexity;
pub(super) use tokens::mentions;

/// Method that stands for Python's `value[start:stop:step]`.
pub(super) const SLICE: &str = "__slice__";
/// Method that stands for Python's `value[name]`.
pub(super) const ITEM: &str = "__item__";
/// Method that stands for Python's `format % values`.
pub(super) const FORMAT: &str = "__mod__";
/// Method that stands for Python's `left + right`.
pub(super) const ADD: &str = "__add__";

/// The methods of dicts that do not modify them.
pub(super) const DICT_METHODS: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];

/// Keywords, after which a `[` starts a list.
const KEYWORDS: [&str; 12] = [
    "if",
    "else",
    "elif",
    "in",
    "and",
    "or",
    "not",
    "is",
    "for",
    "set",
    "with",
    "recursive",
];

pub(super) fn rewrite(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let parts = parts(&source);
    let marks_safe = parts
        .iter()
        .any(|part| matches!(part, Part::Code { tokens, .. } if marks_safe(tokens)));
    let mut out = String::with_capacity(source.len() + 64);
    for part in &parts {
        match part {
            Part::Plain(text) | Part::Unterminated { text, .. } => out.push_str(text),
            Part::Code {
                tokens,
                is_block: true,
            } if is_generation(tokens) => {
                for token in tokens {
                    out.push_str(&token.text.replace("generation", "with"));
                }
            }
            Part::Code { tokens, .. } => Rewriter { marks_safe }.expression(tokens, &mut out),
        }
    }
    out
}

/// Whether a filter marks text as safe.
fn marks_safe(tokens: &[Token]) -> bool {
    let significant: Vec<&Token> = tokens
        .iter()
        .filter(|token| token.kind != Kind::Space)
        .collect();
    significant.windows(2).any(|pair| {
        pair[0].is("|") && matches!(pair[1].text, "safe" | "escape" | "e" | "forceescape")
    })
}

fn is_generation(tokens: &[Token]) -> bool {
    let mut significant = tokens.iter().filter(|token| token.kind != Kind::Space);
    let first = significant.next();
    significant.next().is_none()
        && first.is_some_and(|token| {
            token.kind == Kind::Name && matches!(token.text, "generation" | "endgeneration")
        })
}

struct Rewriter {
    marks_safe: bool,
}

impl Rewriter {
    /// Rewrites expressions that are next to each other; if additions become calls, one sum at a time.
    fn expression(&self, tokens: &[Token], out: &mut String) {
        if !self.marks_safe {
            return self.operands(tokens, out);
        }
        let mut start = 0;
        for (position, token) in top_level(tokens) {
            if separates_expressions(token) {
                self.sum(&tokens[start..position], out);
                out.push_str(token.text);
                start = position + 1;
            }
        }
        self.sum(&tokens[start..], out);
    }

    fn sum(&self, tokens: &[Token], out: &mut String) {
        let mut operands = Vec::new();
        let mut start = 0;
        let mut previous: Option<&Token> = None;
        for (position, token) in top_level(tokens) {
            let follows_value = previous.is_some_and(ends_value);
            if token.is("+") && follows_value {
                operands.push(&tokens[start..position]);
                start = position + 1;
            } else if (token.is("-") && follows_value)
                || (token.kind == Kind::Name && token.text == "is")
            {
                // Another precedence, or not an addition of strings.
                return self.operands(tokens, out);
            }
            if token.kind != Kind::Space {
                previous = Some(token);
            }
        }
        if operands.is_empty() {
            return self.operands(tokens, out);
        }
        operands.push(&tokens[start..]);
        for (index, operand) in operands.into_iter().enumerate() {
            if index > 0 {
                out.push('.');
                out.push_str(ADD);
            }
            out.push('(');
            self.operands(operand, out);
            out.push(')');
        }
    }

    fn operands(&self, tokens: &[Token], out: &mut String) {
        let mut previous: Option<Token> = None;
        let mut position = 0;
        while let Some(token) = tokens.get(position) {
            position += 1;
            match token.kind {
                Kind::Operator if matches!(token.text, "[" | "(" | "{") => {
                    let length = closing(&tokens[position..]);
                    let inside = &tokens[position..position + length];
                    let close = tokens.get(position + length);
                    if token.text == "[" {
                        self.brackets(inside, previous.as_ref().is_some_and(ends_value), out);
                    } else {
                        out.push_str(token.text);
                        self.expression(inside, out);
                        out.push_str(close.map_or("", |close| close.text));
                    }
                    position += length + 1;
                    previous = close.copied();
                }
                Kind::Text => {
                    out.push_str(&rewrite_text(token.text));
                    previous = Some(*token);
                    if let Some((operand, end)) = formatted_operand(tokens, position) {
                        out.push('.');
                        out.push_str(FORMAT);
                        out.push('(');
                        self.expression(operand, out);
                        out.push(')');
                        position = end;
                        previous = tokens.get(end.wrapping_sub(1)).copied();
                    }
                }
                kind => {
                    out.push_str(token.text);
                    if kind != Kind::Space {
                        previous = Some(*token);
                    }
                }
            }
        }
    }

    fn brackets(&self, inside: &[Token], is_subscript: bool, out: &mut String) {
        let parts = split_at_colons(inside);
        if is_subscript && parts.len() > 1 {
            out.push('.');
            out.push_str(SLICE);
            out.push('(');
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                if part.iter().all(|token| token.kind == Kind::Space) {
                    out.push_str("none");
                } else {
                    self.expression(part, out);
                }
            }
            out.push(')');
            return;
        }
        let mut significant = inside.iter().filter(|token| token.kind != Kind::Space);
        if let (true, Some(name), None) = (is_subscript, significant.next(), significant.next())
            && name.kind == Kind::Text
            && DICT_METHODS.contains(&&name.text[1..name.text.len() - 1])
        {
            out.extend([".", ITEM, "(", name.text, ")"]);
            return;
        }
        out.push('[');
        self.expression(inside, out);
        out.push(']');
    }
}

fn separates_expressions(token: &Token) -> bool {
    match token.kind {
        Kind::Operator => matches!(token.text, "," | ":" | "=" | "<" | ">" | "!"),
        Kind::Name => KEYWORDS.contains(&token.text) && token.text != "is",
        _ => false,
    }
}

fn ends_value(token: &Token) -> bool {
    match token.kind {
        Kind::Name => !KEYWORDS.contains(&token.text),
        Kind::Text => true,
        Kind::Operator => matches!(token.text, ")" | "]" | "}"),
        Kind::Number | Kind::Space => false,
    }
}

fn split_at_colons<'a, 't>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (position, token) in top_level(tokens) {
        if token.is(":") {
            parts.push(&tokens[start..position]);
            start = position + 1;
        }
    }
    parts.push(&tokens[start..]);
    parts
}

/// The operand of a `%` after a string literal, and its end.
fn formatted_operand<'a, 't>(
    tokens: &'t [Token<'a>],
    after_text: usize,
) -> Option<(&'t [Token<'a>], usize)> {
    let skip_space = |mut position: usize| {
        while tokens
            .get(position)
            .is_some_and(|token| token.kind == Kind::Space)
        {
            position += 1;
        }
        position
    };
    let operator = skip_space(after_text);
    if !tokens.get(operator)?.is("%") {
        return None;
    }
    let start = skip_space(operator + 1);
    let mut position = start;
    if tokens.get(position)?.is("-") || tokens.get(position)?.is("+") {
        position = skip_space(position + 1);
    }
    let is_opening = |token: &Token| token.is("(") || token.is("[") || token.is("{");
    position += if is_opening(tokens.get(position)?) {
        closing(&tokens[position + 1..]) + 2
    } else {
        1
    };
    loop {
        let next = skip_space(position);
        match tokens.get(next) {
            Some(token) if token.is("(") || token.is("[") => {
                position = next + closing(&tokens[next + 1..]) + 2;
            }
            Some(token) if token.is(".") || token.is("|") => position = skip_space(next + 1) + 1,
            _ => break,
        }
    }
    let end = position.min(tokens.len());
    Some((&tokens[start..end], end))
}

/// A string literal with escapes that Python and minijinja interpret in the same way.
fn rewrite_text(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    let mut characters = literal.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            // Python keeps the backslash of unknown escapes.
            Some('/') => out.push_str("\\\\/"),
            Some('a') => out.push_str("\\x07"),
            Some('v') => out.push_str("\\x0b"),
            Some('\n') => {}
            Some('U') => {
                let digits: String = characters.clone().take(8).collect();
                match u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
                {
                    Some(named) if digits.len() == 8 => {
                        out.push(named);
                        characters.nth(7);
                    }
                    _ => out.push_str("\\U"),
                }
            }
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn rewrite_turns_slices_into_calls() {
        assert_eq!(rewrite("{{ a[1:] }}"), "{{ a.__slice__(1,none) }}");
        assert_eq!(
            rewrite("{{ a[::-1][0] }}"),
            "{{ a.__slice__(none,none,-1)[0] }}"
        );
        assert_eq!(
            rewrite("{{ f(a)[b[:2]|length : -1] }}"),
            "{{ f(a).__slice__(b.__slice__(none,2)|length , -1) }}"
        );
        assert_eq!(
            rewrite("{% for x in [{'a': 1}] %}"),
            "{% for x in [{'a': 1}] %}"
        );
        assert_eq!(rewrite("{{ a[{'k': 1}['k']] }}"), "{{ a[{'k': 1}['k']] }}");
        assert_eq!(
            rewrite("{{ {'a': {'b': x[0:1]}} }}"),
            "{{ {'a': {'b': x.__slice__(0,1)}} }}"
        );
    }

    #[test]
    fn rewrite_keeps_text_outside_of_code() {
        for same in [
            "a[1:] {# b[1:] #} {% raw -%}{{ c[1:] }}{% endraw %}",
            "{{ 'a[1:]' ~ \"it's [::]\" }}",
            "{{ unfinished[1:]",
            "{",
            "{{ '\\'[1:]' }}",
        ] {
            assert_eq!(rewrite(same), same);
        }
    }

    #[test]
    fn rewrite_turns_generation_into_a_plain_block() {
        assert_eq!(
            rewrite("{%- generation -%}x{% endgeneration %}{{ generation }}"),
            "{%- with -%}x{% endwith %}{{ generation }}"
        );
    }

    #[test]
    fn rewrite_turns_formatting_into_a_call() {
        assert_eq!(
            rewrite("{{ '%d' % a.b[0]|int ~ c }}"),
            "{{ '%d'.__mod__(a.b[0]|int) ~ c }}"
        );
        assert_eq!(
            rewrite("{{ '%d %s' % (1, x) }}"),
            "{{ '%d %s'.__mod__((1, x)) }}"
        );
        assert_eq!(rewrite("{{ 5 % 3 }}{% if x %}"), "{{ 5 % 3 }}{% if x %}");
    }

    #[test]
    fn rewrite_turns_additions_into_calls_if_text_is_marked_safe() {
        assert_eq!(
            rewrite("{{- 'a'|safe + b[c + d:] -}}"),
            "{{-( 'a'|safe ).__add__( b.__slice__((c ).__add__( d),none) )-}}"
        );
        assert_eq!(
            rewrite("{%- set x = a + 1 if b|safe else -c %}"),
            "{%- set x =( a ).__add__( 1 )if b|safe else -c %}"
        );
        assert_eq!(
            rewrite("{{ a - b + c|e }}{{+ d }}"),
            "{{ a - b + c|e }}{{+ d }}"
        );
        assert_eq!(rewrite("{{ a + b }}"), "{{ a + b }}");
    }

    #[test]
    fn rewrite_turns_lookups_of_dict_methods_into_calls() {
        assert_eq!(
            rewrite("{{ a['items']['type'] }}"),
            "{{ a.__item__('items')['type'] }}"
        );
        assert_eq!(
            rewrite("{{ ['items'] }}{% if x in ['get'] %}"),
            "{{ ['items'] }}{% if x in ['get'] %}"
        );
    }

    #[test]
    fn rewrite_normalizes_line_breaks_and_escapes() {
        assert_eq!(
            rewrite("a\r\n{{ 'x\\/\\a\\n' }}\r"),
            "a\n{{ 'x\\\\/\\x07\\n' }}\n"
        );
        assert_eq!(rewrite("{{ '\\U0001F600' }}"), "{{ '😀' }}");
        assert_eq!(
            rewrite("{% raw %}\n{% endraw %}"),
            "{% raw +%}\n{% endraw %}"
        );
    }
}
