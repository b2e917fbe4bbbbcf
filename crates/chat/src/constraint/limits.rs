//! How much a grammar may ask for, so that nobody waits for one that was made to be slow.

use std::time::Duration;

use llguidance::api::ParserLimits;

/// Tokens of a vocabulary; the trie counts its nodes in 22 bits.
pub(crate) const VOCABULARY: usize = 1 << 20;

/// Bytes of a JSON schema, written compactly.
pub(crate) const SCHEMA_BYTES: usize = 256 << 10;

/// Schemas inside a JSON schema and values of its `enum`s, counted together.
pub(crate) const SCHEMA_NODES: usize = 10_000;

/// Schemas inside one another.
pub(crate) const SCHEMA_DEPTH: usize = 64;

/// What `minLength`, `maxItems` and their like may ask for.
pub(crate) const COUNT: usize = 100_000;

/// Bytes of a regular expression.
pub(crate) const REGEX_BYTES: usize = 16 << 10;

/// Bytes of a Lark grammar.
pub(crate) const LARK_BYTES: usize = 64 << 10;

/// How long a grammar may take to prepare.
pub(crate) const COMPILE_TIME: Duration = Duration::from_secs(10);

/// Compilers are recursive. The pages of a stack are taken only when they are touched.
pub(crate) const COMPILE_STACK_BYTES: usize = 128 << 20;

/// Work and memory of the parser. A step's mask takes at most some tens of milliseconds, whatever the grammar.
pub(crate) fn parser() -> ParserLimits {
    ParserLimits {
        max_lexer_states: 50_000,
        max_grammar_size: 200_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}
