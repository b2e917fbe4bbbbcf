//! Properties of disks. They go through a trait so that tests can simulate a full disk, or one without symbolic links.

use std::fmt;
use std::io;
use std::path::Path;

/// Properties of a disk. The default is [`SystemDisk`].
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

    /// Creates the symbolic link `link` to `target`.
    ///
    /// # Errors
    /// Among others, if the file system has no symbolic links, as exFAT and many network shares.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }
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
