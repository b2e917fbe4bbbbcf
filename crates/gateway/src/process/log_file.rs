//! The log of a worker: a file that the worker writes itself, so that it contains panics and continues without a gateway. The
//! gateway has such a file, too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// Size at which a log is rotated.
pub const MAX_BYTES: u64 = 10_000_000;

/// Rotated files that are kept, in addition to the current one.
pub(super) const KEPT: u32 = 3;

/// Lines that are kept with an exit.
const TAIL_LINES: usize = 50;

/// Bytes that are read for them.
const TAIL_BYTES: u64 = 64 << 10;

/// A log file with its rotated files.
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

    /// The log with this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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
        self.order_times()?;
        OpenOptions::new()
            .write(true)
            .open(&self.path)?
            .set_len(0)?;
        Ok(true)
    }

    /// Positions of lines are ordered by the times of the files, which may be equal (file systems count in steps of some
    /// milliseconds) or go back with the clock.
    fn order_times(&self) -> io::Result<()> {
        let earlier = self.rotated_at_ms(2);
        if self.rotated_at_ms(1) > earlier {
            return Ok(());
        }
        OpenOptions::new()
            .write(true)
            .open(self.rotated(1))?
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(earlier + 1))
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

    /// Whether there is such a file.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The current file, or a rotated one: 1 is the newest.
    pub(super) fn file(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => self.rotated(number),
        }
    }

    /// When a rotated file was made, in UTC milliseconds; 0 if there is none. Its number changes later, and its time does not.
    pub(super) fn rotated_at_ms(&self, number: u32) -> u64 {
        let modified = fs::metadata(self.rotated(number)).and_then(|metadata| metadata.modified());
        modified
            .ok()
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_millis() as u64)
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Removes the logs of workers that are not `running` and were last written more than `age` ago. Returns how many files.
///
/// # Errors
/// Those of the file system; a missing directory is none.
pub fn remove_old_logs(directory: &Path, running: &[Uuid], age: Duration) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    let mut removed = 0;
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
            removed += 1;
        }
    }
    Ok(removed)
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
    fn times_of_rotated_files_increase_although_the_clock_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile::new(directory.path(), Uuid::nil());
        let mut writer = log.open().unwrap();
        write!(writer, "first").unwrap();
        assert!(log.rotate(1).unwrap());
        let tomorrow = SystemTime::now() + Duration::from_hours(24);
        let first = OpenOptions::new().write(true).open(log.rotated(1)).unwrap();
        first.set_modified(tomorrow).unwrap();
        write!(writer, "second").unwrap();
        assert!(log.rotate(1).unwrap());
        assert!(log.rotated_at_ms(1) > log.rotated_at_ms(2));
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
        let remove = |directory: &Path, age| remove_old_logs(directory, &[running], age).unwrap();
        let day = Duration::from_hours(24);
        assert_eq!(remove(directory.path(), day), 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
        assert_eq!(remove(directory.path(), Duration::ZERO), 2);
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [format!("{running}.log"), "notes.log".to_owned()]);
        assert_eq!(remove(&directory.path().join("absent"), day), 0);
    }
}
