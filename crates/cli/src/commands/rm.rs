//! `mlxm rm`: remove a local model.

use clap::Args;
use indicatif::DecimalBytes;
use serde::Serialize;

use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::locate;
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
Examples:
  mlxm rm SmolLM2                       asks for confirmation
  mlxm rm mlx-community/SmolLM2-135M-Instruct --yes
  mlxm rm owner/name --revision v1.0    only that revision";

/// Remove a local model
#[derive(Debug, Args)]
#[command(visible_alias = "delete", after_help = EXAMPLES)]
pub struct Rm {
    /// Model name, or a unique part of it
    #[arg(add = complete::models())]
    model: String,

    /// Remove only this branch, tag or commit hash of a downloaded model
    #[arg(long)]
    revision: Option<String>,

    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Removal {
    name: String,
    commits: Vec<String>,
    bytes_freed: u64,
}

impl Report for Removal {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(format!(
            "removed {}: {} freed",
            self.name,
            DecimalBytes(self.bytes_freed)
        ))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl Rm {
    /// Removes the model.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let hub = locate::hub()?;
        let model = hub.find(&self.model)?;
        let what = match &self.revision {
            Some(revision) => format!("revision {revision} of {}", model.name),
            None => format!("{} ({})", model.name, DecimalBytes(model.size_bytes)),
        };
        if !self.yes && !locate::confirm(&format!("Remove {what}?"))? {
            context.output.note("nothing removed");
            return Err(Failure::Reported.into());
        }
        let removed = hub.remove(&model.name, self.revision.as_deref())?;
        context.output.report(&Removal {
            name: removed.name,
            commits: removed.commits,
            bytes_freed: removed.bytes_freed,
        })?;
        Ok(())
    }
}
