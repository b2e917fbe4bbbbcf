//! Loading the chat templates of a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;

use mlxm_engine::json;
use serde_json::Value;

use super::TemplateError;

/// The name of the default template.
pub(super) const DEFAULT: &str = "default";

/// Template sources by name, from the first of these that has any: template files, tokenizer_config.json,
/// chat_template.json.
pub(super) fn load(directory: &Path) -> Result<BTreeMap<String, String>, TemplateError> {
    let mut sources = BTreeMap::new();
    let file = directory.join("chat_template.jinja");
    if file.is_file() {
        sources.insert(DEFAULT.to_owned(), read(&file)?);
    }
    let additional = directory.join("additional_chat_templates");
    for entry in std::fs::read_dir(additional)
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        // Hidden files, such as the AppleDouble file that macOS writes next to a template, are not templates.
        if path
            .extension()
            .is_some_and(|extension| extension == "jinja")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            && !name.starts_with('.')
        {
            sources.insert(name.to_owned(), read(&path)?);
        }
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let path = directory.join(name);
        if sources.is_empty() && path.is_file() {
            sources = from_config(&path)?;
        }
    }
    if sources.is_empty() {
        return Err(TemplateError::Missing {
            directory: directory.to_owned(),
        });
    }
    Ok(sources)
}

fn from_config(path: &Path) -> Result<BTreeMap<String, String>, TemplateError> {
    let invalid = |reason: String| TemplateError::Invalid {
        path: path.to_owned(),
        reason,
    };
    let config =
        json::from_slice(read(path)?.as_bytes()).map_err(|error| invalid(error.to_string()))?;
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::String(source)) => Ok(BTreeMap::from([(DEFAULT.to_owned(), source.clone())])),
        Some(Value::Array(templates)) => templates
            .iter()
            .map(|template| {
                let field = |name: &str| {
                    template
                        .get(name)
                        .and_then(Value::as_str)
                        .map(str::to_owned)
                };
                field("name").zip(field("template")).ok_or_else(|| {
                    invalid("an entry of `chat_template` has no `name` or no `template`".to_owned())
                })
            })
            .collect(),
        Some(Value::Object(templates)) => templates
            .iter()
            .map(|(name, source)| match source {
                Value::String(source) => Ok((name.clone(), source.clone())),
                _ => Err(invalid(format!(
                    "the template `{name}` of `chat_template` is not text"
                ))),
            })
            .collect(),
        Some(_) => Err(invalid(
            "`chat_template` is neither text nor a list or map of named templates".to_owned(),
        )),
    }
}

fn read(path: &Path) -> Result<String, TemplateError> {
    std::fs::read_to_string(path).map_err(|source| TemplateError::Read {
        path: path.to_owned(),
        source,
    })
}
