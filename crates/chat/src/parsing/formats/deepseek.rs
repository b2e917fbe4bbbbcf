//! `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>…<｜tool▁call▁end｜>…<｜tool▁calls▁end｜>`. Inside a call, V3 and R1 write
//! `function<｜tool▁sep｜>NAME`, a newline and the arguments as a block of Markdown; V3.1 writes `NAME<｜tool▁sep｜>{…}`.

use crate::parsing::context::{CallReader, Context, Step};
use crate::parsing::input::Match;
use crate::parsing::json::ArgumentsReader;
use crate::parsing::lark::{Lark, Sequence, json_arguments, one_of};
use crate::parsing::tool::Tool;

pub(super) const OPEN: &str = "<｜tool▁calls▁begin｜>";
pub(super) const CLOSE: &str = "<｜tool▁calls▁end｜>";
pub(super) const CALL_OPEN: &str = "<｜tool▁call▁begin｜>";
pub(super) const CALL_CLOSE: &str = "<｜tool▁call▁end｜>";
pub(super) const SEPARATOR: &str = "<｜tool▁sep｜>";
pub(super) const MARKERS: [&str; 5] = [OPEN, CLOSE, CALL_OPEN, CALL_CLOSE, SEPARATOR];

/// Reads calls in both forms.
#[derive(Debug)]
pub(super) enum DeepSeek {
    /// Between calls.
    CallOrEnd,
    /// Inside the text before the separator.
    First,
    /// Behind the separator.
    Second {
        first: String,
    },
    /// Before the arguments, where a block of Markdown may begin.
    Fence,
    Arguments(ArgumentsReader),
    /// Behind the arguments, where the block ends.
    FenceEnd,
    CallEnd,
}

impl DeepSeek {
    /// Behind one of the opening delimiters; the outer one is sometimes left out.
    pub fn behind(marker: &str) -> Self {
        if marker == CALL_OPEN {
            Self::First
        } else {
            Self::CallOrEnd
        }
    }

    fn transition(&mut self, next: Self) -> Step {
        *self = next;
        Step::Again
    }

    fn announce(&mut self, context: &mut Context, name: &str) -> Step {
        if context.announce(name) {
            self.transition(Self::Fence)
        } else {
            Step::Broken
        }
    }
}

impl CallReader for DeepSeek {
    fn step(&mut self, context: &mut Context) -> Step {
        let input = &mut context.input;
        match self {
            Self::CallOrEnd => match input.take_one_of(&[CALL_OPEN, CLOSE]) {
                Match::Found(0) => self.transition(Self::First),
                Match::Found(_) => Step::Close,
                Match::Absent => Step::Broken,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::First => match input.take_name(SEPARATOR) {
                Match::Found(first) => self.transition(Self::Second { first }),
                Match::Absent => Step::Broken,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Second { first } => match input.peek() {
                Match::Found('{') => {
                    let name = std::mem::take(first);
                    self.announce(context, &name)
                }
                Match::Found(_) => match input.take_name("\n") {
                    Match::Found(name) => self.announce(context, &name),
                    Match::Absent => Step::Broken,
                    Match::Incomplete => Step::NeedMoreInput,
                },
                Match::Absent => Step::Broken,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Fence => match input.take("```json") {
                Match::Found(()) | Match::Absent => {
                    self.transition(Self::Arguments(ArgumentsReader::new()))
                }
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Arguments(arguments) => {
                let mut text = String::new();
                let result = arguments.read(input, &mut text);
                context.arguments(&text);
                match result {
                    Match::Found(()) => {
                        context.complete();
                        self.transition(Self::FenceEnd)
                    }
                    Match::Absent => Step::Broken,
                    Match::Incomplete => Step::NeedMoreInput,
                }
            }
            Self::FenceEnd => match input.take("```") {
                Match::Found(()) | Match::Absent => self.transition(Self::CallEnd),
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::CallEnd => match input.take(CALL_CLOSE) {
                Match::Found(()) => {
                    context.complete();
                    self.transition(Self::CallOrEnd)
                }
                Match::Absent => Step::Close,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// Either form: nothing in the vocabulary tells which one a model was trained on, but the model knows.
pub(super) fn grammar(lark: &mut Lark<'_>, tools: &[&Tool], parallel: bool) -> String {
    let calls: Vec<String> = tools
        .iter()
        .flat_map(|tool| {
            let arguments = json_arguments(tool);
            let block = Sequence::new()
                .text("function")
                .marker(lark, SEPARATOR)
                .text(&format!("{}\n```json\n", tool.name))
                .expression(&arguments)
                .text("\n```");
            let plain = Sequence::new()
                .text(&tool.name)
                .marker(lark, SEPARATOR)
                .expression(&arguments);
            [block.build(), plain.build()]
        })
        .collect();
    let call = Sequence::new()
        .marker(lark, CALL_OPEN)
        .expression(&one_of(&calls))
        .marker(lark, CALL_CLOSE)
        .build();
    let call = if parallel {
        format!("{call} \"\\n\"?")
    } else {
        call
    };
    let calls = lark.calls(&[call], "", parallel);
    Sequence::new()
        .marker(lark, OPEN)
        .expression(&calls)
        .marker(lark, CLOSE)
        .build()
}
