//! Tools that clients run and that are not plain functions: custom tools, namespaces, shells and patches. The model sees them as
//! functions; calls and their outputs have item types of their own.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::openai::custom_tools;

/// The kind of a tool, by which its calls are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolKind {
    Function {
        /// The name that the client knows, within `namespace`.
        name: String,
        namespace: Option<String>,
    },
    /// One string of free text.
    Custom,
    LocalShell,
    Shell,
    ApplyPatch,
}

/// The kinds of tools by the names of their functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolKinds(HashMap<String, ToolKind>);

impl ToolKinds {
    /// Adds the tool with this function.
    pub fn insert(&mut self, function: &Value, kind: ToolKind) {
        if let Some(name) = function["function"]["name"].as_str() {
            self.0.insert(name.to_owned(), kind);
        }
    }

    /// The kind of the tool whose function is called `name`.
    pub fn get(&self, name: &str) -> ToolKind {
        self.0
            .get(name)
            .cloned()
            .unwrap_or_else(|| ToolKind::Function {
                name: name.to_owned(),
                namespace: None,
            })
    }
}

/// The name of the function `name` of a namespace.
pub fn qualified(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

/// The functions of a tool, unless it is a built-in tool, which would run on OpenAI's servers.
pub fn functions(tool: &Value) -> Option<Vec<(Value, ToolKind)>> {
    let single = |function, kind| Some(vec![(function, kind)]);
    match tool["type"].as_str()? {
        "function" => single(function(tool, None), plain(tool, None)),
        "custom" => single(custom_tools::function(tool), ToolKind::Custom),
        "namespace" => {
            let namespace = tool["name"].as_str()?;
            let tools = tool["tools"].as_array()?.iter();
            let functions = tools.filter(|tool| tool["type"] == "function");
            Some(
                functions
                    .map(|tool| {
                        (
                            function(tool, Some(namespace)),
                            plain(tool, Some(namespace)),
                        )
                    })
                    .collect(),
            )
        }
        "local_shell" => single(
            described(
                "local_shell",
                "Runs a command on the user's machine.",
                &json!({
                    "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
                    "working_directory": {"type": "string"},
                    "timeout_ms": {"type": "integer"},
                }),
                &["command"],
            ),
            ToolKind::LocalShell,
        ),
        "shell" => single(
            described(
                "shell",
                "Runs commands in a shell on the user's machine.",
                &json!({
                    "commands": {"type": "array", "items": {"type": "string"}, "description": "The command lines."},
                    "timeout_ms": {"type": "integer"},
                }),
                &["commands"],
            ),
            ToolKind::Shell,
        ),
        "apply_patch" => single(
            described(
                "apply_patch",
                "Creates, updates or deletes a file.",
                &json!({
                    "type": {"enum": ["create_file", "update_file", "delete_file"]},
                    "path": {"type": "string"},
                    "diff": {"type": "string", "description": "The change as a V4A diff."},
                }),
                &["type", "path"],
            ),
            ToolKind::ApplyPatch,
        ),
        _ => None,
    }
}

fn plain(tool: &Value, namespace: Option<&str>) -> ToolKind {
    ToolKind::Function {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        namespace: namespace.map(str::to_owned),
    }
}

fn function(tool: &Value, namespace: Option<&str>) -> Value {
    let fields = ["name", "description", "parameters", "strict"];
    let present = fields.iter().filter(|field| !tool[**field].is_null());
    let mut function: Map<String, Value> = present
        .map(|field| ((*field).to_owned(), tool[*field].clone()))
        .collect();
    if let (Some(namespace), Some(name)) = (namespace, tool["name"].as_str()) {
        function.insert("name".to_owned(), qualified(namespace, name).into());
    }
    json!({"type": "function", "function": function})
}

fn described(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    json!({"type": "function", "function": {
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        },
    }})
}

impl ToolKind {
    /// The item of a call. Arguments that are not complete yet are shown as far as the item type allows.
    pub fn item(
        &self,
        id: &str,
        call_id: &str,
        name: &str,
        arguments: &str,
        status: &str,
    ) -> Value {
        let parsed: Value = serde_json::from_str(arguments).unwrap_or_default();
        let mut item = json!({"id": id, "status": status, "call_id": call_id});
        let fields = match self {
            Self::Function { name, namespace } => {
                let mut fields =
                    json!({"type": "function_call", "name": name, "arguments": arguments});
                if let Some(namespace) = namespace {
                    fields["namespace"] = namespace.as_str().into();
                }
                fields
            }
            Self::Custom => {
                json!({"type": "custom_tool_call", "name": name, "input": custom_tools::input(arguments)})
            }
            Self::LocalShell => json!({"type": "local_shell_call", "action": {
                "type": "exec",
                "command": list(&parsed["command"]),
                "env": {},
                "timeout_ms": parsed["timeout_ms"],
                "working_directory": parsed["working_directory"],
            }}),
            Self::Shell => json!({"type": "shell_call", "action": {
                "commands": list(&parsed["commands"]),
                "timeout_ms": parsed["timeout_ms"],
                "max_output_length": null,
            }}),
            Self::ApplyPatch => json!({"type": "apply_patch_call", "operation": parsed}),
        };
        if let (Value::Object(item), Value::Object(fields)) = (&mut item, fields) {
            item.extend(fields);
        }
        item
    }
}

fn list(value: &Value) -> Value {
    if value.is_array() {
        value.clone()
    } else {
        json!([])
    }
}

/// The function name and the arguments of a call in the input.
pub fn call(item: &Value) -> Option<(String, Value)> {
    let name = item["name"].as_str();
    Some(match item["type"].as_str()? {
        "custom_tool_call" => (name?.to_owned(), json!({"input": item["input"]})),
        "local_shell_call" => {
            let mut arguments = json!({"command": item["action"]["command"]});
            for field in ["working_directory", "timeout_ms"] {
                if !item["action"][field].is_null() {
                    arguments[field] = item["action"][field].clone();
                }
            }
            ("local_shell".to_owned(), arguments)
        }
        "shell_call" => (
            "shell".to_owned(),
            json!({"commands": item["action"]["commands"]}),
        ),
        "apply_patch_call" => ("apply_patch".to_owned(), item["operation"].clone()),
        _ => return None,
    })
}

/// Whether the item is the output of a call of one of these tools.
pub fn is_output(kind: &str) -> bool {
    matches!(
        kind,
        "custom_tool_call_output"
            | "local_shell_call_output"
            | "shell_call_output"
            | "apply_patch_call_output"
    )
}

/// The text of a shell's output, which may be a list of the outputs of its commands.
pub fn shell_output(output: &Value) -> Option<String> {
    let commands = output.as_array()?;
    let texts = commands.iter().map(|command| {
        let parts = [command["stdout"].as_str()?, command["stderr"].as_str()?];
        let exit = match &command["outcome"]["exit_code"] {
            Value::Null => String::new(),
            code => format!("exit code {code}"),
        };
        let parts = parts.into_iter().chain([exit.as_str()]);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        Some(parts.join("\n"))
    });
    Some(texts.collect::<Option<Vec<_>>>()?.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_tool_is_a_function_with_one_string() {
        let tool = json!({"type": "custom", "name": "apply_patch", "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}});
        let functions = functions(&tool).unwrap();
        let (function, kind) = &functions[0];
        assert_eq!(
            function["function"]["parameters"]["required"],
            json!(["input"])
        );
        let description = function["function"]["description"].as_str().unwrap();
        assert!(description.contains("start: /.+/"), "{description}");
        let item = kind.item(
            "ctc_1",
            "call_1",
            "apply_patch",
            r#"{"input": "*** Begin"}"#,
            "completed",
        );
        assert_eq!(
            item,
            json!({"id": "ctc_1", "status": "completed", "call_id": "call_1", "type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin"})
        );
        assert_eq!(
            call(&item),
            Some(("apply_patch".to_owned(), json!({"input": "*** Begin"})))
        );
    }

    #[test]
    fn functions_of_a_namespace_keep_their_name_in_calls() {
        let tool = json!({"type": "namespace", "name": "mcp__a", "tools": [{"type": "function", "name": "b", "parameters": {"type": "object"}}]});
        let functions = functions(&tool).unwrap();
        let (function, kind) = &functions[0];
        assert_eq!(function["function"]["name"], "mcp__a__b");
        let item = kind.item("fc_1", "call_1", "mcp__a__b", "{}", "completed");
        assert_eq!(
            (&item["name"], &item["namespace"]),
            (&json!("b"), &json!("mcp__a"))
        );
    }

    #[test]
    fn shell_calls_round_trip() {
        for (tool, arguments) in [
            (
                "local_shell",
                json!({"command": ["ls", "-l"], "timeout_ms": 5}),
            ),
            ("shell", json!({"commands": ["ls"]})),
            (
                "apply_patch",
                json!({"type": "delete_file", "path": "a.txt"}),
            ),
        ] {
            let functions = functions(&json!({"type": tool})).unwrap();
            let item = functions[0]
                .1
                .item("x", "c", tool, &arguments.to_string(), "completed");
            assert_eq!(call(&item), Some((tool.to_owned(), arguments)));
        }
    }

    #[test]
    fn shell_output_lists_the_commands() {
        let output = json!([{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}, {"stdout": "", "stderr": "b", "outcome": {"type": "timeout"}}]);
        assert_eq!(shell_output(&output), Some("a\nexit code 0\nb".to_owned()));
        assert_eq!(
            shell_output(&json!([{"type": "input_text", "text": "x"}])),
            None
        );
    }
}
