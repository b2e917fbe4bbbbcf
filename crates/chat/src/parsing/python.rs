//! Python literals.

use serde::de::IgnoredAny;

use crate::parsing::json::quote;

/// Deepest nesting of containers.
const MAX_DEPTH: usize = 64;

/// A literal as JSON text: strings, numbers, `True`, `False`, `None`, lists, tuples and dictionaries with strings or
/// numbers as keys. JSON's `true`, `false` and `null` are accepted, too.
pub(crate) fn to_json(text: &str) -> Option<String> {
    let mut parser = LiteralParser::new(text);
    let mut out = String::new();
    parser.value(&mut out, 0)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(out)
}

/// The keys of a dictionary and its values as JSON.
pub(crate) fn members(text: &str) -> Option<Vec<(String, String)>> {
    let mut parser = LiteralParser::new(text);
    let members = parser.members(0)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(members)
}

/// The dictionary at the start of `text` as JSON, and the text after it. Repeated braces before it and repeated commas are
/// ignored. Brackets and braces that are missing before `closer` are added, unless it is empty.
pub(crate) fn repair_object<'a>(text: &'a str, closer: &'a str) -> Option<(String, &'a str)> {
    let mut dictionary = text;
    while let Some(inner) = dictionary.strip_prefix('{').map(str::trim_start)
        && inner.starts_with('{')
    {
        dictionary = inner;
    }
    let mut parser = LiteralParser {
        rest: dictionary,
        closer,
        repairs: true,
    };
    let mut out = String::new();
    parser.dictionary(&mut out, 0)?;
    Some((out, parser.rest))
}

struct LiteralParser<'a> {
    rest: &'a str,
    /// Ends all containers, if it is not empty.
    closer: &'a str,
    /// Whether the text is JSON with errors: commas may be repeated, and adjacent strings are an error.
    repairs: bool,
}

impl<'a> LiteralParser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            closer: "",
            repairs: false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, out: &mut String, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        match self.rest.chars().next()? {
            '"' | '\'' => {
                let text = self.strings()?;
                out.push_str(&quote(&text));
            }
            '[' => self.list('[', ']', out, depth)?,
            '(' => self.list('(', ')', out, depth)?,
            '{' => self.dictionary(out, depth)?,
            _ => out.push_str(&self.word()?),
        }
        Some(())
    }

    fn list(&mut self, open: char, close: char, out: &mut String, depth: usize) -> Option<()> {
        self.take(open);
        out.push('[');
        let mut first = true;
        self.skip_commas();
        while !self.take(close) && !self.at_closer() {
            if !first {
                out.push_str(", ");
            }
            first = false;
            self.value(out, depth + 1)?;
            self.take_comma_before(close)?;
        }
        out.push(']');
        Some(())
    }

    fn dictionary(&mut self, out: &mut String, depth: usize) -> Option<()> {
        out.push('{');
        for (index, (key, value)) in self.members(depth)?.into_iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.extend([quote(&key).as_str(), ": ", value.as_str()]);
        }
        out.push('}');
        Some(())
    }

    /// The keys of a dictionary and its values as JSON.
    fn members(&mut self, depth: usize) -> Option<Vec<(String, String)>> {
        if !self.take('{') {
            return None;
        }
        let mut members = Vec::new();
        self.skip_commas();
        while !self.take('}') && !self.at_closer() {
            self.skip_space();
            let key = match self.rest.chars().next()? {
                '"' | '\'' => self.strings()?,
                _ => self.word()?,
            };
            if !self.take(':') {
                return None;
            }
            let mut value = String::new();
            self.value(&mut value, depth + 1)?;
            members.push((key, value));
            self.take_comma_before('}')?;
        }
        Some(members)
    }

    fn take_comma_before(&mut self, close: char) -> Option<()> {
        self.skip_space();
        let is_separated = self.take(',');
        self.skip_commas();
        (is_separated || self.rest.starts_with(close) || self.at_closer()).then_some(())
    }

    fn skip_commas(&mut self) {
        while self.repairs && self.take(',') {}
    }

    fn at_closer(&self) -> bool {
        !self.closer.is_empty() && self.rest.trim_start().starts_with(self.closer)
    }

    /// A name or a number.
    fn word(&mut self) -> Option<String> {
        let end = self
            .rest
            .find(|character: char| !(character.is_alphanumeric() || "+-._".contains(character)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" | "true" => Some("true".to_owned()),
            "False" | "false" => Some("false".to_owned()),
            "None" | "null" => Some("null".to_owned()),
            _ => number(word),
        }
    }

    /// Adjacent strings are concatenated in Python.
    fn strings(&mut self) -> Option<String> {
        let mut text = String::new();
        while self.rest.starts_with(['"', '\'']) {
            self.string(&mut text)?;
            self.skip_space();
            if self.repairs {
                break;
            }
        }
        Some(text)
    }

    fn string(&mut self, out: &mut String) -> Option<()> {
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let end = if self.rest.starts_with(&triple) {
            triple.as_str()
        } else {
            quote
        };
        self.rest = &self.rest[end.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(end) {
                self.rest = rest;
                return Some(());
            }
            let character = self.rest.chars().next()?;
            self.rest = &self.rest[character.len_utf8()..];
            if character == '\\' {
                self.escape(out)?;
            } else {
                out.push(character);
            }
        }
    }

    /// The rest of an escape after the backslash. Escapes that Python does not know are kept.
    fn escape(&mut self, out: &mut String) -> Option<()> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        match character {
            '\n' => {}
            '\\' | '\'' | '"' | '/' => out.push(character),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            'x' => out.push(char::from_u32(self.digits(2)?)?),
            'u' => {
                let unit = self.digits(4)?;
                out.push(self.surrogates(unit));
            }
            'U' => out.push(char::from_u32(self.digits(8)?)?),
            '0' => out.push('\0'),
            _ => out.extend(['\\', character]),
        }
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.rest.get(..count)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = &self.rest[count..];
        u32::from_str_radix(digits, 16).ok()
    }

    /// A character from one escape, or from a surrogate pair: nested values are often JSON.
    fn surrogates(&mut self, unit: u32) -> char {
        if let Some(character) = char::from_u32(unit) {
            return character;
        }
        let low = self
            .rest
            .strip_prefix("\\u")
            .and_then(|rest| rest.get(..4))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .filter(|low| (0xDC00..0xE000).contains(low));
        match low {
            Some(low) if unit < 0xDC00 => {
                self.rest = &self.rest[6..];
                let code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => char::REPLACEMENT_CHARACTER,
        }
    }
}

/// A Python number as a JSON number with the same digits.
fn number(word: &str) -> Option<String> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", word.strip_prefix('+').unwrap_or(word)),
    };
    let digits = digits.replace('_', "").to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            let value = u64::from_str_radix(digits, radix).ok()?;
            return Some(format!("{sign}{value}"));
        }
    }
    if !digits.contains(|character: char| character.is_ascii_digit()) {
        return None;
    }
    // Python allows `.5` and `1.`, JSON does not.
    let mut digits = digits.replace(".e", ".0e");
    if digits.starts_with('.') {
        digits.insert(0, '0');
    }
    if digits.ends_with('.') {
        digits.push('0');
    }
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit())
        && serde_json::from_str::<IgnoredAny>(&digits).is_ok();
    is_number.then(|| format!("{sign}{digits}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn repair_object_tolerates_trailing_commas_and_missing_ends() {
        assert_eq!(
            repair_object(r#"{"items": ["a", "b",]}} </x>"#, "</x>"),
            Some((r#"{"items": ["a", "b"]}"#.to_owned(), "} </x>"))
        );
        assert_eq!(
            repair_object("{\"a\": {\"b\": [1\n</x>", "</x>"),
            Some((r#"{"a": {"b": [1]}}"#.to_owned(), "</x>"))
        );
        assert_eq!(repair_object("{\"a\": 1", ""), None);
        assert_eq!(repair_object("{\"a\": \"b\n</x>", "</x>"), None);
        assert_eq!(repair_object("{\"city\": Bern}", ""), None);
    }

    #[test]
    fn repair_object_tolerates_repeated_commas_and_braces() {
        for text in [
            r#"{"a": [1, 2,,],,}"#,
            r#"{,"a": [,1,, 2]}"#,
            r#"{{"a": [1, 2]}}"#,
            r#"{ {{ "a": [1, 2] } } }"#,
        ] {
            let (object, rest) = repair_object(text, "").unwrap();
            assert_eq!(object, r#"{"a": [1, 2]}"#);
            assert!(rest.chars().all(|one| " }".contains(one)), "{text}");
        }
    }

    #[test]
    fn repair_object_rejects_adjacent_strings() {
        for text in [
            r#"{"a": "x" "n"}"#,
            r#"{"a" "b": 1}"#,
            r#"{"a": ["x" "y"]}"#,
        ] {
            assert_eq!(repair_object(text, ""), None, "{text}");
        }
    }

    #[test]
    fn members_have_decoded_keys() {
        assert_eq!(
            members(r#"{"a b": True, 'c\n': [1]}"#),
            Some(vec![
                ("a b".to_owned(), "true".to_owned()),
                ("c\n".to_owned(), "[1]".to_owned()),
            ])
        );
        assert_eq!(members("[1]"), None);
        assert_eq!(members("{} x"), None);
    }

    #[test]
    fn to_json_converts_literals() {
        for (python, json) in [
            (r"'it\'s'", r#""it's""#),
            (r#""a\n\t\x41\u00fc""#, r#""a\n\tAü""#),
            (r#""\ud83e\udd80""#, r#""🦀""#),
            ("'''two\n'lines' '''", r#""two\n'lines' ""#),
            (r#"'a' "b""#, r#""ab""#),
            ("1_000", "1000"),
            ("-0x1F", "-31"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("1e5", "1e5"),
            ("True", "true"),
            ("null", "null"),
            ("(1, 'x',)", r#"[1, "x"]"#),
            ("[]", "[]"),
            (
                "{'a': [True, None], 2: {}}",
                r#"{"a": [true, null], "2": {}}"#,
            ),
        ] {
            assert_eq!(to_json(python).as_deref(), Some(json), "{python}");
        }
        for other in [
            "", "word", "007", "[1 2]", "{'a'}", "f(1)", "'open", "1.2.3", "-",
        ] {
            assert_eq!(to_json(other), None, "{other}");
        }
    }

    #[test]
    fn to_json_rejects_deep_nesting() {
        assert_eq!(to_json(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn to_json_does_not_panic(text in any::<String>()) {
            let _ = to_json(&text);
        }

        #[test]
        fn to_json_reads_json_strings(text in any::<String>()) {
            let json = to_json(&quote(&text)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), Value::from(text));
        }
    }
}
