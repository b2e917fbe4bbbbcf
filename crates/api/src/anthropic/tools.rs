//! Converts Anthropic tools and tool choice to the formats of chat completions.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::fields::Warnings;
use crate::generate::ToolChoice;
use crate::openai::tools::{HostedTool, ignore_hosted};

/// Converts tools to OpenAI's format. Server tools are left out with a warning, as long as another tool is left and
/// `tool_choice` does not name them.
///
/// # Errors
/// If a tool is invalid, or a server tool that the request depends on.
pub fn tools(
    tools: &[Value],
    choice: Option<&Value>,
    warnings: &mut Warnings,
) -> Result<Vec<Value>, ApiError> {
    let mut functions = Vec::new();
    let mut hosted = Vec::new();
    let chosen = choice.map(|choice| &choice["name"]);
    for (index, tool) in tools.iter().enumerate() {
        let path = format!("tools[{index}]");
        if !tool.is_object() {
            return Err(ApiError::at(&path, "must be an object"));
        }
        match tool["type"].as_str().filter(|kind| *kind != "custom") {
            None => functions.push(function(tool)),
            Some(kind) => match client_tool(kind, tool) {
                Some(function) => functions.push(function),
                None => hosted.push(HostedTool {
                    path,
                    kind: kind.to_owned(),
                    is_chosen: chosen.is_some_and(|name| !name.is_null() && *name == tool["name"]),
                }),
            },
        }
    }
    ignore_hosted(hosted, functions.is_empty(), warnings)?;
    Ok(functions)
}

fn function(tool: &Value) -> Value {
    let mut function = Map::new();
    for (from, to) in [
        ("name", "name"),
        ("description", "description"),
        ("input_schema", "parameters"),
    ] {
        if let Some(value) = tool.get(from).filter(|value| !value.is_null()) {
            function.insert(to.to_owned(), value.clone());
        }
    }
    json!({"type": "function", "function": function})
}

/// The function of a tool that the client runs and whose schema Anthropic publishes.
fn client_tool(kind: &str, tool: &Value) -> Option<Value> {
    let string = json!({"type": "string"});
    let (description, properties, required) = if kind.starts_with("bash_") {
        (
            "Runs a command in a persistent bash session.",
            json!({
                "command": {"type": "string", "description": "The command to run."},
                "restart": {"type": "boolean", "description": "Set to true to restart the session."},
            }),
            json!([]),
        )
    } else if kind.starts_with("text_editor_") {
        (
            "Views, creates and edits text files.",
            json!({
                "command": {"enum": ["view", "create", "str_replace", "insert"]},
                "path": {"type": "string", "description": "Absolute path of the file or directory."},
                "view_range": {"type": "array", "items": {"type": "integer"}, "description": "First and last line for view; -1 is the end."},
                "file_text": {"type": "string", "description": "Content for create."},
                "old_str": {"type": "string", "description": "Text to replace, which must occur exactly once."},
                "new_str": {"type": "string", "description": "Replacement for str_replace."},
                "insert_line": {"type": "integer", "description": "Line after which to insert."},
                "insert_text": {"type": "string", "description": "Text to insert."},
            }),
            json!(["command", "path"]),
        )
    } else if kind.starts_with("memory_") {
        (
            "Reads and writes files in the /memories directory, which lasts across conversations.",
            json!({
                "command": {"enum": ["view", "create", "str_replace", "insert", "delete", "rename"]},
                "path": string,
                "view_range": {"type": "array", "items": {"type": "integer"}},
                "file_text": string,
                "old_str": string,
                "new_str": string,
                "insert_line": {"type": "integer"},
                "insert_text": string,
                "old_path": string,
                "new_path": string,
            }),
            json!(["command"]),
        )
    } else {
        return None;
    };
    Some(json!({"type": "function", "function": {
        "name": tool["name"],
        "description": description,
        "parameters": {"type": "object", "properties": properties, "required": required},
    }}))
}

/// Parses `tool_choice`: the choice, and whether parallel tool calls are allowed.
///
/// # Errors
/// If the value is invalid.
pub fn tool_choice(value: Option<&Value>) -> Result<(ToolChoice, bool), ApiError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok((ToolChoice::Auto, true));
    };
    let parallel = value["disable_parallel_tool_use"] != true;
    let choice = match (value["type"].as_str(), value["name"].as_str()) {
        (Some("auto"), _) => ToolChoice::Auto,
        (Some("none"), _) => ToolChoice::None,
        (Some("any"), _) => ToolChoice::Required,
        (Some("tool"), Some(name)) => ToolChoice::Named(name.to_owned()),
        _ => {
            return Err(ApiError::at(
                "tool_choice",
                "must have the type auto, any, none, or tool with a name",
            ));
        }
    };
    Ok((choice, parallel))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tools: &[Value]) -> Vec<&str> {
        tools
            .iter()
            .filter_map(|tool| tool["function"]["name"].as_str())
            .collect()
    }

    #[test]
    fn server_tools_are_ignored_with_a_warning_next_to_a_client_tool() {
        let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8});
        let own = json!({"name": "f", "input_schema": {"type": "object"}});
        let mut warnings = Warnings::default();
        let list = [search.clone(), own];
        assert_eq!(names(&tools(&list, None, &mut warnings).unwrap()), ["f"]);
        assert!(
            warnings
                .to_string()
                .contains("tools[0] was ignored: web_search_20250305")
        );
        let choice = json!({"type": "tool", "name": "web_search"});
        let alone = std::slice::from_ref(&search);
        for (list, choice) in [(&list[..], Some(&choice)), (alone, None)] {
            let error = tools(list, choice, &mut warnings).unwrap_err();
            assert_eq!(
                error.to_string(),
                "tools[0] has the type web_search_20250305; only tools that the client runs are supported"
            );
        }
    }

    #[test]
    fn client_tools_with_a_published_schema_are_functions() {
        let list = [
            json!({"type": "bash_20250124", "name": "bash"}),
            json!({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
            json!({"type": "memory_20250818", "name": "memory"}),
        ];
        let mut warnings = Warnings::default();
        let tools = tools(&list, None, &mut warnings).unwrap();
        assert_eq!(
            names(&tools),
            ["bash", "str_replace_based_edit_tool", "memory"]
        );
        assert!(
            tools
                .iter()
                .all(|tool| tool["function"]["parameters"]["properties"]["command"].is_object())
        );
        assert_eq!(warnings, Warnings::default());
    }

    #[test]
    fn tool_choice_without_a_name_is_rejected() {
        assert!(tool_choice(Some(&json!({"type": "tool"}))).is_err());
    }
}
