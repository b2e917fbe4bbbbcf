//! Lines that a worker prints on its standard output: one JSON object each.
//!
//! ```text
//! {"event":"loading","loaded_bytes":1048576,"total_bytes":268435456}
//! {"event":"ready","port":40123,"pid":4711,"version":"0.1.0","context_length":8192,"plan":{"total_bytes":…}}
//! {"event":"failed","code":"bad_checkpoint","message":"…","advice":"…"}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of a worker. Fields that are not listed are ignored: workers of other versions may have more.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorkerLine {
    /// The model is loading; at most four times a second.
    Loading {
        /// Bytes of weights that are loaded.
        loaded_bytes: u64,
        /// Bytes of all weights.
        total_bytes: u64,
    },
    /// Requests are accepted.
    Ready(Ready),
    /// The model cannot be loaded; the process exits.
    Failed(Failed),
    /// An event of a later version.
    #[serde(other)]
    Unknown,
}

/// The worker accepts requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ready {
    /// Port on the loopback interface.
    pub port: u16,
    /// Version of the program.
    pub version: String,
    /// What the model can do, as in `/v1/models`.
    #[serde(default)]
    pub capabilities: Value,
    /// The memory plan.
    #[serde(default)]
    pub plan: Option<ReadyPlan>,
}

/// The memory plan of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ReadyPlan {
    /// Weights, KV cache and scratch together.
    pub total_bytes: u64,
}

/// The model cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Stable code.
    pub code: String,
    /// What is wrong, with the tensor, key or option.
    pub message: String,
    /// What to do next.
    #[serde(default)]
    pub advice: String,
}

/// Longest line in bytes; longer ones are skipped.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Splits the output into lines, for any division into chunks.
#[derive(Debug, Default)]
pub struct LineBuffer {
    partial: Vec<u8>,
    /// The rest of a line that is too long is skipped.
    skipping: bool,
}

impl LineBuffer {
    /// Adds output and returns the lines that it completes; lines that are too long or not a worker's are returned as errors
    /// that describe them.
    pub fn push(&mut self, output: &[u8]) -> Vec<Result<WorkerLine, String>> {
        let mut lines = Vec::new();
        for part in output.split_inclusive(|byte| *byte == b'\n') {
            if !self.skipping {
                self.partial.extend_from_slice(part);
            }
            if self.partial.len() > MAX_LINE_BYTES {
                self.partial.clear();
                self.skipping = true;
                lines.push(Err(format!("a line of more than {MAX_LINE_BYTES} bytes")));
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                if !std::mem::take(&mut self.skipping) && !line.trim_ascii().is_empty() {
                    lines.push(parse(&line));
                }
            }
        }
        lines
    }

    /// The last line, if the output ended without a line break.
    pub fn finish(&mut self) -> Option<Result<WorkerLine, String>> {
        let line = std::mem::take(&mut self.partial);
        (!line.trim_ascii().is_empty()).then(|| parse(&line))
    }
}

fn parse(line: &[u8]) -> Result<WorkerLine, String> {
    serde_json::from_slice(line).map_err(|error| {
        let text = String::from_utf8_lossy(line);
        let start: String = text.trim_end().chars().take(200).collect();
        format!("`{start}`: {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = concat!(
        r#"{"event":"loading","loaded_bytes":1,"total_bytes":4}"#,
        "\n",
        r#"{"event":"ready","url":"http://127.0.0.1:9","port":9,"pid":1,"version":"0.1.0","plan":{"total_bytes":5,"kv":1}}"#,
        "\n\n",
        r#"{"event":"failed","code":"c","message":"m","advice":"a"}"#,
        "\n",
        r#"{"event":"later","x":1}"#,
        "\n",
    );

    fn expected() -> Vec<Result<WorkerLine, String>> {
        vec![
            Ok(WorkerLine::Loading {
                loaded_bytes: 1,
                total_bytes: 4,
            }),
            Ok(WorkerLine::Ready(Ready {
                port: 9,
                version: "0.1.0".to_owned(),
                capabilities: Value::Null,
                plan: Some(ReadyPlan { total_bytes: 5 }),
            })),
            Ok(WorkerLine::Failed(Failed {
                code: "c".to_owned(),
                message: "m".to_owned(),
                advice: "a".to_owned(),
            })),
            Ok(WorkerLine::Unknown),
        ]
    }

    #[test]
    fn lines_are_the_same_for_any_chunking() {
        for size in 1..OUTPUT.len() {
            let mut buffer = LineBuffer::default();
            let chunks = OUTPUT.as_bytes().chunks(size);
            let lines: Vec<_> = chunks.flat_map(|chunk| buffer.push(chunk)).collect();
            assert_eq!(lines, expected(), "chunks of {size}");
            assert_eq!(buffer.finish(), None);
        }
    }

    #[test]
    fn other_output_is_reported_and_does_not_hide_the_next_line() {
        let mut buffer = LineBuffer::default();
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let errors = [buffer.push(b"driver: warning\n"), buffer.push(&long)].concat();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].as_ref().unwrap_err().contains("driver: warning"));
        assert!(errors[1].as_ref().unwrap_err().contains("more than"));
        let rest = [b"yyy\n".as_slice(), OUTPUT.as_bytes()].concat();
        assert_eq!(buffer.push(&rest), expected());
    }

    #[test]
    fn last_line_needs_no_line_break() {
        let mut buffer = LineBuffer::default();
        assert!(buffer.push(OUTPUT.trim_end().as_bytes()).len() == 3);
        assert_eq!(buffer.finish(), Some(Ok(WorkerLine::Unknown)));
    }
}
