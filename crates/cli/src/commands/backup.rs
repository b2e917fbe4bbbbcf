//! `mlxm backup`: copy the gateway's database.

use std::path::PathBuf;

use clap::Args;
use indicatif::DecimalBytes;
use jiff::Zoned;
use mlxm_store::backup;
use serde::Serialize;

use crate::context::Context;
use crate::database::{self, Database};
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
The gateway may be running. The file contains profiles, settings and the log of requests, but not the keys of encrypted \
settings (secret.key) and no models.

Examples:
  mlxm backup
  mlxm backup /Volumes/Backup/mlxm.db";

/// Copy the gateway's database to a file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// File to write; it must not exist [default: mlxm-DATE.db in the current directory]
    file: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Written {
    path: PathBuf,
    size_bytes: u64,
}

impl Report for Written {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(format!(
            "{} ({}); it does not contain secret.key, without which encrypted settings must be entered again",
            self.path.display(),
            DecimalBytes(self.size_bytes)
        ))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}

impl Backup {
    /// Writes the backup.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let database = Database::from_environment()?;
        let file = self.file.unwrap_or_else(|| {
            let now = Zoned::now().strftime("%Y-%m-%d-%H%M%S").to_string();
            PathBuf::from(format!("mlxm-{now}.db"))
        });
        let written = database::block_on(backup::backup(&database.location, &file))?;
        context.output.report(&Written {
            path: written.path,
            size_bytes: written.size_bytes,
        })?;
        Ok(())
    }
}
