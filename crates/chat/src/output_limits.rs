//! What ends a completion before the model does: stop strings in the content, and limits on tool calls.

use mlxm_engine::sampling::StopMatcher;
use mlxm_engine::{FinishReason, StopCause};
use serde_json::Value;

use crate::parsing::Part;

/// How many tool calls a completion may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CallLimit {
    /// Any number.
    #[default]
    Unlimited,
    /// The completion ends after the first call.
    One,
    /// The completion ends before a call that repeats an earlier one.
    Distinct,
}

/// Why the output ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputEnd {
    /// This stop string appeared in the content.
    StopString(String),
    /// There are no further calls.
    CallLimit,
}

impl From<OutputEnd> for FinishReason {
    fn from(end: OutputEnd) -> Self {
        match end {
            OutputEnd::StopString(stop) => Self::Stop(StopCause::StopString(stop)),
            OutputEnd::CallLimit => Self::ToolCalls,
        }
    }
}

/// Applies the limits to parsed output.
#[derive(Debug, Default)]
pub(crate) struct OutputLimits {
    stop: StopMatcher,
    calls: CallLimit,
    /// The calls so far.
    made: Vec<(String, Value)>,
    /// Bytes of the content so far.
    content_bytes: usize,
    /// Bytes of the content that is certain.
    kept_bytes: usize,
}

impl OutputLimits {
    pub fn new(stop: StopMatcher, calls: CallLimit) -> Self {
        Self {
            stop,
            calls,
            made: Vec::new(),
            content_bytes: 0,
            kept_bytes: 0,
        }
    }

    /// Whether the output contains calls.
    pub fn has_calls(&self) -> bool {
        !self.made.is_empty()
    }

    /// The parts up to the end of the output. Stop strings apply to content only; possible starts of one are held back.
    pub fn apply(&mut self, parts: Vec<Part>) -> (Vec<Part>, Option<OutputEnd>) {
        let mut kept = Vec::new();
        let mut parts = parts.into_iter();
        while let Some(part) = parts.next() {
            match part {
                Part::Content(text) => {
                    let piece = self.stop.push(&text);
                    self.content_bytes += text.len();
                    self.kept_bytes += piece.text.len();
                    kept.extend(content(piece.text));
                    if let Some(stop) = piece.stopped {
                        for part in parts {
                            if let Part::Content(text) = part {
                                self.content_bytes += text.len();
                            }
                        }
                        return (kept, Some(OutputEnd::StopString(stop)));
                    }
                }
                Part::ToolCall { index, name } => {
                    kept.extend(self.flush());
                    // The parser emits a call as a whole: the arguments follow.
                    let arguments = match parts.next() {
                        Some(Part::Arguments { delta, .. }) => delta,
                        _ => String::new(),
                    };
                    let value = serde_json::from_str(&arguments).unwrap_or_default();
                    let call = (name.clone(), value);
                    if self.calls == CallLimit::Distinct && self.made.contains(&call) {
                        return (kept, Some(OutputEnd::CallLimit));
                    }
                    self.made.push(call);
                    kept.push(Part::ToolCall { index, name });
                    kept.push(Part::Arguments {
                        index,
                        delta: arguments,
                    });
                    if self.calls == CallLimit::One {
                        return (kept, Some(OutputEnd::CallLimit));
                    }
                }
                part => {
                    kept.extend(self.flush());
                    kept.push(part);
                }
            }
        }
        (kept, None)
    }

    /// Bytes of the output after the end of the content, once a stop string was found.
    pub fn dropped_bytes(&self) -> usize {
        self.content_bytes - self.kept_bytes
    }

    /// The content held back before a part of another kind.
    fn flush(&mut self) -> Option<Part> {
        let text = self.stop.flush();
        self.kept_bytes += text.len();
        content(text)
    }

    /// The content held back at the end of the output.
    pub fn finish(&mut self) -> Option<Part> {
        content(self.stop.finish())
    }
}

fn content(text: String) -> Option<Part> {
    (!text.is_empty()).then_some(Part::Content(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(stop: &[&str], calls: CallLimit) -> OutputLimits {
        let stop = stop.iter().map(ToString::to_string).collect();
        OutputLimits::new(StopMatcher::new(stop).unwrap(), calls)
    }

    fn call(index: usize, name: &str, arguments: &str) -> [Part; 2] {
        let (name, delta) = (name.to_owned(), arguments.to_owned());
        [
            Part::ToolCall { index, name },
            Part::Arguments { index, delta },
        ]
    }

    fn text(text: &str) -> Part {
        Part::Content(text.to_owned())
    }

    #[test]
    fn stop_strings_end_content_only() {
        let mut limits = limits(&["\n\n"], CallLimit::Unlimited);
        let reasoning = Part::Reasoning("Hm 1.\n\nHm 2.".to_owned());
        let mut parts = vec![reasoning.clone(), text("a\n")];
        parts.extend(call(0, "write", "{\"content\": \"one\n\ntwo\"}"));
        let (kept, end) = limits.apply(parts.clone());
        assert_eq!(end, None);
        assert_eq!(kept[..3], [reasoning, text("a"), text("\n")]);
        assert_eq!(kept[3..], parts[2..]);
        let (kept, end) = limits.apply(vec![text("The answer.\n"), text("\nMore.")]);
        assert_eq!(kept, [text("The answer.")]);
        assert_eq!(end, Some(OutputEnd::StopString("\n\n".to_owned())));
    }

    #[test]
    fn finish_returns_the_content_held_back() {
        let mut limits = limits(&["stop"], CallLimit::Unlimited);
        assert_eq!(limits.apply(vec![text("a st")]), (vec![text("a ")], None));
        assert_eq!(limits.finish(), Some(text("st")));
        assert_eq!(limits.finish(), None);
    }

    #[test]
    fn call_limit_one_ends_after_the_first_call() {
        let mut limits = limits(&[], CallLimit::One);
        let first = call(0, "a", "{}");
        let parts = [text("Both:"), first[0].clone(), first[1].clone()];
        let all = [parts.as_slice(), &call(1, "b", "{}")].concat();
        assert_eq!(
            limits.apply(all),
            (parts.to_vec(), Some(OutputEnd::CallLimit))
        );
        assert!(limits.has_calls());
    }

    #[test]
    fn call_limit_distinct_ends_before_a_repeated_call() {
        let mut limits = limits(&[], CallLimit::Distinct);
        let calls = [
            call(0, "a", "{\"x\": 1}"),
            call(1, "a", "{\"x\": 2}"),
            call(2, "a", "{\"x\":1}"),
        ];
        let (kept, end) = limits.apply(calls.concat());
        assert_eq!(kept, calls[..2].concat());
        assert_eq!(end, Some(OutputEnd::CallLimit));
    }
}
