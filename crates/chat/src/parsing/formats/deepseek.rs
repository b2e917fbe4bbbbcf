//! `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>…<｜tool▁call▁end｜>…<｜tool▁calls▁end｜>`. Inside a call, V3 and R1 write
//! `function<｜tool▁sep｜>NAME`, a newline and the arguments as a Markdown code block; V3.1 writes `NAME<｜tool▁sep｜>{…}`.

use crate::lark::{LarkBuilder, Sequence, json_arguments, one_of};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::json::ArgumentsParser;
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<｜tool▁calls▁begin｜>";
pub(super) const CLOSE: &str = "<｜tool▁calls▁end｜>";
pub(super) const CALL_OPEN: &str = "<｜tool▁call▁begin｜>";
pub(super) const CALL_CLOSE: &str = "<｜tool▁call▁end｜>";
pub(super) const SEPARATOR: &str = "<｜tool▁sep｜>";
pub(super) const DELIMITERS: [&str; 5] = [OPEN, CLOSE, CALL_OPEN, CALL_CLOSE, SEPARATOR];

/// Parses calls of both versions.
#[derive(Debug)]
pub(super) enum DeepSeek {
    /// Between calls.
    CallOrEnd,
    /// Before the separator.
    First,
    /// After the separator.
    Second {
        first: String,
    },
    /// Before the arguments, where a Markdown code block may start.
    Fence,
    Arguments(ArgumentsParser),
    /// After the arguments, where the code block ends.
    FenceEnd,
    CallEnd,
}

impl DeepSeek {
    /// After a start delimiter; models sometimes omit the outer one.
    pub fn after(delimiter: &str) -> Self {
        if delimiter == CALL_OPEN {
            Self::First
        } else {
            Self::CallOrEnd
        }
    }

    fn transition(&mut self, next: Self) -> Step {
        *self = next;
        Step::Continue
    }

    fn start_call(&mut self, context: &mut Context, name: &str) -> Step {
        if context.start_call(name) {
            self.transition(Self::Fence)
        } else {
            Step::Invalid
        }
    }
}

impl ToolCallParser for DeepSeek {
    fn step(&mut self, context: &mut Context) -> Step {
        let input = &mut context.input;
        match self {
            Self::CallOrEnd => match input.take_one_of(&[CALL_OPEN, CLOSE]) {
                Match::Found(0) => self.transition(Self::First),
                Match::Found(_) => Step::Done,
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::First => match input.take_name(SEPARATOR) {
                Match::Found(first) => self.transition(Self::Second { first }),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Second { first } => match input.peek() {
                Match::Found('{') => {
                    let name = std::mem::take(first);
                    self.start_call(context, &name)
                }
                Match::Found(_) => match input.take_name("\n") {
                    Match::Found(name) => self.start_call(context, &name),
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                },
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Fence => match input.take("```json") {
                Match::Found(()) | Match::Absent => {
                    self.transition(Self::Arguments(ArgumentsParser::new()))
                }
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Arguments(arguments) => {
                let mut text = String::new();
                let result = arguments.read(input, &mut text);
                context.push_arguments(&text);
                match result {
                    Match::Found(()) => {
                        context.end_call();
                        self.transition(Self::FenceEnd)
                    }
                    Match::Absent => Step::Invalid,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            Self::FenceEnd => match input.take("```") {
                Match::Found(()) | Match::Absent => self.transition(Self::CallEnd),
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::CallEnd => match input.take(CALL_CLOSE) {
                Match::Found(()) => {
                    context.end_call();
                    self.transition(Self::CallOrEnd)
                }
                Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// Allows both versions, because the vocabulary does not tell which one a model was trained on.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .flat_map(|tool| {
            let arguments = json_arguments(tool);
            let block = Sequence::new()
                .text("function")
                .delimiter(lark, SEPARATOR)
                .text(&format!("{}\n```json\n", tool.name))
                .expression(&arguments)
                .text("\n```");
            let plain = Sequence::new()
                .text(&tool.name)
                .delimiter(lark, SEPARATOR)
                .expression(&arguments);
            [block.build(), plain.build()]
        })
        .collect();
    let call = Sequence::new()
        .delimiter(lark, CALL_OPEN)
        .expression(&one_of(&calls))
        .delimiter(lark, CALL_CLOSE)
        .build();
    let call = if parallel {
        format!("{call} \"\\n\"?")
    } else {
        call
    };
    let calls = lark.repeat_calls(&[call], "", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .expression(&calls)
        .delimiter(lark, CLOSE)
        .build()
}
