//! What a chat template can render, found by rendering short conversations: neither its source nor its errors tell reliably.
//!
//! A text counts as rendered only if it is in the prompt: many templates silently drop messages that they do not support.

mod call_content;

use serde_json::{Value, json};

pub use self::call_content::CallContent;
use super::{ChatTemplate, RenderOptions};

/// What a template can render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TemplateProfile {
    /// Whether it renders a single user message.
    pub renders: bool,
    /// Form of a message's content.
    pub content: ContentForm,
    /// Form of calls and results; `None` if it does not render both.
    pub calls: Option<CallForm>,
    /// Whether it renders results of calls that are a part of the assistant's text.
    pub results: bool,
    /// Whether it renders a leading system message in each turn.
    pub system: bool,
    /// Whether it renders a later system message in its place.
    pub late_system: bool,
    /// Whether it knows the role developer.
    pub developer: bool,
    /// Whether a later developer message is rendered in its place.
    pub late_developer: bool,
    /// Whether a conversation may start with the assistant.
    pub starts_with_assistant: bool,
    /// Whether a conversation may have no user message.
    pub without_user: bool,
    /// Whether messages of the same role may follow each other.
    pub consecutive_roles: bool,
    /// Whether an assistant message may be empty.
    pub empty_assistant: bool,
    /// Whether tools may lack a description and parameters.
    pub bare_tools: bool,
}

/// How a template reads calls and results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallForm {
    /// Form of ids.
    pub ids: CallIds,
    /// Form of arguments.
    pub arguments: ArgumentForm,
    /// Whether one message may have several calls.
    pub parallel: bool,
    /// Whether a user message may follow a result.
    pub user_after_result: bool,
    /// Whether results without a call are rendered.
    pub orphan_results: bool,
    /// Where the text of a message with calls must be.
    pub content: CallContent,
    /// Whether a message may have reasoning, content and calls.
    pub reasoning_with_content: bool,
}

/// Form of a message's content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentForm {
    /// A string.
    #[default]
    Text,
    /// A list of parts.
    Parts,
    /// A string or a list of parts.
    Any,
}

/// Form of the ids of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallIds {
    /// Any string.
    #[default]
    Any,
    /// Nine letters and digits (Mistral).
    NineCharacters,
    /// `functions.NAME:INDEX`, which replaces the name (Kimi).
    Function,
}

/// Form of the arguments of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArgumentForm {
    /// An object.
    #[default]
    Object,
    /// JSON text.
    Text,
}

impl TemplateProfile {
    /// Probes a template, without or with tools. `knows_developer` tells whether its source has the word.
    pub(super) fn probe(
        template: &ChatTemplate,
        template_name: &str,
        with_tools: bool,
        knows_developer: bool,
    ) -> Self {
        let options = |tool: Value| RenderOptions {
            tools: with_tools.then(|| vec![tool]),
            add_generation_prompt: true,
            template_name: Some(template_name.to_owned()),
            ..RenderOptions::default()
        };
        let mut probe = Probe {
            template,
            options: options(probe_tool()),
            content: ContentForm::Text,
        };
        let as_text = probe.render(&[user(USER)]);
        probe.content = ContentForm::Parts;
        let as_parts = probe.render(&[user(USER)]);
        let shows_user =
            |prompt: &Option<String>| prompt.as_ref().is_some_and(|prompt| prompt.contains(USER));
        let renders = shows_user(&as_text) || shows_user(&as_parts);
        // A list that is printed as such is in another prompt.
        probe.content = if shows_user(&as_text) && as_text == as_parts {
            ContentForm::Any
        } else if shows_user(&as_text) || !renders {
            ContentForm::Text
        } else {
            ContentForm::Parts
        };
        let bare = Probe {
            options: options(json!({"type": "function", "function": {"name": BARE_TOOL}})),
            ..probe
        };
        let bare_tools = !with_tools || bare.shows(&[user(USER)], &[USER]);
        let late = |role: &str| {
            let system = message(role, LATE);
            probe.shows(
                &[
                    message(role, SYSTEM),
                    user(USER),
                    assistant(ANSWER),
                    system.clone(),
                    user(LAST),
                ],
                &[SYSTEM, USER, ANSWER, LATE, LAST],
            ) && probe.shows(
                &[user(USER), assistant(ANSWER), system.clone()],
                &[USER, ANSWER, LATE],
            ) && probe.shows(
                &[user(USER), system, assistant(ANSWER)],
                &[USER, LATE, ANSWER],
            )
        };
        let calls = probe.call_form();
        let developer = knows_developer
            && probe.shows(&[message("developer", SYSTEM), user(USER)], &[SYSTEM, USER]);
        Self {
            renders,
            content: probe.content,
            calls,
            results: probe.shows(
                &[user(USER), assistant(ANSWER), result(ID, RESULT)],
                &[USER, ANSWER, RESULT],
            ),
            system: probe.renders_system(calls),
            late_system: late("system"),
            developer,
            late_developer: developer && late("developer"),
            starts_with_assistant: probe.shows(&[assistant(ANSWER), user(USER)], &[ANSWER, USER])
                && calls.is_none_or(|form| {
                    let call = calling("", &[call(ID, ARGUMENT, form.arguments)]);
                    probe.shows(&[call, result(ID, RESULT)], &[ARGUMENT, RESULT])
                }),
            without_user: probe.shows(&[message("system", SYSTEM)], &[SYSTEM])
                && probe.shows(&[assistant(ANSWER)], &[ANSWER]),
            consecutive_roles: probe.shows(
                &[
                    user(USER),
                    user(SECOND),
                    assistant(ANSWER),
                    assistant(MORE),
                    user(LAST),
                ],
                &[USER, SECOND, ANSWER, MORE, LAST],
            ),
            empty_assistant: probe.shows(&[user(USER), assistant(""), user(LAST)], &[USER, LAST]),
            bare_tools,
        }
    }

    /// The profile of the most restrictive template that reads calls in the same form. What is rendered under it, most templates
    /// accept.
    pub(crate) fn strict(self) -> Self {
        let calls = self.calls.map(|form| CallForm {
            ids: match form.ids {
                CallIds::Any => CallIds::NineCharacters,
                ids => ids,
            },
            arguments: form.arguments,
            parallel: false,
            user_after_result: false,
            orphan_results: false,
            content: form.content.strict(),
            reasoning_with_content: false,
        });
        let content = match self.content {
            ContentForm::Any => ContentForm::Text,
            form => form,
        };
        Self {
            content,
            calls,
            results: false,
            late_system: false,
            developer: false,
            late_developer: false,
            starts_with_assistant: false,
            without_user: false,
            consecutive_roles: false,
            empty_assistant: false,
            bare_tools: false,
            ..self
        }
    }
}

const USER: &str = "probe-user";
const SECOND: &str = "probe-second";
const LAST: &str = "probe-last";
const ANSWER: &str = "probe-answer";
const MORE: &str = "probe-more";
const SYSTEM: &str = "probe-system";
const LATE: &str = "probe-late";
const RESULT: &str = "probe-result";
const OTHER_RESULT: &str = "probe-other-result";
const ARGUMENT: &str = "probe-argument";
const OTHER_ARGUMENT: &str = "probe-other-argument";
/// Ids that every template accepts.
const ID: &str = "probe0001";
const OTHER_ID: &str = "probe0002";
const LONG_ID: &str = "call_0123456789abcdef";
/// The called function. It is not the described one, so that its name is in a prompt only if the call is.
const FUNCTION: &str = "probe_function";
const TOOL: &str = "probe_tool";
const BARE_TOOL: &str = "probe_bare_tool";

fn probe_tool() -> Value {
    let probe = json!({"type": "string", "description": "What to probe."});
    let parameters =
        json!({"type": "object", "properties": {"probe": probe}, "required": ["probe"]});
    let function = json!({"name": TOOL, "description": "Probes.", "parameters": parameters});
    json!({"type": "function", "function": function})
}

fn message(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

fn user(text: &str) -> Value {
    message("user", text)
}

fn assistant(text: &str) -> Value {
    message("assistant", text)
}

fn result(id: &str, text: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "name": FUNCTION, "content": text})
}

fn call(id: &str, argument: &str, form: ArgumentForm) -> Value {
    let arguments = json!({"probe": argument});
    let arguments = match form {
        ArgumentForm::Object => arguments,
        ArgumentForm::Text => arguments.to_string().into(),
    };
    json!({"id": id, "type": "function", "function": {"name": FUNCTION, "arguments": arguments}})
}

fn calling(content: &str, calls: &[Value]) -> Value {
    json!({"role": "assistant", "content": content, "tool_calls": calls})
}

/// Renders conversations with the same options.
struct Probe<'a> {
    template: &'a ChatTemplate,
    options: RenderOptions,
    content: ContentForm,
}

impl Probe<'_> {
    fn render(&self, messages: &[Value]) -> Option<String> {
        let mut messages = messages.to_vec();
        if self.content == ContentForm::Parts {
            super::messages::to_parts(&mut messages);
        }
        self.template.render(&messages, &self.options).ok()
    }

    /// Whether a conversation is rendered with all `texts` in this order.
    fn shows(&self, messages: &[Value], texts: &[&str]) -> bool {
        let Some(prompt) = self.render(messages) else {
            return false;
        };
        let mut rest = prompt.as_str();
        texts.iter().all(|text| match rest.split_once(text) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }

    /// Whether a conversation is rendered with all `texts` in any order.
    fn shows_all(&self, messages: &[Value], texts: &[&str]) -> bool {
        self.render(messages)
            .is_some_and(|prompt| texts.iter().all(|text| prompt.contains(text)))
    }

    /// Some templates render a system message only if the last message is from the user.
    fn renders_system(&self, calls: Option<CallForm>) -> bool {
        let system = || message("system", SYSTEM);
        self.shows_all(&[system(), user(USER)], &[SYSTEM, USER])
            && self.shows_all(
                &[system(), user(USER), assistant(ANSWER), user(LAST)],
                &[SYSTEM, USER, LAST],
            )
            && calls.is_none_or(|form| {
                let call = calling("", &[call(ID, ARGUMENT, form.arguments)]);
                self.shows_all(
                    &[system(), user(USER), call, result(ID, RESULT)],
                    &[SYSTEM, USER, RESULT],
                )
            })
    }

    /// The form in which calls and results are rendered.
    fn call_form(&self) -> Option<CallForm> {
        let with = |id: &str, form: ArgumentForm| {
            [
                user(USER),
                calling("", &[call(id, ARGUMENT, form)]),
                result(id, RESULT),
            ]
        };
        let forms = [
            (LONG_ID, ArgumentForm::Object),
            (LONG_ID, ArgumentForm::Text),
            (ID, ArgumentForm::Object),
            (ID, ArgumentForm::Text),
        ];
        let (id, arguments) = forms
            .into_iter()
            .find(|&(id, form)| self.shows(&with(id, form), &[USER, ARGUMENT, RESULT]))?;
        let ids = if id == ID {
            CallIds::NineCharacters
        } else if self.shows_function(&with(LONG_ID, arguments)) {
            CallIds::Any
        } else {
            CallIds::Function
        };
        let one = |content: &str| calling(content, &[call(ID, ARGUMENT, arguments)]);
        let two = [
            call(ID, ARGUMENT, arguments),
            call(OTHER_ID, OTHER_ARGUMENT, arguments),
        ];
        let mut reasoning = one(ANSWER);
        reasoning["reasoning_content"] = MORE.into();
        let content = self.call_content(arguments);
        Some(CallForm {
            ids,
            arguments,
            parallel: self.shows_all(
                &[
                    user(USER),
                    calling("", &two),
                    result(ID, RESULT),
                    result(OTHER_ID, OTHER_RESULT),
                ],
                &[ARGUMENT, OTHER_ARGUMENT, RESULT, OTHER_RESULT],
            ),
            user_after_result: self.shows(
                &[user(USER), one(""), result(ID, RESULT), user(LAST)],
                &[USER, ARGUMENT, RESULT, LAST],
            ),
            orphan_results: self.shows(
                &[user(USER), assistant(ANSWER), result(ID, RESULT)],
                &[USER, ANSWER, RESULT],
            ),
            content,
            // Otherwise the content is not in that message.
            reasoning_with_content: content != CallContent::Together
                || self.shows(
                    &[user(USER), reasoning, result(ID, RESULT)],
                    &[USER, ARGUMENT, RESULT],
                ),
        })
    }

    /// Whether the function's name, and not only the id of the call, precedes the arguments or follows them.
    fn shows_function(&self, messages: &[Value]) -> bool {
        let prompt = self.render(messages).unwrap_or_default();
        let call = prompt.split_once(USER).map_or("", |(_, after)| after);
        let call = call.split_once(RESULT).map_or(call, |(before, _)| before);
        call.contains(FUNCTION) || !call.contains(LONG_ID)
    }
}

#[cfg(test)]
mod tests {
    use mlxm_engine::text::SpecialTokens;

    use super::*;

    fn profile(source: &str, with_tools: bool) -> TemplateProfile {
        let template = ChatTemplate::from_source(source, &SpecialTokens::default()).unwrap();
        template.profile(None, with_tools).unwrap()
    }

    #[test]
    fn a_template_that_prints_every_message_accepts_everything_but_calls() {
        let source = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
        let found = profile(source, false);
        assert_eq!(
            found,
            TemplateProfile {
                renders: true,
                content: ContentForm::Text,
                calls: None,
                results: true,
                system: true,
                late_system: true,
                developer: false,
                late_developer: false,
                starts_with_assistant: true,
                without_user: true,
                consecutive_roles: true,
                empty_assistant: true,
                bare_tools: true,
            }
        );
        let source = format!("{source}{{# developer #}}");
        assert!(profile(&source, false).late_developer);
    }

    #[test]
    fn ignored_and_rejected_system_messages_are_found() {
        let ignores = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}";
        let rejects = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}[{{ m.content }}]{% endfor %}";
        let first = "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('first') }}{% endif %}[{{ m.content }}]{% endfor %}";
        let systems = [ignores, rejects, first].map(|source| {
            let found = profile(source, false);
            (found.system, found.late_system)
        });
        assert_eq!(systems, [(false, false), (false, false), (true, false)]);
    }

    #[test]
    fn the_form_of_calls_is_found() {
        let each = |call: &str| {
            format!(
                "{{% for m in messages %}}[{{{{ m.content }}}}]{{% for c in m.tool_calls or [] %}}{call}{{% endfor %}}{{% endfor %}}"
            )
        };
        let form = |call: &str| profile(&each(call), true).calls;
        let any = form("{{ c.function.name }}{{ c.function.arguments|tojson }}").unwrap();
        assert_eq!(any.ids, CallIds::Any);
        assert_eq!(any.arguments, ArgumentForm::Object);
        assert!(any.parallel && any.user_after_result && any.orphan_results);
        let nine = form(
            "{% if c.id|length != 9 %}{{ raise_exception('9') }}{% endif %}{{ c.function|tojson }}",
        );
        assert_eq!(nine.unwrap().ids, CallIds::NineCharacters);
        let function = form("{{ c.id }}{{ c.function.arguments|tojson }}");
        assert_eq!(function.unwrap().ids, CallIds::Function);
        let text = form("{{ c.function.name + ': ' + c.function.arguments }}");
        assert_eq!(text.unwrap().arguments, ArgumentForm::Text);
        assert_eq!(form(""), None);
        let single = form(
            "{% if m.tool_calls|length != 1 %}{{ raise_exception('one') }}{% endif %}{{ c.function|tojson }}",
        );
        assert!(!single.unwrap().parallel);
    }

    #[test]
    fn alternation_parts_and_bare_tools_are_found() {
        let alternates = "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{{ m.content }}{% endfor %}";
        let found = profile(alternates, false);
        assert!(!found.consecutive_roles && !found.starts_with_assistant && !found.without_user);
        let parts = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}";
        assert_eq!(profile(parts, false).content, ContentForm::Parts);
        let both = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endif %}{% endfor %}";
        assert_eq!(profile(both, false).content, ContentForm::Any);
        let described = "{% for t in tools or [] %}{{ t.function.description + '.' }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}";
        assert!(!profile(described, true).bare_tools);
        assert!(profile(described, false).bare_tools);
    }
}
