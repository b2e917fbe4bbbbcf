//! `mlxm secrets`: the keys of encrypted settings.

use clap::{Args, Subcommand};
use mlxm_store::{OpenOptions, Store, secrets};
use serde::Serialize;

use crate::context::Context;
use crate::database::{self, Database};
use crate::failure::Failure;
use crate::output::{Report, Section};
use crate::units;

const EXAMPLES: &str = "\
The gateway must not be running.

Examples:
  mlxm secrets rotate";

/// Manage the keys of encrypted settings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Secrets {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new key, encrypt all secrets with it, and delete the old ones
    Rotate,
}

#[derive(Debug, Serialize)]
struct Rotated {
    /// Secrets that are encrypted with the new key.
    encrypted: u64,
    /// Places of secrets that could not be decrypted.
    unreadable: Vec<String>,
}

impl Report for Rotated {
    fn sections(&self) -> Vec<Section> {
        let mut lines = vec![format!(
            "the key was replaced; {} encrypted with it",
            match self.encrypted {
                1 => "1 secret is".to_owned(),
                count => format!("{} are", units::plural(count, "secret")),
            }
        )];
        let unreadable = self.unreadable.iter();
        lines.extend(
            unreadable.map(|place| format!("{place} could not be decrypted: enter it again")),
        );
        vec![Section::sentence(lines.join("\n"))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.unreadable.clone()
    }
}

impl Secrets {
    /// Executes the action.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Action::Rotate = self.action;
        let database = Database::from_environment()?;
        let mut options = OpenOptions::new(database.location, &database.home);
        "`mlxm secrets rotate`".clone_into(&mut options.description);
        let rotated = database::block_on(async {
            let store = Store::open(&options).await?;
            let rotated = secrets::rotate(&store).await;
            store.close().await;
            rotated
        })?;
        let rotated = Rotated {
            encrypted: rotated.encrypted,
            unreadable: rotated.unreadable,
        };
        context.output.report(&rotated)?;
        if rotated.unreadable.is_empty() {
            Ok(())
        } else {
            Err(Failure::Reported.into())
        }
    }
}
