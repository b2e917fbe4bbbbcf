//! Starts a worker: command line, environment, log file.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use uuid::Uuid;

use super::health::MIN_HANG;
use super::key::WorkerKeys;
use super::log_file::{self, LogFile};
use crate::settings::{CacheSize, LoadSettings};

/// Environment variables that workers inherit. All others stay in the gateway, tokens and provider keys in particular.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "MLXM_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "XDG_CACHE_HOME",
    "RUST_BACKTRACE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// How workers are started.
#[derive(Debug, Clone)]
pub struct LaunchConfig {
    /// The program: the gateway's own binary.
    pub program: PathBuf,
    /// Environment variables of the workers, in addition to those that they inherit.
    pub environment: Vec<(String, String)>,
    /// Directory of the logs.
    pub log_directory: PathBuf,
    /// Keys of the workers.
    pub keys: WorkerKeys,
    /// How long a worker keeps serving without a gateway.
    pub orphan_grace: Duration,
    /// Times of the supervision.
    pub timings: Timings,
}

/// Times of the supervision.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// Time between two health checks.
    pub health_interval: Duration,
    /// Time for a response to one.
    pub health_timeout: Duration,
    /// Longest time without progress while a model is loading.
    pub start_timeout: Duration,
    /// Time between SIGTERM and SIGKILL. Workers cancel their requests after 30 s.
    pub stop_timeout: Duration,
    /// Shortest time without a step that counts as a hang.
    pub min_hang: Duration,
    /// Size at which a log is rotated.
    pub log_max_bytes: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            health_interval: Duration::from_secs(5),
            health_timeout: Duration::from_secs(4),
            start_timeout: Duration::from_mins(1),
            stop_timeout: Duration::from_secs(35),
            min_hang: MIN_HANG,
            log_max_bytes: log_file::MAX_BYTES,
        }
    }
}

impl LaunchConfig {
    /// Starts a worker in its own process group. Its standard output is a pipe, its standard error the log file.
    ///
    /// # Errors
    /// If the log or the program cannot be opened.
    pub(super) fn spawn(
        &self,
        server: Uuid,
        settings: &LoadSettings,
        size: CacheSize,
    ) -> io::Result<Child> {
        let log = LogFile::new(&self.log_directory, server).open()?;
        Command::new(&self.program)
            .args(arguments(settings, size, self.orphan_grace))
            .env_clear()
            .envs(inherited_environment())
            .envs(self.environment.clone())
            .env("MLXM_API_KEY", self.keys.derive(server))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
    }
}

fn arguments(settings: &LoadSettings, size: CacheSize, orphan_grace: Duration) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["serve".into(), "--model".into()];
    arguments.push(settings.model.clone().into_os_string());
    let fixed = [
        "--port",
        "0",
        "--alias",
        "*",
        "--json",
        "--log-format",
        "json",
    ];
    arguments.extend(fixed.map(OsString::from));
    arguments.extend(settings.memory_options().into_iter().map(OsString::from));
    let numbers = [
        ("--context-length", size.context_length),
        ("--kv-pool-tokens", size.kv_pool_tokens),
        ("--memory", size.plan_bytes),
        ("--owner", u64::from(std::process::id())),
        ("--orphan-grace", orphan_grace.as_secs()),
    ];
    for (name, value) in numbers {
        arguments.extend([OsString::from(name), OsString::from(value.to_string())]);
    }
    let names = [
        ("--tool-call-parser", &settings.tool_call_parser),
        ("--reasoning-parser", &settings.reasoning_parser),
        ("--log-level", &settings.log_level),
    ];
    for (name, value) in names {
        if let Some(value) = value {
            arguments.extend([OsString::from(name), OsString::from(value)]);
        }
    }
    if let Some(threads) = settings.threads {
        arguments.extend([
            OsString::from("--threads"),
            OsString::from(threads.to_string()),
        ]);
    }
    arguments
}

/// The part of the gateway's environment that its children get.
pub fn inherited_environment() -> impl Iterator<Item = (OsString, OsString)> {
    INHERITED
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_has_the_admitted_sizes() {
        let settings = LoadSettings {
            max_sequences: 4,
            max_batch_tokens: Some(256),
            kv_cache_dtype: Some("int8".to_owned()),
            threads: Some(2),
            reasoning_parser: Some("none".to_owned()),
            log_level: Some("debug".to_owned()),
            ..LoadSettings::new("/models/a b")
        };
        let size = CacheSize {
            context_length: 8192,
            kv_pool_tokens: 16384,
            plan_bytes: 123_456,
        };
        let arguments = arguments(&settings, size, Duration::from_mins(1));
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|text| text.to_str().unwrap())
            .collect();
        let pid = std::process::id();
        let expected = format!(
            "serve|--model|/models/a b|--port|0|--alias|*|--json|--log-format|json|--max-sequences|4|\
            --max-batch-tokens|256|--kv-cache-dtype|int8|--context-length|8192|--kv-pool-tokens|16384|\
            --memory|123456|--owner|{pid}|--orphan-grace|60|--reasoning-parser|none|--log-level|debug|--threads|2"
        );
        assert_eq!(arguments.join("|"), expected);
    }
}
