//! Splits a completion into reasoning and content, collects both and forwards them.

use std::io;

use mlxm_chat::parsing::{Format, Parser, Part};

use super::{Answer, Finish, Kind, Sink, Statistics};

/// A partial completion.
pub struct Collector<'a> {
    parser: Parser,
    source: ReasoningSource,
    /// Trailing white space of reasoning, dropped unless more follows.
    held: String,
    /// Receives the pieces.
    pub sink: &'a mut dyn Sink,
    thinking: String,
    text: String,
}

/// How reasoning is recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReasoningSource {
    /// By tags in the text.
    Tags,
    /// The server separates it; reasoning continues.
    Thinking,
    /// The server separated it; leading white space of the content is dropped.
    AfterReasoning,
    /// The server separated it; this is content.
    Answer,
}

impl<'a> Collector<'a> {
    /// Nothing yet. `parser` finds the thinking in the text.
    pub fn new(parser: Parser, sink: &'a mut dyn Sink) -> Self {
        Self {
            parser,
            source: ReasoningSource::Tags,
            held: String::new(),
            sink,
            thinking: String::new(),
            text: String::new(),
        }
    }

    /// For text that is already parsed.
    pub fn of_parts(sink: &'a mut dyn Sink) -> Self {
        Self::new(Parser::new(Format::default(), "", &[]), sink)
    }

    /// Parsed parts.
    pub fn push_parts(&mut self, parts: Vec<Part>) -> io::Result<()> {
        self.take(parts)
    }

    /// Adds text; tags mark reasoning unless the server separates it.
    pub fn push(&mut self, mut text: &str) -> io::Result<()> {
        if self.source == ReasoningSource::Thinking {
            self.held.clear();
            self.source = ReasoningSource::AfterReasoning;
        }
        if self.source == ReasoningSource::AfterReasoning {
            text = text.trim_start();
            if text.is_empty() {
                return Ok(());
            }
            self.source = ReasoningSource::Answer;
        }
        let parts = self.parser.push(text);
        self.take(parts)
    }

    /// Adds reasoning text that the server has separated. Tags are ignored from then on, and white space around reasoning
    /// is dropped, as with tags.
    pub fn push_thinking(&mut self, text: &str) -> io::Result<()> {
        let mut text = text;
        if self.source != ReasoningSource::Thinking {
            text = text.trim_start();
            if text.is_empty() {
                return Ok(());
            }
            self.end()?;
            self.parser = Parser::new(Format::default(), "", &[]);
            self.source = ReasoningSource::Thinking;
        }
        let certain = text.trim_end().len();
        if certain > 0 {
            let whole = std::mem::take(&mut self.held) + &text[..certain];
            self.give(Kind::Thinking, &whole)?;
        }
        self.held.push_str(&text[certain..]);
        Ok(())
    }

    /// Nothing more will come.
    pub fn end(&mut self) -> io::Result<()> {
        let parts = self.parser.finish();
        self.take(parts)
    }

    fn take(&mut self, parts: Vec<Part>) -> io::Result<()> {
        for part in parts {
            match part {
                Part::Reasoning(text) => self.give(Kind::Thinking, &text)?,
                Part::Content(text) => self.give(Kind::Answer, &text)?,
                // There are no tools.
                Part::ToolCall { .. } | Part::Arguments { .. } => {}
            }
        }
        Ok(())
    }

    fn give(&mut self, kind: Kind, text: &str) -> io::Result<()> {
        match kind {
            Kind::Thinking => self.thinking.push_str(text),
            Kind::Answer => self.text.push_str(text),
        }
        self.sink.piece(kind, text)
    }

    /// All of it.
    pub fn answer(self, finish: Finish, statistics: Option<Statistics>) -> Answer {
        Answer {
            thinking: self.thinking,
            text: self.text,
            finish,
            statistics,
        }
    }
}

#[cfg(test)]
mod tests {
    use mlxm_chat::parsing::ReasoningFormat;

    use super::super::ScoredToken;
    use super::*;

    #[derive(Default)]
    struct Pieces(Vec<(Kind, String)>);

    impl Sink for Pieces {
        fn scored(&mut self, _token: &ScoredToken) -> io::Result<()> {
            Ok(())
        }

        fn piece(&mut self, kind: Kind, text: &str) -> io::Result<()> {
            self.0.push((kind, text.to_owned()));
            Ok(())
        }
    }

    /// Thinking and text of an answer of these pieces.
    fn collected(pieces: &[(Kind, &str)]) -> (String, String) {
        let format = Format {
            reasoning: Some(ReasoningFormat::AnyTags),
            ..Format::default()
        };
        let mut sink = Pieces::default();
        let mut collector = Collector::new(Parser::new(format, "", &[]), &mut sink);
        for (kind, text) in pieces {
            match kind {
                Kind::Thinking => collector.push_thinking(text).unwrap(),
                Kind::Answer => collector.push(text).unwrap(),
            }
        }
        collector.end().unwrap();
        let answer = collector.answer(Finish::Server("stop".to_owned()), None);
        let shown = |wanted: Kind| {
            let pieces = sink.0.iter().filter(|(kind, _)| *kind == wanted);
            pieces.map(|(_, text)| text.as_str()).collect::<String>()
        };
        assert_eq!(answer.thinking, shown(Kind::Thinking));
        assert_eq!(answer.text, shown(Kind::Answer));
        (answer.thinking, answer.text)
    }

    #[test]
    fn separated_reasoning_ignores_tags() {
        let pieces = [
            (Kind::Thinking, "\n"),
            (Kind::Thinking, "hm, <think>"),
            (Kind::Thinking, " \n"),
            (Kind::Thinking, " 2+2\n"),
            (Kind::Answer, "\n"),
            (Kind::Answer, "\n<think>4</think>"),
            (Kind::Answer, " it is\n"),
        ];
        let (thinking, text) = collected(&pieces);
        assert_eq!(thinking, "hm, <think> \n 2+2");
        assert_eq!(text, "<think>4</think> it is\n");
    }

    #[test]
    fn tags_mark_reasoning() {
        let pieces = [(Kind::Answer, "<thi"), (Kind::Answer, "nk>hm</think>\n4")];
        assert_eq!(collected(&pieces), ("hm".to_owned(), "4".to_owned()));
    }

    #[test]
    fn reasoning_may_follow_content() {
        let pieces = [
            (Kind::Answer, "a "),
            (Kind::Thinking, "b"),
            (Kind::Answer, "c"),
        ];
        assert_eq!(collected(&pieces), ("b".to_owned(), "a c".to_owned()));
    }
}
