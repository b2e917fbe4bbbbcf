//! Methods of Python's `str` that minijinja lacks or implements differently.

use minijinja::value::{Kwargs, Tuple, from_args};
use minijinja::{Error, ErrorKind, Value};

use super::limits::{check_format, missing_width};

/// The ends to strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::template) enum Ends {
    Both,
    Start,
    End,
}

/// `str.isspace` for one character. Unlike Unicode's White_Space, Python includes the four ASCII separators.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// `str.strip`, `str.lstrip` and `str.rstrip`; white space without `characters`.
pub(in crate::template) fn strip<'a>(
    text: &'a str,
    characters: Option<&str>,
    ends: Ends,
) -> &'a str {
    let matches = |character: char| {
        characters.map_or_else(|| is_space(character), |set| set.contains(character))
    };
    let text = if ends == Ends::End {
        text
    } else {
        text.trim_start_matches(matches)
    };
    if ends == Ends::Start {
        text
    } else {
        text.trim_end_matches(matches)
    }
}

/// Calls a method of a string; `None` if minijinja implements it.
pub(super) fn call(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let result = match method {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<&str>,) = from_args(args)?;
            let ends = match method {
                "strip" => Ends::Both,
                "lstrip" => Ends::Start,
                _ => Ends::End,
            };
            Value::from(strip(text, characters, ends))
        }
        "split" | "rsplit" => split(text, method == "rsplit", args)?,
        "splitlines" => {
            let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = keep.or(kwargs.get("keepends")?).unwrap_or(false);
            kwargs.assert_all_used()?;
            split_lines(text)
                .into_iter()
                .map(|(line, whole)| Value::from(if keep { whole } else { line }))
                .collect()
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            let (before, after) = text.split_once(separator).unwrap_or((text, ""));
            let found = if text.contains(separator) {
                separator
            } else {
                ""
            };
            triple(before, found, after)
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.rsplit_once(separator) {
                Some((before, after)) => triple(before, separator, after),
                None => triple("", "", text),
            }
        }
        "find" | "rfind" | "index" | "rindex" | "count" => search(text, method, args)?,
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let sign = &text[..text.len() - digits.len()];
            let missing = missing_width(width, text)?;
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            Value::from(pad(text, method, width, fill.unwrap_or(" "))?)
        }
        "title" => Value::from(title(text)),
        "swapcase" => Value::from(
            text.chars()
                .flat_map(|character| {
                    let swapped: String = if character.is_uppercase() {
                        character.to_lowercase().collect()
                    } else {
                        character.to_uppercase().collect()
                    };
                    swapped.chars().collect::<Vec<_>>()
                })
                .collect::<String>(),
        ),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "format" => {
            check_format(text)?;
            return Ok(None);
        }
        "isspace" => Value::from(!text.is_empty() && text.chars().all(is_space)),
        _ => return Ok(None),
    };
    Ok(Some(result))
}

/// Capitalizes every letter that does not follow a letter.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for character in text.chars() {
        if in_word {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        in_word = character.is_lowercase() || character.is_uppercase();
    }
    out
}

/// `str.center(width)`
pub(in crate::template) fn center(text: &str, width: usize) -> Result<String, Error> {
    pad(text, "center", width, " ")
}

/// `str.ljust`, `str.rjust` and `str.center`.
fn pad(text: &str, method: &str, width: usize, fill: &str) -> Result<String, Error> {
    let missing = missing_width(width, text)?;
    let before = match method {
        "ljust" => 0,
        "rjust" => missing,
        // Python puts the odd fill character in front only if the width is odd, too.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(format!(
        "{}{text}{}",
        fill.repeat(before),
        fill.repeat(missing - before)
    ))
}

fn triple(before: &str, separator: &str, after: &str) -> Value {
    Value::from(Tuple::from(
        [before, separator, after].map(Value::from).to_vec(),
    ))
}

fn split(text: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = match separator {
        Some(separator) => Some(separator),
        None => kwargs.get::<Option<Value>>("sep")?,
    };
    let limit = limit.or(kwargs.get("maxsplit")?).unwrap_or(-1);
    kwargs.assert_all_used()?;
    let pieces = usize::try_from(limit).map_or(usize::MAX, |limit| limit.saturating_add(1));
    let separator = separator.filter(|separator| !separator.is_none());
    let parts: Vec<&str> = match &separator {
        None if from_end => {
            let mut parts = split_at_spaces(text, pieces, true);
            parts.reverse();
            parts
        }
        None => split_at_spaces(text, pieces, false),
        Some(separator) => {
            let separator = separator
                .as_str()
                .filter(|separator| !separator.is_empty())
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidOperation,
                        "split needs a separator that is a non-empty string",
                    )
                })?;
            if from_end {
                let mut parts: Vec<&str> = text.rsplitn(pieces, separator).collect();
                parts.reverse();
                parts
            } else {
                text.splitn(pieces, separator).collect()
            }
        }
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// At most `pieces` words; the last one is the rest including white space. With `from_end`, in reverse order.
fn split_at_spaces(text: &str, pieces: usize, from_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let near = if from_end { Ends::End } else { Ends::Start };
    let mut rest = strip(text, None, near);
    while !rest.is_empty() {
        if parts.len() + 1 == pieces {
            parts.push(rest);
            break;
        }
        let (word, remaining) = if from_end {
            let start = rest
                .char_indices()
                .rev()
                .find(|(_, character)| is_space(*character))
                .map_or(0, |(position, character)| position + character.len_utf8());
            (&rest[start..], &rest[..start])
        } else {
            rest.split_at(rest.find(is_space).unwrap_or(rest.len()))
        };
        parts.push(word);
        rest = strip(remaining, None, near);
    }
    parts
}

/// `str.splitlines` without line breaks.
pub(in crate::template) fn lines(text: &str) -> Vec<&str> {
    split_lines(text)
        .into_iter()
        .map(|(line, _)| line)
        .collect()
}

/// Lines without and with their line breaks.
fn split_lines(text: &str) -> Vec<(&str, &str)> {
    let is_end = |character: char| {
        matches!(
            character,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'
                ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_end).unwrap_or(rest.len());
        let after = &rest[end..];
        let length = if after.starts_with("\r\n") {
            2
        } else {
            after.chars().next().map_or(0, char::len_utf8)
        };
        lines.push((&rest[..end], &rest[..end + length]));
        rest = &after[length..];
    }
    lines
}

/// `find`, `rfind`, `index`, `rindex` and `count`, each with optional start and end, in characters.
fn search(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (what, start, end): (&str, Option<Value>, Option<Value>) = from_args(args)?;
    let length = text.chars().count() as i64;
    let bound = |given: Option<Value>, otherwise: i64| {
        let bound = given.and_then(|value| value.as_i64()).unwrap_or(otherwise);
        (if bound < 0 { bound + length } else { bound }).clamp(0, length)
    };
    let skipped = bound(start, 0);
    let end = bound(end, length).max(skipped);
    let window: String = text
        .chars()
        .skip(skipped as usize)
        .take((end - skipped) as usize)
        .collect();
    if method == "count" {
        return Ok(Value::from(window.matches(what).count()));
    }
    let found = if method.starts_with('r') {
        window.rfind(what)
    } else {
        window.find(what)
    };
    match found {
        Some(position) => Ok(Value::from(
            skipped + window[..position].chars().count() as i64,
        )),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            "substring not found",
        )),
    }
}

/// Appends text escaped for HTML.
pub(in crate::template) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use minijinja::Value;

    fn call(text: &str, method: &str, args: &[Value]) -> String {
        super::super::to_text(&super::call(text, method, args).unwrap().unwrap())
    }

    #[test]
    fn splitting_follows_python() {
        let none = Value::from(());
        assert_eq!(call(" a  b c ", "split", &[]), "['a', 'b', 'c']");
        assert_eq!(
            call(" a  b c ", "split", &[none.clone(), Value::from(1)]),
            "['a', 'b c ']"
        );
        assert_eq!(
            call(" a  b c ", "rsplit", &[none.clone(), Value::from(1)]),
            "[' a  b', 'c']"
        );
        assert_eq!(call(" a ", "split", &[none, Value::from(0)]), "['a ']");
        assert_eq!(
            call("a,b,c", "split", &[Value::from(","), Value::from(1)]),
            "['a', 'b,c']"
        );
        assert_eq!(
            call("a,b,c", "rsplit", &[Value::from(","), Value::from(1)]),
            "['a,b', 'c']"
        );
        assert_eq!(call("", "split", &[]), "[]");
        assert_eq!(call("", "split", &[Value::from(",")]), "['']");
        assert_eq!(call("a\r\nb\u{85}\n", "splitlines", &[]), "['a', 'b', '']");
        assert_eq!(
            call("a\r\nb", "splitlines", &[Value::from(true)]),
            "['a\\r\\n', 'b']"
        );
    }

    #[test]
    fn searching_follows_python() {
        assert_eq!(
            call("日本語日本", "find", &[Value::from("日"), Value::from(1)]),
            "3"
        );
        assert_eq!(call("日本語日本", "rfind", &[Value::from("本")]), "4");
        assert_eq!(
            call("abcabc", "count", &[Value::from("abc"), Value::from(-4)]),
            "1"
        );
        assert_eq!(call("abc", "find", &[Value::from("x")]), "-1");
        assert!(super::call("abc", "index", &[Value::from("x")]).is_err());
    }

    #[test]
    fn padding_follows_python() {
        assert_eq!(call("-7", "zfill", &[Value::from(4)]), "-007");
        assert_eq!(call("ab", "center", &[Value::from(5)]), "  ab ");
        assert_eq!(
            call("a", "center", &[Value::from(4), Value::from("*")]),
            "*a**"
        );
        assert_eq!(call("ab", "rjust", &[Value::from(1)]), "ab");
        assert!(super::call("a", "ljust", &[Value::from(u32::MAX)]).is_err());
    }

    #[test]
    fn partitions_keep_all_parts() {
        assert_eq!(
            call("a=b=c", "partition", &[Value::from("=")]),
            "('a', '=', 'b=c')"
        );
        assert_eq!(
            call("a=b=c", "rpartition", &[Value::from("=")]),
            "('a=b', '=', 'c')"
        );
        assert_eq!(
            call("abc", "partition", &[Value::from("=")]),
            "('abc', '', '')"
        );
        assert_eq!(call("\u{1c} a\u{a0}", "strip", &[]), "a");
    }
}
