//! Text with calls, of which some templates render only one.

use serde_json::Value;

use super::{
    ANSWER, ARGUMENT, ArgumentForm, ID, LAST, MORE, Probe, RESULT, USER, assistant, call, calling,
    result, user,
};

/// Where the text of a message with calls must be, so that both are rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallContent {
    /// In the message with the calls.
    #[default]
    Together,
    /// In an assistant message of its own before the one with the calls.
    Before,
    /// In an assistant message of its own, which an empty user message separates from the one with the calls, because roles
    /// must alternate.
    BeforeEmptyUser,
}

impl CallContent {
    /// The place that most templates accept.
    pub(super) fn strict(self) -> Self {
        match self {
            Self::Together => Self::Together,
            Self::Before | Self::BeforeEmptyUser => Self::BeforeEmptyUser,
        }
    }
}

impl Probe<'_> {
    /// Where text must be to be rendered together with calls.
    pub(super) fn call_content(&self, arguments: ArgumentForm) -> CallContent {
        let calling = |text: &str| calling(text, &[call(ID, ARGUMENT, arguments)]);
        let texts = [USER, ANSWER, ARGUMENT, RESULT];
        // Some templates render the text after the calls.
        if self.shows_all(&[user(USER), calling(ANSWER), result(ID, RESULT)], &texts) {
            return CallContent::Together;
        }
        let shows_before = |between: &[Value]| {
            let mut messages = vec![user(USER), assistant(ANSWER)];
            messages.extend_from_slice(between);
            messages.extend([calling(""), result(ID, RESULT)]);
            let is_shown = self.shows(&messages, &texts);
            // Templates that count the messages of each role reject the reply after a message too many.
            messages.extend([assistant(MORE), user(LAST)]);
            let later = [USER, ANSWER, ARGUMENT, RESULT, MORE, LAST];
            is_shown && self.shows(&messages, &later)
        };
        if shows_before(&[]) {
            CallContent::Before
        } else if shows_before(&[user("")]) {
            CallContent::BeforeEmptyUser
        } else {
            CallContent::Together
        }
    }
}

#[cfg(test)]
mod tests {
    use mlxm_engine::text::SpecialTokens;

    use super::CallContent;
    use crate::template::ChatTemplate;

    /// For a template that renders messages with calls as `calling`, after `check` for each message.
    fn found(check: &str, calling: &str) -> CallContent {
        let source = format!(
            "{{% set ns = namespace(index=0) %}}{{% for m in messages %}}{check}{{% if m.tool_calls %}}{calling}{{% else %}}[{{{{ m.content }}}}]{{% endif %}}{{% endfor %}}"
        );
        let template = ChatTemplate::from_source(source, &SpecialTokens::default()).unwrap();
        let profile = template.profile(None, true).unwrap();
        profile.calls.unwrap().content
    }

    #[test]
    fn the_place_of_text_with_calls_is_found() {
        const CALL: &str = "{{ m.tool_calls[0].function|tojson }}";
        const TEXT: &str = "{{ m.content }}";
        const ALTERNATES: &str = "{% if m.role != 'tool' and not m.tool_calls %}{% if (m.role == 'user') != (ns.index % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{% set ns.index = ns.index + 1 %}{% endif %}";
        for (check, calling, expected) in [
            ("", format!("{TEXT}{CALL}"), CallContent::Together),
            ("", format!("{CALL}{TEXT}"), CallContent::Together),
            (ALTERNATES, format!("{TEXT}{CALL}"), CallContent::Together),
            // The text is lost.
            ("", CALL.to_owned(), CallContent::Before),
            (ALTERNATES, CALL.to_owned(), CallContent::BeforeEmptyUser),
            // The call is lost.
            (
                "",
                format!("{{% if m.content %}}{TEXT}{{% else %}}{CALL}{{% endif %}}"),
                CallContent::Before,
            ),
        ] {
            assert_eq!(found(check, &calling), expected, "{check} {calling}");
        }
    }
}
