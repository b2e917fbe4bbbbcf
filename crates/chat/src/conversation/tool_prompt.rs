//! Tool prompt fallback for templates without tool support: the system message describes the tools, and calls use the most common
//! syntax (Hermes).

use serde_json::Value;

use crate::integers;

const HEADER: &str = "You may call functions to help the user. These are their signatures, one JSON object per line:\n<tools>\n";
const TOOLS_END: &str = "</tools>";
const CALLS: &str = "\nTo call a function, write a JSON object with its name and arguments between tags:\n\
<tool_call>\n{\"name\": \"FUNCTION\", \"arguments\": {\"ARGUMENT\": \"VALUE\"}}\n</tool_call>";

/// Describes `tools` for the system message. Without `explains_calls` the model is expected to know how to call them.
pub(super) fn tool_prompt(tools: &[Value], explains_calls: bool) -> String {
    let mut description = HEADER.to_owned();
    for tool in tools {
        description.push_str(&integers::to_string(&tool["function"]));
        description.push('\n');
    }
    description.push_str(TOOLS_END);
    if explains_calls {
        description.push_str(CALLS);
    }
    description
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tools_are_described_one_per_line() {
        let tool = json!({"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}});
        let tools = [tool.clone(), tool];
        let described = tool_prompt(&tools, true);
        assert_eq!(described.matches("\n{\"name\":\"now\",").count(), 2);
        assert!(described.ends_with("</tool_call>"));
        assert!(tool_prompt(&tools, false).ends_with("</tools>"));
    }
}
