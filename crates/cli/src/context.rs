//! State shared by every command: global options, output, and model loading.

use std::path::{Path, PathBuf};
use std::sync::Once;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxm_api::wire::profiles::LoadSettings;
use mlxm_engine::{
    CancelToken, ComputeDevice, DeviceChoice, Engine, LoadError, LoadOptions, LoadProgress,
    MachineMemory,
};

use crate::arguments::GlobalArguments;
use crate::failure::Failure;
use crate::output::Output;

/// Global options and output of a command.
#[derive(Debug)]
pub struct Context {
    /// Output of the command.
    pub output: Output,
    global: GlobalArguments,
}

impl Context {
    /// Creates the context for these options.
    pub fn new(global: GlobalArguments, output: Output) -> Self {
        Self { output, global }
    }

    /// Loads a model. If it runs on the CPU although there should be a GPU, notes the reason once.
    pub fn load(&self, model: &Path, options: &LoadOptions) -> Result<Engine, LoadError> {
        self.load_with_progress(model, options, &CancelToken::default(), &|_| {})
    }

    /// As [`load`](Self::load), but can be cancelled and calls `progress` while it loads.
    pub fn load_with_progress(
        &self,
        model: &Path,
        options: &LoadOptions,
        cancel: &CancelToken,
        progress: &dyn Fn(LoadProgress),
    ) -> Result<Engine, LoadError> {
        static NOTED: Once = Once::new();
        let engine = Engine::load_with_progress(model, options, cancel, progress)?;
        if let ComputeDevice::Cpu {
            fallback: Some(reason),
        } = engine.device()
        {
            let note = format!("running on the CPU: {reason}");
            NOTED.call_once(|| self.output.note(&note));
        }
        Ok(engine)
    }

    /// Prints a warning from the server once; servers repeat it with every response.
    pub fn warn_from_server(&self, warning: &str) {
        static NOTED: Once = Once::new();
        NOTED.call_once(|| self.output.warn(&format!("server warning: {warning}")));
    }

    /// Load options from the global options, with the default context length.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            device: self.device(),
            activation_dtype: self.global.activation_dtype.unwrap_or_default(),
            kv_cache_dtype: self.global.kv_cache_dtype,
            threads: self.global.threads.map(usize::from),
            memory_bytes: self.memory_budget_bytes(),
            ..LoadOptions::default()
        }
    }

    /// The global options that the gateway can load a model with; an error for others.
    pub fn load_settings(&self) -> Result<LoadSettings, Failure> {
        let global = &self.global;
        for (given, name, instead) in [
            (
                global.threads.is_some(),
                "--threads",
                "the gateway divides the CPU cores among its models",
            ),
            (
                global.memory.is_some(),
                "--memory",
                "`mlxm config set pool.memory_budget_bytes BYTES` sets the memory for all models",
            ),
        ] {
            if given {
                let message = format!("{name} cannot be used with the gateway: {instead}");
                return Err(Failure::Usage(message));
            }
        }
        Ok(LoadSettings {
            device: global.device.map(|device| device.to_string()),
            activation_dtype: global.activation_dtype.map(|dtype| dtype.to_string()),
            kv_cache_dtype: global.kv_cache_dtype.map(|dtype| dtype.to_string()),
            ..LoadSettings::default()
        })
    }

    /// The memory limit that was given as an option.
    pub fn memory_option(&self) -> Option<u64> {
        self.global.memory
    }

    /// Names of the given options that apply to the load of one model, without its memory limit.
    pub fn given_load_options(&self) -> Vec<&'static str> {
        let mut given = self.global.local_model_options();
        given.retain(|name| *name != "--memory");
        given
    }

    /// Memory limit for a model.
    pub fn memory_budget_bytes(&self) -> Option<u64> {
        self.global
            .memory
            .or_else(|| MachineMemory::read().map(MachineMemory::model_budget_bytes))
    }

    /// The selected device.
    pub fn device(&self) -> DeviceChoice {
        self.global.device.unwrap_or_default()
    }

    /// Names of the given options that apply only to models loaded in this process. `own` lists the command's own such options
    /// and whether each was given.
    pub fn local_options(&self, own: &[(bool, &'static str)]) -> Vec<&'static str> {
        let own = own
            .iter()
            .filter_map(|(given, name)| given.then_some(*name));
        own.chain(self.global.local_model_options()).collect()
    }

    /// Returns a usage error if options that apply only to local models were given with `--url`; `own` as in
    /// [`local_options`](Self::local_options).
    pub fn reject_local_options(&self, own: &[(bool, &'static str)]) -> Result<(), Failure> {
        let given = self.local_options(own);
        if given.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} cannot be used with --url: model loading options are set on the server",
            given.join(", ")
        )))
    }

    /// A progress bar of bytes on stderr, hidden if stderr is not a terminal.
    pub fn byte_progress(&self, message: &str) -> ProgressBar {
        const TEMPLATE: &str = "{msg} {wide_bar} {decimal_bytes:>9}/{decimal_total_bytes:<9}";
        self.styled_progress(message.to_owned(), 0, TEMPLATE)
    }

    /// A progress bar on stderr, hidden if stderr is not a terminal.
    pub fn progress(&self, message: &'static str, steps: u64) -> ProgressBar {
        self.styled_progress(
            message.to_owned(),
            steps,
            "{msg} {wide_bar} {pos}/{len} {eta}",
        )
    }

    fn styled_progress(&self, message: String, length: u64, template: &str) -> ProgressBar {
        let target = if self.output.draws_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_message(message);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// The data directory, which need not exist, as an absolute path.
pub fn require_home() -> anyhow::Result<PathBuf> {
    let home = home().ok_or_else(|| {
        Failure::with_hint("there is no home directory", "set MLXM_HOME to a directory")
    })?;
    Ok(std::path::absolute(home)?)
}

/// The data directory: `$MLXM_HOME`, otherwise `~/.mlxm`.
pub fn home() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("MLXM_HOME").or_else(|| set("HOME").map(|home| home.join(".mlxm")))
}
