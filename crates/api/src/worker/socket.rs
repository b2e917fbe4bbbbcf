//! The Unix socket of a worker. The gateway prefers it to the port, because a message costs less CPU time than over TCP.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The environment variable with the directory of the sockets, for workers.
pub const SOCKET_DIRECTORY: &str = "MLXM_WORKER_SOCKETS";

/// The path of the socket of the worker on `port`.
pub fn path(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!("{port}.sock"))
}

/// A socket that accepts connections. Its file is removed when the value is dropped.
#[derive(Debug)]
pub struct WorkerSocket {
    pub(crate) listener: UnixListener,
    pub(crate) file: SocketFile,
}

/// Removes the file of a socket.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it stays, the next worker on this port replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

impl WorkerSocket {
    /// The socket of the worker that listens on `port`. Only the owner of the process can enter `directory`, which is
    /// created if it does not exist.
    ///
    /// # Errors
    /// If the directory cannot be written, or the path is too long for a socket (about 100 bytes).
    pub fn bind(directory: &Path, port: u16) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let path = path(directory, port);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            listener: UnixListener::bind(&path)?,
            file: SocketFile(path),
        })
    }
}
