//! `mlxm list`: list local models.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use indicatif::{DecimalBytes, HumanDuration};
use mlxm_engine::LoadOptions;
use mlxm_hub::{LocalModel, LocalSource};
use serde::Serialize;

use crate::context::Context;
use crate::locate;
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
Lists models in the Hugging Face cache and in the local models directory (~/.mlxm/models).

Examples:
  mlxm list
  mlxm list qwen            only names that contain qwen
  mlxm list --quiet         names only
  mlxm list --json";

/// List local models
#[derive(Debug, Args)]
#[command(visible_alias = "ls", after_help = EXAMPLES)]
pub struct List {
    /// Part of a model name
    name: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Models(Vec<Entry>);

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    source: LocalSource,
    path: Option<PathBuf>,
    size_bytes: u64,
    complete: bool,
    missing_files: Vec<String>,
    architecture: Option<String>,
    quantization: Option<String>,
    context_length: Option<usize>,
    /// Why the model cannot be loaded, if it cannot.
    problem: Option<String>,
    modified_unix_seconds: u64,
    #[serde(skip)]
    modified: SystemTime,
}

impl Entry {
    fn of(model: LocalModel) -> Self {
        let mut entry = Self {
            modified_unix_seconds: model
                .last_modified
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            modified: model.last_modified,
            name: model.name,
            source: model.source,
            path: model.path,
            size_bytes: model.size_bytes,
            complete: model.complete,
            missing_files: model.missing_files,
            architecture: None,
            quantization: None,
            context_length: None,
            problem: None,
        };
        match entry.path.as_deref().filter(|_| entry.complete) {
            Some(path) => match mlxm_engine::inspect(path, &LoadOptions::default()) {
                Ok((info, _)) => {
                    entry.quantization = Some(super::show::quantization(&info));
                    entry.context_length = info.max_position_embeddings;
                    entry.architecture = Some(info.model_type);
                }
                Err(error) => entry.problem = Some(error.to_string()),
            },
            None => {
                entry.problem = Some(format!(
                    "incomplete: missing {}",
                    entry.missing_files.join(", ")
                ));
            }
        }
        entry
    }
}

impl Report for Models {
    fn sections(&self) -> Vec<Section> {
        if self.0.is_empty() {
            return vec![Section::sentence(
                "no local models; find one with `mlxm search` and download it with `mlxm pull`",
            )];
        }
        let mut table = Section::table(&[
            "name",
            "size",
            "quantization",
            "architecture",
            "context",
            "modified",
        ])
        .right_aligned(&[1, 4]);
        for model in &self.0 {
            let age = model.modified.elapsed().unwrap_or_default();
            let cell = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            let architecture = match (&model.architecture, model.complete) {
                (Some(architecture), _) => architecture.clone(),
                (None, false) => "(incomplete)".to_owned(),
                (None, true) => "(unsupported)".to_owned(),
            };
            table.row([
                model.name.clone(),
                DecimalBytes(model.size_bytes).to_string(),
                cell(&model.quantization),
                architecture,
                cell(&model.context_length.map(|length| length.to_string())),
                format!("{} ago", HumanDuration(age)),
            ]);
        }
        if self.0.iter().any(|model| !model.complete) {
            table = table.note("\nresume an incomplete download with `mlxm pull NAME`, or remove it with `mlxm rm NAME`");
        } else if self.0.iter().any(|model| model.problem.is_some()) {
            table = table.note("\nrun `mlxm show NAME` to see why a model is unsupported");
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0.iter().map(|model| model.name.clone()).collect()
    }
}

impl List {
    /// Prints the models.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let wanted = self.name.unwrap_or_default().to_lowercase();
        let models = locate::hub()?
            .local()?
            .into_iter()
            .filter(|model| model.name.to_lowercase().contains(&wanted))
            .map(Entry::of)
            .collect();
        context.output.report(&Models(models))?;
        Ok(())
    }
}
