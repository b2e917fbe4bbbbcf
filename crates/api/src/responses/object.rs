//! The response object.

use mlxm_chat::integers;
use serde_json::{Value, json};

use super::output::{Output, OutputSummary};
use super::request::ResponseBody;
use crate::openai::shared::{new_id, now, timings};
use crate::state::ServedModel;
use crate::stream_errors;
use crate::worker::Profile;

/// The fields of a response that are known before its output.
pub struct ResponseEnvelope {
    id: String,
    fields: Value,
    timings: bool,
}

impl ResponseEnvelope {
    /// The envelope of a new response to a request.
    pub fn new(model: &ServedModel, profile: &Profile, name: String, body: &ResponseBody) -> Self {
        let ResponseBody {
            stream,
            fields,
            sampling,
            echoed,
        } = body;
        let defaults = model.engine.default_sampling();
        let (temperature, top_p) = profile.temperature_and_top_p();
        let temperature = sampling.temperature.or(temperature);
        let top_p = sampling.top_p.or(top_p);
        let tier = sampling.service_tier.as_deref();
        let tier = tier
            .filter(|tier| ["flex", "priority"].contains(tier))
            .unwrap_or("default");
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
            "max_output_tokens": fields.max_output_tokens,
            "max_tool_calls": null,
            "metadata": fields.metadata.clone().unwrap_or_default(),
            "model": name,
            "output": [],
            "parallel_tool_calls": fields.parallel_tool_calls.unwrap_or(true),
            "previous_response_id": fields.previous_response_id,
            "prompt_cache_key": echoed.prompt_cache_key,
            "prompt_cache_retention": echoed.prompt_cache_retention,
            "reasoning": {
                "effort": reasoning.and_then(|reasoning| reasoning.effort.clone()),
                "summary": reasoning.and_then(|reasoning| reasoning.summary.clone()),
            },
            "safety_identifier": echoed.safety_identifier,
            "service_tier": tier,
            "store": fields.store.unwrap_or(true),
            "temperature": shortest(temperature.unwrap_or(defaults.temperature)),
            "text": fields.text_config(),
            "tool_choice": fields.tool_choice.clone().unwrap_or_else(|| "auto".into()),
            "tools": tools(fields.tools.as_deref().unwrap_or_default()),
            "top_logprobs": fields.top_logprobs.unwrap_or_default(),
            "top_p": shortest(top_p.unwrap_or(defaults.top_p)),
            "truncation": "disabled",
            "usage": null,
            "user": echoed.user,
        });
        Self {
            id,
            fields: envelope,
            timings: stream.timings.unwrap_or_default(),
        }
    }

    /// The id of the response.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The response while it is in progress.
    pub fn in_progress(&self) -> Value {
        self.fields.clone()
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

    /// The failed response; `body` is the error in OpenAI's format.
    pub fn failed(&self, output: &Output, body: &Value) -> Value {
        let mut response = self.in_progress();
        response["output"] = output.items().into();
        stream_errors::failed_response(response, body)
    }
}

/// The f64 with the same shortest decimal form, so that 0.7 is not shown as 0.699999988079071.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Tools with the fields that clients expect to find.
fn tools(tools: &[Value]) -> Value {
    let complete = tools.iter().map(|tool| {
        let mut tool = integers::rounded(tool.clone());
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
