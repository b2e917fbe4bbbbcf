//! Repository names.

use std::fmt;
use std::str::FromStr;

use crate::error::HubError;

const FOLDER_PREFIX: &str = "models--";
const SEPARATOR: &str = "--";
const MAX_LENGTH: usize = 96;

/// Name of a model repository: `owner/name`, or just `name` for legacy repositories.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoId(String);

impl RepoId {
    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a repository with its owner, if `text` is one.
    pub fn with_owner(text: &str) -> Option<Self> {
        let repo: Self = text.parse().ok()?;
        repo.owner().is_some().then_some(repo)
    }

    /// The owner, if any.
    pub fn owner(&self) -> Option<&str> {
        self.0.split_once('/').map(|(owner, _)| owner)
    }

    /// The name without its owner.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Directory name of this repository in the cache.
    pub(crate) fn folder_name(&self) -> String {
        format!("{FOLDER_PREFIX}{}", self.0.replace('/', SEPARATOR))
    }

    /// Parses the name of a model directory in the cache.
    pub(crate) fn from_folder_name(folder: &str) -> Option<Self> {
        folder
            .strip_prefix(FOLDER_PREFIX)?
            .replacen(SEPARATOR, "/", 1)
            .parse()
            .ok()
    }
}

impl FromStr for RepoId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let invalid = |reason: &str| HubError::InvalidRepoId {
            id: text.to_owned(),
            reason: reason.to_owned(),
        };
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 2 {
            return Err(invalid("it has more than one `/`"));
        }
        if text.len() > MAX_LENGTH * 2 + 1 || parts.iter().any(|part| part.len() > MAX_LENGTH) {
            return Err(invalid("it is too long"));
        }
        for part in parts {
            if part.is_empty() {
                return Err(invalid("a part of it is empty"));
            }
            if !part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            {
                return Err(invalid(
                    "only letters, digits, `-`, `_` and `.` are allowed",
                ));
            }
            if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
                return Err(invalid("a part of it starts or ends with `-` or `.`"));
            }
            if part.contains("--") || part.contains("..") {
                return Err(invalid("`--` and `..` are not allowed"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_name_round_trips() {
        for id in [
            "org/name",
            "gpt2",
            "mlx-community/Qwen3-0.6B-4bit",
            "a/b_c.d",
        ] {
            let repo: RepoId = id.parse().unwrap();
            assert_eq!(RepoId::from_folder_name(&repo.folder_name()), Some(repo));
        }
        assert_eq!(RepoId::from_folder_name("datasets--org--name"), None);
    }

    #[test]
    fn parse_rejects_invalid_names() {
        for id in [
            "", "/", "a/", "/b", "a/b/c", "../x", "a/..", "a b/c", "a--b/c", "a/b.", "-a/b",
            "a/b\\c",
        ] {
            assert!(id.parse::<RepoId>().is_err(), "{id:?} was accepted");
        }
    }
}
