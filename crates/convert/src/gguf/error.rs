//! What can be wrong with a GGUF file.

use std::path::PathBuf;

/// A GGUF file that cannot be read. Each message names the part of the file that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file could not be opened or mapped.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file: it starts with {found:02x?} instead of \"GGUF\"")]
    Magic {
        /// The bytes found, fewer than four when the file is that short.
        found: Vec<u8>,
    },
    /// A version this reader does not know.
    #[error(
        "GGUF version {0} is not supported (2 and 3 are); convert the model again with a current tool"
    )]
    Version(u32),
    /// The file was written for a machine of the other byte order.
    #[error("the GGUF file is big-endian; only little-endian files are supported")]
    BigEndian,
    /// The file ends before something it announces.
    #[error(
        "the GGUF file is truncated: {what} needs {needed} bytes at offset {offset}, the file has {size}"
    )]
    Truncated {
        /// What was being read.
        what: String,
        /// Where it starts.
        offset: u64,
        /// How long it is.
        needed: u64,
        /// The length of the file.
        size: u64,
    },
    /// A value that contradicts the format or the rest of the file.
    #[error("the GGUF file is corrupt: {0}")]
    Corrupt(String),
    /// A metadata key that the conversion needs is not there.
    #[error("the GGUF metadata has no {0:?}")]
    MissingKey(String),
    /// A metadata value of another type, or out of the range its meaning allows.
    #[error("the GGUF metadata value {key:?} is {found}, expected {expected}")]
    BadValue {
        /// The metadata key.
        key: String,
        /// What is stored.
        found: String,
        /// What is needed.
        expected: String,
    },
}
