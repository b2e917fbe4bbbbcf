//! The command line: options every command takes, and the list of commands.

use anstream::ColorChoice;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use mlxm_engine::{ActivationDtype, DeviceChoice, KvCacheDtype};

use crate::commands::Command;
use crate::output::{Format, Output};
use crate::units;

const EXAMPLES: &str = "\
Examples:
  mlxm search smollm                         find models on the hub
  mlxm pull mlx-community/SmolLM2-135M-Instruct
  mlxm run SmolLM2 \"What is the capital of France?\"
  mlxm run SmolLM2                           chat
  git diff | mlxm run SmolLM2 \"Write a commit message for this change.\"

MODEL is a folder, a repository name (owner/name), or a unique part of the name of a model that is here.

Environment: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, MLXM_HOME, NO_COLOR.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

/// Find, download, convert and run MLX-format language models on your own machine.
#[derive(Debug, Parser)]
#[command(name = "mlxm", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: GlobalArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// Print the result as JSON
    #[arg(long, global = true, conflicts_with = "quiet")]
    pub json: bool,

    /// Print nothing but the bare result and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// When to use colours; auto is on a terminal unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Colors,

    /// Threads of the CPU backend [default: the physical cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Where the model runs [default: auto]
    #[arg(long, global = true, value_parser = device_parser())]
    pub device: Option<DeviceChoice>,

    /// Arithmetic of the model: int8 rounds what quantized weights are multiplied with to 8 bits, exact keeps f32
    /// [default: int8]
    #[arg(long, global = true, value_parser = precision_parser())]
    pub precision: Option<ActivationDtype>,

    /// How keys and values are stored [default: f32 with exact arithmetic, else f16]
    #[arg(long, global = true, value_name = "TYPE", value_parser = kv_type_parser())]
    pub kv_type: Option<KvCacheDtype>,

    /// Memory a model may take, such as 12GB [default: four fifths of this machine's]
    #[arg(long, global = true, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub memory: Option<u64>,
}

impl GlobalArguments {
    /// Where and how results are printed.
    pub fn output(&self) -> Output {
        let format = match (self.json, self.quiet) {
            (true, _) => Format::Json,
            (_, true) => Format::Quiet,
            _ => Format::Human,
        };
        Output::new(format, self.color.into())
    }

    /// The options given that say how a model runs in this process.
    pub fn of_local_models(&self) -> Vec<&'static str> {
        [
            (self.threads.is_some(), "--threads"),
            (self.device.is_some(), "--device"),
            (self.precision.is_some(), "--precision"),
            (self.kv_type.is_some(), "--kv-type"),
            (self.memory.is_some(), "--memory"),
        ]
        .into_iter()
        .filter_map(|(given, name)| given.then_some(name))
        .collect()
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colors {
    Auto,
    Always,
    Never,
}

impl From<Colors> for ColorChoice {
    fn from(colors: Colors) -> Self {
        match colors {
            Colors::Auto => Self::Auto,
            Colors::Always => Self::Always,
            Colors::Never => Self::Never,
        }
    }
}

fn precision_parser() -> impl TypedValueParser<Value = ActivationDtype> {
    PossibleValuesParser::new(["int8", "exact"]).try_map(|name| name.parse::<ActivationDtype>())
}

fn device_parser() -> impl TypedValueParser<Value = DeviceChoice> {
    PossibleValuesParser::new(["auto", "cpu", "metal"]).try_map(|name| name.parse::<DeviceChoice>())
}

fn kv_type_parser() -> impl TypedValueParser<Value = KvCacheDtype> {
    PossibleValuesParser::new(["f32", "f16", "int8"]).try_map(|name| name.parse::<KvCacheDtype>())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
