//! Address spaces, remaining attributes and floating-point literals.

use super::edit::Edits;
use super::token::Kind;
use super::{AddressSpaces, attributes};
use crate::Error;

/// Comes first, so that the text that other rewrites move is rewritten already.
pub fn rewrite(edits: &mut Edits<'_>, spaces: AddressSpaces) -> Result<(), Error> {
    let mut index = 0;
    while index < edits.tokens.len() {
        if attributes::starts_at(edits, index) {
            let (_, end) = attributes::parse(edits, index)?;
            edits.remove(index..end);
            index = end;
            continue;
        }
        let token = edits.tokens[index];
        let replacement = match token.kind {
            Kind::Word => qualifier(token.text, spaces).map(str::to_owned),
            Kind::Number => float_literal(token.text),
            _ => None,
        };
        if let Some(replacement) = replacement {
            edits.replace(index, replacement);
        }
        index += 1;
    }
    Ok(())
}

/// C++ for an address space. Variables of threads are in the address space that C++ has.
fn qualifier(word: &str, spaces: AddressSpaces) -> Option<&'static str> {
    match (word, spaces) {
        ("thread", _) | ("device" | "threadgroup", AddressSpaces::Dropped) => Some(""),
        ("constant", AddressSpaces::Dropped) => Some("const"),
        ("device", AddressSpaces::Kept) => Some("HOST_DEVICE"),
        ("threadgroup", AddressSpaces::Kept) => Some("HOST_THREADGROUP"),
        ("constant", AddressSpaces::Kept) => Some("const HOST_CONSTANT"),
        _ => None,
    }
}

/// C++ for a floating-point literal of type half or bfloat, or without a suffix, which is a float in Metal.
fn float_literal(number: &str) -> Option<String> {
    let number = number.to_ascii_lowercase();
    if number.starts_with("0x") {
        return (number.contains('p') && !number.ends_with('f')).then(|| format!("{number}f"));
    }
    let fractional = number.contains(['.', 'e']);
    let (value, type_name) = match (number.strip_suffix("bf"), number.strip_suffix('h')) {
        (Some(value), _) => (value, "bfloat"),
        (_, Some(value)) => (value, "half"),
        _ => return (fractional && !number.ends_with('f')).then(|| format!("{number}f")),
    };
    let point = if fractional { "" } else { ".0" };
    Some(format!("(({type_name}){value}{point}f)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_half_and_without_a_suffix_are_rewritten() {
        assert_eq!(float_literal("1.5h").as_deref(), Some("((half)1.5f)"));
        assert_eq!(float_literal("2H").as_deref(), Some("((half)2.0f)"));
        assert_eq!(float_literal("1e-3bf").as_deref(), Some("((bfloat)1e-3f)"));
        assert_eq!(float_literal("1.5").as_deref(), Some("1.5f"));
        assert_eq!(float_literal("0x1p-3").as_deref(), Some("0x1p-3f"));
        for other in ["1.5f", "12", "0xefu", "0x1p-3f"] {
            assert_eq!(float_literal(other), None, "{other}");
        }
    }
}
