//! Tools in the flat form of responses, and the choice between them.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::generate::ToolChoice;
use crate::openai::tools;

/// Tools as chats have them.
///
/// # Errors
/// Names the tool that makes no sense or that this server does not have.
pub fn read(tools: &[Value]) -> Result<Vec<Value>, ApiError> {
    let nested = tools
        .iter()
        .enumerate()
        .map(|(index, tool)| match &tool["type"] {
            Value::String(kind) if kind == "function" => {
                let fields = ["name", "description", "parameters", "strict"];
                let present = fields.iter().filter(|field| !tool[**field].is_null());
                let function: Map<String, Value> = present
                    .map(|field| ((*field).to_owned(), tool[*field].clone()))
                    .collect();
                Ok(json!({"type": "function", "function": function}))
            }
            Value::String(kind) => {
                let place = format!("tools[{index}]");
                let message = format!(
                    "{place} is of the type {kind}, which this server does not run; only tools of the type function are known"
                );
                Err(ApiError::unsupported(place, message))
            }
            _ => {
                let place = format!("tools[{index}].type");
                Err(ApiError::field(place.clone(), format!("{place} must be function")))
            }
        });
    let nested = nested.collect::<Result<Vec<_>, _>>()?;
    tools::check_shown(&nested, "")?;
    Ok(nested)
}

/// The choice, and those tools that it leaves.
///
/// # Errors
/// When it is none of the forms of the official API that are supported.
pub fn choose(
    choice: Option<&Value>,
    tools: Vec<Value>,
) -> Result<(ToolChoice, Vec<Value>), ApiError> {
    match choice {
        Some(allowed) if allowed["type"] == "allowed_tools" => {
            let mode = ToolChoice::from_json(Some(&allowed["mode"]))?;
            let names = allowed_names(allowed, &tools)?;
            let allows = |tool: &Value| names.iter().any(|name| tool["function"]["name"] == *name);
            let tools = tools.into_iter().filter(allows).collect();
            Ok((mode, tools))
        }
        Some(Value::Object(choice)) => {
            if let Some(Value::String(kind)) = choice.get("type")
                && kind != "function"
            {
                let message = format!(
                    "tool_choice is of the type {kind}; only function and allowed_tools are known"
                );
                return Err(ApiError::unsupported("tool_choice", message));
            }
            let choice = ToolChoice::from_json(Some(&Value::Object(choice.clone())))?;
            Ok((choice, tools))
        }
        choice => match (ToolChoice::from_json(choice)?, tools.is_empty()) {
            (ToolChoice::Auto, true) => Ok((ToolChoice::None, tools)),
            (choice, _) => Ok((choice, tools)),
        },
    }
}

fn allowed_names(allowed: &Value, tools: &[Value]) -> Result<Vec<Value>, ApiError> {
    let Some(entries) = allowed["tools"]
        .as_array()
        .filter(|tools| !tools.is_empty())
    else {
        let message = "tool_choice.tools must be a list of tools";
        return Err(ApiError::field("tool_choice.tools", message));
    };
    let names = entries.iter().map(|entry| {
        let name = &entry["name"];
        let known = tools.iter().any(|tool| tool["function"]["name"] == *name);
        if known {
            return Ok(name.clone());
        }
        let message = format!("tool_choice.tools has {entry}, which is not among the tools");
        Err(ApiError::field("tool_choice.tools", message))
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(name: &str) -> Value {
        json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": true})
    }

    #[test]
    fn tools_get_the_form_of_chats() {
        let function = json!({"name": "now", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(
            read(&[flat("now")]).unwrap(),
            [json!({"type": "function", "function": function})]
        );
        let problem = |tool: Value| read(&[tool]).unwrap_err().to_string();
        assert!(problem(json!({"type": "web_search"})).contains("of the type web_search"));
        assert_eq!(problem(json!({})), "tools[0].type must be function");
        for unnamed in [
            json!({"type": "function"}),
            json!({"type": "function", "name": "a b"}),
        ] {
            assert!(problem(unnamed).starts_with("tools[0].name must have"));
        }
    }

    #[test]
    fn choices_leave_the_allowed_tools() {
        let tools = read(&[flat("a"), flat("b")]).unwrap();
        let choose = |choice: Value| choose(Some(&choice), tools.clone());
        assert_eq!(
            choose(json!({"type": "function", "name": "b"})).unwrap().0,
            ToolChoice::Named("b".to_owned())
        );
        let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]});
        assert_eq!(
            choose(allowed).unwrap(),
            (ToolChoice::Required, tools[1..].to_vec())
        );
        for wrong in [
            json!({"type": "allowed_tools", "mode": "auto", "tools": []}),
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "c"}]}),
            json!({"type": "file_search"}),
            json!("perhaps"),
        ] {
            assert!(choose(wrong.clone()).is_err(), "{wrong}");
        }
        assert_eq!(
            super::choose(None, Vec::new()).unwrap(),
            (ToolChoice::None, Vec::new())
        );
    }
}
