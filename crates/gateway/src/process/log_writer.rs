//! The log that this process writes about itself.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;

use super::log_file::{LogFile, MAX_BYTES};

/// Appends to a log, and rotates it at 10 MB. Each write should be whole lines: a rotation never divides one.
#[derive(Debug)]
pub struct LogWriter {
    log: LogFile,
    file: File,
    /// Bytes since the last rotation, successful or not.
    size: u64,
    max_bytes: u64,
}

impl LogWriter {
    /// Opens a log for appending, readable by its owner only, and creates its directory.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(log: LogFile) -> io::Result<Self> {
        Self::with_max_bytes(log, MAX_BYTES)
    }

    fn with_max_bytes(log: LogFile, max_bytes: u64) -> io::Result<Self> {
        let file = log.open()?;
        Ok(Self {
            size: file.metadata()?.len(),
            log,
            file,
            max_bytes,
        })
    }

    /// Whether `other` is the same file, such as a standard error that is redirected to it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn is_same_file(&self, other: &File) -> io::Result<bool> {
        let (own, other) = (self.file.metadata()?, other.metadata()?);
        Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size > self.max_bytes {
            // If it fails, on a full disk for example, the log grows until the next attempt: no line is lost.
            self.size = 0;
            let _ = self.log.rotate(self.max_bytes);
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::LogHistory;

    #[test]
    fn lines_are_rotated_whole_and_an_existing_log_is_continued() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::at(directory.path().join("logs").join("own.log"));
        for start in [0, 4] {
            let mut writer = LogWriter::with_max_bytes(log.clone(), 20).unwrap();
            for line in start..start + 4 {
                writer
                    .write_all(format!("line {line:04}\n").as_bytes())
                    .unwrap();
            }
        }
        let history = LogHistory::read(&log, 100, |_| true).unwrap();
        let lines: Vec<&str> = history
            .lines
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        let expected: Vec<String> = (0..8).map(|line| format!("line {line:04}")).collect();
        assert_eq!(lines, expected);
        // 10 bytes a line: the third one exceeds the limit.
        assert_eq!(std::fs::metadata(log.path()).unwrap().len(), 20);
    }

    #[test]
    fn same_file_is_recognized_by_another_name() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::at(directory.path().join("own.log"));
        let writer = LogWriter::open(log.clone()).unwrap();
        let link = directory.path().join("link.log");
        std::fs::hard_link(log.path(), &link).unwrap();
        assert!(writer.is_same_file(&File::open(&link).unwrap()).unwrap());
        let other = File::create(directory.path().join("other")).unwrap();
        assert!(!writer.is_same_file(&other).unwrap());
    }
}
