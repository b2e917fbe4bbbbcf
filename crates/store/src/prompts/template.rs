//! Texts with variables: `{{name}}`, spaces allowed inside the braces. Pure. A name begins with a letter or `_` and has
//! letters, digits, `-` and `_`; any other text in braces is text.

use std::collections::HashSet;

/// The names of the variables of a text, each once, in the order of their first use.
pub fn variables(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let inside = &rest[open + 2..];
        // A name has no braces: the next one ends it.
        let Some(length) = inside.find(['{', '}']) else {
            break;
        };
        let name = inside[..length].trim();
        if inside[length..].starts_with("}}") && is_name(name) {
            if seen.insert(name) {
                names.push(name.to_owned());
            }
            rest = &inside[length + 2..];
        } else {
            // In `{{{name}}`, the second brace opens the variable.
            rest = &rest[open + 1..];
        }
    }
    names
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || "-_".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn variables_are_listed_once_in_order() {
        let text = "Translate {{ text }} to {{language}}, {{text}} {{_a-1}} {{größe}}";
        assert_eq!(variables(text), ["text", "language", "_a-1", "größe"]);
        for text in [
            "",
            "{{}}",
            "{{ }}",
            "{{1}}",
            "{{a b}}",
            "{{a",
            "{a}",
            "{{#if x}}",
            "{{a}",
        ] {
            assert!(variables(text).is_empty(), "{text}");
        }
        assert_eq!(variables("{{{a}}}"), ["a"]);
        assert_eq!(variables("{{ {{b}}"), ["b"]);
    }

    proptest! {
        #[test]
        fn variables_are_in_the_text(text in "[{} a-c1-]{0,40}") {
            let names = variables(&text);
            for name in &names {
                prop_assert!(is_name(name), "{name}");
                let without_spaces = text.replace(' ', "");
                let variable = format!("{{{{{name}}}}}");
                prop_assert!(without_spaces.contains(&variable), "{name} in {text}");
            }
            let each_once: HashSet<&String> = names.iter().collect();
            prop_assert_eq!(each_once.len(), names.len());
        }

        #[test]
        fn a_variable_is_found_in_any_text(
            before in "[^{]{0,20}",
            name in "[a-z_][a-z0-9_-]{0,9}",
            after in any::<String>(),
        ) {
            let text = format!("{before}{{{{ {name} }}}}{after}");
            let found = variables(&text);
            prop_assert_eq!(found.first(), Some(&name));
        }
    }
}
