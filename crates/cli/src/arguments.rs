//! The command-line parser: global options and the list of commands.

use anstream::ColorChoice;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use mlxm_engine::{ActivationDtype, DeviceChoice, KvCacheDtype};

use crate::commands::Command;
use crate::output::{Format, Output};
use crate::units;

const EXAMPLES: &str = "\
Examples:
  mlxm search smollm                         search the Hugging Face Hub
  mlxm pull mlx-community/SmolLM2-135M-Instruct
  mlxm run SmolLM2 \"What is the capital of France?\"
  mlxm run SmolLM2                           interactive chat
  mlxm serve                                 all local models over HTTP
  mlxm ps                                    running models
  git diff | mlxm run SmolLM2 \"Write a commit message for this change.\"

MODEL is a directory, a repository ID (owner/name), or a unique part of the name of a local model.

Environment variables: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, MLXM_HOME, MLXM_HOST, MLXM_API_KEY, NO_COLOR.
Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.";

/// Find, download, convert, run and serve MLX-format language models locally.
#[derive(Debug, Parser)]
#[command(name = "mlxm", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: GlobalArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Options accepted by every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// Print output as JSON
    #[arg(long, global = true, conflicts_with = "quiet")]
    pub json: bool,

    /// Print only the bare result and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// When to use color in output; auto uses color on a terminal unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Colors,

    /// Number of threads for the CPU backend [default: number of physical cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Device to run the model on [default: auto]
    #[arg(long, global = true, value_parser = device_parser())]
    pub device: Option<DeviceChoice>,

    /// Data type of the activations multiplied with quantized weights [default: int8]
    #[arg(
        long,
        global = true,
        value_name = "DTYPE",
        alias = "precision",
        value_parser = activation_dtype_parser()
    )]
    pub activation_dtype: Option<ActivationDtype>,

    /// Data type of the KV cache [default: f32 with --activation-dtype f32, otherwise f16]
    #[arg(
        long,
        global = true,
        value_name = "DTYPE",
        alias = "kv-type",
        value_parser = kv_cache_dtype_parser()
    )]
    pub kv_cache_dtype: Option<KvCacheDtype>,

    /// Memory limit for the model, such as 12GB [default: 80% of physical memory]
    #[arg(long, global = true, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub memory: Option<u64>,
}

impl GlobalArguments {
    /// The output configured by these options.
    pub fn output(&self) -> Output {
        let format = match (self.json, self.quiet) {
            (true, _) => Format::Json,
            (_, true) => Format::Quiet,
            _ => Format::Human,
        };
        Output::new(format, self.color.into())
    }

    /// Names of the given options that apply only to models loaded in this process.
    pub fn local_model_options(&self) -> Vec<&'static str> {
        [
            (self.threads.is_some(), "--threads"),
            (self.device.is_some(), "--device"),
            (self.activation_dtype.is_some(), "--activation-dtype"),
            (self.kv_cache_dtype.is_some(), "--kv-cache-dtype"),
            (self.memory.is_some(), "--memory"),
        ]
        .into_iter()
        .filter_map(|(given, name)| given.then_some(name))
        .collect()
    }
}

/// When to use color.
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

fn activation_dtype_parser() -> impl TypedValueParser<Value = ActivationDtype> {
    PossibleValuesParser::new([
        PossibleValue::new("int8"),
        PossibleValue::new("f32").alias("exact"),
    ])
    .try_map(|name| name.parse::<ActivationDtype>())
}

fn device_parser() -> impl TypedValueParser<Value = DeviceChoice> {
    PossibleValuesParser::new(["auto", "cpu", "metal"]).try_map(|name| name.parse::<DeviceChoice>())
}

fn kv_cache_dtype_parser() -> impl TypedValueParser<Value = KvCacheDtype> {
    PossibleValuesParser::new(["f32", "f16", "int8"]).try_map(|name| name.parse::<KvCacheDtype>())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Arguments;

    fn parse(line: &str) -> Arguments {
        let words = std::iter::once("mlxm").chain(line.split(' '));
        Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn long_help(command_name: &str) -> String {
        let mut command = Arguments::command();
        command.build();
        let command = command.find_subcommand_mut(command_name).unwrap();
        command.render_long_help().to_string()
    }

    #[test]
    fn former_option_names_are_hidden_aliases() {
        for (command, former, current) in [
            ("run m", "--context 8", "--context-length 8"),
            ("show m", "--context 8", "--context-length 8"),
            ("serve -m m", "--context 8", "--context-length 8"),
            ("perplexity m f", "--context 8", "--context-length 8"),
            ("list", "--precision exact", "--activation-dtype f32"),
            ("list", "--precision int8", "--activation-dtype int8"),
            ("list", "--activation-dtype exact", "--activation-dtype f32"),
            ("list", "--kv-type f16", "--kv-cache-dtype f16"),
            (
                "serve -m m",
                "--tool-parser none",
                "--tool-call-parser none",
            ),
            (
                "serve -m m",
                "--keep-client-nonces",
                "--keep-billing-header",
            ),
            ("serve -m m", "--max-waiting 8", "--max-queued-requests 8"),
            ("serve -m m", "--drain-timeout 8", "--shutdown-timeout 8"),
        ] {
            assert_eq!(
                format!("{:?}", parse(&format!("{command} {former}"))),
                format!("{:?}", parse(&format!("{command} {current}")))
            );
            let help = long_help(command.split(' ').next().unwrap());
            let shown: Vec<&str> = help.split([' ', ',', '\n', '[', ']']).collect();
            let option = |text: &'static str| text.split(' ').next().unwrap();
            assert!(shown.contains(&option(current)), "{help}");
            assert!(
                option(former) == option(current) || !shown.contains(&option(former)),
                "{help}"
            );
            assert!(!shown.contains(&"exact"), "{help}");
        }
    }

    #[test]
    fn command_definition_is_valid() {
        Arguments::command().debug_assert();
    }
}
