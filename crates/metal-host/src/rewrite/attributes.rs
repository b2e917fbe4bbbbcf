//! Attributes in double square brackets. clang never sees them, so their names are checked here.

use super::edit::Edits;
use super::token::Kind;
use crate::Error;

/// Builtin arguments of a kernel, which src/shim/entry.h implements.
const BUILTINS: &[&str] = &[
    "dispatch_simdgroups_per_threadgroup",
    "dispatch_threads_per_threadgroup",
    "quadgroup_index_in_threadgroup",
    "quadgroups_per_threadgroup",
    "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup",
    "thread_execution_width",
    "thread_index_in_quadgroup",
    "thread_index_in_simdgroup",
    "thread_index_in_threadgroup",
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threadgroups_per_grid",
    "threads_per_grid",
    "threads_per_simdgroup",
    "threads_per_threadgroup",
];

/// Attributes without influence on execution.
const IGNORED: &[&str] = &[
    "maybe_unused",
    "unused",
    "gnu",
    "clang",
    "fallthrough",
    "nodiscard",
    "visible",
];

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Kernel,
    HostName(String),
    /// The expression, as C++.
    MaxTotalThreads(String),
    Buffer(usize),
    Threadgroup(usize),
    /// The expression: an index at a declaration, a name at a parameter.
    FunctionConstant(String),
    Builtin(&'static str),
    Ignored,
}

/// The attributes between the brackets that open at `open`, and the index after them.
pub fn parse(edits: &Edits<'_>, open: usize) -> Result<(Vec<Attribute>, usize), Error> {
    let end = edits.after_group(open);
    let mut attributes = Vec::new();
    for (start, stop) in edits.split(open + 2, end.saturating_sub(2), false) {
        attributes.push(parse_one(edits, start, stop)?);
    }
    Ok((attributes, end))
}

/// Whether attributes start here.
pub fn starts_at(edits: &Edits<'_>, index: usize) -> bool {
    edits.is(index, "[")
        && edits
            .tokens
            .get(index + 1)
            .is_some_and(|next| next.is("[") && next.space.is_empty())
}

fn parse_one(edits: &Edits<'_>, start: usize, stop: usize) -> Result<Attribute, Error> {
    let name = edits.tokens[start];
    let unsupported = |message: String| Error::Unsupported {
        line: name.line,
        message,
    };
    let argument = || {
        let closed = edits.is(start + 1, "(") && stop > start + 3;
        closed
            .then(|| edits.original(start + 2, stop - 1))
            .ok_or_else(|| unsupported(format!("attribute `{}` without an argument", name.text)))
    };
    let index = || {
        let text = argument()?;
        text.parse()
            .map_err(|_| unsupported(format!("`{text}` is no index of an attribute")))
    };
    if let Some(builtin) = BUILTINS.iter().find(|builtin| name.is(builtin)) {
        return Ok(Attribute::Builtin(builtin));
    }
    Ok(match name.text {
        "kernel" => Attribute::Kernel,
        "host_name" => {
            let literals = edits.tokens[start..stop]
                .iter()
                .filter(|token| token.kind == Kind::Literal);
            Attribute::HostName(literals.map(|token| token.text.trim_matches('"')).collect())
        }
        "max_total_threads_per_threadgroup" => Attribute::MaxTotalThreads(argument()?),
        "buffer" => Attribute::Buffer(index()?),
        "threadgroup" => Attribute::Threadgroup(index()?),
        "function_constant" => Attribute::FunctionConstant(argument()?),
        ignored if IGNORED.contains(&ignored) => Attribute::Ignored,
        unknown => return Err(unsupported(format!("unknown attribute `{unknown}`"))),
    })
}
