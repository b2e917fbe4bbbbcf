//! `mlxm completion`: print the script that makes a shell complete commands and names.

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::context::Context;

/// The variable with which the script asks the program for candidates.
pub const VARIABLE: &str = "COMPLETE";

const EXAMPLES: &str = "\
Completes commands, options, local models, profiles, running models and settings. The script calls mlxm, which must be \
in PATH; load it again after an update.

Examples:
  echo 'source <(mlxm completion bash)' >> ~/.bashrc
  echo 'source <(mlxm completion zsh)' >> ~/.zshrc
  echo 'mlxm completion fish | source' >> ~/.config/fish/completions/mlxm.fish";

/// Print a shell completion script
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completion {
    /// Shell to print the completion script for
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let shells = Shells::builtins();
        let completer = shells
            .completer(&self.shell.to_string())
            .with_context(|| format!("there is no completion for {}", self.shell))?;
        let mut script = Vec::new();
        completer.write_registration(VARIABLE, "mlxm", "mlxm", "mlxm", &mut script)?;
        context.output.bytes(&script)?;
        Ok(())
    }
}
