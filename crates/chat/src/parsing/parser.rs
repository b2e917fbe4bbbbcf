//! The parser: reasoning first, then content and calls.

use crate::parsing::context::{CallReader, Context, Step};
use crate::parsing::format::{Format, ToolFormat};
use crate::parsing::formats::{self, Harmony};
use crate::parsing::input::Match;
use crate::parsing::marker::Found;
use crate::parsing::part::Part;
use crate::parsing::reasoning::Reasoning;
use crate::parsing::tool::Tool;

/// Takes one answer apart.
#[derive(Debug)]
pub struct Parser {
    context: Context,
    /// `None` when there is nothing to call.
    tools: Option<ToolFormat>,
    state: State,
}

#[derive(Debug)]
enum State {
    Reasoning(Reasoning),
    /// Nothing of the answer has come: it may be a call as a whole.
    Start,
    Content,
    /// Behind a marker that opens calls.
    Calls(Box<dyn CallReader>),
    /// Behind calls; white space is dropped.
    Between,
    Channels(Harmony),
}

impl Parser {
    /// A parser for the answer to `prompt`, whose end tells whether the answer begins inside reasoning. Without `tools`
    /// nothing is a call.
    pub fn new(format: Format, prompt: &str, tools: &[Tool]) -> Self {
        let state = if format.has_channels() {
            State::Channels(Harmony::default())
        } else {
            format.reasoning.map_or(State::Start, |reasoning| {
                State::Reasoning(Reasoning::new(reasoning, prompt))
            })
        };
        Self {
            context: Context::new(tools),
            tools: format.tools.filter(|_| !tools.is_empty()),
            state,
        }
    }

    /// Takes the next piece of text and returns what became certain.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        self.context.input.push(text);
        self.run()
    }

    /// Returns what is left when the answer is complete.
    pub fn finish(&mut self) -> Vec<Part> {
        // Everything that could be read was read, so an open call was cut off.
        if self.context.is_open() {
            if let State::Calls(reader) = &mut self.state {
                reader.cut_off(&mut self.context);
                self.state = State::Content;
            }
            self.context.input.advance_to_end();
            self.context.complete();
        }
        self.context.input.end();
        self.run()
    }

    fn run(&mut self) -> Vec<Part> {
        while self.step() {}
        self.context.take_parts()
    }

    /// Advances; false when that takes more text.
    fn step(&mut self) -> bool {
        match &mut self.state {
            State::Reasoning(reasoning) => match reasoning.step(&mut self.context) {
                Step::Again => true,
                Step::NeedMoreInput => false,
                Step::Close | Step::Broken => {
                    self.state = State::Start;
                    true
                }
            },
            State::Start => self.start(),
            State::Content => self.content(),
            State::Calls(_) => self.calls(),
            State::Between => {
                let _ = self.context.input.peek();
                self.context.input.commit();
                let more = self.context.input.rest().is_empty();
                if !more {
                    self.state = State::Content;
                }
                !more
            }
            State::Channels(channels) => channels.step(&mut self.context) == Step::Again,
        }
    }

    fn start(&mut self) -> bool {
        let bare = self.tools.and_then(formats::undelimited_start);
        self.state = match (self.tools, bare, self.context.input.peek()) {
            (Some(tools), Some(bare), Match::Found(next)) if next == bare => {
                State::Calls(formats::undelimited_reader(tools))
            }
            (_, Some(_), Match::Incomplete) => return false,
            _ => State::Content,
        };
        true
    }

    fn content(&mut self) -> bool {
        let Some(tools) = self.tools else {
            let rest = self.context.input.rest().len();
            self.context.take_content(rest);
            return false;
        };
        let openings = formats::openings(tools);
        let rest = self.context.input.rest();
        match self.context.input.find(openings) {
            Found::At { start, which } => {
                // White space before a call is held with its marker: it is content only if there is no call.
                let text = rest[..start].trim_end().len();
                if text > 0 {
                    self.context.take_content(text);
                }
                let marker = openings[which];
                self.context.input.advance(start - text + marker.len());
                self.state = State::Calls(formats::reader(tools, marker));
                true
            }
            Found::Nowhere { safe } => {
                let ended = self.context.input.has_ended();
                let text = if ended {
                    safe
                } else {
                    rest[..safe].trim_end().len()
                };
                if text > 0 || ended {
                    self.context.take_content(text);
                }
                self.context.input.advance(safe - text);
                false
            }
        }
    }

    fn calls(&mut self) -> bool {
        let State::Calls(reader) = &mut self.state else {
            return true;
        };
        match reader.step(&mut self.context) {
            Step::Again => true,
            Step::NeedMoreInput if !self.context.input.has_ended() => false,
            Step::NeedMoreInput => {
                self.context.input.advance_to_end();
                self.context.flush_as_content();
                self.context.complete();
                self.state = State::Content;
                false
            }
            Step::Close => {
                self.context.complete();
                self.state = State::Between;
                true
            }
            Step::Broken => {
                self.context.flush_as_content();
                self.context.complete();
                self.state = State::Content;
                true
            }
        }
    }
}
