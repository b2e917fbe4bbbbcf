//! What the crate asks the file system about space, so that a full disk can be simulated.

use std::fmt;
use std::io;
use std::path::Path;

/// Answers about a disk. The default asks the operating system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Bytes that may still be written below `path`, an existing folder.
    ///
    /// # Errors
    /// When the operating system does not tell.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Called before `bytes` are appended to `path`; an error is treated as the write's own.
    ///
    /// # Errors
    /// The operating system's answer is the write itself, so [`SystemDisk`] never fails here.
    fn before_write(&self, path: &Path, bytes: usize) -> io::Result<()>;
}

/// The operating system's own answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        fs4::available_space(path)
    }

    fn before_write(&self, _path: &Path, _bytes: usize) -> io::Result<()> {
        Ok(())
    }
}
