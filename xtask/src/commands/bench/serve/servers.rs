//! The servers under test: how they are started and stopped.

use super::client::Client;
use crate::commands::bench::engines::llama_cpp::{File, LlamaCpp};
use crate::commands::bench::engines::mlxm::Mlxm;
use crate::commands::bench::engines::{Engine, EngineInfo};
use crate::commands::bench::models::ModelFiles;
use crate::process;
use crate::server::{self, RunningServer};
use anyhow::{Context, Result};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a server may take to load its model.
const START_TIMEOUT: Duration = Duration::from_mins(3);

const MLXM_NOTE: &str = "\
mlxm is `mlxm serve` with as many sequences as there are slots, each with the context given below, and its default of at most \
512 batched tokens per step.";

const LLAMA_CPP_NOTE: &str = "\
llama.cpp is its llama-server with continuous batching, one slot per client (32 in the open loop) with the context given below \
each, and its defaults of 2048 tokens per batch and 512 per micro-batch. Its prompt cache in main memory is off: no prompt is \
repeated except in the test of repeated prompts, which its slots keep anyway.";

/// What a server is sized for.
#[derive(Clone, Copy, Debug)]
pub struct ServerCapacity {
    /// Concurrent sequences.
    pub slots: usize,
    /// Context length of each, in tokens.
    pub context: usize,
}

/// A server under test.
pub struct Server {
    backend: Backend,
    info: EngineInfo,
}

enum Backend {
    Mlxm(Mlxm),
    LlamaCpp {
        engine: LlamaCpp,
        program: PathBuf,
        threads: usize,
    },
}

impl Server {
    pub fn mlxm(engine: Mlxm) -> Self {
        Self {
            info: EngineInfo {
                note: MLXM_NOTE.to_owned(),
                ..engine.info().clone()
            },
            backend: Backend::Mlxm(engine),
        }
    }

    /// The llama-server in the directory `programs`.
    pub fn llama_cpp(programs: &Path, threads: usize, file: File) -> Result<Self> {
        let engine = LlamaCpp::new(programs.to_owned(), threads, file)?;
        Ok(Self {
            info: EngineInfo {
                note: LLAMA_CPP_NOTE.to_owned(),
                ..engine.info().clone()
            },
            backend: Backend::LlamaCpp {
                engine,
                program: programs.join("llama-server"),
                threads,
            },
        })
    }

    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The engine that the server runs, for its model files.
    pub fn engine(&self) -> &dyn Engine {
        match &self.backend {
            Backend::Mlxm(engine) => engine,
            Backend::LlamaCpp { engine, .. } => engine,
        }
    }

    /// The command that serves the model.
    pub fn command(&self, files: &ModelFiles, capacity: ServerCapacity, port: u16) -> Command {
        let ServerCapacity { slots, context } = capacity;
        let mut command = match &self.backend {
            Backend::Mlxm(engine) => engine.serve_command(files, slots, context),
            Backend::LlamaCpp {
                engine,
                program,
                threads,
            } => {
                let mut command = process::program(program);
                command
                    .arg("-m")
                    .arg(engine.model(files))
                    .args(["-np", &slots.to_string()])
                    .args(["-c", &(slots * context).to_string()])
                    .args(["-cb", "-cram", "0"])
                    .args(["-t", &threads.to_string()]);
                command
            }
        };
        command.args(["--port", &port.to_string()]);
        command
    }

    /// Starts the server and waits until it is ready.
    pub fn start(&self, files: &ModelFiles, capacity: ServerCapacity) -> Result<RunningServer> {
        let port = free_port()?;
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log.txt");
        let mut command = self.command(files, capacity, port);
        server::log_to(&mut command, &log)?;
        kill_with_parent(&mut command);
        let address = format!("127.0.0.1:{port}");
        let client = Client::new(&address);
        RunningServer::start(command, log, Some(scratch), START_TIMEOUT, |_| {
            client.get("/health").map(|_| address.clone())
        })
    }
}

/// A free port.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot bind a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Makes the kernel kill the server when this process exits for whatever reason.
#[cfg(target_os = "linux")]
fn kill_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    // SAFETY: between fork and exec, the closure only makes one system call without pointers.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn kill_with_parent(_command: &mut Command) {}
