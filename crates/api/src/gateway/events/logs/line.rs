//! A line of a log: JSON as `--log-format json` writes it, or any other text.

use std::fmt::Write as _;

use mlxm_gateway::LogLine;
use serde_json::Value;

use super::LogSource;
use crate::wire::events::{LogEvent, LogLevel};

/// Fields of a line that are not shown: where in the program it was written.
const HIDDEN: [&str; 5] = ["span", "spans", "target", "filename", "line_number"];

/// Fields of spans that are not shown: what traces need.
const HIDDEN_OF_SPANS: [&str; 3] = ["name", "otel.kind", "traceparent"];

/// Reads a line of the log of `source`.
pub fn read(source: LogSource, line: &LogLine) -> LogEvent {
    let parsed = parse(&line.text).unwrap_or_else(|| Parsed {
        at_ms: None,
        level: None,
        message: line.text.clone(),
    });
    LogEvent {
        server: source.server(),
        at_ms: parsed.at_ms,
        level: parsed.level,
        message: parsed.message,
        rotated_at_ms: line.position.rotated_at_ms as i64,
        offset: line.position.offset,
    }
}

/// A line of a log as text: time, level and message, or the line itself if it is not in JSON.
pub fn text(line: &str) -> String {
    let Some(parsed) = parse(line) else {
        return line.to_owned();
    };
    let time = parsed
        .at_ms
        .and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok());
    let mut text = time.map_or_else(String::new, |time| format!("{time:.3} "));
    let mut levels = LEVELS.iter();
    if let Some((name, _)) = levels.find(|(_, level)| Some(*level) == parsed.level) {
        text = text + name + " ";
    }
    text + &parsed.message
}

struct Parsed {
    at_ms: Option<i64>,
    level: Option<LogLevel>,
    message: String,
}

/// A line in JSON; `None` for other text. The fields of its spans, such as the path of a request, follow its own.
fn parse(text: &str) -> Option<Parsed> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return None;
    };
    let level = level(fields.get("level")?.as_str()?)?;
    let time = fields.get("timestamp").and_then(Value::as_str);
    let at_ms = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let mut message = fields
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let own = fields.iter().filter(|(name, _)| {
        let name = name.as_str();
        !["level", "timestamp", "message"].contains(&name) && !HIDDEN.contains(&name)
    });
    let spans = fields.get("spans").and_then(Value::as_array);
    let spans = spans.into_iter().flatten().filter_map(Value::as_object);
    let of_spans = spans
        .flatten()
        .filter(|(name, _)| !HIDDEN_OF_SPANS.contains(&name.as_str()));
    for (name, value) in own.chain(of_spans) {
        if !message.is_empty() {
            message.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = match value {
            Value::String(text) => write!(message, "{name}={text}"),
            other => write!(message, "{name}={other}"),
        };
    }
    Some(Parsed {
        at_ms: at_ms.map(jiff::Timestamp::as_millisecond),
        level: Some(level),
        message,
    })
}

/// Levels by their names in logs.
const LEVELS: [(&str, LogLevel); 5] = [
    ("TRACE", LogLevel::Trace),
    ("DEBUG", LogLevel::Debug),
    ("INFO", LogLevel::Info),
    ("WARN", LogLevel::Warn),
    ("ERROR", LogLevel::Error),
];

fn level(name: &str) -> Option<LogLevel> {
    let found = LEVELS.iter().find(|(known, _)| *known == name)?;
    Some(found.1)
}

/// Which lines are shown.
#[derive(Debug, Clone, Default)]
pub struct LineFilter {
    /// The least serious level. Lines without a level are always shown.
    pub level: Option<LogLevel>,
    /// A text in lower case.
    pub search: Option<String>,
}

impl LineFilter {
    /// Lines of at least this level that contain this text, in upper or lower case.
    pub fn new(level: Option<LogLevel>, search: Option<&str>) -> Self {
        Self {
            level,
            search: search.map(str::to_lowercase),
        }
    }

    /// Whether a line is shown.
    pub fn accepts(&self, line: &LogEvent) -> bool {
        let is_serious = match (self.level, line.level) {
            (Some(least), Some(level)) => level >= least,
            _ => true,
        };
        is_serious
            && self
                .search
                .as_ref()
                .is_none_or(|text| line.message.to_lowercase().contains(text))
    }
}

#[cfg(test)]
mod tests {
    use mlxm_gateway::LogPosition;

    use super::*;

    fn line(text: &str) -> LogEvent {
        let line = LogLine {
            position: LogPosition {
                rotated_at_ms: 5,
                offset: 6,
            },
            text: text.to_owned(),
        };
        read(LogSource::Gateway, &line)
    }

    #[test]
    fn lines_in_json_are_split_into_their_parts() {
        let start =
            r#"{"timestamp":"2026-01-02T03:04:05.678901Z","level":"WARN","message":"slow step","#;
        let event = line(&format!(
            r#"{start}"steps":7,"kind":"a b","span":{{"id":1}}}}"#
        ));
        assert_eq!(event.at_ms, Some(1_767_323_045_678));
        assert_eq!(event.level, Some(LogLevel::Warn));
        assert_eq!(event.message, "slow step steps=7 kind=a b");
        assert_eq!((event.rotated_at_ms, event.offset), (5, 6));
        assert_eq!(
            text(&format!(r#"{start}"steps":7}}"#)),
            "2026-01-02T03:04:05.678Z WARN slow step steps=7"
        );
        assert_eq!(text("thread panicked"), "thread panicked");
        let without_message = line(r#"{"level":"INFO","steps":7}"#);
        assert_eq!(without_message.message, "steps=7");
        assert_eq!(without_message.at_ms, None);
    }

    #[test]
    fn fields_of_spans_follow_those_of_the_line() {
        let event = line(
            r#"{"level":"INFO","message":"response sent","status":200,
            "span":{"step":3,"name":"inner"},
            "spans":[{"id":"req_1","method":"GET","otel.kind":"server","path":"/v1/models","name":"request"},
                {"step":3,"name":"inner"}]}"#,
        );
        assert_eq!(
            event.message,
            "response sent status=200 id=req_1 method=GET path=/v1/models step=3"
        );
    }

    #[test]
    fn other_lines_are_text() {
        for text in [
            "thread 'main' panicked at src/main.rs:1:1:",
            "",
            "{",
            "[1]",
            r#"{"level":"LOUD","message":"a"}"#,
            r#"{"error":{"code":1}}"#,
        ] {
            let event = line(text);
            assert_eq!((event.message.as_str(), event.level), (text, None));
        }
    }

    #[test]
    fn filter_has_a_least_level_and_a_text_and_keeps_crashes() {
        let warning = line(r#"{"level":"WARN","message":"Out of Memory"}"#);
        let crash = line("panicked: out of memory");
        let accepts = |level, search: &str| {
            let filter = LineFilter {
                level,
                search: Some(search.to_owned()),
            };
            (filter.accepts(&warning), filter.accepts(&crash))
        };
        assert_eq!(accepts(None, "of memory"), (true, true));
        assert_eq!(accepts(None, "disk"), (false, false));
        assert_eq!(accepts(Some(LogLevel::Warn), ""), (true, true));
        assert_eq!(accepts(Some(LogLevel::Error), ""), (false, true));
    }
}
