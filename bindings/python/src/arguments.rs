//! Python arguments as requests of the engine.

use mlxm_chat::ChatModel;
use mlxm_chat::template::RenderOptions;
use mlxm_engine::Request;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};
use serde_json::Value;

use crate::error::{PyResultExt, rejected};

/// Token ids from a list, a NumPy array or any other iterable of integers.
pub fn token_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    let id = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        item.extract::<u32>().map_err(|_| {
            rejected(format!(
                "{item} is not a token id: give non-negative integers"
            ))
        })
    };
    ids.try_iter()?.map(id).collect()
}

/// Any JSON-like Python value. Python's own encoder decides what is JSON-like.
pub fn json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    let text: String = value
        .py()
        .import("json")?
        .call_method1("dumps", (value,))?
        .extract()?;
    serde_json::from_str(&text).map_err(rejected)
}

pub fn json_list(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<Value>> {
    match json(value)? {
        Value::Array(items) => Ok(items),
        _ => Err(PyTypeError::new_err(format!("{what} must be a list"))),
    }
}

/// What a chat template takes besides the messages.
pub fn render_options(
    tools: Option<&Bound<'_, PyAny>>,
    add_generation_prompt: bool,
    variables: Option<&Bound<'_, PyDict>>,
) -> PyResult<RenderOptions> {
    let kwargs = match variables
        .map(|variables| json(variables.as_any()))
        .transpose()?
    {
        Some(Value::Object(kwargs)) => kwargs,
        _ => serde_json::Map::new(),
    };
    Ok(RenderOptions {
        tools: tools.map(|tools| json_list(tools, "tools")).transpose()?,
        add_generation_prompt,
        kwargs,
        ..RenderOptions::default()
    })
}

/// The text of a conversation as the model's template writes it.
pub fn render(
    model: &ChatModel,
    messages: &Bound<'_, PyAny>,
    options: &RenderOptions,
) -> PyResult<String> {
    let template = model.template().py()?;
    let py = messages.py();
    let messages = json_list(messages, "messages")?;
    py.detach(|| template.render(&messages, options)).py()
}

/// The prompt of a request: text, token ids, or messages (a list of dictionaries).
pub fn prompt(
    model: &ChatModel,
    prompt: &Bound<'_, PyAny>,
    options: &RenderOptions,
) -> PyResult<Vec<u32>> {
    if let Ok(text) = prompt.cast::<PyString>() {
        return model
            .engine()
            .tokenizer()
            .encode(&text.to_cow()?, true)
            .py();
    }
    let is_message = prompt
        .get_item(0)
        .is_ok_and(|first| first.is_instance_of::<PyDict>());
    if is_message {
        return model
            .engine()
            .tokenizer()
            .encode(&render(model, prompt, options)?, false)
            .py();
    }
    token_ids(prompt)
}

/// The request for `prompt` (text, token ids or messages) with the [`KEYWORDS`] of `generate` and `stream`. What is
/// absent or None keeps the model's own default.
pub fn request(
    model: &ChatModel,
    prompt: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Request> {
    let mut sampling = model.engine().default_sampling();
    let mut request = Request::default();
    let (mut tools, mut variables) = (None, None);
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        if value.is_none() && KEYWORDS.contains(&name.as_str()) {
            continue;
        }
        match name.as_str() {
            "max_tokens" => request.max_tokens = Some(natural(&name, &value)?),
            "temperature" => sampling.temperature = value.extract()?,
            "top_k" => sampling.top_k = natural(&name, &value)?,
            "top_p" => sampling.top_p = value.extract()?,
            "min_p" => sampling.min_p = value.extract()?,
            "repetition_penalty" => sampling.repetition_penalty = value.extract()?,
            "repetition_context" => sampling.repetition_context = natural(&name, &value)?,
            "presence_penalty" => sampling.presence_penalty = value.extract()?,
            "frequency_penalty" => sampling.frequency_penalty = value.extract()?,
            "logit_bias" => sampling.logit_bias = value.extract()?,
            "seed" => sampling.seed = Some(natural(&name, &value)?),
            "stop" => request.stop = strings(&value)?,
            "logprobs" => sampling.logprobs = logprobs(&value)?,
            "ignore_eos" => request.ignore_eos = value.extract()?,
            "tools" => tools = Some(value),
            "chat_template_kwargs" => variables = Some(value.cast_into::<PyDict>()?),
            _ => {
                return Err(PyTypeError::new_err(format!(
                    "unexpected keyword argument '{name}'; known: {}",
                    KEYWORDS.join(", ")
                )));
            }
        }
    }
    request.sampling = sampling;
    request.prompt = self::prompt(
        model,
        prompt,
        &render_options(tools.as_ref(), true, variables.as_ref())?,
    )?;
    Ok(request)
}

const KEYWORDS: [&str; 16] = [
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "repetition_context",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "stop",
    "logprobs",
    "ignore_eos",
    "tools",
    "chat_template_kwargs",
];

/// A number that is not negative. A negative or huge one is refused like any other value out of range.
pub fn natural<T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>>(
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<T> {
    value.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            rejected(format!(
                "{name} is {value}; it must not be negative or beyond 64 bits"
            ))
        } else {
            error
        }
    })
}

pub fn strings(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(vec![text.to_string()]);
    }
    value.extract()
}

/// True asks for the chosen tokens' values, a number also for that many of the likeliest.
pub fn logprobs(value: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    match value.cast::<PyBool>() {
        Ok(wanted) => Ok(wanted.is_true().then_some(0)),
        Err(_) => natural("logprobs", value).map(Some),
    }
}
