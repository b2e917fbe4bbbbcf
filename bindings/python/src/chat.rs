//! Requests and results of `Model.chat`.

use mlxm_chat::{ChatRequest, ResponseFormat, ToolChoice};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};

use crate::arguments::{
    SAMPLING_KEYWORDS, json, json_list, natural, set_param, unexpected_keyword,
};
use crate::error::PyResultExt;
use crate::results::{RequestMetrics, TokenLogprob};

/// Keyword arguments of `Model.chat` in addition to [`SAMPLING_KEYWORDS`].
const KEYWORDS: [&str; 4] = [
    "thinking_budget",
    "parallel_tool_calls",
    "continue_final_message",
    "chat_template_kwargs",
];

/// A tool call of the model.
#[pyclass(frozen, get_all, module = "mlxm")]
#[derive(Clone)]
pub struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

#[pymethods]
impl ToolCall {
    fn __repr__(&self) -> String {
        format!(
            "ToolCall(id={:?}, name={:?}, arguments={:?})",
            self.id, self.name, self.arguments
        )
    }
}

/// A new id of a tool call.
pub fn tool_call_id() -> String {
    format!("call_{}", uuid::Uuid::new_v4().simple())
}

/// A generated message.
#[pyclass(frozen, get_all, module = "mlxm")]
pub struct ChatCompletion {
    content: String,
    reasoning: Option<String>,
    tool_calls: Vec<ToolCall>,
    tokens: Vec<u32>,
    finish_reason: &'static str,
    stop_string: Option<String>,
    logprobs: Option<Vec<TokenLogprob>>,
    metrics: RequestMetrics,
}

impl ChatCompletion {
    /// `None` if the completion is not finished.
    pub fn new(completion: mlxm_chat::ChatCompletion, with_logprobs: bool) -> Option<Self> {
        let finish = completion.finish?;
        let calls = completion.tool_calls.into_iter().map(|call| ToolCall {
            id: tool_call_id(),
            name: call.name,
            arguments: call.arguments,
        });
        let logprobs = completion.logprobs.into_iter().map(Into::into);
        Some(Self {
            content: completion.content,
            reasoning: Some(completion.reasoning).filter(|text| !text.is_empty()),
            tool_calls: calls.collect(),
            tokens: completion.tokens,
            finish_reason: finish.reason.as_str(),
            stop_string: finish.reason.stop_string().map(str::to_owned),
            logprobs: with_logprobs.then(|| logprobs.collect()),
            metrics: finish.metrics.into(),
        })
    }
}

#[pymethods]
impl ChatCompletion {
    fn __str__(&self) -> &str {
        &self.content
    }

    fn __repr__(&self) -> String {
        format!(
            "ChatCompletion(content={:?}, tool_calls={}, finish_reason={:?})",
            self.content,
            self.tool_calls.len(),
            self.finish_reason
        )
    }
}

/// The request for `messages` with the keyword arguments of `Model.chat`.
pub fn request(
    messages: &Bound<'_, PyAny>,
    tools: Option<&Bound<'_, PyAny>>,
    tool_choice: Option<&Bound<'_, PyAny>>,
    response_format: Option<&Bound<'_, PyAny>>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<ChatRequest> {
    let tools = tools.map(|tools| json_list(tools, "tools")).transpose()?;
    let tool_choice = tool_choice.map(json).transpose()?;
    let response_format = response_format
        .map(|format| json_dict(format, "response_format"))
        .transpose()?;
    let mut request = ChatRequest {
        messages: json_list(messages, "messages")?,
        tools: tools.unwrap_or_default(),
        tool_choice: ToolChoice::from_json(tool_choice.as_ref()).py()?,
        parallel_tool_calls: true,
        response_format: ResponseFormat::from_json(response_format.as_ref(), "response_format")
            .py()?,
        ..ChatRequest::default()
    };
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        if !set_param(&mut request.params, &name, &value)? {
            set(&mut request, &name, &value)?;
        }
    }
    Ok(request)
}

/// Sets one of [`KEYWORDS`].
fn set(request: &mut ChatRequest, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if value.is_none() && KEYWORDS.contains(&name) {
        return Ok(());
    }
    match name {
        "thinking_budget" => request.thinking_budget = Some(natural(name, value)?),
        "parallel_tool_calls" => request.parallel_tool_calls = value.extract()?,
        "continue_final_message" => request.continue_final_message = value.extract()?,
        "chat_template_kwargs" => request.template_kwargs = json_dict(value, name)?,
        _ => return Err(unexpected_keyword(name, SAMPLING_KEYWORDS, KEYWORDS)),
    }
    Ok(())
}

fn json_dict(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Map<String, Value>> {
    match json(value)? {
        Value::Object(object) => Ok(object),
        _ => Err(PyTypeError::new_err(format!("{what} must be a dict"))),
    }
}
