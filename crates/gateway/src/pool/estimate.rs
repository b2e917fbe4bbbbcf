//! How much memory a model needs, from a short-lived child process.
//!
//! The engine's plan maps the weight files and parses a configuration that anyone may have written. That is done by
//! `mlxm show --json` in a process with limits, so that nothing in a checkpoint can harm the gateway.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};

use crate::process::{inherited_environment, resident_bytes};
use crate::settings::{CacheSize, FixedMemory, LoadSettings, MemoryDemand};

/// Limits of the child.
#[derive(Debug, Clone, Copy)]
struct Limits {
    timeout: Duration,
    /// Resident memory. Only headers of weight files are read; the rest is tokenizer and configuration.
    memory_bytes: u64,
}

const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(10),
    memory_bytes: 512 << 20,
};

/// How often its memory is checked.
const MEMORY_INTERVAL: Duration = Duration::from_millis(50);

/// Most children at once.
const MAX_CHILDREN: usize = 2;

/// Why the memory of a model is unknown.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// The directory cannot be read.
    #[error("cannot read {}: {source}; run `mlxm list` for the models on this machine", .path.display())]
    Unreadable {
        /// The directory of the model.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The model or an option is invalid.
    #[error("{message}")]
    Invalid {
        /// The message of `mlxm show`.
        message: String,
    },
    /// The metadata take too long to read.
    #[error("reading the metadata of {} took more than {} s; see `mlxm show`", .0.display(), LIMITS.timeout.as_secs())]
    Timeout(PathBuf),
    /// The metadata need too much memory.
    #[error(
        "reading the metadata of {} took more than {} MiB; its config.json or tokenizer.json may be invalid",
        .0.display(),
        LIMITS.memory_bytes >> 20
    )]
    Memory(PathBuf),
    /// The program cannot be run, or is of another version.
    #[error("cannot run {}: {source}", .program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Name, size and time of each file of a model.
type FileTimes = Vec<(OsString, u64, SystemTime)>;

/// What the child says about a model.
#[derive(Debug, Clone)]
struct Inspection {
    demand: Arc<MemoryDemand>,
    description: Arc<Value>,
}

#[derive(Debug)]
struct CacheEntry {
    budget_bytes: u64,
    files: FileTimes,
    inspection: Arc<OnceCell<Inspection>>,
}

/// Estimates memory, and remembers the results while the files of a model do not change.
#[derive(Debug)]
pub struct Estimator {
    program: PathBuf,
    cache: Mutex<HashMap<LoadSettings, CacheEntry>>,
    children: Semaphore,
    limits: Limits,
}

impl Estimator {
    /// An estimator that runs `program show`.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            cache: Mutex::default(),
            children: Semaphore::new(MAX_CHILDREN),
            limits: LIMITS,
        }
    }

    /// The memory that a model can be loaded with in a budget. Concurrent calls for the same settings share one child.
    ///
    /// # Errors
    /// If the model is not valid, or its metadata are too large.
    pub async fn estimate(
        &self,
        settings: &LoadSettings,
        budget_bytes: u64,
    ) -> Result<Arc<MemoryDemand>, EstimateError> {
        Ok(self.inspect(settings, budget_bytes).await?.demand)
    }

    /// The output of `mlxm show --json` for a model. Shares the child with [`Self::estimate`].
    ///
    /// # Errors
    /// If the model is not valid, or its metadata are too large.
    pub async fn describe(
        &self,
        settings: &LoadSettings,
        budget_bytes: u64,
    ) -> Result<Arc<Value>, EstimateError> {
        Ok(self.inspect(settings, budget_bytes).await?.description)
    }

    async fn inspect(
        &self,
        settings: &LoadSettings,
        budget_bytes: u64,
    ) -> Result<Inspection, EstimateError> {
        let directory = settings.model.clone();
        let files = tokio::task::spawn_blocking(move || file_times(&directory))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| EstimateError::Unreadable {
                path: settings.model.clone(),
                source,
            })?;
        let inspection = self.cached(settings, budget_bytes, files);
        let known = inspection.get_or_try_init(|| self.run(settings, budget_bytes));
        Ok(known.await?.clone())
    }

    fn failed(&self, source: io::Error) -> EstimateError {
        EstimateError::Program {
            program: self.program.clone(),
            source,
        }
    }

    /// The cell for these files; a new one if they changed.
    fn cached(
        &self,
        settings: &LoadSettings,
        budget_bytes: u64,
        files: FileTimes,
    ) -> Arc<OnceCell<Inspection>> {
        // A panic cannot leave an entry half-written.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = cache.get(settings)
            && entry.budget_bytes == budget_bytes
            && entry.files == files
        {
            return Arc::clone(&entry.inspection);
        }
        let inspection = Arc::new(OnceCell::new());
        let entry = CacheEntry {
            budget_bytes,
            files,
            inspection: Arc::clone(&inspection),
        };
        cache.insert(settings.clone(), entry);
        inspection
    }

    async fn run(
        &self,
        settings: &LoadSettings,
        budget_bytes: u64,
    ) -> Result<Inspection, EstimateError> {
        let model = &settings.model;
        // Never closed.
        let _permit = self.children.acquire().await;
        let failed = |source| self.failed(source);
        let child = Command::new(&self.program)
            .args(arguments(settings, budget_bytes))
            .env_clear()
            .envs(inherited_environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id();
        let output = tokio::select! {
            output = child.wait_with_output() => output.map_err(failed)?,
            () = exceeds_memory(pid, self.limits.memory_bytes) => return Err(EstimateError::Memory(model.clone())),
            () = tokio::time::sleep(self.limits.timeout) => return Err(EstimateError::Timeout(model.clone())),
        };
        if !output.status.success() {
            let message = error_message(&output);
            return Err(EstimateError::Invalid { message });
        }
        let unexpected = |error: serde_json::Error| {
            failed(io::Error::other(format!("unexpected output: {error}")))
        };
        let description: Value = serde_json::from_slice(&output.stdout).map_err(unexpected)?;
        let memory = Description::deserialize(&description)
            .map_err(unexpected)?
            .memory;
        Ok(Inspection {
            demand: Arc::new(MemoryDemand {
                sizes: memory.cache_sizes,
                largest_context: memory.largest_context_in_budget.unwrap_or_default(),
                fixed: memory.fixed,
            }),
            description: Arc::new(description),
        })
    }
}

/// The part of the output of `mlxm show --json` that is used here.
#[derive(Debug, Deserialize)]
struct Description {
    memory: Memory,
}

#[derive(Debug, Deserialize)]
struct Memory {
    cache_sizes: Vec<CacheSize>,
    largest_context_in_budget: Option<u64>,
    #[serde(flatten)]
    fixed: Option<FixedMemory>,
}

fn arguments(settings: &LoadSettings, budget_bytes: u64) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["show".into(), "--json".into()];
    arguments.extend([
        OsString::from("--memory"),
        OsString::from(budget_bytes.to_string()),
    ]);
    arguments.extend(settings.memory_options().into_iter().map(OsString::from));
    let sizes = [
        ("--context-length", settings.context_length.map(u64::from)),
        ("--kv-pool-tokens", settings.kv_pool_tokens),
    ];
    for (name, value) in sizes {
        if let Some(value) = value {
            arguments.extend([OsString::from(name), OsString::from(value.to_string())]);
        }
    }
    // A path is never taken for an option.
    arguments.push("--".into());
    arguments.push(settings.model.clone().into_os_string());
    arguments
}

/// Returns when the process has more resident memory than allowed.
async fn exceeds_memory(pid: Option<u32>, limit_bytes: u64) {
    loop {
        tokio::time::sleep(MEMORY_INTERVAL).await;
        if pid.and_then(resident_bytes).unwrap_or_default() > limit_bytes {
            return;
        }
    }
}

/// The message of a failed command, without its prefix.
fn error_message(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim();
    if text.is_empty() {
        return format!("`mlxm show` failed: {}", output.status);
    }
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

fn file_times(directory: &Path) -> io::Result<FileTimes> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Files of the Hugging Face cache are symbolic links to their content.
        let metadata = std::fs::metadata(entry.path())?;
        files.push((entry.file_name(), metadata.len(), metadata.modified()?));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Estimates with a shell script as the program and short limits.
    async fn estimate(script: &str) -> Result<Arc<MemoryDemand>, EstimateError> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let estimator = Estimator {
            limits: Limits {
                timeout: Duration::from_secs(5),
                memory_bytes: 32 << 20,
            },
            ..Estimator::new(program)
        };
        let settings = LoadSettings::new(folder.path());
        estimator.estimate(&settings, 100).await
    }

    #[tokio::test]
    async fn child_that_takes_too_much_memory_is_killed() {
        // 64 MiB, by doubling 16 bytes.
        let script = "text=xxxxxxxxxxxxxxxx; i=0\n\
            while [ $i -lt 22 ]; do text=$text$text; i=$((i+1)); done\nsleep 60 & wait";
        let error = estimate(script).await.unwrap_err();
        assert!(matches!(error, EstimateError::Memory(_)), "{error}");
    }

    #[tokio::test]
    async fn child_that_takes_too_long_is_killed() {
        let error = estimate("sleep 60 & wait").await.unwrap_err();
        assert!(matches!(error, EstimateError::Timeout(_)), "{error}");
    }

    #[tokio::test]
    async fn unexpected_output_names_the_program() {
        let error = estimate("echo '{}'").await.unwrap_err();
        assert!(error.to_string().contains("program"), "{error}");
        assert!(error.to_string().contains("unexpected output"), "{error}");
    }

    #[tokio::test]
    async fn options_of_the_estimate_are_those_of_the_worker() {
        let script = r#"[ "$*" = "show --json --memory 100 --max-sequences 16 -- $(dirname "$0")" ] && echo \
            '{"memory":{"cache_sizes":[{"context_length":2,"kv_pool_tokens":3,"total_bytes":4}],
            "largest_context_in_budget":null}}'"#;
        let demand = estimate(script).await.unwrap();
        let size = CacheSize {
            context_length: 2,
            kv_pool_tokens: 3,
            plan_bytes: 4,
        };
        assert_eq!(demand.sizes, [size]);
        assert_eq!(demand.largest_context, 0);
        assert_eq!(demand.fixed, None);
    }

    #[tokio::test]
    async fn rest_of_a_plan_is_the_kv_cache() {
        let script = r#"echo '{"memory":{"weights_bytes":20,"kv_pool_bytes":7,"scratch_bytes":3,"total_bytes":30,
            "cache_sizes":[{"context_length":2,"kv_pool_tokens":3,"total_bytes":28}],"largest_context_in_budget":9}}'"#;
        let demand = estimate(script).await.unwrap();
        let fixed = demand.fixed.unwrap();
        assert_eq!((fixed.weights_bytes, fixed.scratch_bytes), (20, 3));
        assert_eq!(fixed.kv_pool_bytes(demand.sizes[0].plan_bytes), 5);
    }
}
