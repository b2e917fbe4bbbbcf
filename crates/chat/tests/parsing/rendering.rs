//! Writes calls as models do.

use mlxm_chat::parsing::ToolFormat;
use serde_json::Value;

/// `calls` in the syntax of `format`, as in its chat templates.
pub fn write(format: ToolFormat, calls: &[(String, Value)]) -> String {
    match format {
        ToolFormat::Hermes => each(calls, "\n", |name, arguments| {
            format!(
                "<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>"
            )
        }),
        ToolFormat::Llama3Json => each(calls, "; ", |name, arguments| {
            format!("{{\"name\": \"{name}\", \"parameters\": {arguments}}}")
        }),
        ToolFormat::Mistral => each(calls, "", |name, arguments| {
            format!("[TOOL_CALLS]{name}[ARGS]{arguments}")
        }),
        ToolFormat::Harmony => each(calls, "<|start|>assistant", |name, arguments| {
            format!(
                "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
            )
        }),
        ToolFormat::DeepSeek => {
            let calls = each(calls, "", |name, arguments| {
                format!("<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>")
            });
            format!("<｜tool▁calls▁begin｜>{calls}<｜tool▁calls▁end｜>")
        }
        ToolFormat::Qwen3Coder => each(calls, "\n", |name, arguments| {
            let arguments = pairs(arguments, "", |key, value| {
                format!("<parameter={key}>\n{}\n</parameter>\n", plain(value))
            });
            format!("<tool_call>\n<function={name}>\n{arguments}</function>\n</tool_call>")
        }),
        ToolFormat::Glm4 => each(calls, "\n", |name, arguments| {
            let arguments = pairs(arguments, "", |key, value| {
                format!(
                    "<arg_key>{key}</arg_key>\n<arg_value>{}</arg_value>\n",
                    plain(value)
                )
            });
            format!("<tool_call>{name}\n{arguments}</tool_call>")
        }),
        ToolFormat::MiniMax => {
            let calls = each(calls, "", |name, arguments| {
                let arguments = pairs(arguments, "", |key, value| {
                    format!("<parameter name=\"{key}\">{}</parameter>\n", plain(value))
                });
                format!("<invoke name=\"{name}\">\n{arguments}</invoke>\n")
            });
            format!("<minimax:tool_call>\n{calls}</minimax:tool_call>")
        }
        ToolFormat::Pythonic => format!("[{}]", each(calls, ", ", python_call)),
        ToolFormat::Lfm2 => {
            let calls = each(calls, ", ", python_call);
            format!("<|tool_call_start|>[{calls}]<|tool_call_end|>")
        }
        ToolFormat::Olmo3 => {
            let calls = each(calls, "\n", python_call);
            format!("<function_calls>{calls}</function_calls>")
        }
        ToolFormat::FunctionGemma => each(calls, "", |name, arguments| {
            let arguments = gemma(arguments, "<escape>");
            format!("<start_function_call>call:{name}{arguments}<end_function_call>")
        }),
        ToolFormat::Gemma4 => each(calls, "", |name, arguments| {
            let arguments = gemma(arguments, "<|\"|>");
            format!("<|tool_call>call:{name}{arguments}<tool_call|>")
        }),
        ToolFormat::Phi4Mini => format!("functools{}", list(calls)),
        ToolFormat::Granite => format!("<|tool_call|>{}", list(calls)),
        ToolFormat::Xlam => list(calls),
        ToolFormat::HunyuanA13b | ToolFormat::Jamba => {
            format!("<tool_calls>{}</tool_calls>", list(calls))
        }
        ToolFormat::Json => each(calls, "\n", object),
        ToolFormat::Qwen25Coder => each(calls, "\n", |name, arguments| {
            format!("<tools>\n{}\n</tools>", object(name, arguments))
        }),
        ToolFormat::InternLm => each(calls, "\n", |name, arguments| {
            format!(
                "<|action_start|><|plugin|>\n{{\"name\": \"{name}\", \"parameters\": {arguments}}}\n<|action_end|>"
            )
        }),
        ToolFormat::CommandR => {
            let calls = each(calls, ",\n", |name, arguments| {
                format!(
                    "    {{\"tool_call_id\": \"0\", \"tool_name\": \"{name}\", \"parameters\": {arguments}}}"
                )
            });
            format!("<|START_ACTION|>[\n{calls}\n]<|END_ACTION|>")
        }
        ToolFormat::Apertus => {
            let calls = each(calls, ", ", |name, arguments| {
                format!("{{\"{name}\": {arguments}}}")
            });
            format!("<|tools_prefix|>[{calls}]<|tools_suffix|>")
        }
        ToolFormat::KimiK2
        | ToolFormat::SeedOss
        | ToolFormat::DeepSeekV32
        | ToolFormat::Step3
        | ToolFormat::MiniMaxM3 => write_tags(format, calls),
    }
}

/// As [`write`], for formats with a tag around each name.
fn write_tags(format: ToolFormat, calls: &[(String, Value)]) -> String {
    match format {
        ToolFormat::KimiK2 => {
            let calls = each(calls, "", |name, arguments| {
                format!(
                    "<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
                )
            });
            format!("<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>")
        }
        ToolFormat::SeedOss => each(calls, "\n", |name, arguments| {
            let arguments = pairs(arguments, "", |key, value| {
                format!("<parameter={key}>\n{}\n</parameter>\n", plain(value))
            });
            format!(
                "<seed:tool_call>\n<function={name}>\n{arguments}</function>\n</seed:tool_call>"
            )
        }),
        ToolFormat::DeepSeekV32 => {
            let calls = each(calls, "", |name, arguments| {
                let arguments = pairs(arguments, "", |key, value| {
                    format!(
                        "<｜DSML｜parameter name=\"{key}\" string=\"{}\">{}</｜DSML｜parameter>\n",
                        value.is_string(),
                        plain(value)
                    )
                });
                format!("<｜DSML｜invoke name=\"{name}\">\n{arguments}</｜DSML｜invoke>\n")
            });
            format!("<｜DSML｜function_calls>\n{calls}</｜DSML｜function_calls>")
        }
        ToolFormat::Step3 => {
            let calls = each(calls, "", |name, arguments| {
                let arguments = pairs(arguments, "", |key, value| {
                    format!(
                        "<steptml:parameter name=\"{key}\">{}</steptml:parameter>\n",
                        plain(value)
                    )
                });
                format!(
                    "<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name=\"{name}\">\n{arguments}\
                     </steptml:invoke><｜tool_call_end｜>"
                )
            });
            format!("<｜tool_calls_begin｜>{calls}<｜tool_calls_end｜>")
        }
        _ => {
            // Nested values as JSON, because elements do not tell numbers from strings.
            const NAMESPACE: &str = "]<]minimax[>[";
            let calls = each(calls, "", |name, arguments| {
                let arguments = pairs(arguments, "", |key, value| {
                    let value = plain(value);
                    format!("{NAMESPACE}<{key}>{value}{NAMESPACE}</{key}>")
                });
                format!("{NAMESPACE}<invoke name=\"{name}\">{arguments}{NAMESPACE}</invoke>\n")
            });
            format!("{NAMESPACE}<tool_call>\n{calls}{NAMESPACE}</tool_call>")
        }
    }
}

fn object(name: &str, arguments: &Value) -> String {
    format!("{{\"name\": \"{name}\", \"arguments\": {arguments}}}")
}

fn list(calls: &[(String, Value)]) -> String {
    format!("[{}]", each(calls, ", ", object))
}

fn each(
    calls: &[(String, Value)],
    separator: &str,
    write: impl Fn(&str, &Value) -> String,
) -> String {
    let calls = calls.iter().map(|(name, arguments)| write(name, arguments));
    calls.collect::<Vec<_>>().join(separator)
}

fn pairs(value: &Value, separator: &str, write: impl Fn(&str, &Value) -> String) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs = pairs.map(|(key, value)| write(key, value));
    pairs.collect::<Vec<_>>().join(separator)
}

/// Strings without quotes, other values as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn python_call(name: &str, arguments: &Value) -> String {
    let arguments = pairs(arguments, ", ", |key, value| {
        format!("{key}={}", python(value))
    });
    format!("{name}({arguments})")
}

fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(_) => format!(
            "{{{}}}",
            pairs(value, ", ", |key, value| {
                format!("{}: {}", python(&Value::from(key)), python(value))
            })
        ),
        Value::String(text) if !text.contains('"') && text.chars().all(|one| one >= ' ') => {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
        }
        _ => value.to_string(),
    }
}

fn gemma(value: &Value, string: &str) -> String {
    match value {
        Value::String(text) => format!("{string}{text}{string}"),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| gemma(item, string)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(_) => format!(
            "{{{}}}",
            pairs(value, ",", |key, value| format!(
                "{key}:{}",
                gemma(value, string)
            ))
        ),
        _ => value.to_string(),
    }
}
