//! Errors of compiling and running kernels.

use std::io;
use std::path::PathBuf;

/// Why a source cannot be compiled, or what a kernel did wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no compiler that can be started.
    #[error(
        "cannot start {program}: {source}; install clang 19, or name another clang++ with MLXM_CLANG"
    )]
    NoCompiler {
        /// The program that was tried last.
        program: String,
        /// The error of starting it.
        source: io::Error,
    },
    /// Diagnostics of clang, with the lines of the source.
    #[error("the source does not compile:\n{0}")]
    Compile(String),
    /// The source uses something that the rewriter cannot translate.
    #[error("source.metal:{line}: {message}")]
    Unsupported {
        /// Line of the source, from 1.
        line: u32,
        /// What is wrong.
        message: String,
    },
    /// No kernel has the name.
    #[error("the library has no kernel `{0}`")]
    NoKernel(String),
    /// A value was given for an index without a function constant, or of the wrong type.
    #[error("function constant {index}: {message}")]
    Constant {
        /// The index of the function constant.
        index: usize,
        /// What is wrong.
        message: String,
    },
    /// The compiled kernel cannot be loaded.
    #[error("cannot load {}: {message}", path.display())]
    Load {
        /// The shared library.
        path: PathBuf,
        /// The error of the dynamic loader, or what it lacks.
        message: String,
    },
    /// The runtime of the sanitizers cannot be used.
    #[error("sanitizers: {0}")]
    Sanitizer(String),
    /// The cache directory cannot be used.
    #[error("{}: {source}", path.display())]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// A dispatch violates a limit, or its bindings do not fit the kernel.
    #[error("kernel `{kernel}`: {message}")]
    Dispatch {
        /// The host name of the kernel.
        kernel: String,
        /// What is wrong.
        message: String,
    },
    /// A kernel did something whose behaviour Metal leaves undefined.
    #[error("kernel `{kernel}`, threadgroup {threadgroup:?}, source.metal:{line}: {message}")]
    Execution {
        /// The host name of the kernel.
        kernel: String,
        /// Position of the threadgroup in the grid.
        threadgroup: [usize; 3],
        /// Line of the source, from 1.
        line: u32,
        /// What it did.
        message: String,
    },
}
