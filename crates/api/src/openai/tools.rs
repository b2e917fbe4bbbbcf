//! Validating tools.

use serde_json::Value;

use crate::error::ApiError;

/// Checks a list of tools.
///
/// # Errors
/// Names the tool and the field that make no sense.
pub fn check(tools: &[Value]) -> Result<(), ApiError> {
    check_shown(tools, ".function")
}

/// Checks tools whose functions clients know under another `path` inside the tool.
///
/// # Errors
/// Names the tool and the field that make no sense.
pub fn check_shown(tools: &[Value], path: &str) -> Result<(), ApiError> {
    let mut names = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let wrong = |field: &str, problem: String| {
            let place = format!("tools[{index}]{field}");
            ApiError::field(place.clone(), format!("{place} {problem}"))
        };
        if tool["type"] != "function" {
            let problem = format!(
                "is {}; only tools of the type function are known",
                tool["type"]
            );
            return Err(wrong(".type", problem));
        }
        let Some(name) = tool["function"]["name"]
            .as_str()
            .filter(|name| is_name(name))
        else {
            let problem =
                "must have 1 to 64 letters, digits, underscores, dots or dashes".to_owned();
            return Err(wrong(&format!("{path}.name"), problem));
        };
        if names.contains(&name) {
            return Err(wrong(
                &format!("{path}.name"),
                format!("is `{name}`, like another tool's"),
            ));
        }
        names.push(name);
        let parameters = &tool["function"]["parameters"];
        if !parameters.is_object() && !parameters.is_null() {
            return Err(wrong(
                &format!("{path}.parameters"),
                "must be a JSON schema".to_owned(),
            ));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}
