//! Changes single values in JSON with comments and trailing commas, as editors accept it, and leaves everything else as it is.

use std::ops::Range;

use serde::Serialize as _;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Serializer, Value};

/// The indentation where a file shows none.
const DEFAULT_INDENT: &str = "  ";

/// A text that is not a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a JSON object: {0}")]
pub struct InvalidJson(String);

/// A text of which each byte has its place in the original.
struct Document<'a> {
    original: &'a str,
    /// The places of the comments, in order.
    comments: Vec<Range<usize>>,
    /// Comments are spaces.
    with_commas: Vec<u8>,
    /// Trailing commas are spaces, too: strict JSON.
    strict: Vec<u8>,
}

/// A member of an object.
struct Member {
    name: String,
    start: usize,
    value: Range<usize>,
}

/// An object: its members, and the place after its opening and that of its closing brace.
struct Object {
    members: Vec<Member>,
    open: usize,
    close: usize,
}

/// The value at a path; `None` if there is none. An empty text has none.
///
/// # Errors
/// If the text is not an object.
pub fn get(text: &str, path: &[String]) -> Result<Option<Value>, InvalidJson> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let document = Document::parse(text)?;
    let mut value: Value = serde_json::from_slice(&document.strict).map_err(invalid)?;
    for name in path {
        match value.get_mut(name) {
            Some(member) => value = member.take(),
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// The text with `value` at `path`. Objects on the way are added; what is none is replaced. An empty text becomes an object.
///
/// # Errors
/// If the text is not an object.
pub fn set(text: &str, path: &[String], value: &Value) -> Result<String, InvalidJson> {
    if text.trim().is_empty() {
        return set("{}\n", path, value);
    }
    let document = Document::parse(text)?;
    let unit = document.indent();
    let mut object = document.root()?;
    for (depth, name) in path.iter().enumerate() {
        let rest = path.get(depth + 1..).unwrap_or_default();
        let Some(member) = object.find(name) else {
            return Ok(document.insert(&object, name, &nested(rest, value), depth, &unit));
        };
        let is_object = document.strict.get(member.value.start) == Some(&b'{');
        if rest.is_empty() || !is_object {
            let shown = shown(&nested(rest, value), depth + 1, &unit);
            return Ok(document.replace(member.value.clone(), &shown));
        }
        object = document.object(member.value.start)?;
    }
    Ok(text.to_owned())
}

/// The text without the value at `path`. Its comments stay.
///
/// # Errors
/// If the text is not an object.
pub fn remove(text: &str, path: &[String]) -> Result<String, InvalidJson> {
    if text.trim().is_empty() {
        return Ok(text.to_owned());
    }
    let document = Document::parse(text)?;
    let mut object = document.root()?;
    for (depth, name) in path.iter().enumerate() {
        let Some(index) = object.index(name) else {
            return Ok(text.to_owned());
        };
        if depth + 1 == path.len() {
            return Ok(document.cut(&object, index));
        }
        let Some(member) = object.members.get(index) else {
            return Ok(text.to_owned());
        };
        if document.strict.get(member.value.start) != Some(&b'{') {
            return Ok(text.to_owned());
        }
        object = document.object(member.value.start)?;
    }
    Ok(text.to_owned())
}

/// The text with the value at `path` as it is in `earlier`; without it if it is not there. Objects that only held it go, too, so
/// that a text to which [`set`] has added a value is the earlier one again.
///
/// # Errors
/// If one of the texts is not an object.
pub fn restore(text: &str, earlier: &str, path: &[String]) -> Result<String, InvalidJson> {
    if let Some(value) = get(earlier, path)? {
        return set(text, path, &value);
    }
    let mut restored = remove(text, path)?;
    for length in (1..path.len()).rev() {
        let outer = path.get(..length).unwrap_or_default();
        if get(&restored, outer)? != Some(Value::Object(Map::new())) {
            break;
        }
        match get(earlier, outer)? {
            None => restored = remove(&restored, outer)?,
            Some(Value::Object(_)) => break,
            // An object has replaced it.
            Some(value) => return set(&restored, outer, &value),
        }
    }
    Ok(restored)
}

/// `value` inside objects with these members.
fn nested(path: &[String], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |inner, name| {
        Value::Object(Map::from_iter([(name.clone(), inner)]))
    })
}

/// A value as it is written at this depth.
fn shown(value: &Value, depth: usize, unit: &str) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(unit.as_bytes());
    // Neither a value nor a vector fails.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.replace('\n', &format!("\n{}", unit.repeat(depth)))
}

fn invalid(error: impl ToString) -> InvalidJson {
    InvalidJson(error.to_string())
}

impl<'a> Document<'a> {
    fn parse(original: &'a str) -> Result<Self, InvalidJson> {
        let (with_commas, comments) = without_comments(original.as_bytes());
        let strict = without_trailing_commas(&with_commas);
        let value: Value = serde_json::from_slice(&strict).map_err(invalid)?;
        if !value.is_object() {
            return Err(invalid("it begins with something else than {"));
        }
        Ok(Self {
            original,
            comments,
            with_commas,
            strict,
        })
    }

    fn root(&self) -> Result<Object, InvalidJson> {
        self.object(skip_spaces(&self.strict, 0))
    }

    /// The object that begins at `start`.
    fn object(&self, start: usize) -> Result<Object, InvalidJson> {
        let bytes = &self.strict;
        let end = || invalid("it ends too early");
        let open = start + 1;
        let mut members = Vec::new();
        let mut at = skip_spaces(bytes, open);
        while bytes.get(at).ok_or_else(end)? != &b'}' {
            let name_end = value_end(bytes, at);
            let name = bytes.get(at..name_end).ok_or_else(end)?;
            let name: String = serde_json::from_slice(name).map_err(invalid)?;
            let colon = skip_spaces(bytes, name_end);
            let value = skip_spaces(bytes, colon + 1);
            let value = value..value_end(bytes, value);
            let next = skip_spaces(bytes, value.end);
            members.push(Member {
                name,
                start: at,
                value,
            });
            at = match bytes.get(next) {
                Some(b',') => skip_spaces(bytes, next + 1),
                _ => next,
            };
        }
        Ok(Object {
            members,
            open,
            close: at,
        })
    }

    /// What lines are indented with: that of the first member of the root.
    fn indent(&self) -> String {
        let first = self
            .root()
            .ok()
            .and_then(|root| root.members.first().map(|member| member.start));
        let before = first.and_then(|start| self.original.get(..start));
        let line = before.and_then(|before| before.rsplit_once('\n'));
        match line {
            Some((_, indent)) if !indent.is_empty() && indent.trim().is_empty() => {
                indent.to_owned()
            }
            _ => DEFAULT_INDENT.to_owned(),
        }
    }

    fn replace(&self, range: Range<usize>, with: &str) -> String {
        let before = self.original.get(..range.start).unwrap_or_default();
        let after = self.original.get(range.end..).unwrap_or_default();
        format!("{before}{with}{after}")
    }

    /// Adds a member to an object at this depth.
    fn insert(
        &self,
        object: &Object,
        name: &str,
        value: &Value,
        depth: usize,
        unit: &str,
    ) -> String {
        let indent = unit.repeat(depth + 1);
        let name = Value::from(name);
        let member = format!("\n{indent}{name}: {}", shown(value, depth + 1, unit));
        let Some(last) = object.members.last() else {
            let inside = self.original.get(object.open..object.close);
            if inside.is_some_and(|inside| inside.trim().is_empty()) {
                let end = format!("{member}\n{}", unit.repeat(depth));
                return self.replace(object.open..object.close, &end);
            }
            let place = self.after_comments(object.open);
            return self.replace(place..place, &member);
        };
        let end = last.value.end;
        let comma = skip_spaces(&self.with_commas, end);
        if self.with_commas.get(comma) == Some(&b',') {
            let place = self.after_comments(comma + 1);
            return self.replace(place..place, &format!("{member},"));
        }
        let place = self.after_comments(end);
        let comments = self.original.get(end..place).unwrap_or_default();
        self.replace(end..place, &format!(",{comments}{member}"))
    }

    /// The place after the comments that follow in the line: they are about what is before them.
    fn after_comments(&self, from: usize) -> usize {
        let mut end = from;
        loop {
            let rest = self.original.as_bytes().get(end..).unwrap_or_default();
            let spaces = rest.iter();
            let spaces = spaces.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
            let at = end + spaces.count();
            match self.comments.iter().find(|comment| comment.start == at) {
                Some(comment) => end = comment.end,
                None => return end,
            }
        }
    }

    /// Removes a member, one comma, and the line if nothing else is in it.
    fn cut(&self, object: &Object, index: usize) -> String {
        let Some(member) = object.members.get(index) else {
            return self.original.to_owned();
        };
        let comma = self.comma(object, index);
        let is_blank = |range: Range<usize>| {
            let bytes = self.original.as_bytes().get(range.clone());
            let mut bytes = range.zip(bytes.unwrap_or_default());
            bytes.all(|(at, byte)| byte.is_ascii_whitespace() || Some(at) == comma)
        };
        let (mut start, mut end) = (member.start, member.value.end);
        if let Some(comma) = comma.filter(|comma| *comma >= end)
            && is_blank(end..comma)
        {
            end = comma + 1;
        }
        if is_blank(object.open..start) && is_blank(end..object.close) {
            (start, end) = (object.open, object.close);
        } else {
            start = self.line_start(start, end, object.close, is_blank);
        }
        let kept = self.original.char_indices();
        let kept = kept.filter(|(at, _)| !(start..end).contains(at) && Some(*at) != comma);
        kept.map(|(_, character)| character).collect()
    }

    /// The comma to remove with a member: the one after it, else the one before it.
    fn comma(&self, object: &Object, index: usize) -> Option<usize> {
        let after = |index: usize| {
            let end = object.members.get(index)?.value.end;
            let comma = skip_spaces(&self.with_commas, end);
            (self.with_commas.get(comma) == Some(&b',')).then_some(comma)
        };
        after(index).or_else(|| after(index.checked_sub(1)?))
    }

    /// Where to cut what is from `start` to `end`: from the end of the line before, if nothing else is in the line, or nothing but
    /// the end of the object at `close`.
    fn line_start(
        &self,
        start: usize,
        end: usize,
        close: usize,
        is_blank: impl Fn(Range<usize>) -> bool,
    ) -> usize {
        let before = self.original.get(..start).unwrap_or_default();
        let Some(line_end) = before.rfind('\n').filter(|at| is_blank(*at..start)) else {
            return start;
        };
        let after = self.original.get(end..).unwrap_or_default();
        let rest = after.split('\n').next().unwrap_or_default();
        if rest.trim().is_empty() {
            let before = before.get(..line_end).unwrap_or_default();
            let is_crlf = before.ends_with('\r') && rest.ends_with('\r');
            return line_end - usize::from(is_crlf);
        }
        // The end of the object must not become part of a comment.
        let is_comment = self.comments.iter().any(|comment| {
            let text = self.original.get(comment.clone()).unwrap_or_default();
            comment.end == line_end && text.starts_with("//")
        });
        if is_blank(end..close) && !is_comment {
            line_end
        } else {
            start
        }
    }
}

impl Object {
    /// The last of several with this name counts.
    fn index(&self, name: &str) -> Option<usize> {
        self.members.iter().rposition(|member| member.name == name)
    }

    fn find(&self, name: &str) -> Option<&Member> {
        self.members.get(self.index(name)?)
    }
}

fn skip_spaces(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    from + spaces.count()
}

/// The end of the value of strict JSON that begins at `start`.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' | b':' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return at;
        }
    }
    at
}

/// The place after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Comments, and a byte order mark, are spaces. Also returns the places of the comments.
fn without_comments(bytes: &[u8]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut blanked = bytes.to_vec();
    let mut comments = Vec::new();
    let mut at = 0;
    if bytes.starts_with("\u{feff}".as_bytes()) {
        at = blank(&mut blanked, 0, 3);
    }
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = if rest.starts_with(b"//") {
            rest.iter().take_while(|byte| **byte != b'\n').count()
        } else if rest.starts_with(b"/*") {
            let end = rest.windows(2).skip(2).position(|pair| pair == b"*/");
            end.map_or(rest.len(), |end| end + 4)
        } else {
            at = match byte {
                b'"' => string_end(bytes, at),
                _ => at + 1,
            };
            continue;
        };
        comments.push(at..at + length);
        at = blank(&mut blanked, at, length);
    }
    (blanked, comments)
}

fn without_trailing_commas(bytes: &[u8]) -> Vec<u8> {
    let mut blanked = bytes.to_vec();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b',' => {
                let next = bytes.get(skip_spaces(bytes, at + 1));
                if matches!(next, Some(b'}' | b']')) {
                    blank(&mut blanked, at, 1);
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    blanked
}

/// Makes bytes spaces, but keeps ends of lines; returns the place after them.
fn blank(bytes: &mut [u8], start: usize, length: usize) -> usize {
    let end = start + length;
    for byte in bytes.iter_mut().take(end).skip(start) {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
    end
}

#[cfg(test)]
mod tests;
