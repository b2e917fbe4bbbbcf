//! Finds what a request's `model` stands for.

use axum::http::StatusCode;
use mlxm_hub::{RepoId, names};

use super::catalog::Catalog;
use super::defaults::RequestDefaults;
use super::ttl::KeepAlive;
use crate::error::ApiError;

/// The model that a request is for, and how it is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The id of a local model.
    pub model: String,
    /// The profile with its load settings, if the request named one.
    pub profile: Option<String>,
    /// The profile's request settings.
    pub defaults: Option<RequestDefaults>,
    /// How long the model stays loaded after the request, if the request says so.
    pub keep_alive: Option<KeepAlive>,
}

/// Why a request has no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing has this name.
    #[error("there is no model `{name}` here{}{}", pull(.pullable.as_ref()), suggestion(.nearest))]
    Unknown {
        /// The requested name.
        name: String,
        /// Similar names, most similar first.
        nearest: Vec<String>,
        /// The repository to pull, if the name is that of one.
        pullable: Option<RepoId>,
    },
    /// The name is part of several ids.
    #[error("model `{name}` is ambiguous, it could be {}: use a longer name", names::list(.candidates))]
    Ambiguous {
        /// The requested name.
        name: String,
        /// The ids that match.
        candidates: Vec<String>,
    },
    /// An alias stands for something that is not here any more.
    #[error(
        "`{name}` is an alias for `{target}`, which is not here: pull that model, or change the alias"
    )]
    NoAliasTarget {
        /// The requested name.
        name: String,
        /// What the alias stands for.
        target: String,
    },
    /// The request names no model, and there are several.
    #[error("model is missing, and there are several: {}", names::list(.0))]
    Missing(Vec<String>),
    /// There is no model at all.
    #[error(
        "there are no models here yet: run `mlxm search` to find one and `mlxm pull` to download it"
    )]
    NoModels,
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", names::list(nearest))
}

fn pull(pullable: Option<&RepoId>) -> String {
    pullable.map_or_else(
        || "; run `mlxm search` to find a model and `mlxm pull` to download it".to_owned(),
        |repo| format!("; run `mlxm pull {repo}` to download it"),
    )
}

impl Catalog {
    /// What `name` stands for: a profile, else what the first alias that matches stands for, else a local model by its id or a
    /// unique part of it, in upper or lower case. Without a name, the only profile or model there is.
    ///
    /// # Errors
    /// If it stands for nothing, or for several models.
    pub fn resolve(&self, name: Option<&str>) -> Result<Target, TargetError> {
        let Some(name) = name else {
            return self.only();
        };
        if let Some(target) = self.of_profile(name) {
            return Ok(target);
        }
        if let Some(alias) = self.aliases.iter().find(|alias| alias.matches(name)) {
            let target = alias.target();
            let of_profile = self.of_profile(target).map(Ok);
            let found = of_profile.unwrap_or_else(|| self.of_model(target));
            return found.map_err(|_| TargetError::NoAliasTarget {
                name: name.to_owned(),
                target: target.to_owned(),
            });
        }
        self.of_model(name)
    }

    fn of_profile(&self, name: &str) -> Option<Target> {
        let profile = self.profile(name)?;
        Some(Target {
            model: profile.model.clone(),
            profile: Some(profile.name.clone()),
            defaults: profile.defaults.clone(),
            keep_alive: None,
        })
    }

    fn of_model(&self, name: &str) -> Result<Target, TargetError> {
        let ids = self.model_ids();
        let found: Vec<&str> = names::matches(&ids, name)
            .into_iter()
            .filter_map(|index| ids.get(index).copied())
            .collect();
        match found.as_slice() {
            [id] => Ok(model(id)),
            [] if self.models.is_empty() && self.profiles.is_empty() => Err(TargetError::NoModels),
            [] => Err(TargetError::Unknown {
                name: name.to_owned(),
                nearest: names::nearest(&self.names(), name),
                pullable: RepoId::with_owner(name),
            }),
            several => Err(TargetError::Ambiguous {
                name: name.to_owned(),
                candidates: several.iter().map(|id| (*id).to_owned()).collect(),
            }),
        }
    }

    /// The only profile, or the only model without a profile.
    fn only(&self) -> Result<Target, TargetError> {
        let profiles = self.profiles.iter().map(|profile| profile.name.as_str());
        let has_profile = |id: &str| self.profiles.iter().any(|profile| profile.model == id);
        let models = self.model_ids().into_iter().filter(|id| !has_profile(id));
        let usable: Vec<&str> = profiles.chain(models).collect();
        match usable.as_slice() {
            [] => Err(TargetError::NoModels),
            [only] => Ok(self.of_profile(only).unwrap_or_else(|| model(only))),
            several => Err(TargetError::Missing(
                several.iter().map(|name| (*name).to_owned()).collect(),
            )),
        }
    }
}

/// A model without a profile.
fn model(id: &str) -> Target {
    Target {
        model: id.to_owned(),
        profile: None,
        defaults: None,
        keep_alive: None,
    }
}

impl From<TargetError> for ApiError {
    fn from(error: TargetError) -> Self {
        let message = error.to_string();
        match error {
            TargetError::Missing(_) | TargetError::Ambiguous { .. } => {
                Self::field("model", message)
            }
            TargetError::Unknown { .. }
            | TargetError::NoAliasTarget { .. }
            | TargetError::NoModels => {
                Self::with_code(StatusCode::NOT_FOUND, "model_not_found", message).about("model")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::catalog::{Alias, LocalModel, Profile};
    use super::*;

    fn local(id: &str) -> LocalModel {
        LocalModel {
            id: id.to_owned(),
            ..LocalModel::default()
        }
    }

    fn profile(name: &str, model: &str) -> Profile {
        Profile {
            name: name.to_owned(),
            model: model.to_owned(),
            context_length: None,
            defaults: None,
            loaded: false,
        }
    }

    fn catalog() -> Catalog {
        Catalog {
            profiles: vec![profile("coder", "org/Qwen3-Coder-4bit")],
            aliases: vec![
                Alias::new("claude-*", "coder").unwrap(),
                Alias::new("gpt-4o", "gemma").unwrap(),
                Alias::new("old-*", "org/removed").unwrap(),
            ],
            models: vec![
                local("org/Qwen3-Coder-4bit"),
                local("org/Qwen3-0.6B-4bit"),
                local("google/gemma-3-1b"),
            ],
        }
    }

    fn resolve(name: &str) -> Result<(String, Option<String>), TargetError> {
        let target = catalog().resolve(Some(name))?;
        Ok((target.model, target.profile))
    }

    #[test]
    fn name_is_a_profile_an_alias_or_a_model() {
        let coder = Ok(("org/Qwen3-Coder-4bit".to_owned(), Some("coder".to_owned())));
        let gemma = Ok(("google/gemma-3-1b".to_owned(), None));
        for (name, expected) in [
            ("coder", &coder),
            ("Coder", &coder),
            ("claude-haiku-4-5", &coder),
            ("gpt-4o", &gemma),
            ("google/gemma-3-1b", &gemma),
            ("GOOGLE/Gemma-3-1B", &gemma),
            ("gemma", &gemma),
        ] {
            assert_eq!(&resolve(name), expected, "{name}");
        }
        let without_profile = Ok(("org/Qwen3-Coder-4bit".to_owned(), None));
        assert_eq!(resolve("org/Qwen3-Coder-4bit"), without_profile);
    }

    #[test]
    fn unknown_name_gets_the_command_and_similar_names() {
        let message = resolve("google/gemma-3-2b").unwrap_err().to_string();
        assert_eq!(
            message,
            "there is no model `google/gemma-3-2b` here; run `mlxm pull google/gemma-3-2b` to download it; did you mean \
             `google/gemma-3-1b`?"
        );
        let message = resolve("zzz").unwrap_err().to_string();
        assert!(message.contains("mlxm search"), "{message}");
        let message = resolve("old-model").unwrap_err().to_string();
        assert!(message.contains("`org/removed`"), "{message}");
        let error = resolve("qwen3").unwrap_err();
        assert!(
            matches!(error, TargetError::Ambiguous { candidates, .. } if candidates.len() == 2)
        );
    }

    #[test]
    fn missing_name_is_the_only_usable_one() {
        let mut catalog = catalog();
        let error = catalog.resolve(None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "model is missing, and there are several: `coder`, `org/Qwen3-0.6B-4bit` or `google/gemma-3-1b`"
        );
        catalog.models.truncate(1);
        let target = catalog.resolve(None).unwrap();
        assert_eq!(target.profile.as_deref(), Some("coder"));
        catalog.profiles.clear();
        assert_eq!(catalog.resolve(None).unwrap().model, "org/Qwen3-Coder-4bit");
        catalog.models.clear();
        assert_eq!(catalog.resolve(None), Err(TargetError::NoModels));
        assert_eq!(catalog.resolve(Some("x")), Err(TargetError::NoModels));
    }

    #[test]
    fn request_settings_of_a_profile_have_a_limit() {
        let settings = |length: usize| -> Map<String, serde_json::Value> {
            let prompt = "é".repeat(length);
            [("system_prompt".to_owned(), json!(prompt))]
                .into_iter()
                .collect()
        };
        let mut catalog = catalog();
        let defaults = RequestDefaults::new(&settings(10)).unwrap();
        catalog.profiles[0].defaults = Some(defaults.clone());
        let target = catalog.resolve(Some("claude-x")).unwrap();
        assert_eq!(target.defaults, Some(defaults));
        let error = RequestDefaults::new(&settings(RequestDefaults::MAX_BYTES)).unwrap_err();
        assert!(error.to_string().contains("shorten"), "{error}");
    }
}
