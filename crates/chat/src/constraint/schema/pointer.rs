//! Where in a schema something is.

use std::fmt;

use crate::constraint::error::GrammarError;

/// A JSON pointer, shown as the fragment of a URI.
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

    /// The place of a reference's target, as the reference writes it.
    pub(super) fn of_reference(reference: &str) -> Self {
        Self(reference.to_owned())
    }

    /// Refuses the keyword of this name in the schema that this points to.
    pub(super) fn unsupported(&self, keyword: &str, reason: impl Into<String>) -> GrammarError {
        GrammarError::Unsupported {
            keyword: keyword.into(),
            pointer: self.child(keyword).to_string(),
            reason: reason.into(),
        }
    }

    /// Refuses what this points to because it is no schema.
    pub(super) fn invalid(&self, problem: impl Into<String>) -> GrammarError {
        GrammarError::Invalid {
            pointer: self.to_string(),
            problem: problem.into(),
        }
    }

    /// Refuses what this points to because nothing fulfils it.
    pub(super) fn impossible(&self, problem: impl Into<String>) -> GrammarError {
        GrammarError::Impossible {
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
