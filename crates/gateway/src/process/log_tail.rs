//! Reads the log of a worker: its last lines, and then new ones, also across rotations.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::log_file::{KEPT, LogFile};

/// A line is cut at this length.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Most bytes that are read of a file at once: a log is larger only if no gateway rotates it.
const MAX_READ_BYTES: u64 = 16 << 20;

/// Where a line is in a log. Later lines have greater positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// When the log had been rotated before the line was written, in UTC milliseconds; 0 if never.
    pub rotated_at_ms: u64,
    /// Bytes before it since then.
    pub offset: u64,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its place.
    pub position: LogPosition,
    /// Without the line break, and with invalid UTF-8 replaced.
    pub text: String,
}

/// What a log contains at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHistory {
    /// Its last lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Its end, from which a [`LogTail`] continues.
    pub end: LogPosition,
}

impl LogHistory {
    /// The last `count` lines that `accepts` accepts, from the log and its rotated files. Blocks.
    ///
    /// # Errors
    /// Those of the file system; missing files are none.
    pub fn read(
        log: &LogFile,
        count: usize,
        accepts: impl Fn(&LogLine) -> bool,
    ) -> io::Result<Self> {
        let mut found = VecDeque::new();
        let mut end = None;
        for number in 0..=KEPT {
            let rotated_at_ms = log.rotated_at_ms(number + 1);
            let file = log.file(number);
            let length = length(&file)?.unwrap_or_default();
            let mut reader = LineReader::at(LogPosition {
                rotated_at_ms,
                offset: length.saturating_sub(MAX_READ_BYTES),
            });
            let mut lines = reader.read(&file)?;
            lines.extend(reader.end());
            let newest_first = lines.into_iter().rev().filter(|line| accepts(line));
            for line in newest_first.take(count - found.len()) {
                found.push_front(line);
            }
            end.get_or_insert(reader.next);
            if found.len() == count {
                break;
            }
        }
        Ok(Self {
            lines: found.into(),
            end: end.unwrap_or_default(),
        })
    }
}

/// Reads what is written to a log from some time on.
#[derive(Debug)]
pub struct LogTail {
    log: LogFile,
    reader: LineReader,
}

impl LogTail {
    /// Reads lines from `start` on, which is [`LogHistory::end`].
    pub fn from(log: LogFile, start: LogPosition) -> Self {
        Self {
            log,
            reader: LineReader::at(start),
        }
    }

    /// The complete lines since the last call. Blocks.
    ///
    /// # Errors
    /// Those of the file system; a missing file is none.
    pub fn read(&mut self) -> io::Result<Vec<LogLine>> {
        let current = self.log.file(0);
        let is_truncated = length(&current)?.is_some_and(|length| length < self.reader.next.offset);
        let mut lines = Vec::new();
        if is_truncated {
            // The rest of the earlier lines is in the copy.
            lines.extend(self.reader.read(&self.log.file(1))?);
            lines.extend(self.reader.end());
            self.reader = LineReader::at(LogPosition {
                rotated_at_ms: self.log.rotated_at_ms(1),
                offset: 0,
            });
        }
        lines.extend(self.reader.read(&current)?);
        Ok(lines)
    }
}

/// Splits a file into lines, in several readings.
#[derive(Debug)]
struct LineReader {
    /// What is read next.
    next: LogPosition,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
}

impl LineReader {
    fn at(next: LogPosition) -> Self {
        Self {
            next,
            partial: Vec::new(),
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<LogLine>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.next.offset))?;
        let mut bytes = Vec::new();
        file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            self.next.offset += part.len() as u64;
            if part.ends_with(b"\n") || self.partial.len() >= MAX_LINE_BYTES {
                lines.extend(self.end());
            }
        }
        Ok(lines)
    }

    /// The line that has begun, as if it was complete.
    fn end(&mut self) -> Option<LogLine> {
        let bytes = std::mem::take(&mut self.partial);
        let position = LogPosition {
            offset: self.next.offset - bytes.len() as u64,
            ..self.next
        };
        let shown = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let shown = shown.get(..MAX_LINE_BYTES).unwrap_or(shown);
        (!bytes.is_empty()).then(|| LogLine {
            position,
            text: String::from_utf8_lossy(shown).into_owned(),
        })
    }
}

fn length(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn log() -> (tempfile::TempDir, LogFile) {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(directory.path(), Uuid::nil());
        (directory, log)
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn history_spans_rotated_files_and_is_filtered() {
        let (_directory, log) = log();
        assert_eq!(LogHistory::read(&log, 5, |_| true).unwrap().lines, []);
        let mut writer = log.open().unwrap();
        for round in 0..3 {
            for line in 0..100 {
                writeln!(writer, "{round} {line}").unwrap();
            }
            if round < 2 {
                assert!(log.rotate(1).unwrap());
            }
        }
        write!(writer, "not ended").unwrap();
        let lines = LogHistory::read(&log, 200, |_| true).unwrap().lines;
        assert_eq!(lines.len(), 200);
        assert_eq!(texts(&lines)[0], "1 1");
        assert_eq!(texts(&lines)[198..], ["2 99", "not ended"]);
        assert!(lines.is_sorted_by_key(|line| line.position));
        let matching = LogHistory::read(&log, 1000, |line| line.text.ends_with(" 7")).unwrap();
        assert_eq!(texts(&matching.lines), ["0 7", "1 7", "2 7"]);
        let none = LogHistory::read(&log, 0, |_| true).unwrap();
        assert_eq!((none.lines, none.end), (Vec::new(), matching.end));
    }

    #[test]
    fn live_lines_follow_the_history_without_gap_and_across_a_rotation() {
        let (_directory, log) = log();
        let mut writer = log.open().unwrap();
        writeln!(writer, "old").unwrap();
        let history = LogHistory::read(&log, 200, |_| true).unwrap();
        assert_eq!(texts(&history.lines), ["old"]);
        let mut tail = LogTail::from(log.clone(), history.end);
        assert_eq!(tail.read().unwrap(), []);
        write!(writer, "first ").unwrap();
        assert_eq!(tail.read().unwrap(), []);
        writeln!(writer, "half\nbefore").unwrap();
        assert_eq!(texts(&tail.read().unwrap()), ["first half", "before"]);
        writeln!(writer, "in the copy").unwrap();
        assert!(log.rotate(1).unwrap());
        writeln!(writer, "new").unwrap();
        let lines = tail.read().unwrap();
        assert_eq!(texts(&lines), ["in the copy", "new"]);
        assert_eq!(lines[1].position.offset, 0);
        assert!(lines.is_sorted_by_key(|line| line.position));
    }

    #[test]
    fn long_lines_and_other_bytes_do_not_stop_the_tail() {
        let (_directory, log) = log();
        let mut tail = LogTail::from(log.clone(), LogPosition::default());
        assert_eq!(tail.read().unwrap(), []);
        let mut writer = log.open().unwrap();
        writer.write_all(&vec![b'x'; 2 * MAX_LINE_BYTES]).unwrap();
        writer.write_all(b"\n\xff\n\nend\n").unwrap();
        let lines = tail.read().unwrap();
        assert_eq!(lines[0].text.len(), MAX_LINE_BYTES);
        assert_eq!(texts(&lines)[1..], ["\u{fffd}", "", "end"]);
    }

    proptest! {
        /// Every line is read once and in order, whenever the tail reads and the log is rotated between two readings.
        #[test]
        fn tail_loses_no_line(steps in prop::collection::vec((0_u8..3, 1_usize..20), 1..40)) {
            let (_directory, log) = log();
            let mut writer = log.open().unwrap();
            let mut tail = LogTail::from(log.clone(), LogPosition::default());
            let (mut written, mut read) = (Vec::new(), Vec::new());
            let mut is_rotated = false;
            for (step, count) in steps {
                match step {
                    0 => {
                        for _ in 0..count {
                            let line = format!("line {}", written.len());
                            writeln!(writer, "{line}").unwrap();
                            written.push(line);
                        }
                    }
                    // A second rotation before the first one is noticed would lose lines.
                    1 if !is_rotated && tail.reader.next.offset > 0 => is_rotated = log.rotate(0).unwrap(),
                    _ => {
                        let length = fs::metadata(log.file(0)).unwrap().len();
                        if is_rotated && length >= tail.reader.next.offset {
                            // As after 10 MB within one interval.
                            continue;
                        }
                        read.extend(tail.read().unwrap());
                        is_rotated = false;
                    }
                }
            }
            let expected: Vec<&str> = written.iter().map(String::as_str).take(read.len()).collect();
            prop_assert_eq!(texts(&read), expected);
        }
    }
}
