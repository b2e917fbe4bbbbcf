//! Splits a streamed answer into thinking and answer.
//!
//! A model thinks at most once, before it answers: an opening tag counts only while nothing but white space has come,
//! so an answer that talks about `<think>` is left alone. White space around the thinking belongs to neither part.

use mlxm_engine::chat::open_thinking_end;

/// Opening and closing tags in use.
const TAGS: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
];

/// Whether `token` is a tag. Some vocabularies make tags special tokens, which decoding leaves out.
pub fn is_tag(token: &str) -> bool {
    TAGS.iter()
        .any(|(open, close)| token == *open || token == *close)
}

/// Which part of an answer a piece of text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the model says to itself.
    Thinking,
    /// What it says to the person.
    Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only white space so far; an opening tag may follow.
    Start,
    /// Inside the block that this tag closes.
    Thinking { close: &'static str, started: bool },
    /// Behind the block; white space is dropped until the answer starts.
    BeforeAnswer,
    /// The rest is the answer.
    Answer,
}

/// An incremental splitter: text in, `(part, text)` out, each character as early as it is certain.
#[derive(Debug)]
pub struct ThinkingSplitter {
    state: State,
    pending: String,
}

impl ThinkingSplitter {
    /// Starts inside a thinking block if `prompt` opens one at its end, as the templates of some models do.
    pub fn after_prompt(prompt: &str) -> Self {
        let state = open_thinking_end(prompt).map_or(State::Start, |close| State::Thinking {
            close,
            started: false,
        });
        Self {
            state,
            pending: String::new(),
        }
    }

    /// Takes the next piece of text and returns what became certain.
    pub fn push(&mut self, text: &str) -> Vec<(Part, String)> {
        self.pending.push_str(text);
        let mut parts = Vec::new();
        while self.step(&mut parts) {}
        parts
    }

    /// Returns what is left when the answer is complete.
    pub fn finish(&mut self) -> Vec<(Part, String)> {
        let rest = std::mem::take(&mut self.pending);
        match self.state {
            State::Thinking { .. } => certain(Part::Thinking, rest.trim_end()),
            State::BeforeAnswer => Vec::new(),
            State::Start | State::Answer => certain(Part::Answer, &rest),
        }
    }

    /// Advances by one state or as far as the pending text allows; false when more text is needed.
    fn step(&mut self, parts: &mut Vec<(Part, String)>) -> bool {
        match self.state {
            State::Start => self.step_start(),
            State::Thinking { close, started } => self.step_thinking(close, started, parts),
            State::BeforeAnswer => {
                self.pending = self.pending.trim_start().to_owned();
                if self.pending.is_empty() {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Answer => {
                parts.extend(certain(Part::Answer, &std::mem::take(&mut self.pending)));
                false
            }
        }
    }

    fn step_start(&mut self) -> bool {
        let text = self.pending.trim_start();
        if let Some((open, close)) = TAGS.iter().find(|(open, _)| text.starts_with(open)) {
            self.pending = text[open.len()..].to_owned();
            self.state = State::Thinking {
                close,
                started: false,
            };
            return true;
        }
        if TAGS.iter().any(|(open, _)| open.starts_with(text)) {
            return false;
        }
        self.state = State::Answer;
        true
    }

    fn step_thinking(
        &mut self,
        close: &'static str,
        started: bool,
        parts: &mut Vec<(Part, String)>,
    ) -> bool {
        if !started {
            self.pending = self.pending.trim_start().to_owned();
        }
        if let Some(end) = self.pending.find(close) {
            parts.extend(certain(Part::Thinking, self.pending[..end].trim_end()));
            self.pending = self.pending[end + close.len()..].to_owned();
            self.state = State::BeforeAnswer;
            return true;
        }
        // White space is held back as well: before the closing tag it is dropped.
        let held = partial_suffix(&self.pending, close);
        let ready = self.pending[..self.pending.len() - held].trim_end().len();
        if ready > 0 {
            let rest = self.pending.split_off(ready);
            let text = std::mem::replace(&mut self.pending, rest);
            parts.extend(certain(Part::Thinking, &text));
            self.state = State::Thinking {
                close,
                started: true,
            };
        }
        false
    }
}

/// Length of the longest suffix of `text` that begins `tag` without being all of it.
fn partial_suffix(text: &str, tag: &str) -> usize {
    (1..tag.len())
        .rev()
        .filter(|length| tag.is_char_boundary(*length))
        .find(|length| text.ends_with(&tag[..*length]))
        .unwrap_or(0)
}

fn certain(part: Part, text: &str) -> Vec<(Part, String)> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![(part, text.to_owned())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parts: &[(Part, String)]) -> (String, String) {
        let of = |wanted: Part| {
            parts
                .iter()
                .filter(|(part, _)| *part == wanted)
                .map(|(_, text)| text.as_str())
                .collect()
        };
        (of(Part::Thinking), of(Part::Answer))
    }

    const CASES: [(&str, &str, &str, &str); 10] = [
        // prompt, text, thinking, answer
        ("", "plain answer", "", "plain answer"),
        (
            "",
            "<think>\nhm, 2+2\n</think>\n\n4 is it",
            "hm, 2+2",
            "4 is it",
        ),
        ("", "\n <think>a</think>b", "a", "b"),
        (
            "assistant\n<think>\n",
            "opened by the prompt </think> yes",
            "opened by the prompt",
            "yes",
        ),
        (
            "<think>\n\n</think>\n\n",
            "not <think>inside</think>",
            "",
            "not <think>inside</think>",
        ),
        (
            "",
            "<think>a </thin k> < </think",
            "a </thin k> < </think",
            "",
        ),
        ("", "<thinker> is a word", "", "<thinker> is a word"),
        (
            "",
            "<think>a</think>b<think>c</think>",
            "a",
            "b<think>c</think>",
        ),
        (
            "",
            "[THINK]über 🦀 a\n\nb[/THINK]\nß",
            "über 🦀 a\n\nb",
            "ß",
        ),
        ("", "  indented code", "", "  indented code"),
    ];

    #[test]
    fn every_split_point_gives_the_same_parts() {
        for (prompt, text, thinking, answer) in CASES {
            let borders = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            for first in borders.clone() {
                for second in borders.clone().filter(|second| *second >= first) {
                    let mut splitter = ThinkingSplitter::after_prompt(prompt);
                    let mut parts = Vec::new();
                    for piece in [&text[..first], &text[first..second], &text[second..]] {
                        parts.extend(splitter.push(piece));
                    }
                    parts.extend(splitter.finish());
                    let expected = (thinking.to_owned(), answer.to_owned());
                    assert_eq!(
                        joined(&parts),
                        expected,
                        "{text:?} split at {first} and {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_character_at_a_time() {
        for (prompt, text, thinking, answer) in CASES {
            let mut splitter = ThinkingSplitter::after_prompt(prompt);
            let mut parts: Vec<_> = text
                .chars()
                .flat_map(|character| splitter.push(&character.to_string()))
                .collect();
            parts.extend(splitter.finish());
            assert_eq!(
                joined(&parts),
                (thinking.to_owned(), answer.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn text_is_not_held_back_longer_than_needed() {
        let mut splitter = ThinkingSplitter::after_prompt("");
        assert_eq!(
            splitter.push("<think>one two <"),
            [(Part::Thinking, "one two".to_owned())]
        );
        assert_eq!(splitter.push("3"), [(Part::Thinking, " <3".to_owned())]);
        assert_eq!(
            splitter.push("</think>yes"),
            [(Part::Answer, "yes".to_owned())]
        );
        assert_eq!(splitter.push(" \n"), [(Part::Answer, " \n".to_owned())]);
    }
}
