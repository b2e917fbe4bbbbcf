//! What every command gets: the global options, the output, the hub, and how models are loaded.

use std::path::{Path, PathBuf};
use std::sync::Once;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mlxm_engine::{DeviceChoice, Engine, LoadError, LoadOptions};

use crate::arguments::GlobalArguments;
use crate::failure::Failure;
use crate::machine::Memory;
use crate::output::Output;

/// The surroundings of a command.
#[derive(Debug)]
pub struct Context {
    /// Where results go.
    pub output: Output,
    global: GlobalArguments,
}

impl Context {
    /// The surroundings these options describe.
    pub fn new(global: GlobalArguments, output: Output) -> Self {
        Self { output, global }
    }

    /// Loads a model; says once where it runs if that is not what one would expect of this machine.
    pub fn load(&self, model: &Path, options: &LoadOptions) -> Result<Engine, LoadError> {
        static TOLD: Once = Once::new();
        if cfg!(target_os = "macos") && options.device == DeviceChoice::Auto {
            TOLD.call_once(|| {
                self.output
                    .note("running on the CPU: this version has no Metal kernels yet");
            });
        }
        Engine::load(model, options)
    }

    /// Passes on what a server warns of, once: it warns with every answer.
    pub fn warn_of_server(&self, warning: &str) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| self.output.warn(&format!("the server says: {warning}")));
    }

    /// How models are loaded under these options; the context is the default one.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            device: self.device(),
            activation_dtype: self.global.precision.unwrap_or_default(),
            kv_cache_dtype: self.global.kv_type,
            threads: self.global.threads.map(usize::from),
            memory_bytes: self.memory_budget_bytes(),
            ..LoadOptions::default()
        }
    }

    /// Memory a model may take.
    pub fn memory_budget_bytes(&self) -> Option<u64> {
        self.global
            .memory
            .or_else(|| Memory::read().map(Memory::model_budget_bytes))
    }

    /// The device that was asked for.
    pub fn device(&self) -> DeviceChoice {
        self.global.device.unwrap_or_default()
    }

    /// Refuses options of this command and of all commands that say how a model runs here: with `--url` it runs in a
    /// server. `own` holds those of the command and whether they were given.
    pub fn refuse_local_options(&self, own: &[(bool, &'static str)]) -> Result<(), Failure> {
        let own = own
            .iter()
            .filter_map(|(given, name)| given.then_some(*name));
        let given: Vec<&str> = own.chain(self.global.of_local_models()).collect();
        if given.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{} cannot be used with --url: the server has loaded its model in its own way",
            given.join(", ")
        )))
    }

    /// A bar on stderr for `steps` steps; invisible where bars are not drawn.
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

/// Where this program keeps what is its own: `$MLXM_HOME`, else `~/.mlxm`.
pub fn home() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("MLXM_HOME").or_else(|| set("HOME").map(|home| home.join(".mlxm")))
}
