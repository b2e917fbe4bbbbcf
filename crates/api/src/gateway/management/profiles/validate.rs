//! Checks of profiles before they are stored, so that a saved profile can be loaded and its requests are accepted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use mlxm_chat::parsing::{ReasoningFormat, ToolFormat};
use mlxm_engine::sampling::{SamplingError, SamplingParams};
use mlxm_engine::{ActivationDtype, DeviceChoice, KvCacheDtype};
use serde_json::{Map, Value};

use crate::gateway::problem::ApiProblem;
use crate::gateway::proxy::RequestDefaults;
use crate::wire::FieldError;
use crate::wire::profiles::{LoadSettings, ProfileConfig, RequestSettings};

const LOG_LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
const TOOL_CHOICES: [&str; 3] = ["auto", "none", "required"];

/// Requests can name what is no longer than this.
const MAX_NAME_BYTES: usize = 512;

/// Whether a text is a path of a file, and not the name of a model: names are looked up in the list of models, and never opened.
pub fn is_path(text: &str) -> bool {
    text.starts_with(['/', '\\', '~'])
        || text
            .split(['/', '\\'])
            .any(|part| part == "." || part == "..")
}

/// The problems that were found.
#[derive(Debug, Default)]
struct Findings(Vec<FieldError>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, code: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            code: code.to_owned(),
            message: message.into(),
        });
    }

    /// A number must be in a range, if it is given.
    fn range<T: PartialOrd + Display>(&mut self, field: &str, value: Option<T>, min: T, max: T) {
        if value.is_some_and(|value| value < min || value > max) {
            self.add(
                field,
                "out_of_range",
                format!("must be from {min} to {max}"),
            );
        }
    }

    /// A text must be a `T`, if it is given.
    fn parses<T: FromStr<Err: Display>>(&mut self, field: &str, text: Option<&str>) {
        if let Some(Err(error)) = text.map(T::from_str) {
            self.add(field, "invalid_value", error.to_string());
        }
    }

    fn name(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() {
            self.add(field, "invalid_value", "must not be empty");
        }
        if text.len() > MAX_NAME_BYTES {
            let message = format!("must have at most {MAX_NAME_BYTES} bytes");
            self.add(field, "out_of_range", message);
        }
        if text.contains(char::is_control) {
            let message = "must not have control characters";
            self.add(field, "invalid_value", message);
        }
    }

    fn one_of(&mut self, field: &str, text: Option<&str>, accepted: &[&str]) {
        if let Some(text) = text
            && !accepted.contains(&text)
        {
            let message = format!("is `{text}`, and must be one of {}", accepted.join(", "));
            self.add(field, "invalid_value", message);
        }
    }
}

/// Checks everything but the name and the port, which depend on other profiles.
///
/// # Errors
/// Names all invalid fields.
pub fn check(config: &ProfileConfig) -> Result<(), ApiProblem> {
    let mut findings = Findings::default();
    findings.name("name", &config.name);
    findings.name("model", &config.model);
    if is_path(&config.model) {
        let message = "is a path: give the name of a model, as `mlxm list` shows it";
        findings.add("model", "invalid_value", message);
    }
    if let Some(host) = &config.host
        && host.parse::<IpAddr>().is_err()
    {
        let message = "must be an IP address, such as 127.0.0.1";
        findings.add("host", "invalid_value", message);
    }
    findings.range("port", config.port, 1, u16::MAX);
    if config.ttl_seconds.is_some_and(|seconds| seconds < -1) {
        let message = "must be -1 (never stop), 0 (stop when idle) or more";
        findings.add("ttl_seconds", "out_of_range", message);
    }
    findings.range(
        "queue_timeout_seconds",
        config.queue_timeout_seconds,
        1,
        86_400,
    );
    findings.range("queue_size", config.queue_size, 1, 100_000);
    findings.one_of("log_level", config.log_level.as_deref(), &LOG_LEVELS);
    findings.range("color", config.color, 1, 8);
    load(&mut findings, "load", &config.load);
    request(&mut findings, "request", &config.request);
    finish(findings)
}

/// Checks load settings, which are in the field `parent` of the request.
///
/// # Errors
/// Names all invalid fields.
pub fn check_load(parent: &str, settings: &LoadSettings) -> Result<(), ApiProblem> {
    let mut findings = Findings::default();
    load(&mut findings, parent, settings);
    finish(findings)
}

/// Checks the settings of requests in a field.
///
/// # Errors
/// Names every invalid field.
pub fn check_request(parent: &str, settings: &RequestSettings) -> Result<(), ApiProblem> {
    let mut findings = Findings::default();
    request(&mut findings, parent, settings);
    finish(findings)
}

fn finish(findings: Findings) -> Result<(), ApiProblem> {
    ApiProblem::fields(findings.0).map_or(Ok(()), Err)
}

/// The ranges are those of the options of `mlxm serve`.
fn load(findings: &mut Findings, parent: &str, settings: &LoadSettings) {
    let field = |name: &str| format!("{parent}.{name}");
    findings.range(
        &field("context_length"),
        settings.context_length,
        2,
        u32::MAX,
    );
    findings.range(&field("max_sequences"), settings.max_sequences, 1, 1024);
    findings.range(
        &field("kv_pool_tokens"),
        settings.kv_pool_tokens,
        2,
        u64::MAX,
    );
    findings.range(
        &field("max_batch_tokens"),
        settings.max_batch_tokens,
        1,
        65536,
    );
    let defaults = mlxm_gateway::LoadSettings::new("");
    let sequences = settings.max_sequences.unwrap_or(defaults.max_sequences);
    let too_few = 1..u32::from(sequences);
    if (settings.max_batch_tokens).is_some_and(|tokens| too_few.contains(&tokens)) {
        let message = format!("must be at least max_sequences, {sequences}");
        findings.add(field("max_batch_tokens"), "out_of_range", message);
    }
    if let (Some(pool), Some(context)) = (settings.kv_pool_tokens, settings.context_length)
        && pool < u64::from(context)
    {
        let message = format!("must be at least the context length, {context}");
        findings.add(field("kv_pool_tokens"), "out_of_range", message);
    }
    findings.parses::<KvCacheDtype>(&field("kv_cache_dtype"), settings.kv_cache_dtype.as_deref());
    findings.parses::<ActivationDtype>(
        &field("activation_dtype"),
        settings.activation_dtype.as_deref(),
    );
    findings.parses::<DeviceChoice>(&field("device"), settings.device.as_deref());
    findings.parses::<ToolFormat>(
        &field("tool_call_parser"),
        parser(settings.tool_call_parser.as_deref()),
    );
    findings.parses::<ReasoningFormat>(
        &field("reasoning_parser"),
        parser(settings.reasoning_parser.as_deref()),
    );
    for (name, given) in [
        ("draft_model", settings.draft_model.is_some()),
        ("adapters", !settings.adapters.is_empty()),
        ("chat_template_file", settings.chat_template_file.is_some()),
    ] {
        if given {
            findings.add(field(name), "unsupported", "is not supported yet: omit it");
        }
    }
}

/// The name of a parser, unless parsing is disabled.
fn parser(name: Option<&str>) -> Option<&str> {
    name.filter(|name| *name != "none")
}

fn request(findings: &mut Findings, parent: &str, settings: &RequestSettings) {
    let field = |name: &str| format!("{parent}.{name}");
    if let Err(error) = sampling(findings, parent, settings).validate(usize::MAX) {
        let (name, code) = match &error {
            SamplingError::OutOfRange { parameter, .. } => match *parameter {
                "repetition_context" => ("repetition_context_size", "out_of_range"),
                parameter => (parameter, "out_of_range"),
            },
            _ => ("logit_bias", "invalid_value"),
        };
        findings.add(field(name), code, error.to_string());
    }
    if settings.stop.iter().any(String::is_empty) {
        findings.add(
            field("stop"),
            "invalid_value",
            "must not have an empty string",
        );
    }
    findings.range(
        &field("max_tokens"),
        settings.max_tokens,
        1,
        u64::from(u32::MAX),
    );
    findings.one_of(
        &field("tool_choice"),
        settings.tool_choice.as_deref(),
        &TOOL_CHOICES,
    );
    let json = serde_json::to_value(settings).unwrap_or_default();
    let fields: Map<String, Value> = match json {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Err(error) = RequestDefaults::new(&fields) {
        findings.add(field("system_prompt"), "out_of_range", error.to_string());
    }
}

fn sampling(findings: &mut Findings, parent: &str, settings: &RequestSettings) -> SamplingParams {
    let defaults = SamplingParams::default();
    let float = |value: Option<f64>, default: f32| value.map_or(default, |value| value as f32);
    let count = |value: Option<u64>, default: usize| value.map_or(default, |value| value as usize);
    let mut logit_bias = BTreeMap::new();
    for (token, bias) in &settings.logit_bias {
        if let Ok(token) = token.parse() {
            logit_bias.insert(token, *bias as f32);
        } else {
            let field = format!("{parent}.logit_bias.{token}");
            findings.add(field, "invalid_value", "the key must be a token id");
        }
    }
    SamplingParams {
        temperature: float(settings.temperature, defaults.temperature),
        top_p: float(settings.top_p, defaults.top_p),
        top_k: count(settings.top_k, defaults.top_k),
        min_p: float(settings.min_p, defaults.min_p),
        repetition_penalty: float(settings.repetition_penalty, defaults.repetition_penalty),
        repetition_context: count(
            settings.repetition_context_size,
            defaults.repetition_context,
        ),
        presence_penalty: float(settings.presence_penalty, defaults.presence_penalty),
        frequency_penalty: float(settings.frequency_penalty, defaults.frequency_penalty),
        logit_bias,
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(change: &Value) -> Vec<String> {
        let mut config = json!({"name": "coder", "model": "org/model"});
        let fields = config.as_object_mut().unwrap();
        fields.extend(change.as_object().unwrap().clone());
        let config: ProfileConfig = serde_json::from_value(config).unwrap();
        let Err(problem) = check(&config) else {
            return Vec::new();
        };
        let problem = serde_json::to_value(problem.to_wire(None)).unwrap();
        let errors = problem["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn valid_profiles_are_accepted() {
        for change in [
            json!({}),
            json!({"host": "::1", "port": 10240, "ttl_seconds": -1, "log_level": "debug"}),
            json!({"load": {"context_length": 4096, "kv_pool_tokens": 8192, "kv_cache_dtype": "int8", "device": "auto",
                "max_batch_tokens": 16, "tool_call_parser": "hermes", "reasoning_parser": "none"}}),
            json!({"request": {"temperature": 0, "top_p": 0.9, "stop": ["\n"], "thinking": "low", "tool_choice": "auto",
                "logit_bias": {"17": -100}}}),
        ] {
            assert_eq!(fields(&change), Vec::<String>::new(), "{change}");
        }
    }

    #[test]
    fn every_invalid_field_is_named() {
        for (change, expected) in [
            (json!({"name": " ", "model": ""}), vec!["name", "model"]),
            (
                json!({"name": "a\nb", "model": "a\u{0}b"}),
                vec!["name", "model"],
            ),
            (
                json!({"name": "a".repeat(513), "model": "b".repeat(513)}),
                vec!["name", "model"],
            ),
            (json!({"model": "/etc/passwd"}), vec!["model"]),
            (json!({"model": "org/../../etc"}), vec!["model"]),
            (json!({"model": "..\\windows"}), vec!["model"]),
            (json!({"host": "localhost"}), vec!["host"]),
            (
                json!({"port": 0, "ttl_seconds": -2}),
                vec!["port", "ttl_seconds"],
            ),
            (
                json!({"queue_timeout_seconds": 0, "queue_size": 0}),
                vec!["queue_timeout_seconds", "queue_size"],
            ),
            (json!({"log_level": "loud"}), vec!["log_level"]),
            (
                json!({"load": {"max_sequences": 0, "device": "tpu"}}),
                vec!["load.max_sequences", "load.device"],
            ),
            (
                json!({"load": {"kv_cache_dtype": "q4", "activation_dtype": "f8"}}),
                vec!["load.kv_cache_dtype", "load.activation_dtype"],
            ),
            (
                json!({"load": {"context_length": 4096, "kv_pool_tokens": 1024}}),
                vec!["load.kv_pool_tokens"],
            ),
            (
                json!({"load": {"max_batch_tokens": 15}}),
                vec!["load.max_batch_tokens"],
            ),
            (
                json!({"load": {"max_batch_tokens": 65537}}),
                vec!["load.max_batch_tokens"],
            ),
            (
                json!({"load": {"tool_call_parser": "x", "reasoning_parser": "y"}}),
                vec!["load.tool_call_parser", "load.reasoning_parser"],
            ),
            (
                json!({"load": {"adapters": ["a"], "draft_model": "b"}}),
                vec!["load.draft_model", "load.adapters"],
            ),
            (
                json!({"request": {"temperature": -1}}),
                vec!["request.temperature"],
            ),
            (
                json!({"request": {"repetition_context_size": 0}}),
                vec!["request.repetition_context_size"],
            ),
            (
                json!({"request": {"logit_bias": {"x": 1}, "tool_choice": "any"}}),
                vec!["request.logit_bias.x", "request.tool_choice"],
            ),
            (
                json!({"request": {"stop": [""], "max_tokens": 0}}),
                vec!["request.stop", "request.max_tokens"],
            ),
            (
                json!({"request": {"system_prompt": "a".repeat(1 << 20)}}),
                vec!["request.system_prompt"],
            ),
        ] {
            assert_eq!(fields(&change), expected, "{change}");
        }
    }
}
