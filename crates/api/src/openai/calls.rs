//! Calls as chat completions show them: of functions, of custom tools, and in the deprecated field `function_call`.

use std::collections::HashSet;

use mlxm_chat::ToolCall;
use mlxm_engine::FinishReason;
use serde_json::{Value, json};

use super::custom_tools;
use super::shared::new_id;
use super::tools::{self, FUNCTIONS_FIELDS, Tools};
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::generate::{Finish, ToolChoice};

/// How the calls of a request are shown.
#[derive(Debug, Clone, Default)]
pub struct CallStyle {
    /// Names of custom tools.
    pub custom: HashSet<String>,
    /// Whether the request has the deprecated `functions`: one call, in the field `function_call`.
    pub is_function_call: bool,
}

impl CallStyle {
    /// Whether the tool `name` is a custom tool.
    pub fn is_custom(&self, name: &str) -> bool {
        self.custom.contains(name)
    }

    /// The finish reason.
    pub fn finish_reason(&self, finish: &Finish) -> &'static str {
        match finish.reason {
            FinishReason::ToolCalls if self.is_function_call => "function_call",
            _ => finish.reason.as_str(),
        }
    }

    /// Adds the calls of a completion to its message.
    pub fn add_calls(&self, message: &mut Value, calls: &[ToolCall]) {
        let Some(first) = calls.first() else { return };
        if self.is_function_call {
            message["function_call"] = json!({"name": first.name, "arguments": first.arguments});
        } else {
            message["tool_calls"] = calls.iter().map(|call| self.call(call)).collect();
        }
    }

    fn call(&self, call: &ToolCall) -> Value {
        let ToolCall { name, arguments } = call;
        let id = new_id("call_");
        if self.is_custom(name) {
            let custom = json!({"name": name, "input": custom_tools::input(arguments)});
            return json!({"id": id, "type": "custom", "custom": custom});
        }
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": id, "type": "function", "function": function})
    }

    /// The delta that starts call `index` of a stream.
    pub fn start(&self, index: usize, name: &str) -> Value {
        if self.is_function_call {
            return json!({"function_call": {"name": name, "arguments": ""}});
        }
        let mut call = self.call(&ToolCall {
            name: name.to_owned(),
            arguments: String::new(),
        });
        call["index"] = index.into();
        json!({"tool_calls": [call]})
    }

    /// The delta that continues the arguments of call `index`.
    pub fn arguments(&self, index: usize, delta: &str) -> Value {
        if self.is_function_call {
            return json!({"function_call": {"arguments": delta}});
        }
        json!({"tool_calls": [{"index": index, "function": {"arguments": delta}}]})
    }

    /// The delta with the input of call `index` of a custom tool, which is known when the arguments are complete.
    pub fn custom_input(index: usize, arguments: &str) -> Value {
        let input = custom_tools::input(arguments);
        json!({"tool_calls": [{"index": index, "custom": {"input": input}}]})
    }
}

/// Which tools a request lets the model call, and how the calls are shown.
pub struct Called {
    pub choice: ToolChoice,
    pub tools: Vec<Value>,
    pub style: CallStyle,
}

impl Called {
    /// Reads `tools` and `tool_choice`.
    ///
    /// # Errors
    /// If one of them is invalid or not supported.
    pub fn tools(
        tools: &[Value],
        choice: Option<&Value>,
        warnings: &mut Warnings,
    ) -> Result<Self, ApiError> {
        let Tools {
            functions,
            custom,
            hosted,
        } = tools::parse(tools, choice, warnings)?;
        let (choice, tools) = tools::choose(choice, functions, &hosted)?;
        Ok(Self {
            choice,
            tools,
            style: CallStyle {
                custom,
                is_function_call: false,
            },
        })
    }

    /// Reads the deprecated `functions` and `function_call`.
    ///
    /// # Errors
    /// As [`tools`](Self::tools).
    pub fn functions(
        functions: Vec<Value>,
        function_call: Option<Value>,
    ) -> Result<Self, ApiError> {
        let functions = functions.into_iter();
        let tools: Vec<Value> = functions
            .map(|function| json!({"type": "function", "function": function}))
            .collect();
        tools::validate_at(&tools, &FUNCTIONS_FIELDS)?;
        let choice = function_call.map(tool_choice);
        let (choice, tools) = tools::choose(choice.as_ref(), tools, &[])
            .map_err(|error| error.renamed("tool_choice", "function_call"))?;
        Ok(Self {
            choice,
            tools,
            style: CallStyle {
                is_function_call: true,
                ..CallStyle::default()
            },
        })
    }
}

/// The `tool_choice` of the deprecated `function_call`.
pub fn tool_choice(function_call: Value) -> Value {
    match function_call["name"].as_str() {
        Some(name) => json!({"type": "function", "function": {"name": name}}),
        None => function_call,
    }
}
