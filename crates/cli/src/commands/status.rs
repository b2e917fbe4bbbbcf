//! `mlxm status`: the machine, the gateway, its models and its downloads.

use clap::Args;
use indicatif::DecimalBytes;
use mlxm_api::wire::downloads::Download;
use mlxm_api::wire::pool::PoolStatus;
use mlxm_api::wire::system::{SystemInfo, SystemMemory};
use serde::Serialize;

use super::downloads;
use super::ps::RunningModels;
use crate::context::Context;
use crate::gateway::{GatewayArguments, NOT_RUNNING};
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
Examples:
  mlxm status
  mlxm status --url http://studio.local:8080
  mlxm status --json";

/// Show the gateway, its memory, models and downloads
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Debug, Serialize)]
struct Everything {
    /// Base URL of the gateway; null if none is running.
    url: Option<String>,
    system: Option<SystemInfo>,
    memory: Option<SystemMemory>,
    pool: Option<PoolStatus>,
    downloads: Vec<Download>,
}

impl Report for Everything {
    fn sections(&self) -> Vec<Section> {
        let (Some(url), Some(system), Some(memory)) = (&self.url, &self.system, &self.memory)
        else {
            return vec![Section::sentence(format!(
                "{NOT_RUNNING}; start it with `mlxm serve`, or load a model with `mlxm start MODEL`"
            ))];
        };
        let mut sections = vec![gateway(url, system, memory)];
        sections.extend(RunningModels(self.pool.clone()).sections());
        if !self.downloads.is_empty() {
            sections.push(downloads::table(&self.downloads));
        }
        sections
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.url.iter().cloned().collect()
    }
}

fn gateway(url: &str, system: &SystemInfo, memory: &SystemMemory) -> Section {
    let mut section = Section::properties("Gateway");
    section.property("address", url);
    section.property("version", &system.version);
    section.property(
        "process",
        format!(
            "{}, started {}",
            system.pid,
            units::ago(system.started_at_ms)
        ),
    );
    section.property("database", &system.database);
    let os = match &system.os_version {
        Some(version) => format!("{} {version}", system.os),
        None => system.os.clone(),
    };
    section.property(
        "machine",
        format!("{}, {os}, {}", system.host, system.architecture),
    );
    if let Some(chip) = &system.chip {
        section.property("chip", chip);
    }
    section.property(
        "CPUs",
        format!("{} of {} usable", system.usable_cpus, system.cpus),
    );
    section.property("devices", system.devices.join(", "));
    if let Some(available) = memory.available_bytes {
        section.property("available memory", DecimalBytes(available));
    }
    section
}

impl Status {
    /// Prints the state.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let everything = match self.gateway.find()? {
            None => Everything {
                url: None,
                system: None,
                memory: None,
                pool: None,
                downloads: Vec::new(),
            },
            Some(gateway) => Everything {
                url: Some(gateway.url()),
                system: Some(gateway.system()?),
                memory: Some(gateway.memory()?),
                pool: Some(gateway.pool()?),
                downloads: downloads::unfinished(gateway.downloads()?),
            },
        };
        context.output.report(&everything)?;
        Ok(())
    }
}
