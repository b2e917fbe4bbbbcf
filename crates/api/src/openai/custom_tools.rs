//! Custom tools, whose input is free text. The model sees them as functions with one string.

use serde_json::{Value, json};

use crate::fields::Warnings;

/// The function of a custom tool with `name`, `description` and `format`. A grammar of the input becomes part of the
/// description.
pub fn function(custom: &Value) -> Value {
    let description = custom["description"].as_str().unwrap_or_default();
    let grammar = grammar(custom);
    let (syntax, definition) = (grammar["syntax"].as_str(), grammar["definition"].as_str());
    let grammar = match (syntax, definition) {
        (Some(syntax), Some(definition)) => {
            format!("\n\nThe input follows this {syntax} grammar:\n{definition}")
        }
        _ => String::new(),
    };
    let description = format!("{description}{grammar}");
    let input = match (syntax, definition) {
        (Some("regex"), Some(regex)) => {
            json!({"type": "string", "pattern": format!("^(?:{regex})$")})
        }
        _ => json!({"type": "string"}),
    };
    json!({"type": "function", "function": {
        "name": custom["name"],
        "description": description.trim_start(),
        "parameters": {
            "type": "object",
            "properties": {"input": input},
            "required": ["input"],
            "additionalProperties": false,
        },
    }})
}

/// Chat completions have the grammar one level lower than responses.
fn grammar(custom: &Value) -> &Value {
    let format = &custom["format"];
    if format["grammar"].is_object() {
        &format["grammar"]
    } else {
        format
    }
}

/// Warns that the grammar of the custom tool at `path` is not enforced, if `choice` forces a call of it.
pub fn warn_of_grammar(
    path: &str,
    custom: &Value,
    choice: Option<&Value>,
    warnings: &mut Warnings,
) {
    let name = &custom["name"];
    let is_forced = match choice {
        Some(choice) if choice.is_object() => {
            choice["name"] == *name || choice["custom"]["name"] == *name
        }
        Some(choice) => choice == "required",
        None => false,
    };
    if is_forced && grammar(custom)["syntax"] == "lark" {
        warnings.ignored(
            &format!("{path}.format"),
            "the grammar is described to the model, but not enforced",
        );
    }
}

/// The text of a call with these arguments.
pub fn input(arguments: &str) -> String {
    let parsed: Value = serde_json::from_str(arguments).unwrap_or_default();
    parsed["input"].as_str().unwrap_or_default().to_owned()
}
