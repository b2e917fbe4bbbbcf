//! Limits on the size of grammars and the time to compile them.

use std::time::Duration;

use llguidance::api::ParserLimits;

/// Tokens of a vocabulary; the trie stores node counts in 22 bits.
pub(crate) const VOCABULARY: usize = 1 << 20;

/// Bytes of a JSON schema in compact form.
pub(crate) const SCHEMA_BYTES: usize = 256 << 10;

/// Subschemas of a JSON schema plus values of its `enum`s.
pub(crate) const SCHEMA_NODES: usize = 10_000;

/// Nesting depth of schemas.
pub(crate) const SCHEMA_DEPTH: usize = 64;

/// The value of `minLength`, `maxItems` and similar keywords.
pub(crate) const COUNT: usize = 100_000;

/// Bytes of a regular expression.
pub(crate) const REGEX_BYTES: usize = 16 << 10;

/// Bytes of a Lark grammar.
pub(crate) const LARK_BYTES: usize = 64 << 10;

/// Compilation time.
pub(crate) const COMPILE_TIME: Duration = Duration::from_secs(10);

/// Stack of the compiler, which is recursive. Only touched pages occupy memory.
pub(crate) const COMPILE_STACK_BYTES: usize = 128 << 20;

/// Work and memory of the parser. With these limits, a mask takes at most some tens of milliseconds.
pub(crate) fn parser() -> ParserLimits {
    ParserLimits {
        max_lexer_states: 50_000,
        max_grammar_size: 200_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}
