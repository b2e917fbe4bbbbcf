//! Definitions of tools with the parts that templates print.

use serde_json::{Value, json};

/// Adds an empty description and empty parameters to tools without them, for templates that cannot render their absence.
pub(super) fn complete_tools(tools: &[Value]) -> Vec<Value> {
    let complete = |tool: &Value| {
        let mut tool = tool.clone();
        if let Some(Value::Object(function)) = tool.get_mut("function") {
            let description = function.entry("description").or_insert(Value::Null);
            if description.is_null() {
                *description = "".into();
            }
            let parameters = function.entry("parameters").or_insert(Value::Null);
            if !parameters.is_object() {
                *parameters = json!({"type": "object"});
            }
            if let Value::Object(parameters) = parameters {
                parameters.entry("type").or_insert_with(|| "object".into());
                parameters.entry("properties").or_insert_with(|| json!({}));
            }
        }
        tool
    };
    tools.iter().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parts_are_added() {
        let complete = json!({"type": "function", "function": {"name": "f", "description": "F.", "parameters": {
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]
        }}});
        let tools = [
            json!({"type": "function", "function": {"name": "g"}}),
            json!({"type": "function", "function": {"name": "g", "description": null, "parameters": {"type": "object"}}}),
            complete.clone(),
        ];
        let bare = json!({"type": "function", "function": {"name": "g", "description": "", "parameters": {
            "type": "object", "properties": {}
        }}});
        assert_eq!(complete_tools(&tools), [bare.clone(), bare, complete]);
    }
}
