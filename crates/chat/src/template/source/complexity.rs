//! Limits for the complexity of templates.
//!
//! Templates are untrusted. The rewriter here and the parser and compiler of minijinja are recursive, and minijinja limits only
//! some of its recursions: a long chain of `not`, `-`, `+` or `elif` would overflow the stack, which ends the process.

use super::tokens::{Kind, Part, Token, parts};

/// Most tokens of one `{{ }}` or `{% %}`. Every recursion takes at least one.
const MAX_TOKENS: usize = 2000;

/// Most brackets within brackets; minijinja has a lower limit for most of them.
const MAX_DEPTH: usize = 200;

/// Most `elif` blocks of a template. Each is nested in the one before.
const MAX_ELIFS: usize = 500;

/// What exceeds a limit, and where.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::template) struct TooComplex {
    /// The line of the tag, from 1.
    pub(in crate::template) line: usize,
    /// The limit.
    pub(in crate::template) reason: String,
}

/// Checks the limits.
pub(in crate::template) fn check_complexity(source: &str) -> Result<(), TooComplex> {
    let (mut line, mut elifs) = (1, 0);
    for part in parts(source) {
        let tokens = match part {
            Part::Plain(text) => {
                line += line_breaks(text);
                continue;
            }
            Part::Code { tokens, .. } | Part::Unterminated { tokens, .. } => tokens,
        };
        let mut significant = tokens.iter().filter(|token| token.kind != Kind::Space);
        elifs += usize::from(
            significant
                .clone()
                .next()
                .is_some_and(|first| first.text == "elif"),
        );
        let exceeded = if significant.nth(MAX_TOKENS).is_some() {
            Some(format!("the tag has more than {MAX_TOKENS} tokens"))
        } else if depth(&tokens) > MAX_DEPTH {
            Some(format!(
                "brackets are nested more than {MAX_DEPTH} levels deep"
            ))
        } else if elifs > MAX_ELIFS {
            Some(format!("there are more than {MAX_ELIFS} elif blocks"))
        } else {
            None
        };
        if let Some(reason) = exceeded {
            return Err(TooComplex { line, reason });
        }
        line += tokens
            .iter()
            .map(|token| line_breaks(token.text))
            .sum::<usize>();
    }
    Ok(())
}

fn line_breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// The most brackets around a token.
fn depth(tokens: &[Token]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens.iter().filter(|token| token.kind == Kind::Operator) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_templates_pass() {
        let long = "{% if x %}a{% elif y %}b{% endif %}\n".repeat(200);
        assert_eq!(check_complexity(&long), Ok(()));
        assert_eq!(check_complexity(&"plain (((( text ".repeat(5000)), Ok(()));
        let nested = format!("{{{{ {}1{} }}}}", "(".repeat(200), ")".repeat(200));
        assert_eq!(check_complexity(&nested), Ok(()));
    }

    #[test]
    fn recursions_are_limited() {
        let many = |part: &str| part.repeat(20_000);
        for (tag, expected) in [
            (format!("{{{{ {} x }}}}", many("not ")), "tokens"),
            (format!("{{{{ {} x }}}}", many("-")), "tokens"),
            (format!("{{{{ 1 {} }}}}", many("+1")), "tokens"),
            (format!("{{{{ x {} }}}}", many(".a")), "tokens"),
            (format!("{{% if {} %}}", many("a if b else ")), "tokens"),
            // Without an end.
            (format!("{{{{ {}", many("not ")), "tokens"),
            (format!("{{{{ {}", "[".repeat(300)), "brackets"),
            (
                format!("{{{{ {}1{} }}}}", "(".repeat(300), ")".repeat(300)),
                "brackets",
            ),
            (many("{% elif x %}"), "elif"),
        ] {
            let error = check_complexity(&format!("a\n{{{{ b\n }}}}\n{tag}")).unwrap_err();
            assert_eq!(error.line, 4, "{expected}");
            assert!(error.reason.contains(expected), "{error:?}");
        }
    }
}
