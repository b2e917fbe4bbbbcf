//! Grammars that force tool calls or structured output.

use crate::constraint::GrammarError;
use crate::lark::{LarkBuilder, Sequence, one_of};
use crate::parsing::format::Format;
use crate::parsing::formats;
use crate::parsing::reasoning::open_reasoning_end;
use crate::parsing::tool::Tool;

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
    /// [`response_grammar`](Self::response_grammar).
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
        let reasoning = self.reasoning_grammar(&mut lark, prompt);
        let calls = self.calls_grammar(&mut lark, tools, ForcedCall::Required, parallel)?;
        let content = self.content_grammar(&lark, content);
        let either = one_of(&[calls, content]);
        let start = Sequence::new().expression(&reasoning).expression(&either);
        Ok(lark.finish(&start.build()))
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
        const SPACE: &str = "/[ \\n]{1,4}/?";
        if self.has_channels() {
            return formats::analysis_grammar(lark);
        }
        let Some(reasoning) = self.reasoning else {
            return String::new();
        };
        if let Some(close) = open_reasoning_end(prompt) {
            return format!("{} {SPACE}", lark.text_until(close));
        }
        let [tags] = reasoning.tags() else {
            // The tags of the model are unknown.
            return String::new();
        };
        if prompt.trim_end().ends_with(tags.close) {
            return String::new();
        }
        let [open, _] = tags.delimiters;
        let text = lark.text_until(tags.close);
        let block = Sequence::new()
            .delimiter(lark, open)
            .text(tags.open.strip_prefix(open).unwrap_or_default())
            .expression(&text);
        format!("({SPACE} {} {SPACE})?", block.build())
    }
}
