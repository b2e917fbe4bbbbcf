//! Chat templates.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use mlxm_chat::template::{ChatTemplate, RenderOptions};
use mlxm_engine::text::SpecialTokens;
use serde_json::{Value, json};

use super::{Subject, checkpoint::read};

/// The templates of the chat tests.
pub(super) fn seeds() -> anyhow::Result<Vec<Vec<u8>>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chat/tests/history/templates");
    let entries =
        fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "jinja")
    });
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// Renders conversations with another template. It is accepted if it can be compiled.
pub(super) fn render_with() -> Subject {
    let messages: Vec<Value> = vec![
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": "Weather in \u{1f980}?"}),
        json!({"role": "assistant", "content": "", "tool_calls": [{
            "id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": {"city": "\u{1f980}", "days": [1, 2.5, null]}},
        }]}),
        json!({"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "rain"}),
        json!({"role": "assistant", "content": "Rain.", "reasoning_content": "It rains."}),
        json!({"role": "user", "content": "Thanks!"}),
    ];
    let tools = vec![json!({"type": "function", "function": {
        "name": "weather", "description": "Forecast",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }})];
    let options = [None, Some(tools)].map(|tools| RenderOptions {
        tools,
        add_generation_prompt: true,
        ..RenderOptions::default()
    });
    Box::new(move |input| {
        let source = String::from_utf8_lossy(input);
        let Ok(template) = ChatTemplate::from_source(source, &SpecialTokens::default()) else {
            return Ok(false);
        };
        for options in &options {
            let _ = template.render(&messages[..2], options);
            let _ = template.render(&messages, options);
        }
        Ok(true)
    })
}
