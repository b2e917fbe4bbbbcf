//! `mlxm doctor`: diagnose the environment.

mod limits;

use std::fs;
use std::path::Path;

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_engine::{ComputeDevice, DeviceChoice, MachineMemory, compute_device};
use mlxm_hub::blocking::Hub;
use mlxm_hub::{HubConfig, HubError, Proxies};
use mlxm_machine::{CpuLimits, MemoryLimits, instruction_sets};
use serde::Serialize;

use crate::context::{self, Context};
use crate::failure::Failure;
use crate::output::{Report, Section};

use limits::Limit;

/// Below this, most models cannot be downloaded.
const MIN_FREE_DISK_BYTES: u64 = 5_000_000_000;
/// Below this, only small models can be loaded.
const MIN_MEMORY_BYTES: u64 = 4_000_000_000;

const EXAMPLES: &str = "\
Exits with code 1 if a check fails; warnings exit with code 0.

Examples:
  mlxm doctor
  mlxm doctor --json";

/// Diagnose the machine, directories and configuration
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Broken,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    finding: String,
}

/// How this binary was built.
#[derive(Debug, Serialize)]
struct Build {
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
    /// `release` or `debug`.
    profile: &'static str,
}

#[derive(Debug, Serialize)]
struct Findings {
    healthy: bool,
    checks: Vec<Check>,
    limits: Vec<Limit>,
    /// SIMD extensions of the CPU.
    instruction_sets: Vec<&'static str>,
    build: Build,
}

impl Report for Findings {
    fn sections(&self) -> Vec<Section> {
        let mut table = Section::table(&["", "check", "finding"]);
        for check in &self.checks {
            let mark = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Broken => "FAILED",
            };
            table.row([
                mark.to_owned(),
                check.name.to_owned(),
                check.finding.clone(),
            ]);
        }
        let summary = if self.healthy {
            "all required checks passed"
        } else {
            "some checks failed"
        };
        let build = &self.build;
        let mut program = Section::properties("build");
        program.property("version", build.version);
        program.property("target", format!("{}, {}", build.architecture, build.os));
        program.property("profile", build.profile);
        vec![
            table,
            limits::table(&self.limits),
            program,
            Section::sentence(summary),
        ]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.checks
            .iter()
            .filter(|check| check.verdict == Verdict::Broken)
            .map(|check| format!("{}: {}", check.name, check.finding))
            .collect()
    }
}

impl Doctor {
    /// Runs all checks and prints the findings.
    #[expect(clippy::unused_self, reason = "every command has the same signature")]
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let mut checks = vec![cpu(context), memory(), device(context.device())];
        let mut limits = limits::of_machine(context);
        match HubConfig::from_env() {
            Ok(config) => {
                checks.push(folder("model cache", &config.cache_dir));
                checks.push(folder("local models", &config.models_dir));
                if let Some(home) = context::home() {
                    checks.push(folder("program data", &home));
                }
                checks.push(space("disk space", &config, &config.cache_dir));
                checks.push(space(
                    "disk space of local models",
                    &config,
                    &config.models_dir,
                ));
                limits.extend(limits::of_disks(&config));
                checks.push(token(&config));
                checks.push(network(&config));
                checks.extend(models(config));
            }
            Err(error) => checks.push(failed("configuration", error.to_string())),
        }
        let healthy = checks.iter().all(|check| check.verdict != Verdict::Broken);
        context.output.report(&Findings {
            healthy,
            checks,
            limits,
            instruction_sets: instruction_sets(),
            build: build(),
        })?;
        if healthy {
            Ok(())
        } else {
            Err(Failure::Reported.into())
        }
    }
}

fn ok(name: &'static str, finding: impl Into<String>) -> Check {
    Check {
        name,
        verdict: Verdict::Ok,
        finding: finding.into(),
    }
}

fn warning(name: &'static str, finding: impl Into<String>) -> Check {
    Check {
        name,
        verdict: Verdict::Warning,
        finding: finding.into(),
    }
}

fn failed(name: &'static str, finding: impl Into<String>) -> Check {
    Check {
        name,
        verdict: Verdict::Broken,
        finding: finding.into(),
    }
}

fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        architecture: std::env::consts::ARCH,
        profile: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    }
}

fn cpu(context: &Context) -> Check {
    let cpus = CpuLimits::read();
    let threads = context.load_options().threads;
    ok(
        "CPU",
        format!(
            "{}, {} compute threads on {} physical cores: {}",
            std::env::consts::ARCH,
            threads.unwrap_or_else(|| cpus.threads()),
            cpus.physical_cores,
            instruction_sets().join(" ")
        ),
    )
}

fn memory() -> Check {
    let limits = MemoryLimits::read();
    let Some((memory, smallest)) = MachineMemory::from_limits(&limits).zip(limits.smallest())
    else {
        return warning(
            "memory",
            "cannot determine the memory of this machine; set --memory to limit model memory",
        );
    };
    let finding = format!(
        "{}, {} available; model memory limit {}",
        DecimalBytes(memory.total_bytes),
        DecimalBytes(memory.available_bytes),
        DecimalBytes(memory.model_budget_bytes())
    );
    if memory.total_bytes >= MIN_MEMORY_BYTES {
        return ok("memory", finding);
    }
    let raise = if smallest.is_physical() {
        String::new()
    } else {
        format!(", or raise the {} ({})", smallest.name, smallest.source)
    };
    warning(
        "memory",
        format!(
            "{finding}; use a small or a quantized model (`mlxm show MODEL` prints what it needs){raise}"
        ),
    )
}

fn device(choice: DeviceChoice) -> Check {
    match compute_device(choice) {
        Ok(device) => {
            let working_set = match &device {
                ComputeDevice::Metal {
                    working_set_bytes, ..
                } => format!(", which can use {} well", DecimalBytes(*working_set_bytes)),
                ComputeDevice::Cpu { .. } => String::new(),
            };
            ok("device", format!("{device}{working_set}"))
        }
        Err(error) => failed("device", error.to_string()),
    }
}

/// Checks that the directory, or its nearest existing ancestor, is writable.
fn folder(name: &'static str, path: &Path) -> Check {
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.exists()) else {
        return failed(
            name,
            format!("{} has no existing parent directory", path.display()),
        );
    };
    if !existing.is_dir() {
        return failed(
            name,
            format!(
                "{} is a file, so {} cannot be created",
                existing.display(),
                path.display()
            ),
        );
    }
    let probe = existing.join(format!(".mlxm-doctor-{}", std::process::id()));
    let outcome = fs::write(&probe, b"probe").and_then(|()| fs::remove_file(&probe));
    match outcome {
        Ok(()) if existing == path => ok(name, path.display().to_string()),
        Ok(()) => ok(name, format!("{} (created on demand)", path.display())),
        Err(error) => failed(
            name,
            format!(
                "cannot write in {}: {error}; make it writable or set HF_HUB_CACHE, HF_HOME or MLXM_HOME",
                existing.display()
            ),
        ),
    }
}

fn space(name: &'static str, config: &HubConfig, directory: &Path) -> Check {
    let existing = limits::existing(directory);
    match config.disk.available_bytes(existing) {
        Ok(0) => failed(name, format!("the disk of {} is full", existing.display())),
        Ok(bytes) if bytes < MIN_FREE_DISK_BYTES => warning(
            name,
            format!("only {} free; most models need more", DecimalBytes(bytes)),
        ),
        Ok(bytes) => ok(name, format!("{} free", DecimalBytes(bytes))),
        Err(error) => warning(name, format!("unknown: {error}")),
    }
}

fn token(config: &HubConfig) -> Check {
    match &config.token {
        Some(token) => ok("hub token", token.source().to_string()),
        None => ok(
            "hub token",
            "not set; gated and private models require HF_TOKEN",
        ),
    }
}

fn network(config: &HubConfig) -> Check {
    let endpoint = config.endpoint.as_deref().unwrap_or("Hugging Face Hub");
    let proxy = if matches!(config.proxies, Proxies::Explicit { .. }) {
        ", through a proxy"
    } else {
        ""
    };
    if config.offline {
        return warning(
            "hub",
            format!("{endpoint}; offline mode is enabled (HF_HUB_OFFLINE), downloads are disabled"),
        );
    }
    match &config.endpoint {
        Some(url) if !(url.starts_with("http://") || url.starts_with("https://")) => failed(
            "hub",
            format!("HF_ENDPOINT is `{url}`; it must start with http:// or https://"),
        ),
        _ => ok("hub", format!("{endpoint}{proxy}")),
    }
}

fn models(config: HubConfig) -> Vec<Check> {
    let listed = Hub::new(config).and_then(|hub| hub.local());
    let models = match listed {
        Ok(models) => models,
        Err(error @ HubError::InvalidConfig(_)) => {
            return vec![failed("configuration", error.to_string())];
        }
        Err(error) => return vec![failed("models", error.to_string())],
    };
    let complete = models.iter().filter(|model| model.complete).count();
    let size_bytes = models.iter().map(|model| model.size_bytes).sum();
    let mut checks = vec![ok(
        "models",
        format!(
            "{complete} ready to run; {} on disk",
            DecimalBytes(size_bytes)
        ),
    )];
    checks.extend(models.iter().filter(|model| !model.complete).map(|model| {
        warning(
            "models",
            format!(
                "{} is missing {}: run `mlxm pull {0}` or `mlxm rm {0}`",
                model.name,
                model.missing_files.join(", ")
            ),
        )
    }));
    checks
}
