//! Variables in threadgroup memory that a kernel declares.

use super::AddressSpaces;
use super::edit::Edits;
use super::token::Kind;
use crate::Error;
use std::fmt::Write;
use std::ops::Range;

/// Turns `threadgroup T name[n];` in the body of a function into a reference to memory of the running threadgroup, or for a
/// check of address spaces into a static variable, since only those can be in one.
pub fn rewrite(
    edits: &mut Edits<'_>,
    body: Range<usize>,
    spaces: AddressSpaces,
) -> Result<(), Error> {
    let mut index = body.start;
    while index < body.end {
        if edits.is(index, "threadgroup")
            && starts_statement(edits, index)
            && let Some(end) = declaration_end(edits, index)
        {
            match spaces {
                AddressSpaces::Dropped => declaration(edits, index, end)?,
                AddressSpaces::Kept => edits.insert(index, "static "),
            }
            index = end;
        }
        index += 1;
    }
    Ok(())
}

fn starts_statement(edits: &Edits<'_>, index: usize) -> bool {
    let previous = &edits.tokens[index - 1];
    previous.kind == Kind::Directive || [";", "{", "}", ":"].contains(&previous.text)
}

/// The index of the semicolon, unless a pointer, a reference or a function is declared.
fn declaration_end(edits: &Edits<'_>, start: usize) -> Option<usize> {
    let mut index = start;
    loop {
        match edits.tokens.get(index)?.text {
            ";" => return Some(index),
            "*" | "&" | "=" | "(" | "{" => return None,
            "<" | "[" => index = edits.after_group(index),
            _ => index += 1,
        }
    }
}

fn declaration(edits: &mut Edits<'_>, start: usize, end: usize) -> Result<(), Error> {
    let declarators = edits.split(start + 1, end, true);
    let mut type_text = String::new();
    let mut result = String::new();
    for (position, &(first, last)) in declarators.iter().enumerate() {
        let dimensions = dimensions_start(edits, first, last);
        let name = dimensions - 1;
        if edits.tokens[name].kind != Kind::Word || (position == 0 && name == first) {
            return Err(Error::Unsupported {
                line: edits.tokens[start].line,
                message: "not a declaration of threadgroup memory".to_owned(),
            });
        }
        if position == 0 {
            type_text = edits.text(first, name);
        }
        let name = edits.tokens[name].text;
        let dimensions = edits.text(dimensions, last);
        // Writing to a string cannot fail.
        let _ = write!(
            result,
            "{type_text} (&{name}){dimensions} = *({type_text} (*){dimensions})HOST_VARIABLE({type_text} {dimensions});"
        );
    }
    edits.remove(start..=end);
    edits.replace(start, result);
    Ok(())
}

/// The index of the first `[` of a declarator, or its end.
fn dimensions_start(edits: &Edits<'_>, first: usize, last: usize) -> usize {
    let mut index = first;
    while index < last && !edits.is(index, "[") {
        index = if edits.is(index, "<") {
            edits.after_group(index)
        } else {
            index + 1
        };
    }
    index
}
