//! The servers under test: how they are started and stopped.

use super::client::Client;
use crate::commands::bench::child::{self, Usage};
use crate::commands::bench::engines::llama_cpp::{File, LlamaCpp};
use crate::commands::bench::engines::mlxm::Mlxm;
use crate::commands::bench::engines::{Engine, EngineInfo};
use crate::commands::bench::models::ModelFiles;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to load its model.
const START_TIMEOUT: Duration = Duration::from_mins(3);

/// Lines of a server's log that an error shows.
const SHOWN_LINES: usize = 20;

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
    pub fn start(&self, files: &ModelFiles, capacity: ServerCapacity) -> Result<Running> {
        let port = free_port()?;
        Running::start(self.command(files, capacity, port), port, "/health")
    }
}

/// A running server; dropping it kills the process.
pub struct Running {
    /// `None` once the process has been waited for.
    child: Option<Child>,
    pub address: String,
    log: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Running {
    /// Starts a server that listens on `port`, and waits until a GET request for `path` succeeds.
    pub fn start(mut command: Command, port: u16, path: &str) -> Result<Self> {
        let line = process::describe(&command);
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log.txt");
        let file = fs::File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        command.stdin(Stdio::null());
        kill_with_parent(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let mut running = Self {
            child: Some(child),
            address: format!("127.0.0.1:{port}"),
            log,
            _scratch: scratch,
        };
        running.wait_until_ready(&line, path)?;
        Ok(running)
    }

    fn wait_until_ready(&mut self, line: &str, path: &str) -> Result<()> {
        let client = Client::new(&self.address);
        let started = Instant::now();
        while client.get(path).is_none() {
            let exited = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if let Some(status) = exited {
                // The process was waited for, so its id may already belong to another one.
                self.child = None;
                bail!("`{line}` exited ({status})\n{}", self.log());
            }
            if started.elapsed() > START_TIMEOUT {
                bail!(
                    "`{line}` is not ready at http://{}{path}\n{}",
                    self.address,
                    self.log()
                );
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        child::last_lines(&String::from_utf8_lossy(&bytes), SHOWN_LINES)
    }

    /// Kills it and returns its resource usage.
    pub fn stop(mut self) -> Result<Usage> {
        let mut child = self.child.take().context("the server has already exited")?;
        child.kill()?;
        child::wait(child.id()).context("cannot wait for the server")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has already exited.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A free port.
pub fn free_port() -> Result<u16> {
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
