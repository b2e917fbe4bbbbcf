//! Errors of reading a GGUF file.

use std::path::PathBuf;

/// A GGUF file that cannot be read. The message names the invalid part of the file.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file: it starts with {found:02x?} instead of \"GGUF\"")]
    Magic {
        /// The bytes found; fewer than four if the file is shorter.
        found: Vec<u8>,
    },
    /// The version is not supported.
    #[error(
        "GGUF version {0} is not supported (only 2 and 3): convert the model again with a current version of llama.cpp"
    )]
    Version(u32),
    /// The file is big-endian.
    #[error("the GGUF file is big-endian; only little-endian files are supported")]
    BigEndian,
    /// The file ends too early.
    #[error(
        "the GGUF file is truncated: {what} needs {needed} bytes at offset {offset}, but the file has {size}"
    )]
    Truncated {
        /// What was being read.
        what: String,
        /// Its offset in the file.
        offset: u64,
        /// Its length in bytes.
        needed: u64,
        /// The length of the file in bytes.
        size: u64,
    },
    /// A value that contradicts the format or the rest of the file.
    #[error("the GGUF file is corrupt: {0}")]
    Corrupt(String),
    /// A required metadata key is missing.
    #[error("the GGUF metadata has no {0:?}")]
    MissingKey(String),
    /// A metadata value has the wrong type or is out of range.
    #[error("the GGUF metadata value {key:?} is {found}, expected {expected}")]
    BadValue {
        /// The metadata key.
        key: String,
        /// The value in the file.
        found: String,
        /// The expected type or range.
        expected: String,
    },
}
