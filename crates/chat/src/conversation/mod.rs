//! Conversations as the chat template can render them.
//!
//! Each step is a function from messages to messages that changes only what the [`TemplateProfile`](crate::template::TemplateProfile)
//! rules out; [`render_conversation`] applies them in order. Steps depend on a message and what precedes it, so that a longer
//! conversation starts with the prompt of a shorter one and its prefix stays cached.

mod arguments;
mod cache_busting;
mod call_content;
mod call_ids;
mod call_text;
mod message;
mod parallel_calls;
mod reasoning;
mod render;
mod roles;
mod system_messages;
mod tool_definitions;
mod tool_prompt;
mod tool_results;

pub use render::{ConversationOptions, RenderedConversation, render_conversation};

#[cfg(test)]
pub(crate) mod tests {
    use crate::template::{ChatTemplate, TemplateProfile};
    use mlxm_engine::text::SpecialTokens;

    /// The profile of a template that renders everything except developer messages.
    pub(crate) fn profile() -> TemplateProfile {
        let source = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments|tojson }}{% endfor %}{% endfor %}{{ tools }}";
        let template = ChatTemplate::from_source(source, &SpecialTokens::default()).unwrap();
        template.profile(None, true).unwrap()
    }
}
