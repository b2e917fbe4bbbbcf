//! The response object.

use serde_json::{Map, Value, json};

use super::output::{Output, OutputSummary};
use super::request::ResponseFields;
use crate::error::{ApiError, Protocol};
use crate::openai::shared::{new_id, now, timings};
use crate::state::ServedModel;

/// The fields of a response that are known before its output.
pub struct ResponseEnvelope {
    id: String,
    fields: Map<String, Value>,
    timings: bool,
}

/// Fields that are returned as they were sent.
const ECHOED: [&str; 5] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "max_output_tokens",
];

impl ResponseEnvelope {
    /// The envelope of a new response.
    pub fn new(
        model: &ServedModel,
        name: &str,
        fields: &ResponseFields,
        body: &Map<String, Value>,
    ) -> Self {
        let defaults = model.engine.default_sampling();
        let sent = |name: &str, default: Value| match body.get(name) {
            None | Some(Value::Null) => default,
            Some(value) => value.clone(),
        };
        let tier = match sent("service_tier", Value::Null) {
            tier if tier == "flex" || tier == "priority" => tier,
            _ => "default".into(),
        };
        let reasoning = fields.reasoning.as_ref();
        let id = new_id("resp_");
        let envelope = json!({
            "id": id,
            "object": "response",
            "created_at": now(),
            "status": "in_progress",
            "background": false,
            "completed_at": null,
            "error": null,
            "incomplete_details": null,
            "instructions": fields.instructions,
            "max_tool_calls": null,
            "metadata": sent("metadata", json!({})),
            "model": name,
            "output": [],
            "parallel_tool_calls": fields.parallel_tool_calls.unwrap_or(true),
            "previous_response_id": fields.previous_response_id,
            "reasoning": {
                "effort": reasoning.and_then(|reasoning| reasoning.effort.clone()),
                "summary": reasoning.and_then(|reasoning| reasoning.summary.clone()),
            },
            "service_tier": tier,
            "store": fields.store.unwrap_or(true),
            "temperature": sent("temperature", defaults.temperature.into()),
            "text": fields.text_config(),
            "tool_choice": sent("tool_choice", "auto".into()),
            "tools": tools(fields.tools.as_deref().unwrap_or_default()),
            "top_logprobs": fields.top_logprobs.unwrap_or_default(),
            "top_p": sent("top_p", defaults.top_p.into()),
            "truncation": "disabled",
            "usage": null,
        });
        let mut envelope = match envelope {
            Value::Object(envelope) => envelope,
            _ => Map::new(),
        };
        for name in ECHOED {
            envelope.insert(name.to_owned(), sent(name, Value::Null));
        }
        Self {
            id,
            fields: envelope,
            timings: body.get("timings") == Some(&Value::Bool(true)),
        }
    }

    /// The id of the response.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The response while it is in progress.
    pub fn in_progress(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// The completed or incomplete response.
    pub fn finished(&self, output: &Output, summary: &OutputSummary) -> Value {
        let mut response = self.in_progress();
        response["output"] = output.items().into();
        response["usage"] = summary.usage();
        if summary.is_complete() {
            response["status"] = "completed".into();
            response["completed_at"] = now().into();
        } else {
            response["status"] = "incomplete".into();
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        if self.timings {
            response["timings"] = timings(&summary.finish.metrics);
        }
        response
    }

    /// The failed response.
    pub fn failed(&self, output: &Output, error: &ApiError) -> Value {
        let mut response = self.in_progress();
        response["output"] = output.items().into();
        response["status"] = "failed".into();
        let message = error.body_in(Protocol::OpenAi)["error"]["message"].clone();
        response["error"] = json!({"code": "server_error", "message": message});
        response
    }
}

/// Adds the fields that a tool may omit.
fn tools(tools: &[Value]) -> Value {
    let complete = tools.iter().map(|tool| {
        let mut tool = tool.clone();
        if let Value::Object(tool) = &mut tool {
            for (name, default) in [
                ("description", Value::Null),
                ("parameters", Value::Null),
                ("strict", false.into()),
            ] {
                tool.entry(name).or_insert(default);
            }
        }
        tool
    });
    complete.collect()
}
