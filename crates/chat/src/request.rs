//! A chat request, independent of any wire protocol.

use std::collections::BTreeMap;

use mlxm_engine::sampling::SamplingParams;
use mlxm_engine::{Engine, Priority, Request};
use serde_json::{Map, Value};

use crate::error::ChatError;
use crate::integers;
use crate::output_limits::CallLimit;
use crate::parsing::Tool;

/// Whether the model calls tools, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No tool calls.
    None,
    /// At least one call of any tool.
    Required,
    /// A call of the tool with this name.
    Named(String),
}

/// Structured output: what the content of a completion must match.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that is valid under this schema.
    JsonSchema(Value),
    /// JSON that is valid under this schema as far as it can be enforced: other keywords are ignored.
    LenientJsonSchema(Value),
    /// Text that this regular expression matches from start to end.
    Regex(String),
    /// Text of the language of this Lark grammar.
    Grammar(String),
}

impl ToolChoice {
    /// Parses `tool_choice` of OpenAI's APIs: `auto` (the default), `none`, `required` or a function by its name.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn from_json(value: Option<&Value>) -> Result<Self, ChatError> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(Self::Auto);
        };
        // The Responses API has the name one level higher.
        let name = value["function"]["name"].as_str();
        match (value.as_str(), name.or_else(|| value["name"].as_str())) {
            (Some("auto"), _) => Ok(Self::Auto),
            (Some("none"), _) => Ok(Self::None),
            (Some("required"), _) => Ok(Self::Required),
            (None, Some(name)) if value["type"] == "function" => Ok(Self::Named(name.to_owned())),
            _ => Err(ChatError::invalid(
                "tool_choice",
                "tool_choice must be auto, none, required or {\"type\": \"function\", \"function\": {\"name\": …}}",
            )),
        }
    }
}

impl ResponseFormat {
    /// Parses the response format of OpenAI's APIs, the types `regex` and `grammar` (Lark), and `json_object` with a `schema`,
    /// as llama.cpp accepts it. `path` is the name of the parameter in errors, such as `response_format`.
    ///
    /// # Errors
    /// If it has another type, or lacks the field of its type.
    pub fn from_json(format: Option<&Map<String, Value>>, path: &str) -> Result<Self, ChatError> {
        let Some(format) = format else {
            return Ok(Self::Text);
        };
        let invalid = |field: &str, problem: &str| {
            let name = format!("{path}.{field}");
            let message = format!("{name} {problem}");
            ChatError::invalid(name, message)
        };
        let text = |field: &str| match format.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(invalid(field, "must be a string")),
        };
        match format.get("type").and_then(Value::as_str) {
            Some("text") => Ok(Self::Text),
            Some("json_object") => match format.get("schema") {
                None | Some(Value::Null) => Ok(Self::JsonObject),
                Some(schema) => Self::from_schema(schema, format.get("strict"))
                    .ok_or_else(|| invalid("schema", "must be a JSON schema")),
            },
            Some("json_schema") => {
                // The Responses API has the schema one level higher.
                let (parent, field) = match format.get("json_schema") {
                    Some(Value::Object(parent)) => (parent, "json_schema.schema"),
                    _ => (format, "schema"),
                };
                let schema = parent.get("schema");
                schema
                    .and_then(|schema| Self::from_schema(schema, parent.get("strict")))
                    .ok_or_else(|| invalid(field, "must be a JSON schema"))
            }
            Some("regex") => Ok(Self::Regex(text("regex")?)),
            Some("grammar") => Ok(Self::Grammar(text("grammar")?)),
            _ => Err(invalid(
                "type",
                "must be text, json_object, json_schema, regex or grammar",
            )),
        }
    }

    /// Only an explicit `strict: false` is lenient. `None` if `schema` is not a JSON schema.
    fn from_schema(schema: &Value, strict: Option<&Value>) -> Option<Self> {
        let lenient = strict == Some(&Value::Bool(false));
        let schema = Some(schema).filter(|schema| schema.is_object() || schema.is_boolean())?;
        Some(if lenient {
            Self::LenientJsonSchema(schema.clone())
        } else {
            Self::JsonSchema(schema.clone())
        })
    }
}

/// A conversation and how to continue it.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// Objects with `role` and `content`, as in OpenAI's API. Arguments of calls may have integers beyond 64 bits, see
    /// [`integers`].
    pub messages: Vec<Value>,
    /// `{"type": "function", "function": {"name", "description", "parameters"}}`. Parameters may have integers
    /// beyond 64 bits, too.
    pub tools: Vec<Value>,
    /// Whether the model calls tools.
    pub tool_choice: ToolChoice,
    /// Whether one completion may contain several calls; by default it may. A named tool is called once in any case.
    pub parallel_tool_calls: bool,
    /// Structured output.
    pub response_format: ResponseFormat,
    /// Variables of the chat template, such as `enable_thinking`.
    pub template_kwargs: Map<String, Value>,
    /// Continue the last message instead of starting a new one.
    pub continue_final_message: bool,
    /// Most reasoning tokens; the reasoning is closed after them.
    pub thinking_budget: Option<usize>,
    /// Sampling and limits.
    pub params: GenerationParams,
}

/// Sampling parameters and limits. What is absent comes from the model's `generation_config.json`.
#[derive(Debug, Clone, Default)]
#[expect(
    missing_docs,
    reason = "these are the fields of SamplingParams and Request"
)]
pub struct GenerationParams {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<usize>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub repetition_context: Option<usize>,
    pub presence_penalty: Option<f32>,
    pub frequency_penalty: Option<f32>,
    pub logit_bias: BTreeMap<u32, f32>,
    pub seed: Option<u64>,
    /// Stop strings. They end the content of a chat completion, but neither its reasoning nor its calls, and are ignored with
    /// structured output.
    pub stop: Vec<String>,
    pub max_tokens: Option<usize>,
    /// Number of completions, for [`ChatModel::generate_n`](crate::ChatModel::generate_n).
    pub n: Option<usize>,
    /// Log-probabilities of each token and of this many alternatives.
    pub logprobs: Option<usize>,
    /// The same for the tokens of the prompt.
    pub prompt_logprobs: Option<usize>,
    pub ignore_eos: bool,
    pub priority: Priority,
    /// Requests share cached prefixes only with requests of the same salt.
    pub cache_salt: u64,
    pub reports_prefill: bool,
}

/// Most stop strings of a request.
const MAX_STOP_STRINGS: usize = 32;

impl GenerationParams {
    /// The engine request of one completion, without a prompt. Ignores `n`.
    ///
    /// # Errors
    /// If a value is out of range.
    pub fn request(&self, engine: &Engine) -> Result<Request, ChatError> {
        if self.max_tokens == Some(0) {
            return Err(ChatError::invalid(
                "max_tokens",
                "max_tokens is 0; it must be at least 1",
            ));
        }
        if self.stop.len() > MAX_STOP_STRINGS {
            let message = format!(
                "there are {} stop strings; at most {MAX_STOP_STRINGS} are accepted",
                self.stop.len()
            );
            return Err(ChatError::invalid("stop", message));
        }
        let sampling = self.sampling(engine.default_sampling());
        sampling.validate(engine.info().vocab_size)?;
        Ok(Request {
            sampling,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            ignore_eos: self.ignore_eos,
            priority: self.priority,
            cache_salt: self.cache_salt,
            prompt_logprobs: self.prompt_logprobs,
            reports_prefill: self.reports_prefill,
            ..Request::default()
        })
    }

    fn sampling(&self, defaults: SamplingParams) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            min_p: self.min_p.unwrap_or(defaults.min_p),
            repetition_penalty: self
                .repetition_penalty
                .unwrap_or(defaults.repetition_penalty),
            repetition_context: self
                .repetition_context
                .unwrap_or(defaults.repetition_context),
            presence_penalty: self.presence_penalty.unwrap_or(defaults.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(defaults.frequency_penalty),
            logit_bias: self.logit_bias.clone(),
            seed: self.seed,
            logprobs: self.logprobs,
        }
    }
}

impl Default for ChatRequest {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::default(),
            parallel_tool_calls: true,
            response_format: ResponseFormat::default(),
            template_kwargs: Map::new(),
            continue_final_message: false,
            thinking_budget: None,
            params: GenerationParams::default(),
        }
    }
}

impl ChatRequest {
    /// Whether a completion may contain several calls. A named tool is called once.
    pub(crate) fn allows_parallel_calls(&self) -> bool {
        self.parallel_tool_calls && !matches!(self.tool_choice, ToolChoice::Named(_))
    }

    /// How many calls a completion may have. Models that must call tools tend to repeat the same call.
    pub(crate) fn call_limit(&self) -> CallLimit {
        match self.tool_choice {
            _ if !self.allows_parallel_calls() => CallLimit::One,
            ToolChoice::Required => CallLimit::Distinct,
            _ => CallLimit::Unlimited,
        }
    }

    /// The tools that the completion may call.
    pub(crate) fn callable_tools(&self) -> Vec<Tool> {
        if self.tool_choice == ToolChoice::None {
            return Vec::new();
        }
        self.tools.iter().map(tool).collect()
    }
}

fn tool(tool: &Value) -> Tool {
    let function = &tool["function"];
    Tool {
        name: function["name"].as_str().unwrap_or_default().to_owned(),
        parameters: match &function["parameters"] {
            Value::Null => serde_json::json!({"type": "object", "properties": {}}),
            // Grammars and parsers of calls compute with doubles.
            parameters => integers::rounded(parameters.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn call_limit_follows_tool_choice_and_parallel_tool_calls() {
        let limit = |tool_choice: ToolChoice, parallel_tool_calls| {
            let request = ChatRequest {
                tool_choice,
                parallel_tool_calls,
                ..ChatRequest::default()
            };
            request.call_limit()
        };
        let named = ToolChoice::Named("now".to_owned());
        assert_eq!(limit(ToolChoice::Auto, true), CallLimit::Unlimited);
        assert_eq!(limit(ToolChoice::Auto, false), CallLimit::One);
        assert_eq!(limit(ToolChoice::Required, true), CallLimit::Distinct);
        assert_eq!(limit(ToolChoice::Required, false), CallLimit::One);
        assert_eq!(limit(named, true), CallLimit::One);
    }

    #[test]
    fn response_format_reads_the_forms_of_other_servers() {
        let parse = |format: Value| {
            ResponseFormat::from_json(format.as_object(), "response_format")
                .map_err(|error| error.to_string())
        };
        let schema = json!({"type": "object"});
        let strict = Ok(ResponseFormat::JsonSchema(schema.clone()));
        let lenient = Ok(ResponseFormat::LenientJsonSchema(schema.clone()));
        for (format, expected) in [
            (
                json!({"type": "json_object"}),
                Ok(ResponseFormat::JsonObject),
            ),
            (
                json!({"type": "json_object", "schema": null}),
                Ok(ResponseFormat::JsonObject),
            ),
            (
                json!({"type": "json_object", "schema": schema}),
                strict.clone(),
            ),
            (
                json!({"type": "json_schema", "schema": schema}),
                strict.clone(),
            ),
            (
                json!({"type": "json_schema", "schema": schema, "strict": true}),
                strict.clone(),
            ),
            (
                json!({"type": "json_schema", "json_schema": {"schema": schema, "strict": null}}),
                strict,
            ),
            (
                json!({"type": "json_schema", "json_schema": {"schema": schema, "strict": false}}),
                lenient.clone(),
            ),
            (
                json!({"type": "json_schema", "schema": schema, "strict": false}),
                lenient,
            ),
            (
                json!({"type": "json_object", "schema": "{}"}),
                Err("response_format.schema must be a JSON schema".to_owned()),
            ),
            (
                json!({"type": "json_schema", "json_schema": {"name": "x"}}),
                Err("response_format.json_schema.schema must be a JSON schema".to_owned()),
            ),
        ] {
            assert_eq!(parse(format.clone()), expected, "{format}");
        }
    }
}
