//! Declarations that differ only in address spaces: one of them is kept, since all are the same in C++.

use super::attributes;
use super::declarations::{after_template_header, opens_body, opens_members, opens_scope};
use super::edit::Edits;
use super::token::Kind;
use std::collections::HashMap;
use std::ops::Range;

/// Drops duplicates in all scopes.
pub fn rewrite(edits: &mut Edits<'_>) {
    scope(edits, 0..edits.tokens.len(), None);
}

/// Heads of the declarations of a scope, and whether each has an address space.
type Seen = HashMap<String, bool>;

/// The declarations between two braces; of a class, if it has a name.
fn scope(edits: &mut Edits<'_>, range: Range<usize>, class: Option<&str>) {
    let mut seen = Seen::new();
    let mut start = range.start;
    let mut index = range.start;
    while index < range.end {
        let token = edits.tokens[index];
        match token.text {
            _ if token.kind == Kind::Directive => {
                index += 1;
                if start + 1 == index {
                    start = index;
                }
            }
            ";" => {
                keep_first(edits, &mut seen, start..index, index + 1, class);
                index += 1;
                start = index;
            }
            ":" if ["public", "private", "protected"]
                .contains(&edits.tokens[index.max(1) - 1].text) =>
            {
                index += 1;
                start = index;
            }
            "{" => {
                let end = edits.after_group(index);
                if opens_scope(edits, start) {
                    scope(edits, index + 1..end - 1, None);
                    start = end;
                } else if opens_body(edits, start..index) {
                    keep_first(edits, &mut seen, start..index, end, class);
                    start = end;
                } else if opens_members(edits, start..index) {
                    let name = class_name(edits, start).to_owned();
                    scope(edits, index + 1..end - 1, Some(&name));
                    // A specialization for pointers to one address space.
                    keep_first(edits, &mut seen, start..index, end, class);
                }
                index = end;
            }
            "}" => {
                index += 1;
                start = index;
            }
            "(" | "[" => index = edits.after_group(index),
            _ => index += 1,
        }
    }
}

fn class_name<'a>(edits: &Edits<'a>, start: usize) -> &'a str {
    let mut index = after_template_header(edits, start) + 1;
    while attributes::starts_at(edits, index) {
        index = edits.after_group(index);
    }
    edits.tokens.get(index).map_or("", |token| token.text)
}

/// Drops the declaration up to `end` if one with the same head has been seen and one of the two names an address space.
fn keep_first(
    edits: &mut Edits<'_>,
    seen: &mut Seen,
    head: Range<usize>,
    end: usize,
    class: Option<&str>,
) {
    if let Some(qualifier) =
        class.and_then(|class| constructor_qualifier(edits, head.clone(), class))
    {
        edits.replace(qualifier, "");
    }
    let mut qualified = false;
    let mut words: Vec<&str> = Vec::new();
    for index in head.clone() {
        let token = edits.tokens[index];
        let word = match token.text {
            "device" | "thread" | "threadgroup" => {
                qualified = true;
                continue;
            }
            "constant" => {
                qualified = true;
                edits.current(index)
            }
            text => text,
        };
        let repeated = word == "const" && words.last() == Some(&"const");
        if !word.is_empty() && !repeated {
            words.push(word);
        }
    }
    // A definition may follow a declaration.
    words.push(if edits.is(end - 1, "}") { "{" } else { ";" });
    let key = words.join(" ");
    match seen.get(&key) {
        Some(&other_qualified) if qualified || other_qualified => edits.drop(head.start..end),
        Some(_) => {}
        None => {
            seen.insert(key, qualified);
        }
    }
}

/// The `constant` after the parameters of a constructor, which cannot become `const`.
fn constructor_qualifier(edits: &Edits<'_>, head: Range<usize>, class: &str) -> Option<usize> {
    let mut index = after_template_header(edits, head.start);
    while index < head.end && !edits.is(index, "(") {
        index += 1;
    }
    let named = (head.start..index)
        .rev()
        .find(|&before| edits.is(before, class))?;
    let only_arguments = named + 1 == index || edits.is(named + 1, "<");
    if !only_arguments || index >= head.end {
        return None;
    }
    let after = edits.after_group(index);
    edits.is(after, "constant").then_some(after)
}
