//! Reasoning between tags.
//!
//! An opening tag counts only at the start of the output, after a call, or at the start of a line outside of a Markdown code
//! block, so that content that mentions `<think>` is not affected. White space around a block is dropped. A complete call at
//! the start of a line interrupts the block.

use crate::parsing::context::Context;
use crate::parsing::delimiter::Found;
use crate::parsing::format::{Format, ReasoningFormat};
use crate::parsing::input::Match;

/// The tags around reasoning.
#[derive(Debug)]
pub(crate) struct Tags {
    pub open: &'static str,
    pub close: &'static str,
    /// The parts of the tags that may be special tokens.
    pub delimiters: [&'static str; 2],
}

const fn tags(open: &'static str, close: &'static str) -> Tags {
    Tags {
        open,
        close,
        delimiters: [open, close],
    }
}

const TAGS: [Tags; 8] = [
    tags("<think>", "</think>"),
    tags("<think:opensource>", "</think:opensource>"),
    tags("<seed:think>", "</seed:think>"),
    tags("[THINK]", "[/THINK]"),
    tags("<|START_THINKING|>", "<|END_THINKING|>"),
    Tags {
        open: "<|channel>thought",
        close: "<channel|>",
        delimiters: ["<|channel>", "<channel|>"],
    },
    tags("<|inner_prefix|>", "<|inner_suffix|>"),
    tags("<mm:think>", "</mm:think>"),
];

impl ReasoningFormat {
    /// The tags of the format; none for channels.
    pub(crate) fn tags(self) -> &'static [Tags] {
        match self {
            Self::Think => &TAGS[0..1],
            Self::Hunyuan => &TAGS[1..2],
            Self::Seed => &TAGS[2..3],
            Self::Mistral => &TAGS[3..4],
            Self::CommandR => &TAGS[4..5],
            Self::Gemma => &TAGS[5..6],
            Self::Apertus => &TAGS[6..7],
            Self::MiniMaxM3 => &TAGS[7..8],
            Self::AnyTags => &TAGS,
            Self::Harmony => &[],
        }
    }
}

/// The opening tags of all formats.
pub(crate) fn opening_tags() -> impl Iterator<Item = &'static str> {
    TAGS.iter().map(|tags| tags.open)
}

/// The closing tag of reasoning that the prompt leaves open. The chat templates of some models end with an opening tag; the
/// completion then starts inside reasoning.
pub fn open_reasoning_end(prompt: &str) -> Option<&'static str> {
    let prompt = prompt.trim_end();
    TAGS.iter()
        .find(|tags| prompt.ends_with(tags.open))
        .map(|tags| tags.close)
}

/// The position of a completion relative to its reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reasoning may still start.
    Before,
    /// Inside reasoning.
    Inside {
        /// The closing tag.
        close: &'static str,
    },
    /// After the reasoning, or the output started without any.
    Content,
}

/// Tracks the [`Phase`] of a completion.
#[derive(Debug, Clone)]
pub struct ReasoningTracker {
    tags: &'static [Tags],
    phase: Phase,
    /// Text that may contain the start of a tag.
    text: String,
}

impl ReasoningTracker {
    /// Tracks the completion of `prompt`, which may leave reasoning open. `None` if the format has no tags.
    pub fn new(format: Format, prompt: &str) -> Option<Self> {
        let tags = format.reasoning?.tags();
        let open = open_reasoning_end(prompt);
        (!tags.is_empty()).then(|| Self {
            tags,
            phase: open.map_or(Phase::Before, |close| Phase::Inside { close }),
            text: String::new(),
        })
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Adds the next piece of the output, special tokens included.
    pub fn push(&mut self, text: &str) -> Phase {
        self.text.push_str(text);
        if self.phase == Phase::Before {
            let text = self.text.trim_start();
            if let Some(tags) = self.tags.iter().find(|tags| text.starts_with(tags.open)) {
                self.phase = Phase::Inside { close: tags.close };
                self.text = text[tags.open.len()..].to_owned();
            } else if !self.tags.iter().any(|tags| tags.open.starts_with(text)) {
                self.phase = Phase::Content;
            }
        }
        if let Phase::Inside { close } = self.phase {
            if self.text.contains(close) {
                self.phase = Phase::Content;
            }
            // Enough for a partial tag.
            let mut keep = self.text.len().saturating_sub(close.len());
            while !self.text.is_char_boundary(keep) {
                keep += 1;
            }
            self.text.drain(..keep);
        }
        self.phase
    }
}

#[derive(Debug)]
enum State {
    /// Only white space so far; an opening tag may follow.
    Start,
    Inside {
        close: &'static str,
        started: bool,
    },
    /// After the block; white space is dropped until the content starts.
    AfterReasoning,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasoningStep {
    NeedMoreInput,
    Continue,
    /// The content starts.
    Done,
    /// A call may start: this delimiter at the start of a line is consumed and pending.
    CallStart(&'static str),
}

/// Parses one block of reasoning.
#[derive(Debug)]
pub(crate) struct Reasoning {
    tags: &'static [Tags],
    state: State,
}

impl Reasoning {
    pub fn new(format: ReasoningFormat, prompt: &str) -> Self {
        let state = open_reasoning_end(prompt).map_or(State::Start, |close| State::Inside {
            close,
            started: false,
        });
        Self {
            tags: format.tags(),
            state,
        }
    }

    /// Inside of a block, after its opening tag or after a call that interrupted it.
    pub fn inside_of(format: ReasoningFormat, close: &'static str) -> Self {
        Self {
            tags: format.tags(),
            state: State::Inside {
                close,
                started: false,
            },
        }
    }

    /// The closing tag, inside the block.
    pub fn close(&self) -> Option<&'static str> {
        match self.state {
            State::Inside { close, .. } => Some(close),
            State::Start | State::AfterReasoning => None,
        }
    }

    /// Whether the reasoning has text and is not closed.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Inside { started: true, .. })
    }

    /// Advances. `starts` are the delimiters that start calls.
    pub fn step(&mut self, context: &mut Context, starts: &[&'static str]) -> ReasoningStep {
        match self.state {
            State::Start => self.start(context),
            State::Inside { close, started } => self.inside(context, close, started, starts),
            State::AfterReasoning => {
                let _ = context.input.peek();
                context.discard();
                if context.input.rest().is_empty() && !context.input.has_ended() {
                    ReasoningStep::NeedMoreInput
                } else {
                    ReasoningStep::Done
                }
            }
        }
    }

    fn start(&mut self, context: &mut Context) -> ReasoningStep {
        let _ = context.input.peek();
        let text = context.input.rest();
        if let Some(tags) = self.tags.iter().find(|tags| text.starts_with(tags.open)) {
            context.input.advance(tags.open.len());
            context.input.commit();
            self.state = State::Inside {
                close: tags.close,
                started: false,
            };
            return ReasoningStep::Continue;
        }
        let may_open = self.tags.iter().any(|tags| tags.open.starts_with(text));
        if may_open && !context.input.has_ended() {
            return ReasoningStep::NeedMoreInput;
        }
        ReasoningStep::Done
    }

    fn inside(
        &mut self,
        context: &mut Context,
        close: &'static str,
        started: bool,
        starts: &[&'static str],
    ) -> ReasoningStep {
        if !started {
            let _ = context.input.peek();
            context.discard();
        }
        let mut delimiters = vec![close];
        delimiters.extend(starts);
        let rest = context.input.rest();
        match context.input.find(&delimiters) {
            Found::At { start, which: 0 } => {
                let text = rest[..start].trim_end().len();
                if text > 0 {
                    context.emit_reasoning(text);
                }
                context.input.advance(start - text);
                context.discard();
                context.input.advance(close.len());
                context.input.commit();
                self.state = State::AfterReasoning;
                ReasoningStep::Continue
            }
            Found::At { start, which } => {
                let delimiter = delimiters[which];
                let text = rest[..start].trim_end().len();
                // The white space before the delimiter is pending.
                let is_line_start = if text == 0 {
                    !started
                        || [context.input.pending(), &rest[..start]]
                            .concat()
                            .contains('\n')
                } else {
                    rest[text..start].contains('\n')
                };
                self.state = State::Inside {
                    close,
                    started: true,
                };
                let after = &rest[start + delimiter.len()..];
                let is_start = if is_line_start {
                    Match::Found(())
                } else {
                    starts_on_next_line(after, starts, context.input.has_ended())
                };
                if is_start == Match::Absent {
                    context.emit_reasoning(start + delimiter.len());
                    return ReasoningStep::Continue;
                }
                if text > 0 {
                    context.emit_reasoning(text);
                }
                if is_start == Match::Incomplete {
                    return ReasoningStep::NeedMoreInput;
                }
                context.input.advance(start - text + delimiter.len());
                ReasoningStep::CallStart(delimiter)
            }
            Found::Nowhere { safe } => {
                // Trailing white space stays pending: before the closing tag it is dropped.
                let text = rest[..safe].trim_end().len();
                if text > 0 {
                    context.emit_reasoning(text);
                }
                context.input.advance(safe - text);
                self.state = State::Inside {
                    close,
                    started: started || text > 0,
                };
                if context.input.has_ended() {
                    context.input.advance_to_end();
                    context.input.commit();
                    return ReasoningStep::Done;
                }
                ReasoningStep::NeedMoreInput
            }
        }
    }
}

/// Whether `text` continues with one of `starts` on the next line.
fn starts_on_next_line(text: &str, starts: &[&str], ended: bool) -> Match {
    let next = text.trim_start();
    let is_on_line = text[..text.len() - next.len()].contains('\n');
    if (is_on_line || next.is_empty()) && starts.iter().any(|start| start.starts_with(next)) {
        let is_whole = starts.contains(&next);
        return match (is_whole, ended) {
            (true, _) => Match::Found(()),
            (false, true) => Match::Absent,
            (false, false) => Match::Incomplete,
        };
    }
    if is_on_line && starts.iter().any(|start| next.starts_with(start)) {
        Match::Found(())
    } else {
        Match::Absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THINK: Format = Format {
        tools: None,
        reasoning: Some(ReasoningFormat::Think),
    };
    const INSIDE: Phase = Phase::Inside { close: "</think>" };

    fn phases(prompt: &str, output: &str) -> Vec<Phase> {
        let mut tracker = ReasoningTracker::new(THINK, prompt).unwrap();
        let mut phases = vec![tracker.phase()];
        for piece in output.split_inclusive('|') {
            phases.push(tracker.push(&piece.replace('|', "")));
        }
        phases
    }

    #[test]
    fn tracker_finds_start_and_end_of_reasoning() {
        assert_eq!(
            phases("", "\n<thi|nk>Hm|m, ä</th|ink|>Yes"),
            [
                Phase::Before,
                Phase::Before,
                INSIDE,
                INSIDE,
                INSIDE,
                Phase::Content
            ]
        );
        assert_eq!(
            phases("<think>\n", "Hmm|</think>"),
            [INSIDE, INSIDE, Phase::Content]
        );
        assert_eq!(phases("", "Yes <think>"), [Phase::Before, Phase::Content]);
    }

    #[test]
    fn tracker_needs_reasoning_tags() {
        for reasoning in [None, Some(ReasoningFormat::Harmony)] {
            let format = Format {
                tools: None,
                reasoning,
            };
            assert!(ReasoningTracker::new(format, "").is_none());
        }
    }
}
