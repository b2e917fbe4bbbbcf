//! Templates and conversations.

use std::path::{Path, PathBuf};

use mlxm_chat::parsing::{Format, ToolFormat};
use mlxm_chat::template::{ChatTemplate, TemplateError};
use mlxm_chat::{ChatRequest, ConversationOptions, render_conversation};
use mlxm_engine::text::SpecialTokens;
use serde_json::{Value, json};

/// A template with its name.
pub struct Named {
    pub name: String,
    pub template: ChatTemplate,
    /// The syntax of calls that is detected in it.
    pub tool_format: Option<ToolFormat>,
}

/// The small templates.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history/templates")
}

/// The valid templates of a directory, by name.
pub fn templates(directory: &Path) -> Vec<Named> {
    let files = std::fs::read_dir(directory).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut found: Vec<Named> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jinja")
        })
        .map(|path| {
            let source = std::fs::read_to_string(&path).unwrap();
            let special = [("bos_token", "<s>"), ("eos_token", "</s>")];
            let special: SpecialTokens = special.into_iter().collect();
            Named {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                tool_format: Format::detect(Some(&source), "").tools,
                template: ChatTemplate::from_source(source, &special).unwrap(),
            }
        })
        .collect();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// One of the small templates.
pub fn template(name: &str) -> Named {
    let mut all = templates(&directory());
    let index = all.iter().position(|template| template.name == name);
    all.swap_remove(index.unwrap())
}

impl Named {
    /// Renders with the detected syntax of calls, or as if the user had chosen one.
    pub fn render(&self, request: &ChatRequest, chosen: bool) -> Result<String, TemplateError> {
        let options = ConversationOptions {
            tool_format: self.tool_format.or(chosen.then_some(ToolFormat::Hermes)),
            tool_format_is_chosen: chosen,
            ..ConversationOptions::default()
        };
        Ok(render_conversation(&self.template, request, &options)?.text)
    }

    /// The prompt of these messages, with the calls rendered by the template if it can.
    pub fn prompt(&self, messages: &[Value], tools: &[Value]) -> String {
        let request = ChatRequest {
            messages: messages.to_vec(),
            tools: tools.to_vec(),
            ..ChatRequest::default()
        };
        self.render(&request, true)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

pub fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// An assistant message that calls `f` once for each id.
pub fn calling(ids: &[&str]) -> Value {
    let calls = ids.iter().map(|id| {
        let arguments = json!({"v": format!("argument-{id}")}).to_string();
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}})
    });
    json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()})
}

pub fn result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": format!("result-{id}")})
}

pub fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "description": "Does f.", "parameters": {
        "type": "object", "properties": {"v": {"type": "string"}}
    }}})
}

/// Asserts that `texts` are in the prompt, in this order.
pub fn assert_order(name: &str, prompt: &str, texts: &[&str]) {
    let mut rest = prompt;
    for text in texts {
        let Some((_, after)) = rest.split_once(text) else {
            panic!("{name}: no {text:?} in its place in {prompt:?}");
        };
        rest = after;
    }
}
