//! State shared by all parsers: input, tools and parsed parts.

use crate::parsing::input::Input;
use crate::parsing::part::Part;
use crate::parsing::tool::Tool;

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

    /// Emits the parsed arguments of a call that is truncated by the end of the output.
    fn flush_truncated(&mut self, _context: &mut Context) {}
}

/// Input and output of a parser.
#[derive(Debug)]
pub(crate) struct Context {
    pub input: Input,
    tools: Vec<Tool>,
    parts: Vec<Part>,
    /// Number of calls started so far.
    calls: usize,
    /// Index of the tool of the current call.
    current_tool: Option<usize>,
}

impl Context {
    pub fn new(tools: &[Tool]) -> Self {
        Self {
            input: Input::default(),
            tools: tools.to_vec(),
            parts: Vec::new(),
            calls: 0,
            current_tool: None,
        }
    }

    pub fn take_parts(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    /// Starts a call and discards the consumed input; false if there is no such tool.
    pub fn start_call(&mut self, name: &str) -> bool {
        self.current_tool = self.tools.iter().position(|tool| tool.name == name);
        if self.current_tool.is_some() {
            self.parts.push(Part::ToolCall {
                index: self.calls,
                name: name.to_owned(),
            });
            self.calls += 1;
            self.input.commit();
        }
        self.current_tool.is_some()
    }

    /// Whether a call is incomplete.
    pub fn in_call(&self) -> bool {
        self.current_tool.is_some()
    }

    /// The tool of the current call.
    pub fn tool(&self) -> Option<&Tool> {
        self.current_tool.map(|tool| &self.tools[tool])
    }

    /// Emits `text` as arguments of the current call and discards the consumed input.
    pub fn emit_arguments(&mut self, text: &str) {
        self.input.commit();
        let call = self.calls.saturating_sub(1);
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Arguments { index, delta }) if *index == call => delta.push_str(text),
            _ => self.parts.push(Part::Arguments {
                index: call,
                delta: text.to_owned(),
            }),
        }
    }

    /// Ends the current call and discards the consumed input.
    pub fn end_call(&mut self) {
        self.current_tool = None;
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
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Content(content)) => content.push_str(text),
            _ => self.parts.push(Part::Content(text.to_owned())),
        }
    }

    /// Consumes `bytes` and emits all pending input as reasoning.
    pub fn emit_reasoning(&mut self, bytes: usize) {
        self.input.advance(bytes);
        let text = self.input.take_pending();
        self.push_reasoning(&text);
    }

    pub fn push_reasoning(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Reasoning(reasoning)) => reasoning.push_str(text),
            _ => self.parts.push(Part::Reasoning(text.to_owned())),
        }
    }
}
