//! What all readers share: the text, the tools, and the parts found.

use crate::parsing::input::Input;
use crate::parsing::part::Part;
use crate::parsing::tool::Tool;

/// What a reader did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It needs more text.
    NeedMoreInput,
    /// It made progress.
    Again,
    /// It is done; what follows is not its own.
    Close,
    /// What it holds is not what it seemed to be.
    Broken,
}

/// Reads the calls behind one opening marker.
pub(crate) trait CallReader: std::fmt::Debug + Send {
    /// Advances by one state or as far as the text allows.
    fn step(&mut self, context: &mut Context) -> Step;

    /// The answer ended inside an announced call: gives out what was read of its arguments.
    fn cut_off(&mut self, _context: &mut Context) {}
}

/// The text of an answer on its way to parts.
#[derive(Debug)]
pub(crate) struct Context {
    pub input: Input,
    tools: Vec<Tool>,
    parts: Vec<Part>,
    calls: usize,
    /// The tool of the call that is announced and not complete.
    open: Option<usize>,
}

impl Context {
    pub fn new(tools: &[Tool]) -> Self {
        Self {
            input: Input::default(),
            tools: tools.to_vec(),
            parts: Vec::new(),
            calls: 0,
            open: None,
        }
    }

    pub fn take_parts(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    /// Begins a call and gives out what was read; false if there is no such tool.
    pub fn announce(&mut self, name: &str) -> bool {
        self.open = self.tools.iter().position(|tool| tool.name == name);
        if self.open.is_some() {
            self.parts.push(Part::ToolCall {
                index: self.calls,
                name: name.to_owned(),
            });
            self.calls += 1;
            self.input.commit();
        }
        self.open.is_some()
    }

    /// Whether a call is announced and not complete.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The tool that is being called.
    pub fn tool(&self) -> Option<&Tool> {
        self.open.map(|tool| &self.tools[tool])
    }

    /// Gives out what was read, as these arguments of the open call.
    pub fn arguments(&mut self, text: &str) {
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

    /// Ends the open call and gives out what was read.
    pub fn complete(&mut self) {
        self.open = None;
        self.input.commit();
    }

    /// Reads `bytes` of the rest and gives them out as content.
    pub fn take_content(&mut self, bytes: usize) {
        self.input.advance(bytes);
        self.flush_as_content();
    }

    /// Gives out as content what was read and held.
    pub fn flush_as_content(&mut self) {
        let text = self.input.flush_as_content();
        self.content(&text);
    }

    pub fn content(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Content(content)) => content.push_str(text),
            _ => self.parts.push(Part::Content(text.to_owned())),
        }
    }

    /// Reads `bytes` of the rest and gives them out as reasoning.
    pub fn take_reasoning(&mut self, bytes: usize) {
        self.input.advance(bytes);
        let text = self.input.flush_as_content();
        self.reasoning(&text);
    }

    pub fn reasoning(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Reasoning(reasoning)) => reasoning.push_str(text),
            _ => self.parts.push(Part::Reasoning(text.to_owned())),
        }
    }
}
