//! `mlxm completion`: generate shell completions.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  mlxm completion zsh > ~/.zfunc/_mlxm       (with fpath+=~/.zfunc in .zshrc)
  mlxm completion bash > ~/.local/share/bash-completion/completions/mlxm
  mlxm completion fish > ~/.config/fish/completions/mlxm.fish";

/// Generate a shell completion script
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completion {
    /// Shell to generate the completion script for
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "mlxm", &mut script);
        context.output.bytes(&script)?;
        Ok(())
    }
}
