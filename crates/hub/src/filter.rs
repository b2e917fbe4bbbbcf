//! Which files of a repository are wanted.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::error::HubError;
use crate::info::RepoFile;

/// Settings, tokenizer and template files at the top of a repository, and its weights.
const MODEL_FILES: [&str; 7] = [
    "*.json",
    "*.jinja",
    "*.txt",
    "*.jsonl",
    "*.tiktoken",
    "tokenizer.model",
    "additional_chat_templates/*.jinja",
];
const WEIGHTS: &str = "*.safetensors";
/// Some repositories hold the weights a second time in their authors' own layout.
const SHARDED_WEIGHTS: &str = "model*.safetensors";

/// Which files of a repository a pull fetches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileFilter {
    /// What running a model needs: configuration, tokenizer, chat templates and safetensors
    /// weights at the top of the repository. Never pickles, GGUF or code.
    #[default]
    Model,
    /// Everything.
    All,
    /// Files that match one of `include` and none of `exclude`. `*` also matches `/`.
    Patterns {
        /// Wanted; empty means all.
        include: Vec<String>,
        /// Not wanted.
        exclude: Vec<String>,
    },
}

impl FileFilter {
    /// Whether the caller named the files, and so may fetch weights this program does not read.
    pub(crate) fn is_explicit(&self) -> bool {
        *self != Self::Model
    }

    /// The files that are wanted, in the given order.
    ///
    /// # Errors
    /// [`HubError::InvalidPattern`].
    pub fn select(&self, files: &[RepoFile]) -> Result<Vec<RepoFile>, HubError> {
        let keep: Box<dyn Fn(&str) -> bool> = match self {
            Self::All => Box::new(|_| true),
            Self::Patterns { include, exclude } => {
                let (included, excluded) = (globs(include)?, globs(exclude)?);
                let everything = include.is_empty();
                Box::new(move |path| {
                    (everything || included.is_match(path)) && !excluded.is_match(path)
                })
            }
            Self::Model => {
                let settings = globs(&MODEL_FILES)?;
                let sharded = globs(&[SHARDED_WEIGHTS])?;
                let has_sharded = files
                    .iter()
                    .any(|file| is_top_level(&file.path) && sharded.is_match(&file.path));
                let weights = if has_sharded {
                    sharded
                } else {
                    globs(&[WEIGHTS])?
                };
                Box::new(move |path| {
                    let in_place =
                        is_top_level(path) || path.starts_with("additional_chat_templates/");
                    in_place
                        && (settings.is_match(path)
                            || (is_top_level(path) && weights.is_match(path)))
                })
            }
        };
        Ok(files
            .iter()
            .filter(|file| keep(&file.path))
            .cloned()
            .collect())
    }
}

fn is_top_level(path: &str) -> bool {
    !path.contains('/')
}

fn globs(patterns: &[impl AsRef<str>]) -> Result<GlobSet, HubError> {
    let invalid = |pattern: &str, error: &globset::Error| HubError::InvalidPattern {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.as_ref();
        set.add(Glob::new(pattern).map_err(|error| invalid(pattern, &error))?);
    }
    set.build().map_err(|error| invalid("", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Digest;

    fn selected(filter: &FileFilter, paths: &[&str]) -> Vec<String> {
        let files: Vec<RepoFile> = paths
            .iter()
            .map(|path| RepoFile {
                path: (*path).to_owned(),
                size_bytes: 1,
                digest: Digest::Opaque("x".to_owned()),
            })
            .collect();
        filter
            .select(&files)
            .unwrap()
            .into_iter()
            .map(|file| file.path)
            .collect()
    }

    #[test]
    fn a_model_pull_takes_what_running_needs() {
        let paths = [
            ".gitattributes",
            "README.md",
            "config.json",
            "tokenizer.json",
            "tokenizer.model",
            "chat_template.jinja",
            "additional_chat_templates/tool_use.jinja",
            "merges.txt",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "consolidated.safetensors",
            "pytorch_model.bin",
            "model.gguf",
            "original/params.json",
            "onnx/model.safetensors",
            "modeling_x.py",
        ];
        assert_eq!(
            selected(&FileFilter::Model, &paths),
            [
                "config.json",
                "tokenizer.json",
                "tokenizer.model",
                "chat_template.jinja",
                "additional_chat_templates/tool_use.jinja",
                "merges.txt",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
            ]
        );
    }

    #[test]
    fn weights_of_another_name_are_taken_when_there_are_no_others() {
        assert_eq!(
            selected(&FileFilter::Model, &["weights.safetensors"]),
            ["weights.safetensors"]
        );
    }

    #[test]
    fn patterns_include_and_exclude() {
        let filter = FileFilter::Patterns {
            include: vec!["*.gguf".to_owned(), "*.json".to_owned()],
            exclude: vec!["*q8*".to_owned()],
        };
        assert_eq!(
            selected(
                &filter,
                &["a-q8.gguf", "b/a-q4.gguf", "config.json", "x.txt"]
            ),
            ["b/a-q4.gguf", "config.json"]
        );
        let invalid = FileFilter::Patterns {
            include: vec!["[".to_owned()],
            exclude: vec![],
        };
        assert!(matches!(
            invalid.select(&[]),
            Err(HubError::InvalidPattern { .. })
        ));
    }
}
