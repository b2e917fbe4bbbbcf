//! The body of `POST /v1/responses`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::conversation::Conversation;
use super::store::StoredResponse;
use super::{items, tools};
use crate::error::ApiError;
use crate::extract::read;
use crate::fields::FieldPolicy;
use crate::generate::{ChatRequest, GenerationParams, ResponseFormat};
use crate::openai::options;
use crate::openai::shared::{SamplingFields, StreamFields, shared_fields};
use crate::openapi::requests::{self, schema_of};
use crate::openapi::responses as described;
use crate::state::ServedModel;

/// The fields of the official API.
pub const FIELD_POLICY: FieldPolicy = FieldPolicy {
    read: shared_fields![
        "input",
        "instructions",
        "previous_response_id",
        "store",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "text",
        "reasoning",
        "max_output_tokens",
        "top_logprobs",
        "include",
        "metadata",
        "truncation",
        "prompt_cache_options",
        "chat_template_kwargs",
    ],
    ignored: &[
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    ],
    unsupported: &[
        ("background", "wait for the response, or stream it"),
        ("conversation", "use `previous_response_id`"),
        ("prompt", "this server keeps no prompts; send the messages"),
        (
            "max_tool_calls",
            "this server runs no tools itself, so there is nothing to count",
        ),
        ("context_management", "send the items that are to be read"),
        ("moderation", "this server does not judge what is written"),
        ("image", "this model reads text only"),
        ("access_programs", "this server has no such programs"),
    ],
};

/// What else may be included in a response. All but the first are about tools and inputs that this server does not have, or,
/// with encrypted reasoning, about what it does not hide.
const INCLUDABLE: [&str; 8] = [
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

/// Entries of `metadata`, characters of a key, and characters of a value, at most.
const METADATA_LIMITS: (usize, usize, usize) = (16, 64, 512);

/// The fields that only responses have.
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
    pub max_output_tokens: Option<usize>,
    #[schemars(range(max = 20))]
    pub top_logprobs: Option<usize>,
    #[schemars(extend("items" = {"enum": INCLUDABLE}))]
    include: Option<Vec<String>>,
    #[schemars(extend("additionalProperties" = {"type": "string", "maxLength": 512}, "maxProperties" = 16, "propertyNames" = {"maxLength": 64}))]
    pub metadata: Option<Map<String, Value>>,
    #[schemars(extend("enum" = ["disabled", null]))]
    truncation: Option<String>,
    prompt_cache_options: Option<PromptCacheFields>,
    chat_template_kwargs: Option<Map<String, Value>>,
}

/// What the text of an answer is like.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TextFields {
    #[schemars(schema_with = "described::format")]
    pub format: Option<Map<String, Value>>,
    #[schemars(extend("enum" = ["medium", null]))]
    verbosity: Option<String>,
}

/// How much is thought before an answer.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReasoningFields {
    pub effort: Option<String>,
    pub summary: Option<String>,
    generate_summary: Option<String>,
    context: Option<String>,
    mode: Option<String>,
}

/// How a prompt is kept. Where it is kept changes nothing about an answer, but whether there is one does.
#[derive(Debug, Deserialize, JsonSchema)]
struct PromptCacheFields {
    prewarm: Option<bool>,
}

/// The schema of a request.
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

/// A request that was understood.
pub struct ParsedRequest {
    pub chat: ChatRequest,
    /// All items that are answered, those before this request included.
    pub input: Vec<Value>,
}

impl ResponseFields {
    /// The conversation that the request describes, after the one that it continues.
    ///
    /// # Errors
    /// Names the field that makes no sense or is not supported.
    pub fn parse(
        &mut self,
        model: &ServedModel,
        body: &Map<String, Value>,
        previous: Option<StoredResponse>,
    ) -> Result<ParsedRequest, ApiError> {
        self.check()?;
        let params = self.params(body)?;
        let text = self.text.as_ref();
        options::check_verbosity(
            "text.verbosity",
            text.and_then(|text| text.verbosity.as_deref()),
        )?;
        let response_format =
            ResponseFormat::from_json(text.and_then(|text| text.format.as_ref()), "text.format")?;
        let tools = tools::read(self.tools.as_deref().unwrap_or_default())?;
        let (tool_choice, tools) = tools::choose(self.tool_choice.as_ref(), tools)?;
        let mut template_kwargs = self.chat_template_kwargs.take().unwrap_or_default();
        if let Some(reasoning) = &self.reasoning {
            reasoning.apply(model, &mut template_kwargs)?;
        }
        let (messages, input) = self.conversation(previous)?;
        let chat = ChatRequest {
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
        Ok(ParsedRequest { chat, input })
    }

    /// Whether the log-probabilities of tokens are wanted.
    pub fn includes_logprobs(&self) -> bool {
        let include = self.include.as_deref().unwrap_or_default();
        include.iter().any(|name| name == LOGPROBS)
    }

    fn check(&self) -> Result<(), ApiError> {
        if self
            .truncation
            .as_deref()
            .is_some_and(|how| how != "disabled")
        {
            let message =
                "truncation may only be disabled: this server leaves nothing out of an input";
            return Err(ApiError::unsupported("truncation", message));
        }
        let prewarms = self
            .prompt_cache_options
            .as_ref()
            .and_then(|options| options.prewarm);
        if prewarms == Some(true) {
            let message = "prompt_cache_options.prewarm is not supported: ask for one token, the prompt is kept then";
            return Err(ApiError::unsupported(
                "prompt_cache_options.prewarm",
                message,
            ));
        }
        let include = self.include.as_deref().unwrap_or_default();
        if let Some(name) = include
            .iter()
            .find(|name| !INCLUDABLE.contains(&name.as_str()))
        {
            let message = format!("include has `{name}`, which nobody knows");
            return Err(ApiError::field("include", message));
        }
        check_metadata(self.metadata.as_ref())
    }

    fn params(&self, body: &Map<String, Value>) -> Result<GenerationParams, ApiError> {
        let mut params = read::<SamplingFields>(body)?.params()?;
        if params.n.is_some_and(|n| n != 1) {
            let message = "n may only be 1: there is one answer in a response";
            return Err(ApiError::unsupported("n", message));
        }
        if self.max_output_tokens == Some(0) {
            let message = "max_output_tokens is 0; it must be at least 1";
            return Err(ApiError::field("max_output_tokens", message));
        }
        params.max_tokens = self.max_output_tokens;
        params.logprobs = match (self.includes_logprobs(), self.top_logprobs) {
            (true, count) => Some(options::top_logprobs(count)?),
            (false, Some(1..)) => {
                let message = format!("top_logprobs needs `\"include\": [\"{LOGPROBS}\"]`");
                return Err(ApiError::field("top_logprobs", message));
            }
            (false, _) => None,
        };
        Ok(params)
    }

    /// Messages for the template, and the items that they are made of.
    fn conversation(
        &mut self,
        previous: Option<StoredResponse>,
    ) -> Result<(Vec<Value>, Vec<Value>), ApiError> {
        let mut conversation = Conversation::new(self.instructions.as_deref());
        let mut items = Vec::new();
        if let Some(StoredResponse { response, input }) = previous {
            items = input;
            items.extend(response["output"].as_array().cloned().unwrap_or_default());
        }
        for item in &items {
            conversation.push("previous_response_id", item)?;
        }
        for (place, item) in items::read(self.input.take())? {
            conversation.push(&place, &item)?;
            items.push(items::complete(item));
        }
        if items.is_empty() {
            return Err(ApiError::field(
                "input",
                "input is missing or empty; give a text or at least one item",
            ));
        }
        Ok((conversation.finish(), items))
    }

    /// `text`, with what was left out.
    pub fn text_config(&self) -> Value {
        let format = self.text.as_ref().and_then(|text| text.format.clone());
        let format = format.map_or_else(|| json!({"type": "text"}), Value::Object);
        json!({"format": format, "verbosity": "medium"})
    }
}

impl ReasoningFields {
    fn apply(&self, model: &ServedModel, kwargs: &mut Map<String, Value>) -> Result<(), ApiError> {
        if let Some(effort) = &self.effort {
            options::set_effort("reasoning.effort", model, kwargs, effort.clone())?;
        }
        // What "auto" makes of summaries and of earlier reasoning is left to the server and the template.
        let taken = [
            (
                "summary",
                &self.summary,
                "auto",
                "this server shows the reasoning as it is",
            ),
            (
                "generate_summary",
                &self.generate_summary,
                "auto",
                "this server shows the reasoning as it is",
            ),
            (
                "context",
                &self.context,
                "auto",
                "the chat template decides what is read again",
            ),
            ("mode", &self.mode, "standard", "this model has no other"),
        ];
        for (name, value, known, reason) in taken {
            if value.as_ref().is_some_and(|value| value != known) {
                let place = format!("reasoning.{name}");
                let message = format!("{place} may only be {known}: {reason}");
                return Err(ApiError::unsupported(place, message));
            }
        }
        Ok(())
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
                "metadata may have {entries} entries, with keys of {key_length} and texts of {value_length} characters"
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
        read(body.as_object().unwrap()).unwrap()
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let problem = |body: Value| fields(body).check().unwrap_err().to_string();
        assert!(problem(json!({"truncation": "auto"})).starts_with("truncation may only be"));
        assert_eq!(
            problem(json!({"include": ["x"]})),
            "include has `x`, which nobody knows"
        );
        for metadata in [
            json!({"a": 1}),
            json!({"a": "x".repeat(513)}),
            json!({"a".repeat(65): "x"}),
            (0..17)
                .map(|at| (at.to_string(), "x".into()))
                .collect::<Map<_, _>>()
                .into(),
        ] {
            assert!(problem(json!({"metadata": metadata})).starts_with("metadata may have 16"));
        }
        let fine = json!({"truncation": "disabled", "include": ["reasoning.encrypted_content"], "metadata": {"a": "ä".repeat(512)}});
        assert_eq!(fields(fine).check(), Ok(()));
    }

    #[test]
    fn settings_have_one_answer_and_logprobs_that_are_included() {
        let params = |body: Value| {
            let params = fields(body.clone()).params(body.as_object().unwrap());
            params.map_err(|error| error.to_string())
        };
        assert!(params(json!({"n": 2})).is_err());
        assert!(params(json!({"max_output_tokens": 0})).is_err());
        assert!(params(json!({"top_logprobs": 2})).is_err());
        assert!(params(json!({"include": [LOGPROBS], "top_logprobs": 21})).is_err());
        let asked = json!({"n": 1, "max_output_tokens": 5, "include": [LOGPROBS], "top_logprobs": 2, "stop": "x"});
        let params = params(asked).unwrap();
        assert_eq!(params.max_tokens, Some(5));
        assert_eq!(params.logprobs, Some(2));
        assert_eq!(params.stop, ["x"]);
    }
}
