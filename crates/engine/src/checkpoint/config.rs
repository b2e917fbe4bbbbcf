//! The JSON configuration files of a checkpoint.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::fields::present;
use super::key_types::KeyType;
use crate::error::LoadError;
use crate::json;

/// `config.json` and `generation_config.json` of a model folder.
#[derive(Debug, Clone)]
pub struct CheckpointConfig {
    /// The folder.
    pub folder: PathBuf,
    /// `config.json`.
    pub values: Map<String, Value>,
    /// `generation_config.json`; empty when there is none.
    pub generation: Map<String, Value>,
    /// `model_type`.
    pub model_type: String,
}

impl CheckpointConfig {
    /// Reads the configuration of the model folder at `path`.
    ///
    /// # Errors
    /// When the path is not a model folder or a configuration file is invalid.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        if path.is_file() {
            let hint = match path.extension().and_then(|extension| extension.to_str()) {
                Some("gguf") => ": turn a GGUF file into one with `mlxm convert`",
                _ => "",
            };
            return Err(LoadError::NotADirectory {
                path: path.into(),
                hint,
            });
        }
        if !path.is_dir() {
            return Err(LoadError::NotFound(path.into()));
        }
        let file = path.join("config.json");
        if !file.exists() {
            return Err(LoadError::NoConfig {
                path: path.into(),
                hint: describe_contents(path),
            });
        }
        let mut values = object(&file)?;
        flatten_rope_parameters(&mut values);
        if let Some(Value::Object(text)) = values.get_mut("text_config") {
            flatten_rope_parameters(text);
        }
        let model_type = match present(&values, "model_type") {
            Some(Value::String(model_type)) => model_type.clone(),
            Some(other) => {
                return Err(invalid(
                    &file,
                    format!("`model_type` must be a string, not {other}"),
                ));
            }
            None => {
                return Err(invalid(
                    &file,
                    "`model_type` is missing, so the architecture is unknown".into(),
                ));
            }
        };
        let generation_file = path.join("generation_config.json");
        let generation = if generation_file.exists() {
            object(&generation_file)?
        } else {
            Map::new()
        };
        Ok(Self {
            folder: path.into(),
            values,
            generation,
            model_type,
        })
    }

    /// The context length that RoPE scaling extends the model to, if `rope_scaling` states it.
    pub fn rope_scaled_context(&self) -> Option<usize> {
        let nested = || self.values.get("text_config")?.as_object();
        rope_scaled(&self.values).or_else(|| rope_scaled(nested()?))
    }

    /// Path of `config.json`, for error messages.
    pub fn file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// End-of-sequence token ids: those of `generation_config.json`, of `config.json` and of its `text_config`. Each may state
    /// one id or a list. In transformers the first one takes precedence, but it often lacks the end of a turn that the others
    /// have, and a completion that ends too early is rare. What is no id in `generation_config.json` is ignored and logged.
    pub fn eos_token_ids(&self) -> Vec<u32> {
        let generated = present(&self.generation, "eos_token_id");
        if let Some(value) = generated.filter(|value| !KeyType::TokenIds.accepts(value)) {
            tracing::warn!(
                "{}: `eos_token_id` is {value}, which is not a token id or a list of them; what is no id is ignored",
                self.folder.join("generation_config.json").display()
            );
        }
        let nested = self
            .values
            .get("text_config")
            .and_then(|text| text.get("eos_token_id"));
        let mut united: Vec<u32> = [generated, self.values.get("eos_token_id"), nested]
            .into_iter()
            .flatten()
            .flat_map(ids)
            .collect();
        united.sort_unstable();
        united.dedup();
        united
    }
}

/// The context length that `rope_scaling` extends a model to. `max_position_embeddings` is the trained length in configurations
/// with `dynamic` scaling and in many with `yarn`.
fn rope_scaled(values: &Map<String, Value>) -> Option<usize> {
    let scaling = values.get("rope_scaling")?.as_object()?;
    let kind = present(scaling, "type").or_else(|| present(scaling, "rope_type"))?;
    let kind = kind.as_str()?;
    if kind != "dynamic" && !kind.ends_with("yarn") {
        return None;
    }
    let trained = present(scaling, "original_max_position_embeddings")
        .or_else(|| values.get("max_position_embeddings"))?;
    let longest = trained.as_f64()? * scaling.get("factor")?.as_f64()?;
    Some(longest as usize)
}

/// Copies `rope_theta` and `rope_scaling` to where the models expect them. transformers 5 nests both under `rope_parameters`,
/// and under another level by kind of layer if a model has several.
fn flatten_rope_parameters(values: &mut Map<String, Value>) {
    let Some(Value::Object(parameters)) = values.get("rope_parameters").cloned() else {
        return;
    };
    let of_kind = |kind: &str| parameters.get(kind).and_then(Value::as_object);
    let full = of_kind("full_attention").unwrap_or(&parameters);
    let mut set = |key: &str, value: Option<&Value>| {
        if let (Some(value), None) = (value, present(values, key)) {
            values.insert(key.into(), value.clone());
        }
    };
    set("rope_theta", full.get("rope_theta"));
    let kind = present(full, "rope_type").or_else(|| present(full, "type"));
    if kind.is_some_and(|kind| kind != "default") {
        set("rope_scaling", Some(&Value::Object(full.clone())));
    }
    set("partial_rotary_factor", full.get("partial_rotary_factor"));
    let sliding = of_kind("sliding_attention");
    set(
        "rope_local_base_freq",
        sliding.and_then(|sliding| sliding.get("rope_theta")),
    );
}

fn ids(value: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(id).collect(),
        one => id(one).into_iter().collect(),
    }
}

/// Parses a JSON file, as Python does.
///
/// # Errors
/// When it cannot be read or is not JSON.
pub fn read_json(path: &Path) -> Result<Value, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Io {
        path: path.into(),
        source,
    })?;
    json::from_slice(&bytes).map_err(|error| invalid(path, format!("not valid JSON: {error}")))
}

fn object(path: &Path) -> Result<Map<String, Value>, LoadError> {
    match read_json(path)? {
        Value::Object(map) => Ok(map),
        _ => Err(invalid(path, "must hold a JSON object".into())),
    }
}

fn invalid(path: &Path, problem: String) -> LoadError {
    LoadError::InvalidConfig {
        path: path.into(),
        problem,
    }
}

/// Whether the name begins with a dot, such as that of the AppleDouble file `._NAME` that macOS writes next to each file on a
/// foreign file system. Hidden files are not part of a checkpoint.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Describes a folder that is not a checkpoint, as the last part of an error message.
pub(super) fn describe_contents(folder: &Path) -> String {
    let mut extensions: Vec<String> = Vec::new();
    let mut entries = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_hidden(&entry.path()) {
            continue;
        }
        entries += 1;
        if let Some(extension) = entry
            .path()
            .extension()
            .and_then(|extension| extension.to_str())
        {
            extensions.push(extension.to_owned());
        }
    }
    let has = |wanted: &str| extensions.iter().any(|extension| extension == wanted);
    if entries == 0 {
        "; the folder is empty".into()
    } else if has("gguf") {
        "; it holds GGUF files, which `mlxm convert` turns into an MLX checkpoint".into()
    } else if has("bin") || has("pth") || has("pt") {
        "; it holds PyTorch pickles (.bin, .pth), which are not loaded: use a safetensors version of this model".into()
    } else if has("npz") {
        "; it holds weights.npz, an old MLX format: use a safetensors version of this model".into()
    } else if has("incomplete") {
        "; its download is not finished: run `mlxm pull` again".into()
    } else {
        String::new()
    }
}
