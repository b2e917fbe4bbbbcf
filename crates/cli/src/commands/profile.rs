//! `mlxm profile`: saved configurations of models.

mod editor;
mod text;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use mlxm_api::wire::profiles::{
    ImportRequest, Profile as WireProfile, ProfileConfig, ProfileFormat,
};
use serde::Serialize;

use self::text::{Assignment, Format};
use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{self, Gateway, GatewayArguments};
use crate::locate;
use crate::output::{Format as OutputFormat, Report, Section};
use crate::units;

const EXAMPLES: &str = "\
A profile is a model with its settings; requests use its name like that of a model. `load.` settings define the process \
that is started, `request.` settings are defaults of requests. `mlxm profile show NAME` prints all that are set.

Examples:
  mlxm profile new coding --model Qwen3-4B --set load.context_length=32768
  mlxm profile edit coding                          opens $VISUAL or $EDITOR
  mlxm profile edit coding --set request.top_p=0.9  without an editor
  mlxm profile export coding > coding.toml
  mlxm profile import Modelfile --name assistant    from Ollama";

/// List and edit profiles: models with their settings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Profile {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List profiles
    #[command(visible_alias = "ls")]
    List,
    /// Show the settings of a profile
    Show {
        /// Profile
        #[arg(add = complete::profiles())]
        name: String,
    },
    /// Create a profile
    #[command(visible_alias = "create")]
    New {
        /// Unique name
        name: String,
        /// Local model, or a unique part of its name
        #[arg(long, short, add = complete::models())]
        model: String,
        /// Setting, such as load.context_length=32768; can be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<Assignment>,
        /// Open an editor before it is saved
        #[arg(long)]
        edit: bool,
    },
    /// Change a profile in an editor, or with --set and --unset
    Edit {
        /// Profile
        #[arg(add = complete::profiles())]
        name: String,
        /// Setting, such as load.context_length=32768; can be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<Assignment>,
        /// Setting to reset to its default; can be repeated
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// Format of the text in the editor
        #[arg(long, default_value = "toml")]
        format: Format,
    },
    /// Copy a profile
    #[command(visible_alias = "cp")]
    Duplicate {
        /// Profile
        #[arg(add = complete::profiles())]
        name: String,
        /// Name of the copy [default: NAME copy]
        new_name: Option<String>,
    },
    /// Delete a profile
    #[command(visible_alias = "delete")]
    Rm {
        /// Profile
        #[arg(add = complete::profiles())]
        name: String,
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
    /// Print a profile in a format for files
    Export {
        /// Profile
        #[arg(add = complete::profiles())]
        name: String,
        /// Format of the file
        #[arg(long, default_value = "toml")]
        format: Format,
        /// File to write [default: standard output]
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Create a profile from a file
    Import {
        /// File in the format of an export, or an Ollama Modelfile
        file: PathBuf,
        /// Name of the profile [default: that in the file]
        #[arg(long)]
        name: Option<String>,
        /// Format of the file [default: by its name]
        #[arg(long)]
        format: Option<Format>,
    },
}

/// The profiles, as a list in JSON.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Profiles(Vec<WireProfile>);

impl Report for Profiles {
    fn sections(&self) -> Vec<Section> {
        if self.0.is_empty() {
            return vec![Section::sentence(
                "no profiles; create one with `mlxm profile new NAME --model MODEL`",
            )];
        }
        let mut table =
            Section::table(&["name", "model", "context", "port", "expires", "description"])
                .right_aligned(&[2, 3]);
        for profile in &self.0 {
            let config = &profile.config;
            let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            let expires = match (config.is_pinned, config.ttl_seconds) {
                (true, _) => "never (pinned)".to_owned(),
                (false, None) => "-".to_owned(),
                (false, Some(..0)) => "never".to_owned(),
                (false, Some(seconds)) => units::rough_duration(seconds.unsigned_abs()),
            };
            table.row([
                config.name.clone(),
                config.model.clone(),
                or_dash(config.load.context_length.map(|length| length.to_string())),
                or_dash(config.port.map(|port| port.to_string())),
                expires,
                config.description.clone(),
            ]);
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|profile| profile.config.name.clone())
            .collect()
    }
}

/// What was done with a profile.
#[derive(Debug, Serialize)]
struct Changed {
    #[serde(skip)]
    verb: &'static str,
    #[serde(flatten)]
    profile: WireProfile,
}

impl Report for Changed {
    fn sections(&self) -> Vec<Section> {
        vec![Section::sentence(format!(
            "profile {} {}",
            self.profile.config.name, self.verb
        ))]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.profile.config.name.clone()]
    }
}

impl Profile {
    /// Executes the action.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let gateway = self.gateway.require()?;
        let (verb, profile) = match self.action {
            Action::List => {
                context.output.report(&Profiles(gateway.profiles()?))?;
                return Ok(());
            }
            Action::Show { name } => return show(context, &find(&gateway, &name)?),
            Action::Export {
                name,
                format,
                output,
            } => {
                return export(context, &gateway, &find(&gateway, &name)?, format, output);
            }
            Action::New {
                name,
                model,
                set,
                edit,
            } => {
                let config = ProfileConfig {
                    name,
                    model,
                    ..ProfileConfig::default()
                };
                let config = text::assign(&config, &set, &[])?;
                let profile = if edit {
                    editor::edit(context, &config, Format::Toml, |config| {
                        Ok(gateway.create_profile(config)?)
                    })?
                } else {
                    Some(gateway.create_profile(&config)?)
                };
                ("created", profile)
            }
            Action::Edit {
                name,
                set,
                unset,
                format,
            } => {
                let profile = find(&gateway, &name)?;
                let save = |config: &ProfileConfig| -> anyhow::Result<WireProfile> {
                    Ok(gateway.update_profile(&profile, config)?)
                };
                let changed = if set.is_empty() && unset.is_empty() {
                    editor::edit(context, &profile.config, format, save)?
                } else {
                    Some(save(&text::assign(&profile.config, &set, &unset)?)?)
                };
                ("saved", changed)
            }
            Action::Duplicate { name, new_name } => {
                let profile = find(&gateway, &name)?;
                (
                    "created",
                    Some(gateway.duplicate_profile(&profile, new_name)?),
                )
            }
            Action::Rm { name, yes } => {
                let profile = find(&gateway, &name)?;
                let question = format!("Delete the profile {}?", profile.config.name);
                if !yes && !locate::confirm(&question)? {
                    context.output.note("nothing deleted");
                    return Err(Failure::Reported.into());
                }
                gateway.delete_profile(&profile)?;
                ("deleted", Some(profile))
            }
            Action::Import { file, name, format } => (
                "created",
                Some(import(context, &gateway, &file, name, format)?),
            ),
        };
        match profile {
            Some(profile) => context.output.report(&Changed { verb, profile })?,
            None => context.output.note("nothing changed"),
        }
        Ok(())
    }
}

fn find(gateway: &Gateway, name: &str) -> anyhow::Result<WireProfile> {
    Ok(gateway::find(&gateway.profiles()?, name)?.clone())
}

fn show(context: &Context, profile: &WireProfile) -> anyhow::Result<()> {
    if context.output.format() == OutputFormat::Json {
        context.output.json(profile)?;
    } else {
        context
            .output
            .line(text::format(&profile.config, Format::Toml)?.trim_end())?;
    }
    Ok(())
}

fn export(
    context: &Context,
    gateway: &Gateway,
    profile: &WireProfile,
    format: Format,
    output: Option<PathBuf>,
) -> anyhow::Result<()> {
    let content = match format {
        Format::Toml | Format::Json => text::format(&profile.config, format)?,
        Format::Modelfile => {
            let export = gateway.export_profile(profile, ProfileFormat::Modelfile)?;
            for warning in &export.warnings {
                context.output.warn(warning);
            }
            export.content
        }
    };
    match output {
        Some(path) => std::fs::write(&path, content)
            .with_context(|| format!("cannot write {}", path.display())),
        None => Ok(context.output.bytes(content.as_bytes())?),
    }
}

fn import(
    context: &Context,
    gateway: &Gateway,
    file: &std::path::Path,
    name: Option<String>,
    format: Option<Format>,
) -> anyhow::Result<WireProfile> {
    let content =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let format = format.unwrap_or_else(|| Format::of(file));
    if format != Format::Modelfile {
        let mut config = text::parse(&content, format)
            .with_context(|| format!("{} is not valid", file.display()))?;
        config.name = name.unwrap_or(config.name);
        return Ok(gateway.create_profile(&config)?);
    }
    let Some(name) = name else {
        let message = "a Modelfile has no name for the profile: add --name NAME";
        return Err(Failure::Usage(message.to_owned()).into());
    };
    let request = ImportRequest {
        name,
        format: ProfileFormat::Modelfile,
        content,
    };
    let imported = gateway.import_profile(&request)?;
    for warning in &imported.warnings {
        context.output.warn(warning);
    }
    Ok(imported.profile)
}
