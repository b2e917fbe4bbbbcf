//! Converts tools to the format of chat completions.

use serde_json::Value;

use super::client_tools::{self, ToolKinds};
use crate::error::ApiError;
use crate::fields::Warnings;
use crate::openai::tools::HostedTool;
use crate::openai::{custom_tools, tools};

/// The functions of the tools in the format of chat completions, and how their calls are shown.
#[derive(Debug, Default)]
pub struct Tools {
    pub functions: Vec<Value>,
    pub kinds: ToolKinds,
    /// Types of the hosted tools that were ignored.
    pub hosted: Vec<String>,
}

/// Converts tools. Hosted tools are left out with a warning, as long as another tool is left and `tool_choice` does not name
/// them.
///
/// # Errors
/// If a tool is invalid, or a hosted tool that the request depends on.
pub fn parse(
    tools: &[Value],
    choice: Option<&Value>,
    warnings: &mut Warnings,
) -> Result<Tools, ApiError> {
    let mut parsed = Tools::default();
    let mut hosted = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        match (&tool["type"], client_tools::functions(tool)) {
            (_, Some(functions)) => {
                for (function, kind) in functions {
                    parsed.kinds.insert(&function, kind);
                    parsed.functions.push(function);
                }
            }
            (Value::String(kind), None) => {
                hosted.push(HostedTool::chosen_by_type(index, kind, choice));
            }
            _ => {
                let path = format!("tools[{index}].type");
                let message = format!("{path} must be function");
                return Err(ApiError::field(path, message));
            }
        }
    }
    parsed.hosted = tools::ignore_hosted(hosted, parsed.functions.is_empty(), warnings)?;
    for (index, tool) in tools.iter().enumerate() {
        if tool["type"] == "custom" {
            custom_tools::warn_of_grammar(&format!("tools[{index}]"), tool, choice, warnings);
        }
    }
    tools::validate_at(&parsed.functions, &tools::RESPONSES_FIELDS)?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generate::ToolChoice;
    use crate::openai::tools::choose;

    fn flat(name: &str) -> Value {
        json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": true})
    }

    #[test]
    fn tools_are_converted_to_the_chat_completion_format() {
        let function = json!({"name": "now", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(
            parse(&[flat("now")], None, &mut Warnings::default())
                .unwrap()
                .functions,
            [json!({"type": "function", "function": function})]
        );
        let problem = |tool: Value| {
            let result = parse(&[tool], None, &mut Warnings::default());
            result.unwrap_err().to_string()
        };
        assert!(problem(json!({"type": "web_search"})).contains("has the type web_search"));
        assert_eq!(problem(json!({})), "tools[0].type must be function");
        for unnamed in [
            json!({"type": "function"}),
            json!({"type": "function", "name": "a b"}),
        ] {
            assert!(problem(unnamed).starts_with("tools[0].name must consist of"));
        }
    }

    #[test]
    fn grammar_of_a_forced_custom_tool_is_named_as_not_enforced() {
        let tool = json!({"type": "custom", "name": "edit",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}});
        let warnings = |choice: Value| {
            let mut warnings = Warnings::default();
            parse(std::slice::from_ref(&tool), Some(&choice), &mut warnings).unwrap();
            warnings.to_string()
        };
        assert!(warnings(json!("required")).starts_with("tools[0].format"));
        assert!(warnings(json!({"type": "custom", "name": "edit"})).contains("not enforced"));
        assert_eq!(warnings(json!("auto")), "");
    }

    #[test]
    fn allowed_tools_filters_the_tools() {
        let mut warnings = Warnings::default();
        let search = json!({"type": "web_search"});
        let Tools {
            functions: tools,
            hosted,
            ..
        } = parse(&[flat("a"), search, flat("b")], None, &mut warnings).unwrap();
        assert_eq!(hosted, ["web_search"]);
        assert_eq!(
            warnings.to_string(),
            "tools[1] was ignored: web_search is not available; only tools that the client runs are"
        );
        let parse_choice = |choice: Value| choose(Some(&choice), tools.clone(), &hosted);
        assert_eq!(
            parse_choice(json!({"type": "function", "name": "b"}))
                .unwrap()
                .0,
            ToolChoice::Named("b".to_owned())
        );
        let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]});
        assert_eq!(
            parse_choice(allowed).unwrap(),
            (ToolChoice::Required, tools[1..].to_vec())
        );
        let search = json!({"type": "web_search"});
        let mixed = json!({"type": "allowed_tools", "mode": "auto", "tools": [search, {"type": "function", "name": "a"}]});
        assert_eq!(
            parse_choice(mixed).unwrap(),
            (ToolChoice::Auto, tools[..1].to_vec())
        );
        for invalid in [
            json!({"type": "allowed_tools", "mode": "auto", "tools": [search]}),
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "code_interpreter"}, {"type": "function", "name": "a"}]}),
            json!({"type": "allowed_tools", "mode": "auto", "tools": []}),
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "c"}]}),
            json!({"type": "file_search"}),
            json!("perhaps"),
        ] {
            assert!(parse_choice(invalid.clone()).is_err(), "{invalid}");
        }
        assert_eq!(
            choose(None, Vec::new(), &[]).unwrap(),
            (ToolChoice::None, Vec::new())
        );
    }
}
