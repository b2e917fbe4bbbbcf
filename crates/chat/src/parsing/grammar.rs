//! Grammars that force a call or a form.

use crate::parsing::format::{Format, ToolFormat};
use crate::parsing::formats;
use crate::parsing::lark::{Lark, Sequence, one_of};
use crate::parsing::reasoning::open_reasoning_end;
use crate::parsing::tool::Tool;

/// What must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedCall<'a> {
    /// Some tool.
    Required,
    /// The tool of this name.
    Named(&'a str),
}

/// Why a call cannot be forced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolGrammarError {
    /// The syntax of calls is not known.
    #[error("this model's syntax of tool calls is not known; name one of {}", ToolFormat::ALL.map(ToolFormat::as_str).join(", "))]
    NoToolFormat,
    /// Calls have no mark that tells them from an answer of a form.
    #[error(
        "this model writes calls without a mark, so that they cannot be told from an answer that has a form; ask for one of them"
    )]
    NoMark,
    /// There is nothing to call.
    #[error("a call is required, but no tools are given; give some")]
    NoTools,
    /// The tool that must be called is not given.
    #[error("there is no tool {name:?}; the tools are {}", known.join(", "))]
    UnknownTool {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
}

impl Format {
    /// A grammar, in the Lark dialect of llguidance, of the answers that call a tool and do nothing else, with the
    /// model's reasoning before where its format has any: the rest of it when `prompt` leaves it open, none when `prompt`
    /// has just closed it. `parallel` allows up to 16 calls; the channels of gpt-oss have one call per answer.
    ///
    /// The schemas of arguments stand in it, whole or by property, marked as `lenient`: they are enforced as far as
    /// possible. Arguments that are written as text are held to their type and to the strings their schema lists, not to
    /// further keywords.
    ///
    /// `special_token` tells the id of a marker that is a special token of the vocabulary, as decoding leaves out; such a
    /// marker is written as `<[id]>`, others as text.
    pub fn tool_grammar(
        &self,
        tools: &[Tool],
        choice: ForcedCall<'_>,
        parallel: bool,
        prompt: &str,
        special_token: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<String, ToolGrammarError> {
        let mut lark = Lark::new(special_token);
        let reasoning = self.reasoning_grammar(&mut lark, prompt);
        let calls = self.calls_grammar(&mut lark, tools, choice, parallel)?;
        let start = Sequence::new().expression(&reasoning).expression(&calls);
        Ok(lark.finish(&start.build()))
    }

    /// A grammar, in the same dialect, of the answers that are `form` (an expression of it) behind the model's reasoning
    /// and in the channel for answers, where the format has such. `None` where nothing but the form is left.
    pub fn response_grammar(
        &self,
        form: &str,
        prompt: &str,
        special_token: &dyn Fn(&str) -> Option<u32>,
    ) -> Option<String> {
        let mut lark = Lark::new(special_token);
        let reasoning = self.reasoning_grammar(&mut lark, prompt);
        if reasoning.is_empty() {
            return None;
        }
        let answer = self.answer_grammar(&lark, form);
        let start = Sequence::new().expression(&reasoning).expression(&answer);
        Some(lark.finish(&start.build()))
    }

    /// A grammar, in the same dialect, of the answers that either call tools, as those of [`tool_grammar`](Self::tool_grammar) do, or
    /// are `form`, as those of [`response_grammar`](Self::response_grammar). Formats whose calls have no mark cannot have both.
    pub fn tools_or_response_grammar(
        &self,
        tools: &[Tool],
        parallel: bool,
        form: &str,
        prompt: &str,
        special_token: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<String, ToolGrammarError> {
        if self.tools.and_then(formats::undelimited_start).is_some() {
            return Err(ToolGrammarError::NoMark);
        }
        let mut lark = Lark::new(special_token);
        let reasoning = self.reasoning_grammar(&mut lark, prompt);
        let calls = self.calls_grammar(&mut lark, tools, ForcedCall::Required, parallel)?;
        let answer = self.answer_grammar(&lark, form);
        let either = one_of(&[calls, answer]);
        let start = Sequence::new().expression(&reasoning).expression(&either);
        Ok(lark.finish(&start.build()))
    }

    /// A call of the tools that are to be called, or several.
    fn calls_grammar(
        self,
        lark: &mut Lark<'_>,
        tools: &[Tool],
        choice: ForcedCall<'_>,
        parallel: bool,
    ) -> Result<String, ToolGrammarError> {
        let format = self.tools.ok_or(ToolGrammarError::NoToolFormat)?;
        let callable: Vec<&Tool> = tools
            .iter()
            .filter(|tool| match choice {
                ForcedCall::Required => true,
                ForcedCall::Named(name) => tool.name == name,
            })
            .collect();
        if callable.is_empty() {
            return Err(match choice {
                ForcedCall::Named(name) if !tools.is_empty() => ToolGrammarError::UnknownTool {
                    name: name.to_owned(),
                    known: tools.iter().map(|tool| tool.name.clone()).collect(),
                },
                _ => ToolGrammarError::NoTools,
            });
        }
        Ok(formats::grammar(format, lark, &callable, parallel))
    }

    /// An answer that is `form`.
    fn answer_grammar(self, lark: &Lark<'_>, form: &str) -> String {
        if self.has_channels() {
            formats::final_grammar(lark, form)
        } else {
            form.to_owned()
        }
    }

    /// What may or must come before the calls.
    fn reasoning_grammar(self, lark: &mut Lark<'_>, prompt: &str) -> String {
        const SPACE: &str = "/[ \\n]{1,4}/?";
        if self.has_channels() {
            return formats::analysis_grammar(lark);
        }
        let Some(reasoning) = self.reasoning else {
            return String::new();
        };
        if let Some(close) = open_reasoning_end(prompt) {
            return format!("{} {SPACE}", lark.until(close));
        }
        let [tags] = reasoning.tags() else {
            // Which tags the model uses, if any, is not known.
            return String::new();
        };
        if prompt.trim_end().ends_with(tags.close) {
            return String::new();
        }
        let [open, _] = tags.delimiters;
        let text = lark.until(tags.close);
        let block = Sequence::new()
            .marker(lark, open)
            .text(tags.open.strip_prefix(open).unwrap_or_default())
            .expression(&text);
        format!("({SPACE} {} {SPACE})?", block.build())
    }
}
