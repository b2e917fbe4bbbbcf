//! The two servers: how they are started, waited for and ended.

use super::client::Client;
use crate::commands::bench::engines::llama_cpp::{File, LlamaCpp};
use crate::commands::bench::engines::mlxm::Mlxm;
use crate::commands::bench::engines::{Engine, Facts};
use crate::commands::bench::measured::{self, Usage};
use crate::commands::bench::models::Pair;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to load its model.
const PATIENCE: Duration = Duration::from_mins(3);

/// Lines of a server's log that are shown when it fails.
const SHOWN_LINES: usize = 20;

const MLXM_NOTE: &str = "\
mlxm is `mlxm serve` with as many sequences as there are slots, each with the context above, and a step of at most 512 \
tokens, which is its default.";

const LLAMA_CPP_NOTE: &str = "\
llama.cpp is its llama-server with continuous batching, as many slots as there are clients (32 in the open loop) and the \
context above for each slot, and with its defaults of 2048 tokens per batch and 512 per computation. Its cache of prompts \
in main memory is off: no prompt comes twice but those that come again at once, which its slots keep by themselves.";

/// What a server has room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Answers at once.
    pub slots: usize,
    /// Tokens of each.
    pub context: usize,
}

/// A server under test.
pub struct Server {
    kind: Kind,
    program: PathBuf,
    engine: Box<dyn Engine>,
    threads: usize,
    precision: Option<String>,
    facts: Facts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mlxm,
    LlamaCpp,
}

impl Server {
    pub fn mlxm(program: &Path, threads: usize, precision: Option<String>) -> Result<Self> {
        let engine = Mlxm::new(program.to_owned(), threads, precision.clone())?;
        let facts = Facts {
            note: MLXM_NOTE.to_owned(),
            ..engine.facts().clone()
        };
        Ok(Self {
            kind: Kind::Mlxm,
            program: program.to_owned(),
            engine: Box::new(engine),
            threads,
            precision,
            facts,
        })
    }

    /// `programs` is the directory of llama.cpp's.
    pub fn llama_cpp(programs: &Path, threads: usize, file: File) -> Result<Self> {
        let engine = LlamaCpp::new(programs.to_owned(), threads, file)?;
        let facts = Facts {
            note: LLAMA_CPP_NOTE.to_owned(),
            ..engine.facts().clone()
        };
        Ok(Self {
            kind: Kind::LlamaCpp,
            program: programs.join("llama-server"),
            engine: Box::new(engine),
            threads,
            precision: None,
            facts,
        })
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its form of the model.
    pub fn model(&self, pair: &Pair) -> PathBuf {
        self.engine.model(pair)
    }

    /// The command that serves the model.
    pub fn command(&self, pair: &Pair, room: Room, port: u16) -> Command {
        let Room { slots, context } = room;
        let text = |number: usize| number.to_string();
        let mut command = process::program(&self.program);
        match self.kind {
            Kind::Mlxm => {
                command.arg("serve").arg("--model").arg(self.model(pair));
                command
                    .args(["--max-sequences", &text(slots)])
                    .args(["--context", &text(context)])
                    .args(["--alias", "default", "--log-level", "warn"])
                    .args(["--threads", &text(self.threads)])
                    // A key of the person's own would lock the benchmark out.
                    .env_remove("MLXM_API_KEY");
                if let Some(precision) = &self.precision {
                    command.args(["--precision", precision]);
                }
            }
            Kind::LlamaCpp => {
                command.arg("-m").arg(self.model(pair));
                command
                    .args(["-np", &text(slots)])
                    .args(["-c", &text(slots * context)])
                    .args(["-cb", "-cram", "0"])
                    .args(["-t", &text(self.threads)]);
            }
        }
        command.args(["--port", &port.to_string()]);
        command
    }

    /// Starts the server and waits until it answers.
    pub fn start(&self, pair: &Pair, room: Room) -> Result<Running> {
        let port = free_port()?;
        let mut command = self.command(pair, room, port);
        let line = process::describe(&command);
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log.txt");
        let file = fs::File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        command.stdin(Stdio::null());
        end_with_this_process(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let mut running = Running {
            child: Some(child),
            address: format!("http://127.0.0.1:{port}"),
            log,
            _scratch: scratch,
        };
        running.wait_until_ready(&line)?;
        Ok(running)
    }
}

/// A server that runs until this is dropped.
pub struct Running {
    /// `None` once it has ended.
    child: Option<Child>,
    pub address: String,
    log: PathBuf,
    _scratch: tempfile::TempDir,
}

impl Running {
    fn wait_until_ready(&mut self, line: &str) -> Result<()> {
        let client = Client::new(&self.address);
        let started = Instant::now();
        while client.get("/health").is_none() {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if let Some(status) = ended {
                // It was waited for, and its number may be another program's by now.
                self.child = None;
                bail!("`{line}` ended ({status})\n{}", self.log());
            }
            if started.elapsed() > PATIENCE {
                bail!(
                    "`{line}` does not answer at {}/health\n{}",
                    self.address,
                    self.log()
                );
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The end of what it wrote.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        measured::last_lines(&String::from_utf8_lossy(&bytes), SHOWN_LINES)
    }

    /// Ends it and says what it took.
    pub fn stop(mut self) -> Result<Usage> {
        let mut child = self.child.take().context("the server has ended before")?;
        child.kill()?;
        measured::wait(child.id()).context("lost the server")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that is gone already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port to listen on")?;
    Ok(listener.local_addr()?.port())
}

/// No server outlives this process, whatever ends it, where the system can see to that.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    // SAFETY: between fork and exec, this makes one system call, which takes no pointers, and nothing else.
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
fn end_with_this_process(_command: &mut Command) {}
