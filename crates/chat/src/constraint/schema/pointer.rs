//! Positions in a schema.

use std::fmt;

use crate::constraint::error::GrammarError;

/// A JSON pointer, displayed as a URI fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(String);

impl Pointer {
    pub(super) fn root() -> Self {
        Self("#".into())
    }

    /// The value under this key or index.
    pub(super) fn child(&self, key: impl fmt::Display) -> Self {
        let key = key.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{key}", self.0))
    }

    /// The value at this path, a JSON pointer, from here.
    pub(super) fn descendant(&self, path: &str) -> Self {
        Self(format!("{}{path}", self.0))
    }

    /// Whether this is `other` or a part of it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(&other.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Number of keys and indices.
    pub(super) fn depth(&self) -> usize {
        self.0.matches('/').count()
    }

    /// The keyword of the schema at this position cannot be enforced.
    pub(super) fn unsupported(&self, keyword: &str, reason: impl Into<String>) -> GrammarError {
        GrammarError::Unsupported {
            keyword: keyword.into(),
            pointer: self.child(keyword).to_string(),
            reason: reason.into(),
        }
    }

    /// The value at this position is not valid.
    pub(super) fn invalid(&self, problem: impl Into<String>) -> GrammarError {
        GrammarError::Invalid {
            pointer: self.to_string(),
            problem: problem.into(),
        }
    }

    /// No value satisfies the schema at this position.
    pub(super) fn unsatisfiable(&self, problem: impl Into<String>) -> GrammarError {
        GrammarError::Unsatisfiable {
            pointer: self.to_string(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
