//! Calls as JSON objects between delimiters, bare, or in a Markdown code block. Shared by many families, whose modules define
//! the delimiters.

use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::{JsonCallsParser, quote};
use crate::parsing::tool::Tool;

/// Starts and ends a Markdown code block.
pub(crate) const FENCE: &str = "```";
/// The language of a code block with calls.
const LANGUAGE: &str = "json";

/// The delimiters of one family.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// May follow the start delimiter.
    pub prefix: Option<&'static str>,
    /// End the calls; they may be missing.
    pub close: &'static [&'static str],
    /// Whether any JSON object between the delimiters is a call.
    pub is_distinctive: bool,
}

/// Parses an object or a list after a start delimiter, which may be a fence or a bracket.
#[derive(Debug)]
pub(crate) struct DelimitedJson {
    syntax: &'static Syntax,
    state: State,
    /// Whether any JSON object is a call.
    is_distinctive: bool,
    /// Whether the calls are in a code block.
    is_fenced: bool,
}

#[derive(Debug)]
enum State {
    Prefix,
    Fence,
    Language,
    Calls(JsonCallsParser),
    FenceEnd,
    Close,
}

impl DelimitedJson {
    /// After the start delimiter `start`.
    pub fn after(syntax: &'static Syntax, start: &str) -> Self {
        let state = match start.trim_start() {
            FENCE => State::Language,
            "{" => State::Calls(JsonCallsParser::after_bracket('{')),
            "[" => State::Calls(JsonCallsParser::after_bracket('[')),
            _ => State::Prefix,
        };
        Self {
            syntax,
            state,
            is_distinctive: syntax.is_distinctive && start != FENCE,
            is_fenced: start == FENCE,
        }
    }

    /// At a bracket at the start of the output, which is not consumed.
    pub fn undelimited(syntax: &'static Syntax) -> Self {
        Self {
            syntax,
            state: State::Prefix,
            is_distinctive: false,
            is_fenced: false,
        }
    }

    fn transition(&mut self, next: State) -> Step {
        self.state = next;
        Step::Continue
    }

    /// Consumes `literal`, if the input continues with it, and transitions to `next`.
    fn skip(&mut self, context: &mut Context, literal: &str, next: State) -> Step {
        match context.input.take(literal) {
            Match::Found(()) | Match::Absent => self.transition(next),
            Match::Incomplete => Step::NeedMoreInput,
        }
    }

    fn calls(&self) -> State {
        State::Calls(if self.is_distinctive {
            JsonCallsParser::delimited()
        } else {
            JsonCallsParser::undelimited()
        })
    }
}

impl ToolCallParser for DelimitedJson {
    fn step(&mut self, context: &mut Context) -> Step {
        match &mut self.state {
            State::Prefix => match self.syntax.prefix {
                Some(prefix) => self.skip(context, prefix, State::Fence),
                None => self.transition(State::Fence),
            },
            State::Fence => match context.input.take(FENCE) {
                Match::Found(()) => {
                    self.is_fenced = true;
                    self.transition(State::Language)
                }
                Match::Absent => self.transition(self.calls()),
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::Language => {
                let calls = self.calls();
                self.skip(context, LANGUAGE, calls)
            }
            State::Calls(calls) => match calls.read(context) {
                Match::Found(()) if self.is_fenced => self.transition(State::FenceEnd),
                Match::Found(()) => self.transition(State::Close),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            State::FenceEnd => self.skip(context, FENCE, State::Close),
            State::Close => match context.input.take_one_of(self.syntax.close) {
                Match::Found(_) | Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// Drops a tag around the content.
#[derive(Debug)]
pub(super) struct DroppedTag;

impl ToolCallParser for DroppedTag {
    fn step(&mut self, _context: &mut Context) -> Step {
        Step::Done
    }
}

/// The grammars of one object per tool, with these keys of name and arguments.
pub(super) fn objects(tools: &[&Tool], [name, arguments]: [&str; 2]) -> Vec<String> {
    tools
        .iter()
        .map(|tool| {
            let value = quote(&tool.name);
            Sequence::new()
                .text(&format!("{{\"{name}\": {value}, \"{arguments}\": "))
                .expression(&json_arguments(tool))
                .text("}")
                .build()
        })
        .collect()
}

/// A list of objects with `name` and `arguments` between `open` and `close`.
pub(super) fn list_grammar(
    lark: &mut LarkBuilder<'_>,
    tools: &[&Tool],
    parallel: bool,
    [open, close]: [&str; 2],
) -> String {
    let calls = objects(tools, ["name", "arguments"]);
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .delimiter(lark, open)
        .text("[")
        .expression(&calls)
        .text("]")
        .delimiter(lark, close)
        .build()
}
