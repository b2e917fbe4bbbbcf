//! The filters of Jinja that minijinja lacks, or whose arguments it takes by name only.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::python::{self, arguments};

/// The arguments of a filter after its value.
type Arguments = Rest<ValueOrKwargs>;

pub(super) fn add_filters(environment: &mut Environment) {
    environment.add_filter("center", center);
    environment.add_filter("filesizeformat", file_size_format);
    environment.add_filter("forceescape", force_escape);
    environment.add_filter("groupby", group_by);
    environment.add_filter("max", max);
    environment.add_filter("min", min);
    environment.add_filter("pprint", |value: &Value| python::pretty_print(value));
    environment.add_filter("random", random);
    environment.add_filter("sort", sort);
    environment.add_filter("striptags", |value: &Value| {
        minijinja_contrib::filters::striptags(python::to_text(value))
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("unique", unique);
    environment.add_filter("urlencode", url_encode);
    environment.add_filter("urlize", urlize);
    environment.add_filter("wordcount", word_count);
    environment.add_filter("wordwrap", word_wrap);
    environment.add_filter("xmlattr", xml_attributes);
}

/// A flag that is false by default.
fn is_true(argument: Option<Value>) -> bool {
    argument.is_some_and(|value| value.is_true())
}

/// A flag that is true by default.
fn is_not_false(argument: Option<Value>) -> bool {
    argument.is_none_or(|value| value.is_true())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A number of characters.
fn count(argument: Option<Value>, what: &str, default: usize) -> Result<usize, Error> {
    let Some(value) = argument else {
        return Ok(default);
    };
    python::check_count(what, &value)?;
    value.as_usize().ok_or_else(|| {
        invalid(format!(
            "{what} of {value} is not possible: it must not be negative"
        ))
    })
}

/// `center(text, width=80)`
fn center(value: &Value, args: Arguments) -> Result<String, Error> {
    let [width] = arguments(args, ["width"])?;
    let width = count(width, "a width", 80)?;
    python::center(&python::to_text(value), width)
}

/// `filesizeformat(bytes, binary=False)`
fn file_size_format(value: &Value, args: Arguments) -> Result<String, Error> {
    const DECIMAL: [&str; 8] = ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
    const BINARY: [&str; 8] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    let [binary] = arguments(args, ["binary"])?;
    let binary = is_true(binary);
    let bytes = match value.as_str() {
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| invalid(format!("`{text}` is not a number of bytes")))?,
        None => f64::try_from(value.clone())?,
    };
    let (base, units) = if binary {
        (1024.0_f64, BINARY)
    } else {
        (1000.0, DECIMAL)
    };
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()));
    }
    let mut scaled = bytes;
    let mut unit = "";
    for name in units {
        scaled /= base;
        unit = name;
        if scaled < base {
            break;
        }
    }
    Ok(format!("{scaled:.1} {unit}"))
}

fn force_escape(value: &Value) -> Value {
    let mut out = String::new();
    python::escape(&python::to_text(value), &mut out);
    Value::from_safe_string(out)
}

/// `groupby(items, attribute, default=None, case_sensitive=False)`
fn group_by(value: Value, args: Arguments) -> Result<Value, Error> {
    let named = by_name(args, ["attribute", "default", "case_sensitive"])?;
    minijinja::filters::groupby(value, None, named)
}

/// `max(items, case_sensitive=False, attribute=None)`
fn max(state: &State, value: Value, args: Arguments) -> Result<Value, Error> {
    let named = by_name(args, ["case_sensitive", "attribute"])?;
    minijinja::filters::max(state, value, named)
}

/// `min(items, case_sensitive=False, attribute=None)`
fn min(state: &State, value: Value, args: Arguments) -> Result<Value, Error> {
    let named = by_name(args, ["case_sensitive", "attribute"])?;
    minijinja::filters::min(state, value, named)
}

/// `sort(items, reverse=False, case_sensitive=False, attribute=None)`
fn sort(state: &State, value: Value, args: Arguments) -> Result<Value, Error> {
    let named = by_name(args, ["reverse", "case_sensitive", "attribute"])?;
    minijinja::filters::sort(state, value, named)
}

/// `unique(items, case_sensitive=False, attribute=None)`
fn unique(state: &State, value: Value, args: Arguments) -> Result<Value, Error> {
    let named = by_name(args, ["case_sensitive", "attribute"])?;
    minijinja::filters::unique(state, value, named)
}

/// The arguments as keyword arguments.
fn by_name<const N: usize>(args: Arguments, names: [&'static str; N]) -> Result<Kwargs, Error> {
    let given = arguments(args, names)?;
    let named = names.into_iter().zip(given);
    Ok(named
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

/// A random item; undefined if there is none.
fn random(value: &Value) -> Result<Value, Error> {
    let items: Vec<Value> = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None => value.try_iter()?.checked().collect::<Result<_, _>>()?,
    };
    // A new state has random keys, so the hash of nothing is random.
    let number = RandomState::new().build_hasher().finish() as usize;
    let index = number.checked_rem(items.len());
    Ok(index
        .and_then(|index| items.get(index).cloned())
        .unwrap_or_default())
}

/// `truncate(text, length=255, killwords=False, end='...', leeway=5)`
fn truncate(value: &Value, args: Arguments) -> Result<String, Error> {
    let [length, kill_words, end, leeway] =
        arguments(args, ["length", "killwords", "end", "leeway"])?;
    let length = count(length, "a length", 255)?;
    let kill_words = is_true(kill_words);
    let end = end.map_or_else(|| "...".to_owned(), |value| python::to_text(&value));
    let leeway = count(leeway, "a leeway", 5)?;
    let kept = length.checked_sub(end.chars().count()).ok_or_else(|| {
        invalid(format!(
            "expected a length of at least that of `{end}`, got {length}"
        ))
    })?;
    let text = python::to_text(value);
    if text.chars().count() <= length + leeway {
        return Ok(text);
    }
    let start: String = text.chars().take(kept).collect();
    let whole_words = start
        .rsplit_once(' ')
        .map_or(start.as_str(), |(words, _)| words);
    Ok(if kill_words {
        start + &end
    } else {
        whole_words.to_owned() + &end
    })
}

/// `urlencode(value)`: a text as part of a path, or a mapping or pairs as a query.
fn url_encode(value: &Value) -> Result<String, Error> {
    if value.as_str().is_some()
        || !matches!(
            value.kind(),
            ValueKind::Map | ValueKind::Seq | ValueKind::Iterable
        )
    {
        return Ok(quote(&python::to_text(value), "/", "%20"));
    }
    let mut pairs = Vec::new();
    for item in value.try_iter()?.checked() {
        let item = item?;
        let (name, value) = if value.kind() == ValueKind::Map {
            let value = value.get_item(&item)?;
            (item, value)
        } else {
            (item.get_item_by_index(0)?, item.get_item_by_index(1)?)
        };
        let part = |value: &Value| quote(&python::to_text(value), "", "+");
        pairs.push(format!("{}={}", part(&name), part(&value)));
    }
    Ok(pairs.join("&"))
}

/// Percent-encodes all bytes but those of ASCII letters, digits, `_.-~` and `safe`.
fn quote(text: &str, safe: &str, space: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || "_.-~".contains(character) || safe.contains(character) {
            out.push(character);
        } else if byte == b' ' {
            out.push_str(space);
        } else {
            out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    out
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

/// `urlize(text, trim_url_limit=None, nofollow=False, target=None, rel=None)`: links for words that begin with `http://`,
/// `https://` or `www.`, and for `mailto:` and e-mail addresses.
fn urlize(value: &Value, args: Arguments) -> Result<String, Error> {
    let [limit, no_follow, target, rel] =
        arguments(args, ["trim_url_limit", "nofollow", "target", "rel"])?;
    let limit = count(limit, "a limit", usize::MAX)?;
    let rel = rel.map_or_else(String::new, |value| python::to_text(&value));
    let mut relations: Vec<&str> = rel.split_whitespace().chain(["noopener"]).collect();
    if is_true(no_follow) {
        relations.push("nofollow");
    }
    relations.sort_unstable();
    relations.dedup();
    let mut attributes = format!(" rel=\"{}\"", relations.join(" "));
    if let Some(target) = target {
        attributes.push_str(" target=\"");
        python::escape(&python::to_text(&target), &mut attributes);
        attributes.push('"');
    }

    let mut escaped = String::new();
    python::escape(&python::to_text(value), &mut escaped);
    let mut out = String::new();
    for word in escaped.split_inclusive(char::is_whitespace) {
        let trimmed = word.trim_end();
        let start = trimmed.len() - trimmed.trim_start_matches(['(', '<']).len();
        let (before, rest) = trimmed.split_at(start);
        let middle = rest.trim_end_matches(['.', ',', ')', '\n']);
        let after = &rest[middle.len()..];
        out.push_str(before);
        match link(middle) {
            Some((address, attributes_apply)) => {
                let shown: String = middle.chars().take(limit).collect();
                let dots = if shown.len() < middle.len() {
                    "..."
                } else {
                    ""
                };
                let attributes = if attributes_apply {
                    attributes.as_str()
                } else {
                    ""
                };
                out.push_str("<a href=\"");
                out.push_str(&address);
                out.push('"');
                out.push_str(attributes);
                out.push('>');
                out.push_str(&shown);
                out.push_str(dots);
                out.push_str("</a>");
            }
            None => out.push_str(middle),
        }
        out.push_str(after);
        out.push_str(&word[trimmed.len()..]);
    }
    Ok(out)
}

/// The address of a word that is a link, and whether it is one of the web.
fn link(word: &str) -> Option<(String, bool)> {
    if word.starts_with("http://") || word.starts_with("https://") {
        return Some((word.to_owned(), true));
    }
    if word.starts_with("www.") && word.len() > "www.".len() {
        return Some((format!("https://{word}"), true));
    }
    let address = word.strip_prefix("mailto:").unwrap_or(word);
    let (user, host) = address.split_once('@')?;
    let is_address =
        !user.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.');
    is_address.then(|| (format!("mailto:{address}"), false))
}

/// The number of runs of letters, digits and underscores.
fn word_count(value: &Value) -> usize {
    python::to_text(value)
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
        .count()
}

/// `wordwrap(text, width=79, break_long_words=True, wrapstring='\n', break_on_hyphens=True)`
fn word_wrap(value: &Value, args: Arguments) -> Result<String, Error> {
    let names = [
        "width",
        "break_long_words",
        "wrapstring",
        "break_on_hyphens",
    ];
    let [width, break_long_words, separator, break_on_hyphens] = arguments(args, names)?;
    let width = count(width, "a width", 79)?;
    let separator = separator.map_or_else(|| "\n".to_owned(), |value| python::to_text(&value));
    let long_words = is_not_false(break_long_words);
    let hyphens = is_not_false(break_on_hyphens);
    if width == 0 {
        return Err(invalid("the width of wordwrap must be positive"));
    }
    let wrapped: Vec<String> = python::lines(&python::to_text(value))
        .into_iter()
        .map(|line| python::wrap(line, width, long_words, hyphens).join(&separator))
        .collect();
    Ok(wrapped.join(&separator))
}

/// `xmlattr(mapping, autospace=True)`
fn xml_attributes(value: &Value, args: Arguments) -> Result<String, Error> {
    let [autospace] = arguments(args, ["autospace"])?;
    let autospace = is_not_false(autospace);
    let mut out = String::new();
    for key in value.try_iter()?.checked() {
        let key = key?;
        let value = value.get_item(&key)?;
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let name = python::to_text(&key);
        if name.contains(|character: char| character.is_whitespace() || "/>=".contains(character)) {
            return Err(invalid(format!("`{name}` is not a name of an attribute")));
        }
        if autospace || !out.is_empty() {
            out.push(' ');
        }
        python::escape(&name, &mut out);
        out.push_str("=\"");
        python::escape(&python::to_text(&value), &mut out);
        out.push('"');
    }
    Ok(out)
}
