//! `[TOOL_CALLS][{"name": …, "arguments": {…}}]`, and since version 11 `[TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{…}`.

use crate::lark::{LarkBuilder, Sequence, json_arguments};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::{ArgumentsParser, JsonCallsParser, quote};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "[TOOL_CALLS]";
pub(super) const CALL_ID: &str = "[CALL_ID]";
pub(super) const ARGUMENTS: &str = "[ARGS]";

/// Parses the calls after `[TOOL_CALLS]` in both syntaxes.
#[derive(Debug)]
pub(super) enum Mistral {
    Start,
    List(JsonCallsParser),
    /// After a name.
    Named,
    /// In an id, which is ignored.
    Id,
    Arguments(ArgumentsParser),
}

impl ToolCallParser for Mistral {
    fn step(&mut self, context: &mut Context) -> Step {
        match self {
            Self::Start => match context.input.peek() {
                Match::Found('[' | '{') => {
                    *self = Self::List(JsonCallsParser::delimited());
                    Step::Continue
                }
                Match::Found(_) => self.name(context),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::List(calls) => match calls.read(context) {
                Match::Found(()) => Step::Done,
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Named => match context.input.take_one_of(&[CALL_ID, ARGUMENTS]) {
                Match::Found(0) => {
                    *self = Self::Id;
                    Step::Continue
                }
                // Some versions write the object directly after the name.
                Match::Found(_) | Match::Absent => {
                    *self = Self::Arguments(ArgumentsParser::new());
                    Step::Continue
                }
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Id => match context.input.take_name(ARGUMENTS) {
                Match::Found(_) => {
                    *self = Self::Arguments(ArgumentsParser::new());
                    Step::Continue
                }
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Arguments(arguments) => {
                let mut text = String::new();
                let result = arguments.read(&mut context.input, &mut text);
                context.push_arguments(&text);
                match result {
                    Match::Found(()) => Step::Done,
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
        }
    }
}

impl Mistral {
    fn name(&mut self, context: &mut Context) -> Step {
        let belongs = |character: char| !character.is_whitespace() && !"[{<".contains(character);
        match context.input.take_word(belongs) {
            Match::Found(name) if context.start_call(&name) => {
                *self = Self::Named;
                Step::Continue
            }
            Match::Found(_) | Match::Absent => Step::Invalid,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }
}

/// The syntax of version 11 if the vocabulary has its delimiters, else a list of objects.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let named = lark.is_special_token(ARGUMENTS);
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            let call = if named {
                Sequence::new()
                    .delimiter(lark, OPEN)
                    .text(&tool.name)
                    .delimiter(lark, ARGUMENTS)
            } else {
                let name = quote(&tool.name);
                Sequence::new().text(&format!("{{\"name\": {name}, \"arguments\": "))
            };
            let call = call.expression(&json_arguments(tool));
            if named { call } else { call.text("}") }.build()
        })
        .collect();
    if named {
        return lark.repeat_calls(&calls, "", parallel);
    }
    let calls = lark.repeat_calls(&calls, ", ", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .text("[")
        .expression(&calls)
        .text("]")
        .build()
}
