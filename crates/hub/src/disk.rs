//! Disk space queries. They go through a trait so that tests can simulate a full disk.

use std::fmt;
use std::io;
use std::path::Path;

/// Disk space queries. The default is [`SystemDisk`].
pub trait Disk: fmt::Debug + Send + Sync {
    /// Available bytes in the file system of `path`, an existing directory.
    ///
    /// # Errors
    /// If the operating system cannot report it.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Called before `bytes` are appended to `path`. An error is treated as an error of the write.
    ///
    /// # Errors
    /// [`SystemDisk`] never returns an error; the write itself does.
    fn before_write(&self, path: &Path, bytes: usize) -> io::Result<()>;
}

/// Queries the operating system.
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
