//! The log of a worker: a file that the worker writes itself, so that it contains panics and continues without a gateway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// Size at which a log is rotated.
pub const MAX_BYTES: u64 = 10_000_000;

/// Rotated files that are kept, in addition to the current one.
const KEPT: u32 = 3;

/// How long the log of a worker is kept after its last line.
const KEPT_AFTER_EXIT: Duration = Duration::from_hours(7 * 24);

/// Lines that are kept with an exit.
const TAIL_LINES: usize = 50;

/// Bytes that are read for them.
const TAIL_BYTES: u64 = 64 << 10;

/// The log file of a worker.
#[derive(Debug, Clone)]
pub struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// The log of a worker in the directory of logs.
    pub fn new(directory: &Path, server: Uuid) -> Self {
        Self {
            path: directory.join(format!("{server}.log")),
        }
    }

    /// Opens it for appending, readable by its owner only, and creates its directory.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(&self) -> io::Result<File> {
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
    }

    /// Moves its content to `NAME.log.1` if it is larger than `max_bytes`, and earlier files one number further. It is copied
    /// and truncated, because the worker keeps writing to the file it has opened; lines that are written meanwhile are lost.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn rotate(&self, max_bytes: u64) -> io::Result<bool> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > max_bytes => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        for number in (1..KEPT).rev() {
            let renamed = fs::rename(self.rotated(number), self.rotated(number + 1));
            if let Err(error) = renamed
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        // The copy has the permissions of the original.
        fs::copy(&self.path, self.rotated(1))?;
        OpenOptions::new()
            .write(true)
            .open(&self.path)?
            .set_len(0)?;
        Ok(true)
    }

    /// Its last lines, with invalid UTF-8 replaced; none if it cannot be read.
    pub fn tail(&self) -> Vec<String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(TAIL_LINES);
        lines
            .iter()
            .skip(skipped)
            .map(|line| (*line).to_owned())
            .collect()
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Removes the logs of workers that are not `running` and were last written more than 7 days ago.
///
/// # Errors
/// Those of the file system; a missing directory is none.
pub fn remove_old_logs(directory: &Path, running: &[Uuid]) -> io::Result<()> {
    remove_older(directory, running, KEPT_AFTER_EXIT)
}

fn remove_older(directory: &Path, running: &[Uuid], age: Duration) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let server = name
            .to_str()
            .and_then(|name| name.split_once(".log"))
            .and_then(|(id, _)| Uuid::try_parse(id).ok());
        let is_old = |modified: SystemTime| {
            // The clock may have been set back.
            now.duration_since(modified)
                .is_ok_and(|passed| passed >= age)
        };
        let Some(server) = server else {
            continue;
        };
        if !running.contains(&server) && is_old(entry.metadata()?.modified()?) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn rotation_keeps_three_files_and_the_writer_continues() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(&directory.path().join("logs"), Uuid::nil());
        assert!(!log.rotate(4).unwrap(), "there is no file yet");
        let mut writer = log.open().unwrap();
        for round in 0..5 {
            write!(writer, "round {round}").unwrap();
            assert!(log.rotate(4).unwrap());
            assert!(!log.rotate(4).unwrap());
        }
        writer.write_all(b"end").unwrap();
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(read(log.path.clone()), "end");
        for (number, content) in [(1, "round 4"), (2, "round 3"), (3, "round 2")] {
            assert_eq!(read(log.rotated(number)), content);
            let mode = fs::metadata(log.rotated(number))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!log.rotated(4).exists());
    }

    #[test]
    fn tail_has_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(directory.path(), Uuid::nil());
        assert!(log.tail().is_empty());
        let mut writer = log.open().unwrap();
        for line in 0..20_000 {
            writeln!(writer, "line {line}").unwrap();
        }
        writer.write_all(b"\xff without a line break").unwrap();
        let tail = log.tail();
        assert_eq!(tail.len(), TAIL_LINES);
        assert_eq!(tail[0], "line 19951");
        assert_eq!(tail[49], "\u{fffd} without a line break");
    }

    #[test]
    fn old_logs_of_exited_workers_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (running, exited) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for server in [running, exited] {
            LogFile::new(directory.path(), server).open().unwrap();
        }
        fs::write(directory.path().join(format!("{exited}.log.2")), "x").unwrap();
        fs::write(directory.path().join("notes.log"), "x").unwrap();
        remove_old_logs(directory.path(), &[running]).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
        remove_older(directory.path(), &[running], Duration::ZERO).unwrap();
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [format!("{running}.log"), "notes.log".to_owned()]);
        remove_older(&directory.path().join("absent"), &[], Duration::ZERO).unwrap();
    }
}
