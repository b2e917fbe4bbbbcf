//! Splits a completion into reasoning and content, collects both and forwards them.

use std::io;

use mlxm_chat::parsing::{Format, Parser, Part};

use super::{Completion, CompletionSink, DeltaKind, Finish, RequestMetrics};

/// A partial completion.
pub struct Collector<'a> {
    parser: Parser,
    source: ReasoningSource,
    /// Trailing white space of reasoning, dropped unless more reasoning follows.
    pending_whitespace: String,
    /// Receives the deltas.
    pub sink: &'a mut dyn CompletionSink,
    reasoning: String,
    content: String,
}

/// How reasoning is recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReasoningSource {
    /// By tags in the text.
    Tags,
    /// The server separates it; reasoning continues.
    Reasoning,
    /// The server separated it; leading white space of the content is dropped.
    AfterReasoning,
    /// The server separated it; this is content.
    Content,
}

impl<'a> Collector<'a> {
    /// An empty completion; `parser` finds reasoning in the text.
    pub fn new(parser: Parser, sink: &'a mut dyn CompletionSink) -> Self {
        Self {
            parser,
            source: ReasoningSource::Tags,
            pending_whitespace: String::new(),
            sink,
            reasoning: String::new(),
            content: String::new(),
        }
    }

    /// An empty completion for text that is already parsed.
    pub fn for_parts(sink: &'a mut dyn CompletionSink) -> Self {
        Self::new(Parser::new(Format::default(), "", &[]), sink)
    }

    /// Adds parsed text.
    pub fn push_parts(&mut self, parts: Vec<Part>) -> io::Result<()> {
        for part in parts {
            match part {
                Part::Reasoning(text) => self.emit(DeltaKind::Reasoning, &text)?,
                Part::Content(text) => self.emit(DeltaKind::Content, &text)?,
                // Requests have no tools.
                Part::ToolCall { .. } | Part::Arguments { .. } => {}
            }
        }
        Ok(())
    }

    /// Adds text; tags mark reasoning unless the server separates it.
    pub fn push(&mut self, mut text: &str) -> io::Result<()> {
        if self.source == ReasoningSource::Reasoning {
            self.pending_whitespace.clear();
            self.source = ReasoningSource::AfterReasoning;
        }
        if self.source == ReasoningSource::AfterReasoning {
            text = text.trim_start();
            if text.is_empty() {
                return Ok(());
            }
            self.source = ReasoningSource::Content;
        }
        let parts = self.parser.push(text);
        self.push_parts(parts)
    }

    /// Adds reasoning that the server has separated. Tags are ignored from then on, and white space around reasoning
    /// is dropped, as with tags.
    pub fn push_reasoning(&mut self, mut text: &str) -> io::Result<()> {
        if self.source != ReasoningSource::Reasoning {
            text = text.trim_start();
            if text.is_empty() {
                return Ok(());
            }
            self.end()?;
            self.parser = Parser::new(Format::default(), "", &[]);
            self.source = ReasoningSource::Reasoning;
        }
        let (trimmed, whitespace) = text.split_at(text.trim_end().len());
        if !trimmed.is_empty() {
            let text = std::mem::take(&mut self.pending_whitespace) + trimmed;
            self.emit(DeltaKind::Reasoning, &text)?;
        }
        self.pending_whitespace.push_str(whitespace);
        Ok(())
    }

    /// Flushes text held back by the parser.
    pub fn end(&mut self) -> io::Result<()> {
        let parts = self.parser.finish();
        self.push_parts(parts)
    }

    fn emit(&mut self, kind: DeltaKind, text: &str) -> io::Result<()> {
        match kind {
            DeltaKind::Reasoning => self.reasoning.push_str(text),
            DeltaKind::Content => self.content.push_str(text),
        }
        self.sink.on_delta(kind, text)
    }

    /// The collected completion.
    pub fn into_completion(self, finish: Finish, metrics: Option<RequestMetrics>) -> Completion {
        Completion {
            reasoning: self.reasoning,
            content: self.content,
            finish,
            metrics,
        }
    }
}

#[cfg(test)]
mod tests {
    use mlxm_chat::parsing::ReasoningFormat;

    use super::super::TokenLogprob;
    use super::*;

    #[derive(Default)]
    struct Deltas(Vec<(DeltaKind, String)>);

    impl CompletionSink for Deltas {
        fn on_logprob(&mut self, _token: &TokenLogprob) -> io::Result<()> {
            Ok(())
        }

        fn on_delta(&mut self, kind: DeltaKind, text: &str) -> io::Result<()> {
            self.0.push((kind, text.to_owned()));
            Ok(())
        }
    }

    /// Reasoning and content collected from these deltas.
    fn collected(deltas: &[(DeltaKind, &str)]) -> (String, String) {
        let format = Format {
            reasoning: Some(ReasoningFormat::AnyTags),
            ..Format::default()
        };
        let mut sink = Deltas::default();
        let mut collector = Collector::new(Parser::new(format, "", &[]), &mut sink);
        for (kind, text) in deltas {
            match kind {
                DeltaKind::Reasoning => collector.push_reasoning(text).unwrap(),
                DeltaKind::Content => collector.push(text).unwrap(),
            }
        }
        collector.end().unwrap();
        let completion = collector.into_completion(Finish::Server("stop".to_owned()), None);
        let shown = |wanted: DeltaKind| {
            let deltas = sink.0.iter().filter(|(kind, _)| *kind == wanted);
            deltas.map(|(_, text)| text.as_str()).collect::<String>()
        };
        assert_eq!(completion.reasoning, shown(DeltaKind::Reasoning));
        assert_eq!(completion.content, shown(DeltaKind::Content));
        (completion.reasoning, completion.content)
    }

    #[test]
    fn separated_reasoning_ignores_tags() {
        let deltas = [
            (DeltaKind::Reasoning, "\n"),
            (DeltaKind::Reasoning, "hm, <think>"),
            (DeltaKind::Reasoning, " \n"),
            (DeltaKind::Reasoning, " 2+2\n"),
            (DeltaKind::Content, "\n"),
            (DeltaKind::Content, "\n<think>4</think>"),
            (DeltaKind::Content, " it is\n"),
        ];
        let (reasoning, content) = collected(&deltas);
        assert_eq!(reasoning, "hm, <think> \n 2+2");
        assert_eq!(content, "<think>4</think> it is\n");
    }

    #[test]
    fn tags_mark_reasoning() {
        let deltas = [
            (DeltaKind::Content, "<thi"),
            (DeltaKind::Content, "nk>hm</think>\n4"),
        ];
        assert_eq!(collected(&deltas), ("hm".to_owned(), "4".to_owned()));
    }

    #[test]
    fn reasoning_may_follow_content() {
        let deltas = [
            (DeltaKind::Content, "a "),
            (DeltaKind::Reasoning, "b"),
            (DeltaKind::Content, "c"),
        ];
        assert_eq!(collected(&deltas), ("b".to_owned(), "a c".to_owned()));
    }
}
