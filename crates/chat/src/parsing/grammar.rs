//! Grammars that force tool calls or structured output.

use crate::constraint::GrammarError;
use crate::lark::{LarkBuilder, Sequence, any_text, one_of};
use crate::parsing::format::Format;
use crate::parsing::formats;
use crate::parsing::reasoning::{Tags, open_reasoning_end};
use crate::parsing::tool::Tool;

/// White space after reasoning, and before its opening tag.
const SPACE: &str = "/[ \\n]{1,4}/?";

/// Any text.
const TEXT: &str = "/(?s:.*)/";

/// The tools that a forced call may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedCall<'a> {
    /// Any tool.
    Required,
    /// The tool with this name.
    Named(&'a str),
}

impl Format {
    /// A grammar, in the Lark dialect of llguidance, of output that consists of tool calls, after optional reasoning: the rest
    /// of it if `prompt` leaves it open, none if `prompt` closes it. `parallel` allows up to 16 calls; Harmony formats have
    /// one call per completion.
    ///
    /// The grammar contains the schemas of arguments, as a whole or by property, marked as `lenient`: they are enforced as
    /// far as possible. Arguments that are written as plain text are constrained to their type and to the strings of an
    /// `enum`, but not by further keywords.
    ///
    /// `special_token` returns the id of a delimiter that is a special token of the vocabulary. Such a delimiter is written
    /// as `<[id]>`, others as text.
    ///
    /// # Errors
    /// If there is no such tool, or the tool call syntax of the model is unknown.
    pub fn tool_grammar(
        &self,
        tools: &[Tool],
        choice: ForcedCall<'_>,
        parallel: bool,
        prompt: &str,
        special_token: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<String, GrammarError> {
        let mut lark = LarkBuilder::new(special_token);
        let reasoning = self.reasoning_grammar(&mut lark, prompt);
        let calls = self.calls_grammar(&mut lark, tools, choice, parallel)?;
        let start = Sequence::new().expression(&reasoning).expression(&calls);
        Ok(lark.finish(&start.build()))
    }

    /// A grammar, in the same dialect, of output whose content matches the Lark expression `content`, after optional
    /// reasoning. `None` if the output can only consist of content.
    pub fn response_grammar(
        &self,
        content: &str,
        prompt: &str,
        special_token: &dyn Fn(&str) -> Option<u32>,
    ) -> Option<String> {
        let mut lark = LarkBuilder::new(special_token);
        let reasoning = self.reasoning_grammar(&mut lark, prompt);
        if reasoning.is_empty() {
            return None;
        }
        let content = self.content_grammar(&lark, content);
        let start = Sequence::new().expression(&reasoning).expression(&content);
        Some(lark.finish(&start.build()))
    }

    /// A grammar, in the same dialect, of output that matches either [`tool_grammar`](Self::tool_grammar) or
    /// [`response_grammar`](Self::response_grammar). A call inside reasoning ends the reasoning, so it may be followed by the
    /// closing tag, further text, or the end of the output.
    ///
    /// # Errors
    /// As [`tool_grammar`](Self::tool_grammar), and if the tool call syntax has no delimiters.
    pub fn tools_or_response_grammar(
        &self,
        tools: &[Tool],
        parallel: bool,
        content: &str,
        prompt: &str,
        special_token: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<String, GrammarError> {
        if self
            .tools
            .is_some_and(|tools| !formats::is_delimited(tools))
        {
            return Err(GrammarError::UndelimitedToolCalls);
        }
        let mut lark = LarkBuilder::new(special_token);
        let calls = self.calls_grammar(&mut lark, tools, ForcedCall::Required, parallel)?;
        let calls = lark.rule(&calls);
        let content = self.content_grammar(&lark, content);
        let either = lark.rule(&one_of(&[calls.clone(), content]));
        let inside = |lark: &mut LarkBuilder<'_>, close: &str| {
            self.reasoning_with_calls(lark, close, tools, &calls, &either)
        };
        let start = match self.reasoning_place(prompt) {
            ReasoningPlace::Nowhere => either.clone(),
            ReasoningPlace::Channel => {
                let reasoning = formats::analysis_grammar(&mut lark);
                format!("{reasoning} {either}")
            }
            ReasoningPlace::Open { close } => inside(&mut lark, close),
            ReasoningPlace::Tags(tags) => {
                let open = opening_tag(&lark, tags).build();
                let inside = inside(&mut lark, tags.close);
                one_of(&[either.clone(), format!("{SPACE} {open} {inside}")])
            }
        };
        Ok(lark.finish(&start))
    }

    /// The rest of reasoning, and `either` calls or content after it, which a call inside the reasoning can replace.
    fn reasoning_with_calls(
        self,
        lark: &mut LarkBuilder<'_>,
        close: &str,
        tools: &[Tool],
        calls: &str,
        either: &str,
    ) -> String {
        let starts = self.tools.map(formats::start_tags).unwrap_or_default();
        let (tokens, starts): (Vec<&str>, Vec<&str>) = starts
            .into_iter()
            .partition(|start| lark.is_special_token(start));
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        // The parser reads calls at the start of a line. That they are whole cannot be part of a regular expression.
        let call = (!starts.is_empty()).then(|| {
            let (start, name) = (any_text(&starts), any_text(&names));
            format!("/(?s:(.*\\n)?[ \\t]*{start}.*{name}.*)/")
        });
        // Text with the closing tag at its end only, and text without it. A token is not a part of text.
        let (closed, open, after) = if lark.is_special_token(close) {
            let token = Sequence::new().delimiter(lark, close).build();
            (TEXT.to_owned(), TEXT.to_owned(), format!("{token} {SPACE}"))
        } else {
            let tag = any_text(&[close]);
            (
                format!("/(?s:.*{tag})/ & ~/(?s:.*{tag}.+)/"),
                format!("{TEXT} & ~/(?s:.*{tag}.*)/"),
                SPACE.to_owned(),
            )
        };
        let mut ways = Vec::new();
        let plain = match &call {
            Some(call) => lark.terminal(&format!("{closed} & ~{call}")),
            None => lark.terminal(&closed),
        };
        ways.push(format!("{plain} {after} {either}"));
        if let Some(call) = &call {
            let unclosed = lark.terminal(&format!("{open} & {call}"));
            let closed = lark.terminal(&format!("{closed} & {call}"));
            ways.push(unclosed);
            ways.push(format!("{closed} {after} {either}?"));
        }
        if !tokens.is_empty() {
            let open = lark.terminal(&open);
            let closed = lark.terminal(&closed);
            ways.push(format!(
                "{open} {calls} ({open} | {closed} {after} {either}?)"
            ));
        }
        one_of(&ways)
    }

    /// One or several calls of the tools that may be called.
    fn calls_grammar(
        self,
        lark: &mut LarkBuilder<'_>,
        tools: &[Tool],
        choice: ForcedCall<'_>,
        parallel: bool,
    ) -> Result<String, GrammarError> {
        if tools.is_empty() {
            return Err(GrammarError::NoTools);
        }
        let callable: Vec<&Tool> = match choice {
            ForcedCall::Required => tools.iter().collect(),
            ForcedCall::Named(name) => tools.iter().filter(|tool| tool.name == name).collect(),
        };
        if let (ForcedCall::Named(name), true) = (choice, callable.is_empty()) {
            return Err(GrammarError::UnknownTool {
                name: name.to_owned(),
                known: tools.iter().map(|tool| tool.name.clone()).collect(),
            });
        }
        let format = self.tools.ok_or(GrammarError::UnknownToolFormat)?;
        Ok(formats::grammar(format, lark, &callable, parallel))
    }

    /// Content, on the final channel if the output consists of channels.
    fn content_grammar(self, lark: &LarkBuilder<'_>, content: &str) -> String {
        if self.has_channels() {
            formats::final_grammar(lark, content)
        } else {
            content.to_owned()
        }
    }

    /// Optional or required reasoning.
    fn reasoning_grammar(self, lark: &mut LarkBuilder<'_>, prompt: &str) -> String {
        match self.reasoning_place(prompt) {
            ReasoningPlace::Nowhere => String::new(),
            ReasoningPlace::Channel => formats::analysis_grammar(lark),
            ReasoningPlace::Open { close } => format!("{} {SPACE}", lark.text_until(close)),
            ReasoningPlace::Tags(tags) => {
                let text = lark.text_until(tags.close);
                let block = opening_tag(lark, tags).expression(&text);
                format!("({SPACE} {} {SPACE})?", block.build())
            }
        }
    }

    /// Where the completion of `prompt` has reasoning.
    fn reasoning_place(self, prompt: &str) -> ReasoningPlace {
        if self.has_channels() {
            return ReasoningPlace::Channel;
        }
        let Some(reasoning) = self.reasoning else {
            return ReasoningPlace::Nowhere;
        };
        if let Some(close) = open_reasoning_end(prompt) {
            return ReasoningPlace::Open { close };
        }
        match reasoning.tags() {
            [tags] if !prompt.trim_end().ends_with(tags.close) => ReasoningPlace::Tags(tags),
            // The prompt closes it, or the tags of the model are unknown.
            _ => ReasoningPlace::Nowhere,
        }
    }
}

/// Where a completion has reasoning.
enum ReasoningPlace {
    Nowhere,
    /// On a channel of its own.
    Channel,
    /// At the start, opened by the prompt.
    Open {
        close: &'static str,
    },
    /// Between tags, if at all.
    Tags(&'static Tags),
}

fn opening_tag(lark: &LarkBuilder<'_>, tags: &Tags) -> Sequence {
    let [open, _] = tags.delimiters;
    let rest = tags.open.strip_prefix(open).unwrap_or_default();
    Sequence::new().delimiter(lark, open).text(rest)
}
