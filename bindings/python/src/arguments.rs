//! Conversion of Python arguments to requests.

use mlxm_chat::template::RenderOptions;
use mlxm_chat::{ChatModel, GenerationParams, integers};
use mlxm_engine::Request;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};
use serde_json::Value;

use crate::error::{PyResultExt, rejected};
use crate::tokenizer::encode;

/// Token ids from a list, a NumPy array or any other iterable of integers.
pub fn token_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    let id = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        item.extract::<u32>().map_err(|_| {
            rejected(format!(
                "{item} is not a token id; token ids are non-negative integers"
            ))
        })
    };
    ids.try_iter()?.map(id).collect()
}

/// Any value that Python's `json` module can serialize.
pub fn json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    serde_json::from_str(&dumps(value)?).map_err(rejected)
}

fn dumps(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let json = value.py().import("json")?;
    json.call_method1("dumps", (value,))?.extract()
}

/// Messages or tools. Integers beyond 64 bits keep all digits in what the model reads as JSON.
pub fn json_list(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Vec<Value>> {
    const MODEL_JSON: [&str; 2] = ["arguments", "parameters"];
    let round = |value: &mut Value| integers::round_outside(value, &MODEL_JSON);
    match integers::from_str_rounding(&dumps(value)?, round).map_err(rejected)? {
        Value::Array(items) => Ok(items),
        _ => Err(PyTypeError::new_err(format!("{what} must be a list"))),
    }
}

/// Options of a chat template.
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

/// A conversation, rendered with the model's template.
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

/// The tokens of a prompt: text, token ids, or messages (a list of dicts).
pub fn prompt(
    model: &ChatModel,
    prompt: &Bound<'_, PyAny>,
    options: &RenderOptions,
) -> PyResult<Vec<u32>> {
    let tokenizer = model.engine().tokenizer();
    let py = prompt.py();
    if let Ok(text) = prompt.cast::<PyString>() {
        return encode(py, tokenizer, text.to_cow()?.into_owned(), true);
    }
    let is_conversation = prompt
        .get_item(0)
        .is_ok_and(|first| first.is_instance_of::<PyDict>());
    if is_conversation {
        let text = render(model, prompt, options)?;
        return encode(py, tokenizer, text, false);
    }
    token_ids(prompt)
}

/// Keyword arguments for sampling and limits.
pub const SAMPLING_KEYWORDS: [&str; 14] = [
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
];

/// Keyword arguments of `generate` and `stream` in addition to [`SAMPLING_KEYWORDS`].
const KEYWORDS: [&str; 2] = ["tools", "chat_template_kwargs"];

/// Sets one of [`SAMPLING_KEYWORDS`]; false if `name` is another keyword. None keeps the model's default.
pub fn set_param(
    params: &mut GenerationParams,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    if value.is_none() {
        return Ok(SAMPLING_KEYWORDS.contains(&name));
    }
    match name {
        "max_tokens" => params.max_tokens = Some(natural(name, value)?),
        "temperature" => params.temperature = Some(value.extract()?),
        "top_k" => params.top_k = Some(natural(name, value)?),
        "top_p" => params.top_p = Some(value.extract()?),
        "min_p" => params.min_p = Some(value.extract()?),
        "repetition_penalty" => params.repetition_penalty = Some(value.extract()?),
        "repetition_context" => params.repetition_context = Some(natural(name, value)?),
        "presence_penalty" => params.presence_penalty = Some(value.extract()?),
        "frequency_penalty" => params.frequency_penalty = Some(value.extract()?),
        "logit_bias" => params.logit_bias = value.extract()?,
        "seed" => params.seed = Some(natural(name, value)?),
        "stop" => params.stop = strings(value)?,
        "logprobs" => params.logprobs = logprobs(value)?,
        "ignore_eos" => params.ignore_eos = value.extract()?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The error for an unknown keyword argument.
pub fn unexpected_keyword(
    name: &str,
    known: impl IntoIterator<Item = &'static str>,
    more: impl IntoIterator<Item = &'static str>,
) -> PyErr {
    let known: Vec<&str> = known.into_iter().chain(more).collect();
    PyTypeError::new_err(format!(
        "unexpected keyword argument '{name}'; known: {}",
        known.join(", ")
    ))
}

/// The request for `prompt` (text, token ids or messages) with the keyword arguments of `generate` and `stream`.
pub fn request(
    model: &ChatModel,
    prompt: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Request> {
    let mut params = GenerationParams::default();
    let (mut tools, mut variables) = (None, None);
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        if set_param(&mut params, &name, &value)? {
            continue;
        }
        match name.as_str() {
            "tools" => tools = Some(value).filter(|value| !value.is_none()),
            "chat_template_kwargs" if value.is_none() => {}
            "chat_template_kwargs" => variables = Some(value.cast_into::<PyDict>()?),
            _ => return Err(unexpected_keyword(&name, SAMPLING_KEYWORDS, KEYWORDS)),
        }
    }
    let options = render_options(tools.as_ref(), true, variables.as_ref())?;
    Ok(Request {
        prompt: self::prompt(model, prompt, &options)?,
        ..params.request(model.engine()).py()?
    })
}

/// A non-negative integer. Negative and huge numbers are rejected like other values out of range.
pub fn natural<T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>>(
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<T> {
    value.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            rejected(format!(
                "{name} is {value}; it must not be negative or exceed 64 bits"
            ))
        } else {
            error
        }
    })
}

fn strings(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(vec![text.to_string()]);
    }
    value.extract()
}

/// True: log-probabilities of the generated tokens. A number: also of that many most likely tokens.
fn logprobs(value: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    match value.cast::<PyBool>() {
        Ok(enabled) => Ok(enabled.is_true().then_some(0)),
        Err(_) => natural("logprobs", value).map(Some),
    }
}
