//! Profiles as Modelfiles of Ollama. What a Modelfile says is imported, reported as having no effect, or rejected by its line.

mod parse;

use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::Value;

use self::parse::{Instruction, parse};
use super::validate::is_path;
use crate::gateway::problem::{ApiProblem, Code};
use crate::wire::FieldError;
use crate::wire::profiles::{ExportResponse, ProfileConfig};

/// Parameters that concern how Ollama runs a model, which a profile has other settings for or mlxm decides by itself.
const WITHOUT_EFFECT: [&str; 20] = [
    "f16_kv",
    "logits_all",
    "low_vram",
    "main_gpu",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "num_batch",
    "num_gpu",
    "num_gqa",
    "num_keep",
    "num_thread",
    "numa",
    "penalize_newline",
    "rope_frequency_base",
    "rope_frequency_scale",
    "tfs_z",
    "typical_p",
    "use_mlock",
    "use_mmap",
];

/// A profile without a name from a Modelfile, and what of it has no effect. `is_local` is whether a model on this machine has
/// exactly this name.
///
/// # Errors
/// Names each instruction that cannot be imported, with its line.
pub fn import(
    content: &str,
    is_local: impl Fn(&str) -> bool,
) -> Result<(ProfileConfig, Vec<String>), ApiProblem> {
    let instructions = parse(content)
        .map_err(|error| ApiProblem::new(Code::MODELFILE_INVALID, error.to_string()))?;
    let mut import = Import::default();
    for instruction in &instructions {
        if let Err(message) = import.apply(instruction, &is_local) {
            import.errors.push(FieldError {
                field: "content".to_owned(),
                code: "unsupported".to_owned(),
                message: format!("line {}: {message}", instruction.line),
            });
        }
    }
    if import.errors.is_empty() && import.config.model.is_empty() {
        return Err(ApiProblem::new(
            Code::MODELFILE_INVALID,
            "FROM is missing: it names the model",
        ));
    }
    let Some(first) = import.errors.first() else {
        return Ok((import.config, import.warnings));
    };
    let mut problem = ApiProblem::new(Code::MODELFILE_INVALID, first.message.clone());
    for error in import.errors {
        problem = problem.with_field(error.field, &error.code, error.message);
    }
    Err(problem)
}

#[derive(Debug, Default)]
struct Import {
    config: ProfileConfig,
    warnings: Vec<String>,
    errors: Vec<FieldError>,
}

impl Import {
    fn apply(
        &mut self,
        instruction: &Instruction,
        is_local: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        match &*instruction.name {
            "FROM" => self.config.model = model(&instruction.text, is_local)?,
            "PARAMETER" => self.parameter(instruction)?,
            "SYSTEM" => self.config.request.system_prompt = Some(instruction.text.clone()),
            "LICENSE" | "REQUIRES" => self.warn(instruction, "it is not stored"),
            "TEMPLATE" => {
                return Err(
                    "TEMPLATE is a template of Go, which cannot be used here: remove it, since models have a chat template of \
                     their own"
                        .to_owned(),
                );
            }
            "ADAPTER" => return Err("ADAPTER is not supported yet: remove it".to_owned()),
            "MESSAGE" => {
                return Err(
                    "MESSAGE is not supported: add the conversation to each request, or to SYSTEM"
                        .to_owned(),
                );
            }
            other => return Err(format!("{other} is not an instruction of Modelfiles")),
        }
        Ok(())
    }

    fn parameter(&mut self, instruction: &Instruction) -> Result<(), String> {
        let request = &mut self.config.request;
        match &*instruction.key {
            "num_ctx" => self.config.load.context_length = Some(value(instruction)?),
            "temperature" => request.temperature = Some(value(instruction)?),
            "top_p" => request.top_p = Some(value(instruction)?),
            "top_k" => request.top_k = Some(value(instruction)?),
            "min_p" => request.min_p = Some(value(instruction)?),
            "repeat_penalty" => request.repetition_penalty = Some(value(instruction)?),
            "presence_penalty" => request.presence_penalty = Some(value(instruction)?),
            "frequency_penalty" => request.frequency_penalty = Some(value(instruction)?),
            "seed" => request.seed = Some(value(instruction)?),
            "stop" => request.stop.push(instruction.text.clone()),
            "num_predict" => match value::<i64>(instruction)? {
                // Until the model ends, or the context is full: the default.
                -1 | -2 => {}
                tokens => {
                    let tokens = u64::try_from(tokens).map_err(|_| invalid(instruction))?;
                    request.max_tokens = Some(tokens);
                }
            },
            "repeat_last_n" => match value::<i64>(instruction)? {
                0 => request.repetition_penalty = Some(1.0),
                -1 => {
                    let reason = "the penalty applies to the last 20 tokens, not to all";
                    self.warn(instruction, reason);
                }
                tokens => {
                    let tokens = u64::try_from(tokens).map_err(|_| invalid(instruction))?;
                    request.repetition_context_size = Some(tokens);
                }
            },
            key if WITHOUT_EFFECT.contains(&key) => self.warn(instruction, "it has no effect here"),
            key => return Err(format!("{key} is not a parameter of Modelfiles")),
        }
        Ok(())
    }

    fn warn(&mut self, instruction: &Instruction, reason: &str) {
        let Instruction {
            line, name, key, ..
        } = instruction;
        let separator = if key.is_empty() { "" } else { " " };
        let warning = format!("line {line}: {name}{separator}{key} was left out: {reason}");
        self.warnings.push(warning);
    }
}

/// The name of a model from that in a Modelfile.
fn model(text: &str, is_local: impl Fn(&str) -> bool) -> Result<String, String> {
    let text = text.trim();
    if is_local(text) {
        return Ok(text.to_owned());
    }
    if let Some(repo) = of_hub(text) {
        return match repo.split_once(':') {
            None => Ok(repo.to_owned()),
            Some(_) => Err(format!(
                "FROM {text} names a GGUF file: name a repository with safetensors weights"
            )),
        };
    }
    if text.to_ascii_lowercase().ends_with(".gguf") {
        return Err(format!(
            "FROM {text} is a GGUF file: convert it with `mlxm convert`, and name the result"
        ));
    }
    if is_path(text) {
        return Err(format!(
            "FROM {text} is a path: name a model, as `mlxm list` shows it"
        ));
    }
    if text.contains(':') || !(text.contains('/') || text.contains('.') || text.contains('-')) {
        let name = text.split(':').next().unwrap_or_default();
        return Err(format!(
            "FROM {text} is a name of Ollama's library: find the model with `mlxm search {name}`, and use its name"
        ));
    }
    Ok(text.to_owned())
}

/// The repository (and after a colon the file) in `HOST/OWNER/NAME`, also with `https://`.
fn of_hub(text: &str) -> Option<&str> {
    let address = text.strip_prefix("https://").unwrap_or(text);
    let (host, repo) = address.split_once('/')?;
    let is_repo = repo.split('/').count() == 2;
    (is_repo && host.contains('.') && !host.starts_with('.')).then_some(repo)
}

fn value<T: FromStr>(instruction: &Instruction) -> Result<T, String> {
    instruction
        .text
        .trim()
        .parse()
        .map_err(|_| invalid(instruction))
}

fn invalid(instruction: &Instruction) -> String {
    let Instruction { key, text, .. } = instruction;
    format!("PARAMETER {key} has the invalid value `{text}`")
}

/// A profile as a Modelfile, with what it cannot express.
pub fn export(config: &ProfileConfig) -> ExportResponse {
    let request = &config.request;
    let mut content = format!("FROM {}\n", config.model);
    let numbers = [
        (
            "num_ctx",
            config.load.context_length.map(|value| value.to_string()),
        ),
        (
            "temperature",
            request.temperature.map(|value| value.to_string()),
        ),
        ("top_p", request.top_p.map(|value| value.to_string())),
        ("top_k", request.top_k.map(|value| value.to_string())),
        ("min_p", request.min_p.map(|value| value.to_string())),
        (
            "repeat_penalty",
            request.repetition_penalty.map(|value| value.to_string()),
        ),
        (
            "repeat_last_n",
            request
                .repetition_context_size
                .map(|value| value.to_string()),
        ),
        (
            "presence_penalty",
            request.presence_penalty.map(|value| value.to_string()),
        ),
        (
            "frequency_penalty",
            request.frequency_penalty.map(|value| value.to_string()),
        ),
        ("seed", request.seed.map(|value| value.to_string())),
        (
            "num_predict",
            request.max_tokens.map(|value| value.to_string()),
        ),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(content, "PARAMETER {name} {value}");
        }
    }
    let mut warnings = Vec::new();
    for stop in &request.stop {
        match quoted(stop) {
            Some(text) => {
                let _ = writeln!(content, "PARAMETER stop {text}");
            }
            None => warnings.push(format!(
                "request.stop {stop:?} was left out: it has three quotes in a row"
            )),
        }
    }
    if let Some(prompt) = &request.system_prompt {
        match quoted(prompt) {
            Some(text) => {
                let _ = writeln!(content, "SYSTEM {text}");
            }
            None => warnings.push(
                "request.system_prompt was left out: it has three quotes in a row".to_owned(),
            ),
        }
    }
    warnings.extend(not_exported(config));
    ExportResponse { content, warnings }
}

/// The text in three quotes; `None` if it has three itself, or ends with one.
fn quoted(text: &str) -> Option<String> {
    let is_possible = !text.contains("\"\"\"") && !text.ends_with('"');
    is_possible.then(|| format!("\"\"\"{text}\"\"\""))
}

/// The settings that Modelfiles do not have.
fn not_exported(config: &ProfileConfig) -> Vec<String> {
    let exported_load = ["context_length"];
    let exported_request = [
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "repetition_context_size",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "max_tokens",
        "stop",
        "system_prompt",
    ];
    let mut names = Vec::new();
    let mut add = |prefix: &str, value: Value, exported: &[&str]| {
        let Value::Object(fields) = value else {
            return;
        };
        for (name, value) in fields {
            if !exported.contains(&&*name) && value != Value::Bool(false) {
                names.push(format!(
                    "{prefix}{name} was left out: Modelfiles do not have it"
                ));
            }
        }
    };
    let json = |value: serde_json::Result<Value>| value.unwrap_or_default();
    // A color is not a setting of a model.
    let own = ["name", "model", "color", "load", "request"];
    add("", json(serde_json::to_value(config)), &own);
    add(
        "load.",
        json(serde_json::to_value(&config.load)),
        &exported_load,
    );
    add(
        "request.",
        json(serde_json::to_value(&config.request)),
        &exported_request,
    );
    names
}

#[cfg(test)]
mod tests;
