//! State shared by all parsers: input, tools and parsed parts.

use crate::parsing::delimiter::Found;
use crate::parsing::input::{Input, Match};
use crate::parsing::joiner::Joiner;
use crate::parsing::part::Part;
use crate::parsing::python;
use crate::parsing::tool::Tool;
use crate::parsing::values;

/// The namespace of tools in gpt-oss, Kimi K2 and other models.
pub(crate) const NAMESPACE: &str = "functions.";

/// The result of a parser step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The input ends before the next token of the syntax.
    NeedMoreInput,
    /// The parser advanced.
    Continue,
    /// The parser has reached the end of its syntax.
    Done,
    /// The input does not match the syntax.
    Invalid,
}

/// Parses the calls after a start delimiter.
pub(crate) trait ToolCallParser: std::fmt::Debug + Send {
    /// Advances by one state, or as far as the input allows.
    fn step(&mut self, context: &mut Context) -> Step;
}

/// Input and output of a parser.
#[derive(Debug)]
pub(crate) struct Context {
    pub input: Input,
    tools: Vec<Tool>,
    parts: Vec<Part>,
    content: Joiner,
    reasoning: Joiner,
    /// Number of emitted calls.
    calls: usize,
    call: Option<Call>,
    truncated: bool,
}

/// The current call. It is emitted at its end; until then all of its input stays pending.
#[derive(Debug)]
struct Call {
    /// Index of its tool.
    tool: usize,
    arguments: String,
    /// Bytes of pending input before its arguments.
    start: usize,
}

impl Context {
    pub fn new(tools: &[Tool]) -> Self {
        Self {
            input: Input::default(),
            tools: tools.to_vec(),
            parts: Vec::new(),
            content: Joiner::default(),
            reasoning: Joiner::default(),
            calls: 0,
            call: None,
            truncated: false,
        }
    }

    pub fn take_parts(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    /// Marks the output as truncated by a limit.
    pub fn truncate(&mut self) {
        self.truncated = true;
    }

    /// Whether a limit truncated the output.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether there is a tool with this name.
    pub fn has_tool(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// The index of the tool with this name. Some models write the namespace that their template lists tools in.
    fn position(&self, name: &str) -> Option<usize> {
        let position = |name: &str| self.tools.iter().position(|tool| tool.name == name);
        position(name).or_else(|| position(name.strip_prefix(NAMESPACE)?))
    }

    /// Starts a call; false if there is no such tool.
    pub fn start_call(&mut self, name: &str) -> bool {
        let tool = self.position(name);
        let start = self.input.pending().len();
        self.call = tool.map(|tool| Call {
            tool,
            arguments: String::new(),
            start,
        });
        self.in_call()
    }

    /// Whether a call is incomplete.
    pub fn in_call(&self) -> bool {
        self.call.is_some()
    }

    /// Number of emitted calls.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Whether content or calls were emitted.
    pub fn has_message(&self) -> bool {
        self.calls > 0 || !self.content.is_empty()
    }

    /// Whether a line of the content, outside of a Markdown code block, starts after the pending input and `bytes` of the rest.
    pub fn starts_line_after(&self, bytes: usize) -> bool {
        let text = [self.input.pending(), &self.input.rest()[..bytes]].concat();
        self.content.starts_line_after(&text)
    }

    /// The tool of the current call.
    pub fn tool(&self) -> Option<&Tool> {
        let call = self.call.as_ref()?;
        self.tools.get(call.tool)
    }

    /// Adds `text` to the arguments of the current call.
    pub fn push_arguments(&mut self, text: &str) {
        if let Some(call) = &mut self.call {
            call.arguments.push_str(text);
        }
    }

    /// Emits the current call, if there is one, and discards the consumed input. Without valid arguments, the input is
    /// content.
    pub fn end_call(&mut self) {
        let Some(call) = self.call.take() else {
            if self.calls > 0 {
                // White space before the end of the calls does not separate texts.
                self.input.commit();
            } else {
                self.discard();
            }
            return;
        };
        if self.emit_call(call.tool, &call.arguments).is_none() {
            self.flush_as_content();
        }
    }

    /// Bytes of pending input before the arguments of the current call.
    pub fn arguments_start(&self) -> usize {
        self.call.as_ref().map_or(0, |call| call.start)
    }

    /// Gives up the current call; its input is pending.
    pub fn cancel_call(&mut self) {
        self.call = None;
    }

    /// Reads the arguments of the current call again and tolerates errors, up to the next of `closers` or the end of the
    /// output: `Found` if the call was emitted. In any case this input is consumed.
    pub fn repair_call(&mut self, closers: &[&str]) -> Match {
        let (read, closer) = match self.input.find(closers) {
            Found::At { start, which } => (start, closers[which]),
            Found::Nowhere { .. } if !self.input.has_ended() => return Match::Incomplete,
            Found::Nowhere { .. } => (self.input.rest().len(), ""),
        };
        self.input.advance(read + closer.len());
        let Some(call) = self.call.take() else {
            return Match::Absent;
        };
        let text = &self.input.pending()[call.start..];
        let arguments = repair_arguments(text, closer);
        let emitted = arguments.and_then(|arguments| self.emit_call(call.tool, &arguments));
        emitted.map_or(Match::Absent, Match::Found)
    }

    /// Emits a call of this tool and discards the consumed input; `None` if the arguments are not a JSON object.
    fn emit_call(&mut self, tool: usize, arguments: &str) -> Option<()> {
        let tool = &self.tools[tool];
        let arguments = values::arguments(arguments, &tool.parameters)?;
        let name = tool.name.clone();
        let index = self.calls;
        self.parts.push(Part::ToolCall { index, name });
        self.parts.push(Part::Arguments {
            index,
            delta: arguments,
        });
        self.calls += 1;
        self.discard();
        self.content.start_line();
        Some(())
    }

    /// Discards the pending input. White space at its start separates the texts around it.
    pub fn discard(&mut self) {
        let pending = self.input.pending();
        let space = &pending[..pending.len() - pending.trim_start().len()];
        self.content.drop_space(space);
        self.reasoning.drop_space(space);
        self.input.commit();
    }

    /// Consumes `bytes` and emits all pending input as content.
    pub fn emit_content(&mut self, bytes: usize) {
        self.input.advance(bytes);
        self.flush_as_content();
    }

    /// Emits the pending input as content.
    pub fn flush_as_content(&mut self) {
        let text = self.input.take_pending();
        self.push_content(&text);
    }

    pub fn push_content(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let separator = self.content.push(text);
        match self.parts.last_mut() {
            Some(Part::Content(content)) => content.extend([separator.as_str(), text]),
            _ => self.parts.push(Part::Content(separator + text)),
        }
    }

    /// Consumes `bytes` and emits all pending input as reasoning.
    pub fn emit_reasoning(&mut self, bytes: usize) {
        self.input.advance(bytes);
        let text = self.input.take_pending();
        self.push_reasoning(&text);
    }

    pub fn push_reasoning(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let separator = self.reasoning.push(text);
        match self.parts.last_mut() {
            Some(Part::Reasoning(reasoning)) => reasoning.extend([separator.as_str(), text]),
            _ => self.parts.push(Part::Reasoning(separator + text)),
        }
    }
}

/// The arguments in `text`, the rest of a call after its name up to and including `closer`. After them, only the ends of a
/// JSON value or of a code block may follow.
fn repair_arguments(text: &str, closer: &str) -> Option<String> {
    let object = &text[text.find('{')?..];
    let (arguments, rest) = python::repair_object(object, closer)?;
    let rest = rest.trim_start_matches(|character: char| {
        character.is_whitespace() || matches!(character, '}' | ']' | ')' | ';' | '`')
    });
    (rest == closer).then_some(arguments)
}
