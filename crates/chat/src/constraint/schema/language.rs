//! Languages of regular expressions: whether they are empty, contain a text or have only a few texts.

use llguidance::derivre::{RegexAst, RegexBuilder};
use llguidance::regex_to_lark;

/// Work of one check. llguidance has the same limit for its own.
const FUEL: u64 = 10_000;

/// Most texts of a pattern that [`words`] lists.
const MAX_WORDS: usize = 64;

/// The strings that a translated pattern matches.
pub(super) fn search(pattern: &str) -> RegexAst {
    RegexAst::SearchRegex(regex_to_lark(pattern, "dw"))
}

/// The strings with these numbers of characters.
pub(super) fn length(min: usize, max: Option<usize>) -> RegexAst {
    let max = max.map_or_else(String::new, |max| max.to_string());
    RegexAst::Regex(format!("(?s:.{{{min},{max}}})"))
}

/// The strings that are not in this language.
pub(super) fn not(language: RegexAst) -> RegexAst {
    RegexAst::Not(Box::new(language))
}

/// Whether no string is in all of these languages; `None` if that takes too long to decide.
pub(super) fn is_empty(languages: Vec<RegexAst>) -> Option<bool> {
    let mut builder = RegexBuilder::new();
    let all = builder.mk(&RegexAst::And(languages)).ok()?;
    let mut regex = builder.to_regex_limited(all, FUEL).ok()?;
    Some(regex.always_empty())
}

/// Whether a translated pattern matches `text`; `None` if that takes too long to decide.
pub(super) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let mut builder = RegexBuilder::new();
    let expression = builder.mk(&search(pattern)).ok()?;
    let mut regex = builder.to_regex_limited(expression, FUEL).ok()?;
    Some(regex.is_match(text))
}

/// Whether a translated pattern matches only these texts.
pub(super) fn matches_only(pattern: &str, texts: &[&str]) -> bool {
    let literals = texts.iter().map(|text| RegexAst::Literal((*text).into()));
    let others = not(RegexAst::Or(literals.collect()));
    !texts.is_empty() && is_empty(vec![search(pattern), others]) == Some(true)
}

/// All texts that a pattern such as `^(?:red|green)$` matches, if they are few.
pub(super) fn words(pattern: &str) -> Option<Vec<String>> {
    let body = pattern.strip_prefix('^')?.strip_suffix('$')?;
    let mut parser = Words { rest: body };
    // The anchors of `^a|b$` apply to one alternative each.
    let words = parser.sequence()?;
    parser.rest.is_empty().then_some(words)
}

/// Lists the texts of a pattern without repetition.
struct Words<'a> {
    rest: &'a str,
}

impl Words<'_> {
    fn alternatives(&mut self) -> Option<Vec<String>> {
        let mut words = self.sequence()?;
        while let Some(rest) = self.rest.strip_prefix('|') {
            self.rest = rest;
            words.extend(self.sequence()?);
        }
        (words.len() <= MAX_WORDS).then_some(words)
    }

    fn sequence(&mut self) -> Option<Vec<String>> {
        let mut words = vec![String::new()];
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let atom = self.atom()?;
            let atom = self.repeated(atom)?;
            words = product(&words, &atom)?;
        }
        Some(words)
    }

    fn atom(&mut self) -> Option<Vec<String>> {
        match self.take()? {
            '(' => {
                self.rest = self.rest.strip_prefix("?:").unwrap_or(self.rest);
                let words = self.alternatives()?;
                self.rest = self.rest.strip_prefix(')')?;
                Some(words)
            }
            '[' => self.class(),
            '\\' => self.escaped().map(|character| vec![character.to_string()]),
            '^' | '$' | '.' | '*' | '+' | '?' | '{' => None,
            literal => Some(vec![literal.to_string()]),
        }
    }

    fn class(&mut self) -> Option<Vec<String>> {
        let mut words = Vec::new();
        loop {
            let first = match self.take()? {
                ']' => return Some(words),
                '^' if words.is_empty() => return None,
                '\\' => self.escaped()?,
                literal => literal,
            };
            let range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            let last = if range {
                self.take()?;
                match self.take()? {
                    '\\' => self.escaped()?,
                    literal => literal,
                }
            } else {
                first
            };
            words.extend((first..=last).take(MAX_WORDS + 1).map(String::from));
            if words.len() > MAX_WORDS {
                return None;
            }
        }
    }

    fn repeated(&mut self, atom: Vec<String>) -> Option<Vec<String>> {
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            return Some(std::iter::once(String::new()).chain(atom).collect());
        }
        if let Some(rest) = self.rest.strip_prefix('{') {
            let (count, rest) = rest.split_once('}')?;
            let count: usize = count.parse().ok()?;
            self.rest = rest;
            let mut counts = 0..count.min(MAX_WORDS + 1);
            let words = counts.try_fold(vec![String::new()], |words, _| product(&words, &atom));
            return words.filter(|_| count <= MAX_WORDS);
        }
        (!self.rest.starts_with(['*', '+'])).then_some(atom)
    }

    fn escaped(&mut self) -> Option<char> {
        self.take().filter(char::is_ascii_punctuation)
    }

    fn take(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let first = characters.next();
        self.rest = characters.as_str();
        first
    }
}

fn product(starts: &[String], ends: &[String]) -> Option<Vec<String>> {
    if starts.len() * ends.len() > MAX_WORDS {
        return None;
    }
    let joined = starts
        .iter()
        .flat_map(|start| ends.iter().map(move |end| format!("{start}{end}")));
    Some(joined.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lists_finite_patterns() {
        for (pattern, expected) in [
            ("^score$", vec!["score"]),
            ("^(a|b\\.c)$", vec!["a", "b.c"]),
            (
                "^(?:x|y)_[0-2]?$",
                vec!["x_", "x_0", "x_1", "x_2", "y_", "y_0", "y_1", "y_2"],
            ),
            ("^a{3}$", vec!["aaa"]),
        ] {
            assert_eq!(words(pattern).unwrap(), expected, "{pattern}");
        }
        for pattern in [
            "a",
            "^a",
            "a$",
            "^a|b$",
            "^a*$",
            "^.$",
            "^[^a]$",
            "^[a-z]{2}$",
            "^a\\$",
        ] {
            assert_eq!(words(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn languages_are_compared() {
        assert_eq!(is_empty(vec![search("^a+$"), search("b")]), Some(true));
        assert_eq!(is_empty(vec![search("^a+$"), length(2, None)]), Some(false));
        assert_eq!(
            is_empty(vec![search("^a+$"), not(length(1, None))]),
            Some(true)
        );
        assert_eq!(matches("^a", "ab"), Some(true));
        assert_eq!(matches("^a$", "ab"), Some(false));
        assert!(matches_only("^n$", &["n", "m"]));
        assert!(!matches_only("^n", &["n"]));
        assert!(!matches_only("^n$", &[]));
    }
}
