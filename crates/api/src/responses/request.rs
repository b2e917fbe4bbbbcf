//! The request body of `POST /v1/responses`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client_tools::ToolKinds;
use super::conversation::Conversation;
use super::items;
use super::store::StoredResponse;
use super::tools::{self, Tools};
use crate::error::ApiError;
use crate::extract::{Fields, RequestBody};
use crate::fields::{FieldPolicy, Warnings};
use crate::generate::{ChatRequest, GenerationParams};
use crate::numbers;
use crate::openai::options;
use crate::openai::shared::{SamplingFields, StreamFields};
use crate::openai::tools::choose;
use crate::openapi::requests::{self, schema_of};
use crate::openapi::responses as described;
use crate::state::ServedModel;
use crate::worker::Profile;

/// The fields of OpenAI's API.
const FIELD_POLICY: FieldPolicy = FieldPolicy {
    ignored: &[
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        // Sent by Codex.
        "client_metadata",
    ],
    hints: &[
        ("max_tool_calls", "built-in tools are not available"),
        ("context_management", "the model reads all items"),
        ("moderation", "moderation is not available"),
        ("access_programs", "access programs are not available"),
    ],
    unsupported: &[
        ("background", "wait for the response, or stream it"),
        ("conversation", "use `previous_response_id`"),
        (
            "prompt",
            "prompt templates are not available; send the messages",
        ),
        ("image", "only text is supported"),
    ],
};

/// The values of `include`. Only the first has an effect: the others belong to built-in tools, to images, and to encrypted
/// reasoning, which is never encrypted here.
const INCLUDE_VALUES: [&str; 8] = [
    LOGPROBS,
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
];
const LOGPROBS: &str = "message.output_text.logprobs";

/// Most entries of `metadata`, characters of a key, and characters of a value.
const METADATA_LIMITS: (usize, usize, usize) = (16, 64, 512);

/// Fields that only responses have.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ResponseFields {
    #[schemars(schema_with = "described::input")]
    input: Option<Value>,
    pub instructions: Option<String>,
    pub previous_response_id: Option<String>,
    pub store: Option<bool>,
    #[schemars(schema_with = "described::tools")]
    pub tools: Option<Vec<Value>>,
    #[schemars(schema_with = "described::tool_choice")]
    pub tool_choice: Option<Value>,
    pub parallel_tool_calls: Option<bool>,
    pub text: Option<TextFields>,
    pub reasoning: Option<ReasoningFields>,
    #[schemars(range(min = 1))]
    #[serde(default, deserialize_with = "numbers::limit")]
    pub max_output_tokens: Option<usize>,
    #[schemars(range(max = 20))]
    #[serde(default, deserialize_with = "numbers::whole")]
    pub top_logprobs: Option<usize>,
    include: Option<Vec<String>>,
    #[schemars(extend("additionalProperties" = {"type": "string", "maxLength": 512}, "maxProperties" = 16, "propertyNames" = {"maxLength": 64}))]
    pub metadata: Option<Map<String, Value>>,
    truncation: Option<String>,
    prompt_cache_options: Option<PromptCacheFields>,
    chat_template_kwargs: Option<Map<String, Value>>,
}

/// The format of the text output.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TextFields {
    #[schemars(schema_with = "described::format")]
    pub format: Option<Map<String, Value>>,
    verbosity: Option<String>,
}

/// Options of the reasoning.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReasoningFields {
    pub effort: Option<String>,
    pub summary: Option<String>,
    generate_summary: Option<String>,
    context: Option<String>,
    mode: Option<String>,
}

/// Options of the prompt cache. Other fields than `prewarm` do not affect the output and are ignored.
#[derive(Debug, Deserialize, JsonSchema)]
struct PromptCacheFields {
    prewarm: Option<bool>,
}

/// The schema of the request body.
pub fn body() -> Value {
    let parts = [
        schema_of::<StreamFields>(),
        schema_of::<ResponseFields>(),
        schema_of::<SamplingFields>(),
    ];
    let mut body = requests::body(&parts, &FIELD_POLICY);
    body["properties"]["n"] = json!({"enum": [1, null]});
    body
}

/// The body of a request.
pub struct ResponseBody {
    pub stream: StreamFields,
    pub fields: ResponseFields,
    pub sampling: SamplingFields,
    pub echoed: EchoedFields,
}

/// Fields that the response repeats and nothing else reads.
#[derive(Debug, Default, Deserialize)]
pub struct EchoedFields {
    pub user: Option<Value>,
    pub safety_identifier: Option<Value>,
    pub prompt_cache_key: Option<Value>,
    pub prompt_cache_retention: Option<Value>,
}

impl RequestBody for ResponseBody {
    const POLICY: FieldPolicy = FIELD_POLICY;

    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            stream: fields.take()?,
            fields: fields.take()?,
            sampling: fields.take()?,
            echoed: fields.take()?,
        })
    }
}

/// The conversation of a request.
pub struct ParsedRequest {
    pub chat: ChatRequest,
    /// How calls of the tools are shown.
    pub tool_kinds: ToolKinds,
    /// All input items, those of previous responses included.
    pub input: Vec<Value>,
}

impl ResponseFields {
    /// Parses the request. `previous` is the response that it continues; `profile` has the settings for what it leaves out.
    ///
    /// # Errors
    /// If a field is invalid or not supported.
    pub fn parse(
        &mut self,
        model: &ServedModel,
        profile: &Profile,
        sampling: SamplingFields,
        previous: Option<StoredResponse>,
        warnings: &mut Warnings,
    ) -> Result<ParsedRequest, ApiError> {
        self.check(warnings)?;
        let params = self.params(sampling)?;
        let text = self.text.as_ref();
        options::check_verbosity(
            "text.verbosity",
            text.and_then(|text| text.verbosity.as_deref()),
            warnings,
        );
        let response_format = options::response_format(
            text.and_then(|text| text.format.as_ref()),
            "text.format",
            warnings,
        )?;
        let tool_choice = self.tool_choice.as_ref();
        let tools = self.tools.as_deref().unwrap_or_default();
        let Tools {
            functions,
            kinds,
            hosted,
        } = tools::parse(tools, tool_choice, warnings)?;
        let (tool_choice, tools) = choose(tool_choice, functions, &hosted)?;
        let mut template_kwargs = self.chat_template_kwargs.take().unwrap_or_default();
        if let Some(reasoning) = &self.reasoning {
            reasoning.apply(model, &mut template_kwargs, warnings);
        }
        let (messages, input) = self.conversation(previous, warnings)?;
        let mut chat = ChatRequest {
            messages,
            tools,
            tool_choice,
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            response_format,
            template_kwargs,
            continue_final_message: false,
            thinking_budget: None,
            params,
        };
        profile.fill(&mut chat, self.tool_choice.is_some(), model, warnings);
        Ok(ParsedRequest {
            chat,
            tool_kinds: kinds,
            input,
        })
    }

    /// Whether log-probabilities are requested.
    pub fn includes_logprobs(&self) -> bool {
        let include = self.include.as_deref().unwrap_or_default();
        include.iter().any(|name| name == LOGPROBS)
    }

    fn check(&self, warnings: &mut Warnings) -> Result<(), ApiError> {
        if !matches!(self.truncation.as_deref(), None | Some("disabled")) {
            warnings.ignored("truncation", "the input is never truncated");
        }
        let prewarm = self
            .prompt_cache_options
            .as_ref()
            .and_then(|options| options.prewarm);
        if prewarm == Some(true) {
            let message = "prompt_cache_options.prewarm is not supported: request one token to cache the prompt";
            return Err(ApiError::unsupported(
                "prompt_cache_options.prewarm",
                message,
            ));
        }
        let include = self.include.as_deref().unwrap_or_default();
        for name in include
            .iter()
            .filter(|name| !INCLUDE_VALUES.contains(&name.as_str()))
        {
            warnings.ignored("include", &format!("there is no {name}"));
        }
        check_metadata(self.metadata.as_ref())
    }

    fn params(&self, sampling: SamplingFields) -> Result<GenerationParams, ApiError> {
        let mut params = sampling.params()?;
        if params.n.is_some_and(|n| n != 1) {
            let message = "n must be 1: a response has one completion";
            return Err(ApiError::unsupported("n", message));
        }
        if self.max_output_tokens == Some(0) {
            let message = "max_output_tokens is 0; it must be at least 1";
            return Err(ApiError::field("max_output_tokens", message));
        }
        params.max_tokens = self.max_output_tokens;
        let top_logprobs = options::top_logprobs(self.top_logprobs)?;
        // Without `include` the output has no log-probabilities.
        params.logprobs = self.includes_logprobs().then_some(top_logprobs);
        Ok(params)
    }

    /// The chat messages, and the items that they come from.
    fn conversation(
        &mut self,
        previous: Option<StoredResponse>,
        warnings: &mut Warnings,
    ) -> Result<(Vec<Value>, Vec<Value>), ApiError> {
        let mut conversation = Conversation::new(self.instructions.as_deref(), warnings);
        let mut items = Vec::new();
        if let Some(StoredResponse { response, input }) = previous {
            items = input;
            items.extend(response["output"].as_array().cloned().unwrap_or_default());
        }
        for item in &items {
            conversation.push("previous_response_id", item)?;
        }
        for (path, item) in items::read(self.input.take())? {
            conversation.push(&path, &item)?;
            items.push(items::with_defaults(item));
        }
        if items.is_empty() {
            return Err(ApiError::field(
                "input",
                "input is missing or empty; there must be a string or at least one item",
            ));
        }
        let messages = conversation.finish();
        if messages.is_empty() {
            let problem = "has no item that the model reads; there must be at least one message";
            return Err(ApiError::at("input", problem));
        }
        Ok((messages, items))
    }

    /// `text` with default values.
    pub fn text_config(&self) -> Value {
        let format = self.text.as_ref().and_then(|text| text.format.clone());
        let format = format.map_or_else(|| json!({"type": "text"}), Value::Object);
        json!({"format": format, "verbosity": "medium"})
    }
}

impl ReasoningFields {
    /// Passes the effort to the chat template, and warns of options that have no effect.
    fn apply(&self, model: &ServedModel, kwargs: &mut Map<String, Value>, warnings: &mut Warnings) {
        if let Some(effort) = &self.effort {
            let effort = effort.clone();
            options::set_reasoning_effort("reasoning.effort", model, kwargs, effort, warnings);
        }
        // "auto" leaves the choice to the server.
        let no_summary = "reasoning is returned as it is, without a summary";
        let options = [
            ("summary", &self.summary, "auto", no_summary),
            (
                "generate_summary",
                &self.generate_summary,
                "auto",
                no_summary,
            ),
            (
                "context",
                &self.context,
                "auto",
                "the chat template decides which earlier reasoning the model reads",
            ),
            ("mode", &self.mode, "standard", "there are no other modes"),
        ];
        for (name, value, default, reason) in options {
            if value.as_ref().is_some_and(|value| value != default) {
                warnings.ignored(&format!("reasoning.{name}"), reason);
            }
        }
    }
}

fn check_metadata(metadata: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    let (entries, key_length, value_length) = METADATA_LIMITS;
    let fits = |(key, value): (&String, &Value)| {
        let value = value.as_str().map(|value| value.chars().count());
        key.chars().count() <= key_length && value.is_some_and(|length| length <= value_length)
    };
    match metadata {
        Some(metadata) if metadata.len() > entries || !metadata.iter().all(fits) => {
            let message = format!(
                "metadata must have at most {entries} entries, with keys of at most {key_length} and string values of at most {value_length} characters"
            );
            Err(ApiError::field("metadata", message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: Value) -> ResponseFields {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn unsupported_values_and_invalid_metadata_are_rejected() {
        let problem = |body: Value| {
            let result = fields(body).check(&mut Warnings::default());
            result.unwrap_err().to_string()
        };
        for metadata in [
            json!({"a": 1}),
            json!({"a": "x".repeat(513)}),
            json!({"a".repeat(65): "x"}),
            (0..17)
                .map(|at| (at.to_string(), "x".into()))
                .collect::<Map<_, _>>()
                .into(),
        ] {
            assert!(
                problem(json!({"metadata": metadata})).starts_with("metadata must have at most 16")
            );
        }
        let valid = json!({"truncation": "disabled", "include": ["reasoning.encrypted_content"], "metadata": {"a": "ä".repeat(512)}});
        let mut warnings = Warnings::default();
        assert_eq!(fields(valid).check(&mut warnings), Ok(()));
        assert_eq!(warnings, Warnings::default());
    }

    #[test]
    fn options_without_effect_are_warnings() {
        let mut warnings = Warnings::default();
        let hints = json!({"truncation": "auto", "include": ["x"]});
        fields(hints).check(&mut warnings).unwrap();
        assert_eq!(
            warnings.to_string(),
            "truncation was ignored: the input is never truncated; include was ignored: there is no x"
        );
    }

    #[test]
    fn params_reject_several_choices_and_too_many_logprobs() {
        let params = |body: Value| {
            let sampling = serde_json::from_value(body.clone()).unwrap();
            let params = fields(body).params(sampling);
            params.map_err(|error| error.to_string())
        };
        assert!(params(json!({"n": 2})).is_err());
        assert!(params(json!({"max_output_tokens": 0})).is_err());
        assert_eq!(params(json!({"top_logprobs": 2})).unwrap().logprobs, None);
        assert!(params(json!({"top_logprobs": 21})).is_err());
        assert!(params(json!({"include": [LOGPROBS], "top_logprobs": 21})).is_err());
        let body = json!({"n": 1, "max_output_tokens": 5, "include": [LOGPROBS], "top_logprobs": 2, "stop": "x"});
        let params = params(body).unwrap();
        assert_eq!(params.max_tokens, Some(5));
        assert_eq!(params.logprobs, Some(2));
        assert_eq!(params.stop, ["x"]);
    }
}
