//! The functions of a source, for lints.

use super::declarations::{after_template_header, opens_body, opens_members, opens_scope};
use super::edit::Edits;
use super::token::{Kind, Token};
use std::ops::Range;

/// A function with a body.
pub struct FunctionDefinition {
    pub name: String,
    pub line: u32,
    /// Whether its body has a call of its own name, without template arguments.
    pub calls_itself: bool,
    /// Whether it is a member function, not static and no constructor, without an address space after its parameters.
    pub is_unqualified_method: bool,
}

/// All functions with bodies.
pub fn declarations_of(tokens: &[Token<'_>]) -> Vec<FunctionDefinition> {
    let edits = Edits::new(tokens.to_vec());
    let mut functions = Vec::new();
    scope(&edits, 0..tokens.len(), None, &mut functions);
    functions
}

fn scope(
    edits: &Edits<'_>,
    range: Range<usize>,
    class: Option<&str>,
    functions: &mut Vec<FunctionDefinition>,
) {
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
            ";" | "}" => {
                index += 1;
                start = index;
            }
            "{" => {
                let end = edits.after_group(index);
                if opens_scope(edits, start) {
                    scope(edits, index + 1..end - 1, None, functions);
                    start = end;
                } else if opens_body(edits, start..index) {
                    functions.extend(function(edits, start..index, end, class));
                    start = end;
                } else if opens_members(edits, start..index) {
                    let name = after_template_header(edits, start) + 1;
                    scope(
                        edits,
                        index + 1..end - 1,
                        Some(edits.tokens[name].text),
                        functions,
                    );
                }
                index = end;
            }
            "(" | "[" => index = edits.after_group(index),
            _ => index += 1,
        }
    }
}

fn function(
    edits: &Edits<'_>,
    head: Range<usize>,
    end: usize,
    class: Option<&str>,
) -> Option<FunctionDefinition> {
    let mut open = after_template_header(edits, head.start);
    while open < head.end && !edits.is(open, "(") {
        open = if edits.is(open, "[") {
            edits.after_group(open)
        } else {
            open + 1
        };
    }
    let name = edits.tokens.get(open.checked_sub(1)?)?;
    let body = head.end..end;
    let calls_itself = name.kind == Kind::Word
        && body.clone().any(|index| {
            edits.is(index, name.text) && edits.is(index + 1, "(") && !edits.is(index - 1, ".")
        });
    let after = edits.after_group(open)..head.end;
    let spaces = ["thread", "device", "threadgroup", "constant"];
    let qualified = after
        .clone()
        .any(|index| spaces.contains(&edits.tokens[index].text));
    let is_static = head.clone().any(|index| edits.is(index, "static"));
    Some(FunctionDefinition {
        name: name.text.to_owned(),
        line: name.line,
        calls_itself,
        is_unqualified_method: class.is_some_and(|class| class != name.text)
            && !qualified
            && !is_static,
    })
}
