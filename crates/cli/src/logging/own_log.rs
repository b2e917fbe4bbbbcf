//! The log file of the gateway, in addition to its standard error.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mlxm_gateway::{LogFile, LogWriter};

/// Most bytes of lines that wait until the file is known.
const MAX_PENDING_BYTES: usize = 256 << 10;

/// A file that is known only after the settings are read. Until then lines wait.
pub struct OwnLog {
    target: Mutex<Target>,
    /// The file is standard error, which must not get the lines twice.
    is_stderr: AtomicBool,
}

enum Target {
    Pending(Vec<u8>),
    None,
    File(LogWriter),
}

impl Default for OwnLog {
    fn default() -> Self {
        Self {
            target: Mutex::new(Target::Pending(Vec::new())),
            is_stderr: AtomicBool::new(false),
        }
    }
}

impl OwnLog {
    /// Writes the lines so far and all later ones to `file`; without one they are discarded.
    ///
    /// # Errors
    /// If the file cannot be opened or written; all lines are discarded then.
    pub fn open(&self, file: Option<LogFile>) -> io::Result<()> {
        let mut target = self.lock();
        let before = std::mem::replace(&mut *target, Target::None);
        let Some(file) = file else {
            return Ok(());
        };
        let mut writer = LogWriter::open(file)?;
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        if writer.is_same_file(&stderr)? {
            self.is_stderr.store(true, Ordering::Relaxed);
        } else if let Target::Pending(lines) = before {
            writer.write_all(&lines)?;
        }
        *target = Target::File(writer);
        Ok(())
    }

    /// Whether standard error is this file.
    pub fn is_stderr(&self) -> bool {
        self.is_stderr.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &OwnLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.lock() {
            Target::Pending(lines) if lines.len() + bytes.len() <= MAX_PENDING_BYTES => {
                lines.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Target::Pending(_) | Target::None => Ok(bytes.len()),
            Target::File(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.lock() {
            Target::File(writer) => writer.flush(),
            Target::Pending(_) | Target::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_before_the_file_is_known_are_written_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = LogFile::at(directory.path().join("own.log"));
        let log = OwnLog::default();
        (&log).write_all(b"first\n").unwrap();
        log.open(Some(file.clone())).unwrap();
        (&log).write_all(b"second\n").unwrap();
        assert_eq!(file.tail(), ["first", "second"]);
        assert!(!log.is_stderr());
    }

    #[test]
    fn without_a_file_lines_are_discarded() {
        let directory = tempfile::tempdir().unwrap();
        let log = OwnLog::default();
        log.open(None).unwrap();
        (&log).write_all(b"line\n").unwrap();

        let log = OwnLog::default();
        let not_a_directory = directory.path().join("file");
        std::fs::write(&not_a_directory, "").unwrap();
        let below = LogFile::at(not_a_directory.join("own.log"));
        assert!(log.open(Some(below)).is_err());
        (&log).write_all(b"line\n").unwrap();
    }
}
