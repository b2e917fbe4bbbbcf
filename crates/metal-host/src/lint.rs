//! Uses of the language that are rejected, or known to fail on some Macs.

use crate::rewrite::{Kind, Token, declarations_of, tokenize};
use std::fmt;

/// One place of a source that should change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line of the source, from 1.
    pub line: u32,
    /// What is wrong, and why.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "source.metal:{}: {}", self.line, self.message)
    }
}

/// Words that a kernel should not use, and why.
const WORDS: &[(&[&str], &str)] = &[
    (
        &[
            "bfloat",
            "bfloat2",
            "bfloat3",
            "bfloat4",
            "bfloat16_t",
            "simdgroup_bfloat8x8",
        ],
        "needs Metal 3.1 and is slow before M3; read it as ushort and shift",
    ),
    (
        &[
            "isnan",
            "isinf",
            "isfinite",
            "isnormal",
            "INFINITY",
            "NAN",
            "HUGE_VALF",
            "infinity",
            "quiet_NaN",
        ],
        "fast math assumes that there is neither infinity nor NaN",
    ),
    (&["double", "double2", "double4"], "Metal has no double"),
    (
        &[
            "virtual",
            "dynamic_cast",
            "typeid",
            "try",
            "catch",
            "throw",
            "new",
            "delete",
            "goto",
        ],
        "not in Metal's C++",
    ),
    (&["atomic_ulong", "atomic_long"], "not on all Macs"),
    (
        &["sin", "cos", "sincos", "tan"],
        "imprecise for large arguments with fast math; use a table of the host",
    ),
];

/// Checks Metal source for what compiles here but fails, or may fail, on Macs.
pub fn lint(source: &str) -> Vec<Finding> {
    let tokens = tokenize(source);
    let mut findings = Vec::new();
    words(&tokens, &mut findings);
    for token in tokens.iter().filter(|token| token.kind == Kind::Directive) {
        let mut in_macro = Vec::new();
        let text = token.text.trim_start_matches('#').replace("\\\n", "  ");
        words(&tokenize(&text), &mut in_macro);
        findings.extend(in_macro.into_iter().map(|finding| Finding {
            line: token.line,
            message: finding.message,
        }));
    }
    lambdas(&tokens, &mut findings);
    atomics(&tokens, &mut findings);
    for function in declarations_of(&tokens) {
        if function.calls_itself {
            findings.push(Finding {
                line: function.line,
                message: format!(
                    "`{}` calls itself, and Metal has no recursion",
                    function.name
                ),
            });
        }
        if function.is_unqualified_method {
            findings.push(Finding {
                line: function.line,
                message: format!(
                    "the method `{}` has no address space, whose default depends on the version of Metal; mark it `thread`",
                    function.name
                ),
            });
        }
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn words(tokens: &[Token<'_>], findings: &mut Vec<Finding>) {
    for (index, token) in tokens.iter().enumerate() {
        if token.kind != Kind::Word {
            continue;
        }
        // A member with such a name.
        if index > 0 && (tokens[index - 1].is(".") || tokens[index - 1].is("->")) {
            continue;
        }
        for (words, reason) in WORDS {
            if words.contains(&token.text) {
                findings.push(Finding {
                    line: token.line,
                    message: format!("`{}`: {reason}", token.text),
                });
            }
        }
    }
}

fn lambdas(tokens: &[Token<'_>], findings: &mut Vec<Finding>) {
    for three in tokens.windows(3) {
        let after = ["=", "(", ",", "return", "{", ";"].contains(&three[0].text);
        let captures = ["]", "&", "="].contains(&three[2].text);
        if after && three[1].is("[") && captures {
            findings.push(Finding {
                line: three[1].line,
                message: "Metal 3 has no lambdas".to_owned(),
            });
        }
    }
}

/// 64-bit atomics through the template.
fn atomics(tokens: &[Token<'_>], findings: &mut Vec<Finding>) {
    for three in tokens.windows(3) {
        let template = ["atomic", "_atomic"].contains(&three[0].text);
        let wide = ["ulong", "long", "uint64_t", "int64_t"].contains(&three[2].text);
        if template && three[1].is("<") && wide {
            findings.push(Finding {
                line: three[0].line,
                message: "64-bit atomics are not on all Macs".to_owned(),
            });
        }
    }
}
