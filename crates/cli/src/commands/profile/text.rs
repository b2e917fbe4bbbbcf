//! Profiles as text: TOML and JSON, and single settings.

use std::ffi::OsStr;
use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;
use mlxm_api::wire::profiles::ProfileConfig;
use toml::{Table, Value};

use crate::failure::Failure;

/// A format of profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Toml,
    Json,
    Modelfile,
}

impl Format {
    /// The format of a file, by its name.
    pub fn of(file: &Path) -> Self {
        let extension = file.extension().map(OsStr::to_ascii_lowercase);
        match extension.as_deref().and_then(OsStr::to_str) {
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            _ => Self::Modelfile,
        }
    }

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Json => "json",
            Self::Modelfile => "modelfile",
        }
    }
}

/// The text of a profile. What is not set is left out. A Modelfile is made by the gateway.
pub fn format(config: &ProfileConfig, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(config)? + "\n",
        Format::Toml | Format::Modelfile => toml::to_string_pretty(config)?,
    })
}

/// Parses the text of a profile. Errors name the line and the setting.
pub fn parse(text: &str, format: Format) -> anyhow::Result<ProfileConfig> {
    Ok(match format {
        Format::Json => serde_json::from_str(text)?,
        Format::Toml | Format::Modelfile => toml::from_str(text)?,
    })
}

/// A setting and its value, as a table with that value only.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment(Table);

/// `KEY=VALUE`, with a value as in TOML; anything else is text.
impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            format!(
                "`{text}` is not a setting: expected KEY=VALUE, such as load.context_length=32768"
            )
        })?;
        let line = |value: &str| toml::from_str::<Table>(&format!("{} = {value}", key.trim()));
        line(value)
            .or_else(|_| line(&Value::from(value).to_string()))
            .map(Self)
            .map_err(|_| format!("`{}` is not the name of a setting: expected a name such as load.context_length", key.trim()))
    }
}

/// The profile with these settings, and without those of `unset`.
pub fn assign(
    config: &ProfileConfig,
    set: &[Assignment],
    unset: &[String],
) -> anyhow::Result<ProfileConfig> {
    let mut table = Table::try_from(config)?;
    for key in unset {
        remove(&mut table, key)?;
    }
    for assignment in set {
        merge(&mut table, &assignment.0);
    }
    let changed: Result<ProfileConfig, _> = table.try_into();
    changed.map_err(|error| {
        Failure::with_hint(
            error.to_string().trim_end().to_owned(),
            "`mlxm profile --help` has examples; text with special characters needs quotes, as in TOML",
        )
        .into()
    })
}

fn merge(table: &mut Table, other: &Table) {
    for (key, value) in other {
        match (table.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Removes a setting; an error if it is not set.
fn remove(table: &mut Table, key: &str) -> Result<(), Failure> {
    let (path, name) = key
        .rsplit_once('.')
        .map_or((None, key), |(path, name)| (Some(path), name));
    let mut inner = Some(table);
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        inner = inner.and_then(|table| table.get_mut(part)?.as_table_mut());
    }
    match inner.and_then(|table| table.remove(name)) {
        Some(_) => Ok(()),
        None => Err(Failure::with_hint(
            format!("the setting `{key}` is not set"),
            "`mlxm profile show NAME` prints the settings that are",
        )),
    }
}

#[cfg(test)]
mod tests {
    use mlxm_api::wire::profiles::{LoadSettings, RequestSettings, Thinking};

    use super::*;

    fn config() -> ProfileConfig {
        ProfileConfig {
            name: "coding".to_owned(),
            model: "org/Tiny".to_owned(),
            load: LoadSettings {
                context_length: Some(4096),
                ..LoadSettings::default()
            },
            request: RequestSettings {
                temperature: Some(0.5),
                logit_bias: [("7".to_owned(), -1.0)].into(),
                stop: vec!["\n\n".to_owned()],
                system_prompt: Some("Be brief.\nUse \"quotes\".".to_owned()),
                thinking: Some(Thinking::Enabled(false)),
                ..RequestSettings::default()
            },
            ..ProfileConfig::default()
        }
    }

    fn set(assignments: &[&str]) -> anyhow::Result<ProfileConfig> {
        let parsed: Vec<Assignment> = assignments
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assign(&config(), &parsed, &[])
    }

    #[test]
    fn formats_are_parsed_to_the_same_profile() {
        for kind in [Format::Toml, Format::Json] {
            let text = format(&config(), kind).unwrap();
            assert_eq!(parse(&text, kind).unwrap(), config(), "{text}");
        }
    }

    #[test]
    fn parse_names_the_unknown_setting() {
        let text = "name = 'x'\nmodel = 'y'\n[load]\ncontext = 5\n";
        let error = parse(text, Format::Toml).unwrap_err().to_string();
        assert!(
            error.contains("context") && error.contains("line 4"),
            "{error}"
        );
        let error = parse(r#"{"name": "x", "model": "y", "tempo": 1}"#, Format::Json)
            .unwrap_err()
            .to_string();
        assert!(error.contains("tempo"), "{error}");
    }

    #[test]
    fn assign_keeps_other_settings() {
        let changed = set(&[
            "load.max_sequences=4",
            "request.temperature=0.25",
            "request.system_prompt=Answer in French.",
            "request.thinking=low",
            "description=\"3\"",
        ])
        .unwrap();
        assert_eq!(changed.load.context_length, Some(4096));
        assert_eq!(changed.load.max_sequences, Some(4));
        assert_eq!(changed.request.temperature, Some(0.25));
        assert_eq!(
            changed.request.system_prompt.as_deref(),
            Some("Answer in French.")
        );
        assert_eq!(
            changed.request.thinking,
            Some(Thinking::Effort("low".to_owned()))
        );
        assert_eq!(changed.description, "3");
    }

    #[test]
    fn assign_rejects_unknown_settings_and_values() {
        for (text, part) in [
            ("load.context=5", "context"),
            ("load.context_length=long", "string"),
            ("load.context_length=-1", "-1"),
        ] {
            let error = set(&[text]).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("no value".parse::<Assignment>().is_err());
        assert!("two words=5".parse::<Assignment>().is_err());
    }

    #[test]
    fn unset_removes_a_setting_that_is_set() {
        let unset = |key: &str| assign(&config(), &[], &[key.to_owned()]);
        assert_eq!(
            unset("request.temperature").unwrap().request.temperature,
            None
        );
        for key in ["request.top_p", "top_p", "request.temperature.x"] {
            assert!(
                unset(key).unwrap_err().to_string().contains("is not set"),
                "{key}"
            );
        }
        // A profile without model is not valid.
        assert!(unset("model").unwrap_err().to_string().contains("model"));
    }

    #[test]
    fn format_of_a_file_depends_on_its_extension() {
        for (name, format) in [
            ("a.toml", Format::Toml),
            ("a.JSON", Format::Json),
            ("Modelfile", Format::Modelfile),
            ("dir.toml/Modelfile", Format::Modelfile),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
