//! `<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="NAME"><steptml:parameter name="KEY">VALUE
//! </steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>`.

use super::xml::{Syntax, Xml};
use crate::lark::{LarkBuilder, Sequence};
use crate::parsing::context::{Context, Step, ToolCallParser};
use crate::parsing::input::Match;
use crate::parsing::tool::Tool;

const OPEN: &str = "<｜tool_calls_begin｜>";
const CLOSE: &str = "<｜tool_calls_end｜>";
const CALL_OPEN: &str = "<｜tool_call_begin｜>";
const CALL_CLOSE: &str = "<｜tool_call_end｜>";
const SEPARATOR: &str = "<｜tool_sep｜>";
pub(super) const DELIMITERS: [&str; 5] = [OPEN, CLOSE, CALL_OPEN, CALL_CLOSE, SEPARATOR];
pub(super) const STARTS: [&str; 2] = [OPEN, CALL_OPEN];

pub(super) const CLOSERS: [&str; 4] = [CLOSE, CALL_CLOSE, INVOKE.close, INVOKE.value_close];

/// One call, after the separator.
static INVOKE: Syntax = Syntax {
    open: "<steptml:invoke name=\"",
    close: "</steptml:invoke>",
    call_open: "",
    name_end: Some("\">"),
    call_close: "</steptml:invoke>",
    key_open: "<steptml:parameter name=\"",
    key_close: "\">",
    value_open: "",
    value_close: "</steptml:parameter>",
    value_on_lines: false,
};

/// Parses the calls after a start delimiter.
#[derive(Debug)]
pub(super) enum Step3 {
    /// Between calls.
    CallOrEnd,
    /// The kind of the tool, which is `function`.
    Kind,
    InvokeOpen,
    Invoke(Xml),
    CallEnd,
}

impl Step3 {
    /// After a start delimiter.
    pub fn after(start: &str) -> Self {
        if start == CALL_OPEN {
            Self::Kind
        } else {
            Self::CallOrEnd
        }
    }

    fn transition(&mut self, next: Self) -> Step {
        *self = next;
        Step::Continue
    }
}

impl ToolCallParser for Step3 {
    fn step(&mut self, context: &mut Context) -> Step {
        let input = &mut context.input;
        match self {
            Self::CallOrEnd => match input.take_one_of(&[CALL_OPEN, CLOSE]) {
                Match::Found(0) => self.transition(Self::Kind),
                Match::Found(_) => Step::Done,
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Kind => match input.take_name(SEPARATOR) {
                Match::Found(_) => self.transition(Self::InvokeOpen),
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::InvokeOpen => match input.take(INVOKE.open) {
                Match::Found(()) => {
                    let call = Xml::after(&INVOKE, INVOKE.open);
                    self.transition(Self::Invoke(call))
                }
                Match::Absent => Step::Invalid,
                Match::Incomplete => Step::NeedMoreInput,
            },
            Self::Invoke(call) => match call.step(context) {
                Step::Done => self.transition(Self::CallEnd),
                step => step,
            },
            Self::CallEnd => match input.take(CALL_CLOSE) {
                Match::Found(()) => {
                    input.commit();
                    self.transition(Self::CallOrEnd)
                }
                Match::Absent => Step::Done,
                Match::Incomplete => Step::NeedMoreInput,
            },
        }
    }
}

/// A section of calls.
pub(super) fn grammar(lark: &mut LarkBuilder<'_>, tools: &[&Tool], parallel: bool) -> String {
    let invoke = INVOKE.grammar(lark, tools, false);
    let call = Sequence::new()
        .delimiter(lark, CALL_OPEN)
        .text("function")
        .delimiter(lark, SEPARATOR)
        .expression(&invoke)
        .delimiter(lark, CALL_CLOSE)
        .build();
    let calls = lark.repeat_calls(&[call], "", parallel);
    Sequence::new()
        .delimiter(lark, OPEN)
        .expression(&calls)
        .delimiter(lark, CLOSE)
        .build()
}
