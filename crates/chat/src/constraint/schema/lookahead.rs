//! Look-around in patterns. A look-ahead at the start of a pattern is a condition on the whole text, so it becomes a pattern
//! of its own where that can be expressed.

/// Any text, in ECMAScript.
const REST: &str = "[\\s\\S]*";

/// A look-around that cannot be enforced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LookAround {
    /// The group, as it is written.
    pub text: String,
    /// Number of characters before it.
    pub position: usize,
}

/// The first look-around of a pattern.
pub(super) fn find(pattern: &str) -> Option<LookAround> {
    let start = groups(pattern).find(|&start| {
        let group = &pattern[start..];
        ["(?=", "(?!", "(?<=", "(?<!"]
            .iter()
            .any(|opening| group.starts_with(opening))
    })?;
    let group = &pattern[start..];
    let end = closing(&group[1..]).map_or(group.len(), |end| end + 2);
    Some(LookAround {
        text: group[..end].to_owned(),
        position: pattern[..start].chars().count(),
    })
}

/// Patterns without look-around, all of which must match.
///
/// # Errors
/// If a look-around is not at the start, or is a negative one that no pattern expresses.
pub(super) fn split(pattern: &str) -> Result<Vec<String>, LookAround> {
    let Some(first) = find(pattern) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let Some(mut rest) = pattern.strip_prefix('^') else {
        return Err(first);
    };
    let mut patterns = Vec::new();
    loop {
        let (positive, group) = match (rest.strip_prefix("(?="), rest.strip_prefix("(?!")) {
            (Some(group), _) => (true, group),
            (_, Some(group)) => (false, group),
            _ => break,
        };
        let unsupported = || LookAround {
            text: rest[..closing(group).map_or(rest.len(), |end| end + 4)].to_owned(),
            position: pattern[..pattern.len() - rest.len()].chars().count(),
        };
        let condition = closing(group).map(|end| &group[..end]);
        let condition = condition.filter(|condition| find(condition).is_none());
        let condition = condition.ok_or_else(unsupported)?;
        patterns.push(if positive {
            required(condition)
        } else {
            excluded(condition).ok_or_else(unsupported)?
        });
        rest = &group[condition.len() + 1..];
    }
    // The look-aheads of `^(?=a)b|c` apply to the first alternative only.
    if find(rest).is_some() || has_alternatives(rest) {
        return Err(find(rest).map_or(first, |found| LookAround {
            position: found.position + pattern[..pattern.len() - rest.len()].chars().count(),
            ..found
        }));
    }
    patterns.push(format!("^{rest}"));
    Ok(patterns)
}

/// The pattern of texts at whose start `condition` matches.
fn required(condition: &str) -> String {
    let condition = condition.strip_prefix('^').unwrap_or(condition);
    if has_alternatives(condition) {
        format!("^(?:{condition})")
    } else {
        format!("^{condition}")
    }
}

/// A pattern of texts at whose start `condition` does not match.
fn excluded(condition: &str) -> Option<String> {
    let condition = condition.strip_prefix('^').unwrap_or(condition);
    let (body, whole) = match condition.strip_suffix('$') {
        Some(body) if !body.ends_with('\\') => (body, true),
        _ => (condition, false),
    };
    if let Some(contained) = body.strip_prefix(".*") {
        return match (units(contained)?.as_slice(), whole) {
            ([unit], true) => Some(format!("^(?:{REST}{})?$", unit.others())),
            ([unit], false) => Some(format!("^{}*$", unit.others())),
            ([first, second], false) => without_pair(first, second),
            _ => None,
        };
    }
    if let Some(repeated) = body.strip_suffix(['*', '+'])
        && whole
        && let [unit] = units(repeated)?.as_slice()
    {
        // Some character is another one.
        return Some(unit.others());
    }
    match (units(body)?.as_slice(), whole) {
        ([unit], false) => Some(format!("^(?:{}{REST})?$", unit.others())),
        (units, _) => unequal(units, whole),
    }
}

/// Texts in which `second` never follows `first`.
fn without_pair(first: &Unit, second: &Unit) -> Option<String> {
    let (a, b) = (first.literal?, second.literal?);
    let others = first.others();
    let [a_text, b_text] = [&first.class, &second.class];
    Some(if a == b {
        format!("^(?:{others}|{a_text}{others})*{a_text}?$")
    } else {
        format!("^(?:{others}|{a_text}+[^{a_text}{b_text}])*{a_text}*$")
    })
}

/// Texts that do not start with a word, or are not equal to it if `whole`.
fn unequal(word: &[Unit], whole: bool) -> Option<String> {
    let (last, start) = word.split_last()?;
    if word.iter().any(|unit| unit.literal.is_none()) {
        return None;
    }
    let others = |unit: &Unit| format!("{}{REST}", unit.others());
    let mut tail = if whole {
        format!("(?:{}|{}[\\s\\S]+)?", others(last), last.class)
    } else {
        format!("(?:{})?", others(last))
    };
    for unit in start.iter().rev() {
        tail = format!("(?:{}|{}{tail})?", others(unit), unit.class);
    }
    Some(format!("^{tail}$"))
}

/// One character of a pattern.
struct Unit {
    /// As the content of a class.
    class: String,
    /// The character, if it is a single one.
    literal: Option<char>,
}

impl Unit {
    /// The class of all other characters.
    fn others(&self) -> String {
        match self.class.strip_prefix('^') {
            Some(excluded) if self.literal.is_none() => format!("[{excluded}]"),
            _ => format!("[^{}]", self.class),
        }
    }
}

/// A sequence of characters and classes; `None` if the pattern is something else.
fn units(pattern: &str) -> Option<Vec<Unit>> {
    let mut units = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (length, class, literal) = match first {
            '\\' => {
                let escaped = rest[1..].chars().next()?;
                let length = 1 + escaped.len_utf8();
                let literal = escaped.is_ascii_punctuation().then_some(escaped);
                if literal.is_none() && !"dws".contains(escaped) {
                    return None;
                }
                (length, rest[..length].to_owned(), literal)
            }
            '[' => {
                let end = class_end(&rest[1..])?;
                (end + 2, rest[1..=end].to_owned(), None)
            }
            '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '|' | '{' | '}' => return None,
            _ => (first.len_utf8(), first.to_string(), Some(first)),
        };
        units.push(Unit { class, literal });
        rest = &rest[length..];
    }
    Some(units)
}

/// The positions of the opening brackets of groups.
fn groups(pattern: &str) -> impl Iterator<Item = usize> {
    syntax(pattern)
        .filter(|(_, character)| *character == '(')
        .map(|(at, _)| at)
}

/// The position of the bracket that closes the group at whose content `pattern` starts.
fn closing(pattern: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in syntax(pattern) {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn has_alternatives(pattern: &str) -> bool {
    let mut depth = 0usize;
    syntax(pattern).any(|(_, character)| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == '|' && depth == 0
    })
}

/// The end of a class, after its opening bracket.
fn class_end(class: &str) -> Option<usize> {
    let mut escaped = false;
    class.char_indices().find_map(|(at, character)| {
        let ends = character == ']' && !escaped;
        escaped = character == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// The brackets of groups and the bars of a pattern, without those that are escaped or in a class.
fn syntax(pattern: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut escaped, mut in_class) = (false, false);
    pattern.char_indices().filter(move |&(_, character)| {
        if escaped {
            escaped = false;
            return false;
        }
        match character {
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        !in_class && matches!(character, '(' | ')' | '|')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_expresses_look_aheads_at_the_start() {
        for (pattern, expected) in [
            ("^a$", vec!["^a$"]),
            (
                "^(?=.*[A-Z])(?=.*\\d).{8,}$",
                vec!["^.*[A-Z]", "^.*\\d", "^.{8,}$"],
            ),
            ("^(?=a|b)c", vec!["^(?:a|b)", "^c"]),
            ("^(?!^[-+.]*$)\\d*$", vec!["[^-+.]", "^\\d*$"]),
            ("^(?!\\.)a", vec!["^(?:[^\\.][\\s\\S]*)?$", "^a"]),
            ("^(?!.*\\.\\.)a", vec!["^(?:[^\\.]|\\.[^\\.])*\\.?$", "^a"]),
            ("^(?!.*ab)c", vec!["^(?:[^a]|a+[^ab])*a*$", "^c"]),
            ("^(?!.*[<>])a", vec!["^[^<>]*$", "^a"]),
            ("^(?!.*-$)a", vec!["^(?:[\\s\\S]*[^-])?$", "^a"]),
            (
                "^(?!ab)c",
                vec!["^(?:[^a][\\s\\S]*|a(?:[^b][\\s\\S]*)?)?$", "^c"],
            ),
            ("^(?!a$)b", vec!["^(?:[^a][\\s\\S]*|a[\\s\\S]+)?$", "^b"]),
        ] {
            assert_eq!(split(pattern).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn split_names_other_look_around_and_its_position() {
        for (pattern, text, position) in [
            ("(?=a)b", "(?=a)", 0),
            ("é(?!a)b", "(?!a)", 1),
            ("^a(?<=b)c$", "(?<=b)", 2),
            ("^(?!a.*b)c", "(?!a.*b)", 1),
            ("^(?=a)b|c", "(?=a)", 1),
            ("^(?=a)b(?!c)", "(?!c)", 7),
            ("^(?!(?=a)b)c", "(?!(?=a)b)", 1),
        ] {
            let found = split(pattern).unwrap_err();
            assert_eq!(
                (found.text.as_str(), found.position),
                (text, position),
                "{pattern}"
            );
        }
        assert_eq!(find("[(?=]\\(?=a"), None);
    }
}
