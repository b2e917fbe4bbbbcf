//! State shared by every command: global options, output, and model loading.

use std::path::{Path, PathBuf};
use std::sync::Once;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxm_engine::{
    CancelToken, DeviceChoice, Engine, LoadError, LoadOptions, LoadProgress, MachineMemory,
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

    /// Loads a model. On macOS, notes once that it runs on the CPU.
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
        if cfg!(target_os = "macos") && options.device == DeviceChoice::Auto {
            NOTED.call_once(|| {
                self.output
                    .note("running on the CPU: the Metal backend is not available yet");
            });
        }
        Engine::load_with_progress(model, options, cancel, progress)
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

    /// Returns a usage error if options that apply only to local models were given with `--url`. `own` lists the
    /// command's own such options and whether each was given.
    pub fn reject_local_options(&self, own: &[(bool, &'static str)]) -> Result<(), Failure> {
        let own = own
            .iter()
            .filter_map(|(given, name)| given.then_some(*name));
        let given: Vec<&str> = own.chain(self.global.local_model_options()).collect();
        if given.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} cannot be used with --url: model loading options are set on the server",
            given.join(", ")
        )))
    }

    /// A progress bar on stderr, hidden if stderr is not a terminal.
    pub fn progress(&self, message: &'static str, steps: u64) -> ProgressBar {
        let target = if self.output.draws_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(steps), target).with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar
    }
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
