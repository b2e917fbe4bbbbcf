//! Reasoning between tags.
//!
//! A model thinks at most once, before it answers: an opening tag counts only while nothing but white space has come, so
//! an answer that talks about `<think>` is left alone. White space around the reasoning belongs to neither part.

use crate::parsing::context::{Context, Step};
use crate::parsing::format::{Format, ReasoningFormat};
use crate::parsing::marker::Found;

/// What stands around the reasoning of a model.
#[derive(Debug)]
pub(crate) struct Tags {
    pub open: &'static str,
    pub close: &'static str,
    /// What of them may be a token of its own.
    pub delimiters: [&'static str; 2],
}

const fn tags(open: &'static str, close: &'static str) -> Tags {
    Tags {
        open,
        close,
        delimiters: [open, close],
    }
}

const TAGS: [Tags; 6] = [
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
];

impl ReasoningFormat {
    /// The tags in question; none where channels take their place.
    pub(crate) fn tags(self) -> &'static [Tags] {
        match self {
            Self::Think => &TAGS[0..1],
            Self::Hunyuan => &TAGS[1..2],
            Self::Seed => &TAGS[2..3],
            Self::Mistral => &TAGS[3..4],
            Self::CommandR => &TAGS[4..5],
            Self::Gemma => &TAGS[5..6],
            Self::AnyTags => &TAGS,
            Self::Harmony => &[],
        }
    }
}

/// The tag that will end the reasoning which a prompt leaves open, if it ends by opening some, as the templates of some
/// models do: what the model writes up to there is not yet the answer.
pub fn open_reasoning_end(prompt: &str) -> Option<&'static str> {
    let prompt = prompt.trim_end();
    TAGS.iter()
        .find(|tags| prompt.ends_with(tags.open))
        .map(|tags| tags.close)
}

/// Where an answer is, as far as reasoning goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reasoning may still begin.
    Before,
    /// The model reasons; this tag ends it.
    Inside {
        /// The tag.
        close: &'static str,
    },
    /// The content has begun.
    Content,
}

/// Follows an answer and tells whether the model still reasons.
#[derive(Debug, Clone)]
pub struct ReasoningTracker {
    tags: &'static [Tags],
    phase: Phase,
    /// What a tag may begin in.
    text: String,
}

impl ReasoningTracker {
    /// Watches the answer to `prompt`, which may leave some reasoning open. `None` without tags around the reasoning.
    pub fn new(format: Format, prompt: &str) -> Option<Self> {
        let tags = format.reasoning?.tags();
        let open = open_reasoning_end(prompt);
        (!tags.is_empty()).then(|| Self {
            tags,
            phase: open.map_or(Phase::Before, |close| Phase::Inside { close }),
            text: String::new(),
        })
    }

    /// Where the answer is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes the next piece of the answer, special tokens included.
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
            // Enough for a tag that has begun.
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
    /// Inside the block that this tag closes.
    Inside { close: &'static str, started: bool },
    /// After the block; white space is dropped until the content starts.
    AfterReasoning,
}

/// Reads the reasoning at the beginning of an answer.
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

    /// Advances; `Close` when the answer begins.
    pub fn step(&mut self, context: &mut Context) -> Step {
        match self.state {
            State::Start => self.start(context),
            State::Inside { close, started } => self.inside(context, close, started),
            State::AfterReasoning => {
                let _ = context.input.peek();
                context.input.commit();
                if context.input.rest().is_empty() && !context.input.has_ended() {
                    Step::NeedMoreInput
                } else {
                    Step::Close
                }
            }
        }
    }

    fn start(&mut self, context: &mut Context) -> Step {
        let _ = context.input.peek();
        let text = context.input.rest();
        if let Some(tags) = self.tags.iter().find(|tags| text.starts_with(tags.open)) {
            context.input.advance(tags.open.len());
            context.input.commit();
            self.state = State::Inside {
                close: tags.close,
                started: false,
            };
            return Step::Again;
        }
        let may_open = self.tags.iter().any(|tags| tags.open.starts_with(text));
        if may_open && !context.input.has_ended() {
            return Step::NeedMoreInput;
        }
        Step::Close
    }

    fn inside(&mut self, context: &mut Context, close: &'static str, started: bool) -> Step {
        if !started {
            let _ = context.input.peek();
            context.input.commit();
        }
        let rest = context.input.rest();
        match context.input.find(&[close]) {
            Found::At { start, .. } => {
                let text = rest[..start].trim_end().len();
                if text > 0 {
                    context.take_reasoning(text);
                }
                context.input.advance(start - text + close.len());
                context.input.commit();
                self.state = State::AfterReasoning;
                Step::Again
            }
            Found::Nowhere { safe } => {
                // White space is held back as well: before the closing tag it is dropped.
                let text = rest[..safe].trim_end().len();
                if text > 0 {
                    context.take_reasoning(text);
                }
                context.input.advance(safe - text);
                self.state = State::Inside {
                    close,
                    started: started || text > 0,
                };
                if context.input.has_ended() {
                    context.input.advance_to_end();
                    context.input.commit();
                    return Step::Close;
                }
                Step::NeedMoreInput
            }
        }
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

    fn phases(prompt: &str, answer: &str) -> Vec<Phase> {
        let mut watch = ReasoningTracker::new(THINK, prompt).unwrap();
        let mut phases = vec![watch.phase()];
        for piece in answer.split_inclusive('|') {
            phases.push(watch.push(&piece.replace('|', "")));
        }
        phases
    }

    #[test]
    fn a_watch_knows_when_reasoning_begins_and_ends() {
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
    fn channels_and_plain_answers_are_not_watched() {
        for reasoning in [None, Some(ReasoningFormat::Harmony)] {
            let format = Format {
                tools: None,
                reasoning,
            };
            assert!(ReasoningTracker::new(format, "").is_none());
        }
    }
}
