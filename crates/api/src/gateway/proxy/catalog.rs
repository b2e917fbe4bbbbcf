//! What requests can name: profiles, aliases and local models.

use globset::{Glob, GlobMatcher};

use super::defaults::RequestDefaults;
use super::target::Target;
pub use crate::openai::models::ModelDetails;
pub use crate::state::Capabilities;

/// Characters with a meaning in patterns of names.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// A snapshot of the names that requests can use.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Saved configurations, which requests name like models.
    pub profiles: Vec<Profile>,
    /// Further names; the first that matches counts.
    pub aliases: Vec<Alias>,
    /// Models on this machine that can be loaded.
    pub models: Vec<LocalModel>,
}

/// A model on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalModel {
    /// Name of its repository, or path below the directory of local models.
    pub id: String,
    /// When it was downloaded, in seconds since 1970.
    pub created: u64,
    /// What its files say; `None` if they have not been read yet.
    pub details: Option<ModelDetails>,
    /// Whether a worker has it in memory.
    pub loaded: bool,
}

/// A saved configuration of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The [`LocalModel::id`] of its model.
    pub model: String,
    /// Its context length in tokens, if it is not that of the model.
    pub context_length: Option<usize>,
    /// Its request settings, if it has any.
    pub defaults: Option<RequestDefaults>,
    /// Whether a worker has the model in memory with the profile's load settings.
    pub loaded: bool,
}

/// Names for a profile or a local model.
#[derive(Debug, Clone)]
pub struct Alias {
    pattern: GlobMatcher,
    target: String,
}

/// A pattern of names that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern of names, such as `claude-*`: {reason}")]
pub struct InvalidAlias {
    pattern: String,
    reason: String,
}

impl Alias {
    /// Names that match the glob `pattern` stand for the profile or local model `target`.
    ///
    /// # Errors
    /// If `pattern` is not a glob.
    pub fn new(pattern: &str, target: impl Into<String>) -> Result<Self, InvalidAlias> {
        let glob = Glob::new(pattern).map_err(|error| InvalidAlias {
            pattern: pattern.to_owned(),
            reason: error.kind().to_string(),
        })?;
        Ok(Self {
            pattern: glob.compile_matcher(),
            target: target.into(),
        })
    }

    /// The profile or local model.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether it is a name for the target.
    pub fn matches(&self, name: &str) -> bool {
        self.pattern.is_match(name)
    }

    /// The name, if there is only one that matches.
    pub fn name(&self) -> Option<&str> {
        let pattern = self.pattern.glob().glob();
        (!pattern.contains(SPECIAL)).then_some(pattern)
    }

    /// Greater if it matches fewer names: first a single one, then the more characters are given.
    pub fn specificity(&self) -> (bool, usize) {
        let pattern = self.pattern.glob().glob();
        let given = pattern
            .chars()
            .filter(|character| !SPECIAL.contains(character));
        (self.name().is_some(), given.count())
    }
}

impl Catalog {
    /// The profile with this name, also in other upper and lower case.
    pub(super) fn profile(&self, name: &str) -> Option<&Profile> {
        let mut profiles = self.profiles.iter();
        let exact = profiles.clone().find(|profile| profile.name == name);
        exact.or_else(|| profiles.find(|profile| profile.name.eq_ignore_ascii_case(name)))
    }

    /// The local model with exactly this id.
    pub(super) fn model(&self, id: &str) -> Option<&LocalModel> {
        self.models.iter().find(|model| model.id == id)
    }

    /// What is known about the model of a target, with the context length of its profile.
    pub fn details(&self, target: &Target) -> Option<ModelDetails> {
        let details = self.model(&target.model)?.details.clone()?;
        Some(self.with_profile(target, details))
    }

    /// The same of what was described just now.
    pub fn with_profile(&self, target: &Target, mut details: ModelDetails) -> ModelDetails {
        let profile = target.profile.as_deref();
        let profile = profile.and_then(|name| self.profile(name));
        if let Some(context_length) = profile.and_then(|profile| profile.context_length) {
            details.context_length = context_length;
        }
        details
    }

    /// The ids of the local models.
    pub(super) fn model_ids(&self) -> Vec<&str> {
        self.models.iter().map(|model| model.id.as_str()).collect()
    }

    /// All names that requests can use, without patterns, each once.
    pub(super) fn names(&self) -> Vec<&str> {
        let profiles = self.profiles.iter().map(|profile| profile.name.as_str());
        let aliases = self.aliases.iter().filter_map(Alias::name);
        let mut names = Vec::new();
        for name in profiles.chain(aliases).chain(self.model_ids()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
