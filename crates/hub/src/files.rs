//! Reads files of models, which may be anything: what a user has copied or unpacked.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Opens a file, also through a symbolic link. A pipe or device is an error: opening one may wait for ever, and its content may
/// have no end.
///
/// # Errors
/// If it is not a file, or cannot be opened.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        let reason = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    File::open(path)
}

/// Reads a file as [`open`] opens it.
///
/// # Errors
/// If it cannot be read, or is larger than `max_bytes`.
pub(crate) fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(max_bytes.saturating_add(1));
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let reason = format!("it is larger than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}
