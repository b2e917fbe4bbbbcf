//! `[TOOL_CALLS][{"name": …, "arguments": {…}}]`, and since version 11 `[TOOL_CALLS]NAME[CALL_ID]ID[ARGS]{…}`.

use crate::parsing::context::{CallReader, Context, Step};
use crate::parsing::input::Match;
use crate::parsing::json::{ArgumentsReader, CallsReader, quote};
use crate::parsing::lark::{Lark, Sequence, json_arguments};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "[TOOL_CALLS]";
pub(super) const CALL_ID: &str = "[CALL_ID]";
pub(super) const ARGUMENTS: &str = "[ARGS]";

/// Reads what follows `[TOOL_CALLS]`, in either form.
#[derive(Debug)]
pub(super) enum Mistral {
    /// Nothing has come yet.
    Start,
    /// A list of objects.
    List(CallsReader),
    /// Behind a name.
    Named,
    /// Inside an id, which is nobody's business.
    Id,
    /// Inside the arguments.
    Arguments(ArgumentsReader),
}

impl CallReader for Mistral {
    fn step(&mut self, context: &mut Context) -> Step {
        match self {
            Self::Start => match context.input.peek() {
                Match::Found('[' | '{') => {
                    *self = Self::List(CallsReader::marked());
                    Step::Again
                }
                Match::Found(_) => self.name(context),
                Match::Absent => Step::Broken,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::List(calls) => match calls.read(context) {
                Match::Found(()) => Step::Close,
                Match::Absent => Step::Broken,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Named => match context.input.take_one_of(&[CALL_ID, ARGUMENTS]) {
                Match::Found(0) => {
                    *self = Self::Id;
                    Step::Again
                }
                // Some versions write the object right behind the name.
                Match::Found(_) | Match::Absent => {
                    *self = Self::Arguments(ArgumentsReader::new());
                    Step::Again
                }
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Id => match context.input.take_name(ARGUMENTS) {
                Match::Found(_) => {
                    *self = Self::Arguments(ArgumentsReader::new());
                    Step::Again
                }
                Match::Absent => Step::Broken,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Arguments(arguments) => {
                let mut text = String::new();
                let result = arguments.read(&mut context.input, &mut text);
                context.arguments(&text);
                match result {
                    Match::Found(()) => Step::Close,
                    Match::Absent => Step::Broken,
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
            Match::Found(name) if context.announce(&name) => {
                *self = Self::Named;
                Step::Again
            }
            Match::Found(_) | Match::Absent => Step::Broken,
            Match::Incomplete => Step::NeedMoreInput,
        }
    }
}

/// The newer form where the vocabulary has its delimiters, else a list of objects.
pub(super) fn grammar(lark: &mut Lark<'_>, tools: &[&Tool], parallel: bool) -> String {
    let named = lark.has_token(ARGUMENTS);
    let calls: Vec<String> = tools
        .iter()
        .map(|tool| {
            let call = if named {
                Sequence::new()
                    .marker(lark, OPEN)
                    .text(&tool.name)
                    .marker(lark, ARGUMENTS)
            } else {
                let name = quote(&tool.name);
                Sequence::new().text(&format!("{{\"name\": {name}, \"arguments\": "))
            };
            let call = call.expression(&json_arguments(tool));
            if named { call } else { call.text("}") }.build()
        })
        .collect();
    if named {
        return lark.calls(&calls, "", parallel);
    }
    let calls = lark.calls(&calls, ", ", parallel);
    Sequence::new()
        .marker(lark, OPEN)
        .text("[")
        .expression(&calls)
        .text("]")
        .build()
}
