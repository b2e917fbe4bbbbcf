//! Checks of the machine and of the configuration.

use std::fs;
use std::path::Path;

use mlxm_gateway::ServerState;
use mlxm_hub::HubConfig;
use mlxm_store::settings;

use crate::gateway::problem::ApiProblem;
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::system::{Check, CheckStatus, Doctor, SystemMemory};

/// Below this, most models cannot be downloaded.
const MIN_FREE_DISK_BYTES: u64 = 5_000_000_000;
/// Below this, only small models can be loaded.
const MIN_BUDGET_BYTES: u64 = 4_000_000_000;

/// All checks, with whether one failed.
pub fn summary(checks: Vec<Check>) -> Doctor {
    Doctor {
        healthy: checks
            .iter()
            .all(|check| check.status != CheckStatus::Failed),
        checks,
    }
}

fn ok(name: &str, finding: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        status: CheckStatus::Ok,
        finding: finding.into(),
        advice: None,
    }
}

fn warning(name: &str, finding: impl Into<String>, advice: &str) -> Check {
    Check {
        status: CheckStatus::Warning,
        advice: Some(advice.to_owned()),
        ..ok(name, finding)
    }
}

fn failed(name: &str, finding: impl Into<String>, advice: &str) -> Check {
    Check {
        status: CheckStatus::Failed,
        ..warning(name, finding, advice)
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Whether the budget is enough for models, and its use.
pub fn memory(memory: &SystemMemory) -> Check {
    let budget = gigabytes(memory.budget_bytes);
    let finding = format!(
        "{} of {budget} are planned for models",
        gigabytes(memory.used_bytes)
    );
    if memory.budget_bytes < MIN_BUDGET_BYTES {
        let advice = "only small models can be loaded: see the setting pool.memory_budget_bytes and the limits of the container";
        return warning("memory", finding, advice);
    }
    let free = memory.budget_bytes.saturating_sub(memory.used_bytes);
    match memory.available_bytes {
        Some(available) if available < free => {
            let finding = format!(
                "{finding}, but only {} of the memory are available",
                gigabytes(available)
            );
            warning(
                "memory",
                finding,
                "close other programs, or lower the setting pool.memory_budget_bytes",
            )
        }
        _ => ok("memory", finding),
    }
}

/// Whether the database can be read.
pub async fn database(state: &GatewayState) -> Check {
    match settings::list(state.store()).await {
        Ok(_) => ok("database", "it can be read"),
        Err(error) => failed(
            "database",
            error.to_string(),
            "check its file or server, and the disk space",
        ),
    }
}

/// Servers that do not respond.
///
/// # Errors
/// If the pool has exited.
pub async fn servers(state: &GatewayState) -> Result<Vec<Check>, ApiProblem> {
    let servers = state.pool().servers().await?.servers;
    let unhealthy = servers
        .iter()
        .filter(|server| server.record.state == ServerState::Unhealthy);
    let checks: Vec<Check> = unhealthy
        .map(|server| {
            let name = &server.record.name;
            let detail = server
                .record
                .detail
                .as_deref()
                .unwrap_or("it does not respond");
            let advice = "see its log (`mlxm logs`), or restart it";
            failed("server", format!("{name}: {detail}"), advice)
        })
        .collect();
    if checks.is_empty() {
        let finding = format!("{} running, and all respond", servers.len());
        return Ok(vec![ok("server", finding)]);
    }
    Ok(checks)
}

/// Profiles on whose port the gateway cannot listen.
pub fn profile_ports(state: &GatewayState) -> Vec<Check> {
    let failures = state.monitor().port_failures().into_values();
    failures
        .map(|failure| {
            let advice =
                "change the port of the profile (`mlxm profile edit`), or stop the other program";
            failed("profile_port", failure.to_string(), advice)
        })
        .collect()
}

/// Directories, disk space, the hub's configuration, and incomplete models.
pub fn files(config: &HubConfig, snapshot: &Snapshot) -> Vec<Check> {
    let mut checks = vec![
        directory("model_cache", &config.cache_dir),
        directory("local_models", &config.models_dir),
        disk_space(config),
        hub(config),
    ];
    let incomplete: Vec<&str> = snapshot
        .models
        .iter()
        .filter(|model| !model.complete)
        .map(|model| model.name.as_str())
        .collect();
    checks.push(if incomplete.is_empty() {
        ok("models", format!("{} complete", snapshot.models.len()))
    } else {
        let finding = format!("incomplete: {}", incomplete.join(", "));
        warning(
            "models",
            finding,
            "download them again with `mlxm pull`, or remove them with `mlxm rm`",
        )
    });
    checks
}

fn directory(name: &str, path: &Path) -> Check {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => failed(
            name,
            format!("{shown} is not a directory"),
            "rename the file, or choose another directory",
        ),
        Ok(metadata) if metadata.permissions().readonly() => failed(
            name,
            format!("{shown} is not writable"),
            "change its permissions, or choose another directory",
        ),
        Ok(_) => ok(name, shown.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ok(name, format!("{shown} is created when it is needed"))
        }
        Err(error) => failed(
            name,
            format!("{shown}: {error}"),
            "change its permissions, or choose another directory",
        ),
    }
}

/// Of the nearest directory that exists.
fn disk_space(config: &HubConfig) -> Check {
    let mut existing = config.cache_dir.ancestors().filter(|path| path.is_dir());
    let path = existing.next().unwrap_or(Path::new("/"));
    match config.disk.available_bytes(path) {
        Ok(bytes) if bytes < MIN_FREE_DISK_BYTES => {
            let finding = format!("{} free at {}", gigabytes(bytes), path.display());
            warning(
                "disk_space",
                finding,
                "remove models with `mlxm rm`, or choose another directory with HF_HUB_CACHE",
            )
        }
        Ok(bytes) => ok(
            "disk_space",
            format!("{} free at {}", gigabytes(bytes), path.display()),
        ),
        Err(error) => warning(
            "disk_space",
            format!("{}: {error}", path.display()),
            "check the disk",
        ),
    }
}

fn hub(config: &HubConfig) -> Check {
    if config.offline {
        let advice = "models cannot be searched or downloaded: unset HF_HUB_OFFLINE";
        return warning("hub", "offline mode is on", advice);
    }
    let token = match &config.token {
        Some(token) => format!("with {}", token.source()),
        None => "without a token: private and gated models are not available".to_owned(),
    };
    ok("hub", token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_compared_with_what_is_available() {
        let status = |budget_bytes, used_bytes, available_bytes| {
            let memory_of = SystemMemory {
                budget_bytes,
                used_bytes,
                available_bytes,
                ..SystemMemory::default()
            };
            memory(&memory_of).status
        };
        assert_eq!(status(8 << 30, 0, Some(8 << 30)), CheckStatus::Ok);
        assert_eq!(status(8 << 30, 7 << 30, Some(2 << 30)), CheckStatus::Ok);
        assert_eq!(status(8 << 30, 0, Some(2 << 30)), CheckStatus::Warning);
        assert_eq!(status(1 << 30, 0, None), CheckStatus::Warning);
    }

    #[test]
    fn files_in_place_of_directories_are_failures() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let config = HubConfig::new(file, folder.path().join("missing"));
        let checks = files(&config, &Snapshot::default());
        let status = |name: &str| {
            let mut checks = checks.iter();
            checks.find(|check| check.name == name).unwrap().status
        };
        assert_eq!(status("model_cache"), CheckStatus::Failed);
        assert_eq!(status("local_models"), CheckStatus::Ok);
        assert_eq!(status("models"), CheckStatus::Ok);
        assert!(!summary(checks.clone()).healthy);
    }
}
