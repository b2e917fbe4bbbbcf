//! Messages as the chat template can read them.

pub(crate) mod cache_busting;
pub(crate) mod system_messages;
pub(crate) mod tool_prompt;

use serde_json::{Map, Value};

/// Replaces the arguments of tool calls that are JSON text by objects, which chat templates read. Other text stays.
pub(crate) fn parse_tool_call_arguments(messages: &mut [Value]) {
    let calls = messages.iter_mut().filter_map(|message| {
        let calls = message.get_mut("tool_calls")?;
        calls.as_array_mut()
    });
    for call in calls.flatten() {
        let Some(arguments) = call.pointer_mut("/function/arguments") else {
            continue;
        };
        if let Some(text) = arguments.as_str()
            && let Ok(object) = serde_json::from_str::<Map<String, Value>>(text)
        {
            *arguments = object.into();
        }
    }
}
