//! `mlxm restore`: replace the gateway's database with a backup.

use std::path::PathBuf;

use clap::Args;
use mlxm_store::restore;
use serde::Serialize;

use crate::context::Context;
use crate::database::{self, Database};
use crate::failure::Failure;
use crate::locate;
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
The gateway must not be running. The backup is checked first, and the replaced database is kept.

Examples:
  mlxm restore mlxm-2026-01-31-120000.db
  mlxm restore mlxm.db --yes";

/// Replace the gateway's database with a backup
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Restore {
    /// File that `mlxm backup` wrote
    file: PathBuf,

    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Replaced {
    path: PathBuf,
    /// Where the replaced database is now.
    replaced: Option<PathBuf>,
}

impl Report for Replaced {
    fn sections(&self) -> Vec<Section> {
        let mut text = format!("{} was restored", self.path.display());
        if let Some(replaced) = &self.replaced {
            text = format!("{text}; the replaced database is {}", replaced.display());
        }
        vec![Section::sentence(text)]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}

impl Restore {
    /// Replaces the database.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let database = Database::from_environment()?;
        let question = format!(
            "Replace {} with {}?",
            database.location,
            self.file.display()
        );
        if !self.yes && !locate::confirm(&question)? {
            context.output.note("nothing restored");
            return Err(Failure::Reported.into());
        }
        let restored = database::block_on(restore::restore(&database.location, &self.file))?;
        context.output.report(&Replaced {
            path: restored.path,
            replaced: restored.replaced,
        })?;
        Ok(())
    }
}
