//! Selects the files of a repository to download.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::error::HubError;
use crate::info::RepoFile;
use crate::layout::is_hidden;

/// Configuration, tokenizer and template files in the root of a repository.
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
/// Preferred over [`WEIGHTS`]: some repositories contain the weights a second time in their original layout.
const SHARDED_WEIGHTS: &str = "model*.safetensors";

/// Which files of a repository to download.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileFilter {
    /// The files needed to run a model: configuration, tokenizer, chat templates and safetensors weights in the root of
    /// the repository. Excludes pickles, GGUF files and code.
    #[default]
    Model,
    /// All files.
    All,
    /// Files that match one of `include` and none of `exclude`. `*` also matches `/`.
    Patterns {
        /// Patterns to include; empty means all files.
        include: Vec<String>,
        /// Patterns to exclude.
        exclude: Vec<String>,
    },
}

impl FileFilter {
    /// Whether files were selected explicitly, which allows unsupported weights formats.
    pub(crate) fn is_explicit(&self) -> bool {
        *self != Self::Model
    }

    /// The selected files, in the given order.
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
                        && !is_hidden(path)
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
    fn model_filter_selects_files_needed_to_run() {
        let paths = [
            ".gitattributes",
            "._config.json",
            "._model-00001-of-00002.safetensors",
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
    fn model_filter_falls_back_to_any_safetensors_file() {
        assert_eq!(
            selected(&FileFilter::Model, &["weights.safetensors"]),
            ["weights.safetensors"]
        );
    }

    #[test]
    fn patterns_include_and_exclude_files() {
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
