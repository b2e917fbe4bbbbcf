//! The task that follows one worker from its start to its exit.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use uuid::Uuid;

use super::contract::{Failed, LineBuffer, Ready, WorkerLine};
use super::control::Control;
use super::exit::{ExitCause, Intent, exit_cause};
use super::health::{EngineSample, HealthHistory, Verdict};
use super::launch::{LaunchConfig, Timings};
use super::log_file::LogFile;
use crate::pool::plan::WorkerId;
use crate::server::ProcessIdentity;
use crate::settings::{CacheSize, LoadSettings};

/// How often an adopted process, which is not our child, is looked for.
const ALIVE_INTERVAL: Duration = Duration::from_millis(500);

/// Time to read the rest of the output of a process that has exited.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two attempts to kill a process, which may be in an uninterruptible call of a driver.
const KILL_INTERVAL: Duration = Duration::from_secs(5);

/// What happened to a worker.
#[derive(Debug)]
pub enum Notice {
    /// It loads its model.
    Loading {
        /// Bytes of weights that are loaded.
        loaded_bytes: u64,
        /// Bytes of all weights.
        total_bytes: u64,
    },
    /// It accepts requests.
    Ready(Ready),
    /// It does not respond.
    Unhealthy,
    /// It responds again.
    Healthy,
    /// A change of its compute threads is done: their number, or `None` if it failed.
    Threads(Option<usize>),
    /// Its process has exited. Only the end of a change that was under way can follow.
    Exited {
        /// Why.
        cause: ExitCause,
        /// The last lines of its log.
        log_tail: Vec<String>,
    },
}

#[derive(Debug)]
enum WorkerCommand {
    Stop,
    SetThreads(usize),
}

/// Controls the worker. When it is dropped, the process keeps running without supervision.
#[derive(Debug)]
pub struct WorkerHandle {
    commands: UnboundedSender<WorkerCommand>,
    /// The process, unless it exited at once.
    pub identity: Option<ProcessIdentity>,
}

impl WorkerHandle {
    /// Sends SIGTERM, and SIGKILL if the process does not exit in time.
    pub fn stop(&self) {
        // Fails only after the exit.
        let _ = self.commands.send(WorkerCommand::Stop);
    }

    /// Changes the number of compute threads. [`Notice::Threads`] has the result.
    pub fn set_threads(&self, threads: usize) {
        // Fails only after the exit.
        let _ = self.commands.send(WorkerCommand::SetThreads(threads));
    }
}

/// Notices of a worker go to this channel.
pub type Notices = UnboundedSender<(WorkerId, Notice)>;

/// Starts a worker and its task.
///
/// # Errors
/// If the log or the program cannot be opened.
pub fn start(
    config: &LaunchConfig,
    id: WorkerId,
    server: Uuid,
    settings: &LoadSettings,
    size: CacheSize,
    notices: Notices,
) -> io::Result<WorkerHandle> {
    let mut child = config.spawn(server, settings, size)?;
    let stdout = child.stdout.take();
    let identity = child.id().and_then(ProcessIdentity::read);
    let phase = Phase::Starting {
        deadline: Instant::now() + config.timings.start_timeout,
    };
    let task = Task {
        stdout,
        phase,
        ..Task::new(config, id, server, Process::Own(child), notices)
    };
    Ok(task.run_in_background(identity))
}

/// Follows a worker of an earlier gateway.
pub fn attach(
    config: &LaunchConfig,
    id: WorkerId,
    server: Uuid,
    identity: ProcessIdentity,
    port: u16,
    notices: Notices,
) -> WorkerHandle {
    let process = Process::Adopted(identity.clone());
    let task = Task {
        control: Some(Control::new(port, config.keys.derive(server))),
        ..Task::new(config, id, server, process, notices)
    };
    task.run_in_background(Some(identity))
}

#[derive(Debug)]
enum Process {
    /// Our child.
    Own(Child),
    /// A child of an earlier gateway.
    Adopted(ProcessIdentity),
}

impl Process {
    /// The exit status, unless it is not our child.
    async fn wait(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Own(child) => child.wait().await.ok(),
            Self::Adopted(identity) => {
                while identity.is_alive() {
                    tokio::time::sleep(ALIVE_INTERVAL).await;
                }
                None
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = match self {
            // `None` after it has been waited for, when its id may be reused.
            Self::Own(child) => child.id(),
            Self::Adopted(identity) => identity.is_alive().then_some(identity.pid),
        };
        if let Some(pid) = pid {
            signal_group(pid, signal);
        }
    }
}

/// Sends a signal to a process that is the leader of its group, and to its children.
pub fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Fails only if the process has just exited.
        let _ = kill_process_group(pid, signal);
    }
}

#[derive(Debug)]
enum Phase {
    /// The model is loading; without progress until the deadline it is killed.
    Starting { deadline: Instant },
    /// The next health check is due at this time.
    Running { next_check: Instant },
    /// A health check is under way.
    Checking,
    /// It exits; at the deadline it is killed.
    Stopping { deadline: Instant },
}

enum Input {
    Exited(Option<ExitStatus>),
    Output(usize),
    Command(WorkerCommand),
    Abandoned,
    Checked(Option<EngineSample>),
    Deadline,
}

struct Task {
    id: WorkerId,
    process: Process,
    stdout: Option<ChildStdout>,
    lines: LineBuffer,
    log: LogFile,
    key: String,
    timings: Timings,
    notices: Notices,
    phase: Phase,
    intent: Intent,
    failed: Option<Failed>,
    loaded_bytes: Option<u64>,
    control: Option<Control>,
    health: HealthHistory,
    unhealthy: bool,
    started: Instant,
}

impl Task {
    /// A task for a running worker.
    fn new(
        config: &LaunchConfig,
        id: WorkerId,
        server: Uuid,
        process: Process,
        notices: Notices,
    ) -> Self {
        let now = Instant::now();
        Self {
            id,
            process,
            stdout: None,
            lines: LineBuffer::default(),
            log: LogFile::new(&config.log_directory, server),
            key: config.keys.derive(server),
            timings: config.timings,
            notices,
            phase: Phase::Running { next_check: now },
            intent: Intent::None,
            failed: None,
            loaded_bytes: None,
            control: None,
            health: HealthHistory::new(config.timings.min_hang),
            unhealthy: false,
            started: now,
        }
    }

    fn run_in_background(self, identity: Option<ProcessIdentity>) -> WorkerHandle {
        let (commands, received) = mpsc::unbounded_channel();
        tokio::spawn(self.run(received));
        WorkerHandle { commands, identity }
    }

    async fn run(mut self, mut commands: UnboundedReceiver<WorkerCommand>) {
        let (checked, mut checks) = mpsc::unbounded_channel();
        let mut buffer = vec![0; 8192];
        loop {
            let deadline = match self.phase {
                Phase::Starting { deadline } | Phase::Stopping { deadline } => Some(deadline),
                Phase::Running { next_check } => Some(next_check),
                Phase::Checking => None,
            };
            let input = tokio::select! {
                status = self.process.wait() => Input::Exited(status),
                length = read(&mut self.stdout, &mut buffer) => Input::Output(length),
                command = commands.recv() => command.map_or(Input::Abandoned, Input::Command),
                Some(sample) = checks.recv() => Input::Checked(sample),
                () = crate::time::sleep_until(deadline) => Input::Deadline,
            };
            match input {
                Input::Exited(status) => return self.exited(status, &mut buffer).await,
                Input::Output(length) => self.output(buffer.get(..length).unwrap_or_default()),
                Input::Command(WorkerCommand::Stop) => self.stop(),
                Input::Command(WorkerCommand::SetThreads(threads)) => self.set_threads(threads),
                Input::Abandoned => return,
                Input::Checked(sample) => self.checked(sample).await,
                Input::Deadline => self.deadline(&checked),
            }
        }
    }

    fn output(&mut self, output: &[u8]) {
        let mut lines = self.lines.push(output);
        if output.is_empty() {
            self.stdout = None;
            lines.extend(self.lines.finish());
        }
        for line in lines {
            match line {
                Ok(line) => self.line(line),
                Err(problem) => {
                    tracing::warn!(worker = ?self.id, "unexpected output of a worker: {problem}");
                }
            }
        }
    }

    fn line(&mut self, line: WorkerLine) {
        let starting = matches!(self.phase, Phase::Starting { .. });
        match line {
            WorkerLine::Loading {
                loaded_bytes,
                total_bytes,
            } if starting => {
                if self.loaded_bytes.is_none_or(|before| before < loaded_bytes) {
                    self.loaded_bytes = Some(loaded_bytes);
                    self.phase = Phase::Starting {
                        deadline: Instant::now() + self.timings.start_timeout,
                    };
                }
                self.notify(Notice::Loading {
                    loaded_bytes,
                    total_bytes,
                });
            }
            WorkerLine::Ready(ready) if starting => {
                self.control = Some(Control::new(ready.port, self.key.clone()));
                self.phase = Phase::Running {
                    next_check: Instant::now() + self.timings.health_interval,
                };
                self.notify(Notice::Ready(ready));
            }
            WorkerLine::Failed(failed) => self.failed = Some(failed),
            _ => {}
        }
    }

    fn stop(&mut self) {
        if !matches!(self.phase, Phase::Stopping { .. }) {
            self.intent = Intent::Stop;
            self.process.signal(Signal::TERM);
            self.phase = Phase::Stopping {
                deadline: Instant::now() + self.timings.stop_timeout,
            };
        }
    }

    /// Requests do not wait for each other: the owner sends one at a time.
    fn set_threads(&self, threads: usize) {
        let (control, notices, id) = (self.control.clone(), self.notices.clone(), self.id);
        let timeout = self.timings.health_timeout;
        tokio::spawn(async move {
            let result = match control {
                Some(control) => control.set_threads(threads, timeout).await,
                None => Err("it is not ready".into()),
            };
            if let Err(error) = &result {
                tracing::warn!(worker = ?id, threads, "cannot change the compute threads of a worker: {error}");
            }
            // The owner may have exited.
            let _ = notices.send((id, Notice::Threads(result.is_ok().then_some(threads))));
        });
    }

    fn kill(&mut self, intent: Intent) {
        // What the first kill or stop was for remains the cause.
        if self.intent == Intent::None {
            self.intent = intent;
        }
        self.process.signal(Signal::KILL);
        self.phase = Phase::Stopping {
            deadline: Instant::now() + KILL_INTERVAL,
        };
    }

    fn deadline(&mut self, checked: &UnboundedSender<Option<EngineSample>>) {
        match self.phase {
            Phase::Starting { .. } => self.kill(Intent::StartTimeout),
            Phase::Stopping { .. } => self.kill(Intent::None),
            Phase::Running { .. } | Phase::Checking => {
                self.phase = Phase::Checking;
                let (control, checked) = (self.control.clone(), checked.clone());
                let timeout = self.timings.health_timeout;
                tokio::spawn(async move {
                    let sample = match control {
                        Some(control) => control.check(timeout).await.ok(),
                        None => None,
                    };
                    // The task ends with the process.
                    let _ = checked.send(sample);
                });
            }
        }
    }

    async fn checked(&mut self, sample: Option<EngineSample>) {
        if !matches!(self.phase, Phase::Checking) {
            return;
        }
        let verdict = match sample {
            Some(sample) => self.health.responded(sample, self.started.elapsed()),
            None => self.health.missed(),
        };
        self.phase = Phase::Running {
            next_check: Instant::now() + self.timings.health_interval,
        };
        match verdict {
            Verdict::Missed => {}
            Verdict::Healthy => {
                if std::mem::take(&mut self.unhealthy) {
                    self.notify(Notice::Healthy);
                }
            }
            Verdict::Unhealthy => {
                if !std::mem::replace(&mut self.unhealthy, true) {
                    self.notify(Notice::Unhealthy);
                }
            }
            Verdict::Unresponsive => self.kill(Intent::Unresponsive),
            Verdict::Hung => self.kill(Intent::Hung),
        }
        self.rotate_log().await;
    }

    async fn rotate_log(&self) {
        let (log, max_bytes) = (self.log.clone(), self.timings.log_max_bytes);
        let rotation = tokio::task::spawn_blocking(move || log.rotate(max_bytes)).await;
        if let Ok(Err(error)) = rotation {
            tracing::warn!(worker = ?self.id, "cannot rotate the log of a worker: {error}");
        }
    }

    async fn exited(mut self, status: Option<ExitStatus>, buffer: &mut [u8]) {
        // The last lines may still be in the pipe. Other processes may hold it open.
        let rest = async {
            while self.stdout.is_some() {
                let length = read(&mut self.stdout, buffer).await;
                self.output(buffer.get(..length).unwrap_or_default());
            }
        };
        let _ = tokio::time::timeout(OUTPUT_TIMEOUT, rest).await;
        let cause = exit_cause(status, self.intent, self.failed.take());
        let log = self.log.clone();
        let tail = tokio::task::spawn_blocking(move || log.tail()).await;
        self.notify(Notice::Exited {
            cause,
            log_tail: tail.unwrap_or_default(),
        });
    }

    fn notify(&self, notice: Notice) {
        // The owner has exited; the process is left to the next gateway.
        let _ = self.notices.send((self.id, notice));
    }
}

/// Reads output; 0 at its end. Waits forever if there is none.
async fn read(stdout: &mut Option<ChildStdout>, buffer: &mut [u8]) -> usize {
    match stdout {
        Some(stdout) => stdout.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}
