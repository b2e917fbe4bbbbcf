//! `mlxm config`: the gateway's settings.

use clap::{Args, Subcommand};
use mlxm_api::wire::settings::{Setting, SettingSource, SettingsPatch, SettingsReset};
use serde::Serialize;
use serde_json::Value;

use crate::complete;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway::{self, Gateway, GatewayArguments, text};
use crate::output::{Report, Section};

const EXAMPLES: &str = "\
A flag of `mlxm serve` comes before an environment variable, which comes before a value that is set here, which comes before the \
default. Values that a flag or variable sets cannot be changed here.

Examples:
  mlxm config list
  mlxm config get pool.ttl_seconds
  mlxm config set pool.ttl_seconds 600
  mlxm config set pool.preload Qwen3-4B,coding
  mlxm config reset pool.ttl_seconds";

/// Show and change the gateway's settings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Config {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: GatewayArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all settings with their values and sources
    #[command(visible_alias = "ls")]
    List,
    /// Show a setting
    Get {
        /// Setting
        #[arg(add = complete::settings())]
        key: String,
    },
    /// Change a setting
    Set {
        /// Setting
        #[arg(add = complete::settings())]
        key: String,
        /// Value: JSON, text, or for lists, items separated by commas
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Reset settings to their defaults
    Reset {
        /// Settings
        #[arg(required = true, add = complete::settings())]
        keys: Vec<String>,
    },
}

/// Settings, as a list in JSON.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Settings(Vec<Setting>);

impl Report for Settings {
    fn sections(&self) -> Vec<Section> {
        let mut table = Section::table(&["setting", "value", "source"]);
        for setting in &self.0 {
            table.row([setting.key.clone(), shown(&setting.value), source(setting)]);
        }
        vec![table]
    }

    fn quiet_lines(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|setting| format!("{}={}", setting.key, shown(&setting.value)))
            .collect()
    }
}

/// One setting.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct One(Setting);

impl Report for One {
    fn sections(&self) -> Vec<Section> {
        let setting = &self.0;
        let mut section = Section::properties(&setting.key);
        section.property("value", shown(&setting.value));
        section.property("source", source(setting));
        section.property("default", shown(&setting.default));
        section.property("accepts", &setting.expects);
        section.property("variable", &setting.environment);
        let mut note = setting.description.clone();
        if setting.restart_pending {
            note = format!("{note}\nThe gateway uses the earlier value until it is restarted.");
        }
        vec![section.note(note)]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![shown(&self.0.value)]
    }
}

/// A value as it is typed.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn source(setting: &Setting) -> String {
    let source = match setting.source {
        SettingSource::Environment => format!("environment ({})", setting.environment),
        other => text(&other),
    };
    if setting.locked {
        format!("{source}, locked")
    } else {
        source
    }
}

/// The value that a user typed, in the type of the setting.
fn parse(setting: &Setting, typed: &str) -> Value {
    let json = serde_json::from_str::<Value>(typed).ok();
    match &setting.default {
        Value::String(_) => Value::String(typed.to_owned()),
        Value::Array(_) => json.filter(Value::is_array).unwrap_or_else(|| {
            let items = typed.split(',').map(str::trim);
            items
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect()
        }),
        // The gateway says what it expects.
        _ => json.unwrap_or_else(|| Value::String(typed.to_owned())),
    }
}

impl Config {
    /// Prints or changes settings.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let gateway = self.gateway.require()?;
        let settings = gateway.settings()?;
        let changed = match self.action {
            Action::List => {
                context.output.report(&Settings(settings))?;
                return Ok(());
            }
            Action::Get { key } => {
                context
                    .output
                    .report(&One(gateway::find(&settings, &key)?.clone()))?;
                return Ok(());
            }
            Action::Set { key, value } => {
                let setting = unlocked(&settings, &key)?;
                let value = parse(setting, &value);
                let values = [(setting.key.clone(), value)].into();
                gateway.change_settings(&SettingsPatch { values })?;
                vec![setting.key.clone()]
            }
            Action::Reset { keys } => {
                let keys = keys
                    .iter()
                    .map(|key| unlocked(&settings, key).map(|setting| setting.key.clone()));
                let keys = keys.collect::<Result<Vec<_>, _>>()?;
                gateway.reset_settings(&SettingsReset { keys: keys.clone() })?;
                keys
            }
        };
        report(context, &gateway, &changed)
    }
}

/// The setting, if it can be changed.
fn unlocked<'a>(settings: &'a [Setting], key: &str) -> Result<&'a Setting, Failure> {
    let setting = gateway::find(settings, key)?;
    if !setting.locked {
        return Ok(setting);
    }
    let (place, remedy) = match setting.source {
        SettingSource::Environment => (
            format!("the environment variable {}", setting.environment),
            format!("unset {}", setting.environment),
        ),
        _ => (
            "a flag of `mlxm serve`".to_owned(),
            "omit the flag".to_owned(),
        ),
    };
    Err(Failure::with_hint(
        format!(
            "{} is set by {place}, which comes before a value that is set here",
            setting.key
        ),
        format!("{remedy} and restart the gateway"),
    ))
}

/// Prints the settings as they are now.
fn report(context: &Context, gateway: &Gateway, keys: &[String]) -> anyhow::Result<()> {
    let mut settings = gateway.settings()?;
    settings.retain(|setting| keys.contains(&setting.key));
    let pending = settings.iter().any(|setting| setting.restart_pending);
    context.output.report(&Settings(settings))?;
    if pending {
        context
            .output
            .note("the change takes effect when the gateway is restarted");
    }
    Ok(())
}
