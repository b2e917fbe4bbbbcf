//! The value of a setting and where it comes from: flag > environment > database > default. Pure: the caller reads the
//! flags, the environment and the database.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

/// A setting of type `T`.
pub struct Setting<T> {
    /// Name in the database and in `mlxm config`, such as "audit.retention_days".
    pub key: &'static str,
    /// The environment variable.
    pub environment: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
    /// Whether a change takes effect only when the gateway is started again.
    pub needs_restart: bool,
    /// What a value must be, for messages: "a number of days from 1 to 3650".
    pub expects: &'static str,
    /// The value without flag, variable and row.
    pub default: fn() -> T,
    /// Whether a value of the right type is acceptable.
    pub accepts: fn(&T) -> bool,
}

/// A type of settings.
pub trait SettingValue: Sized {
    /// From a flag or environment variable.
    fn from_text(text: &str) -> Option<Self>;

    /// From the database.
    fn from_json(value: &Value) -> Option<Self>;
}

impl SettingValue for u64 {
    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_u64()
    }
}

impl SettingValue for i64 {
    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl SettingValue for bool {
    fn from_text(text: &str) -> Option<Self> {
        match text.trim() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl SettingValue for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

/// A list; as text, its items are separated by commas.
impl SettingValue for Vec<String> {
    fn from_text(text: &str) -> Option<Self> {
        let items = text.split(',').map(str::trim);
        Some(
            items
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(String::from_json).collect()
    }
}

/// Where a value comes from, highest precedence first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// A row of the database.
    Database,
    /// The built-in default.
    Default,
}

impl Source {
    /// Whether a value in the database would have no effect.
    pub const fn locks(self) -> bool {
        matches!(self, Self::Flag | Self::Environment)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::Database => "database",
            Self::Default => "default",
        })
    }
}

/// A value with its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

/// A value that is not acceptable. A lower source is not used in its place: the user would not notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// The setting.
    pub key: &'static str,
    /// Its environment variable.
    pub environment: &'static str,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
    /// What it must be.
    pub expects: &'static str,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            environment,
            value,
            source,
            expects,
        } = self;
        match source {
            Source::Flag => write!(
                formatter,
                "{key} is `{value}` on the command line, and must be {expects}: correct or omit the option"
            ),
            Source::Environment => write!(
                formatter,
                "{environment} is `{value}`, and must be {expects}: correct or unset it"
            ),
            Source::Database | Source::Default => write!(
                formatter,
                "{key} is `{value}` in the database, and must be {expects}: run `mlxm config set {key} VALUE`"
            ),
        }
    }
}

impl Error for ResolveError {}

/// All sources of settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Flags by the key of their setting. Flags that were not given are absent.
    pub flags: BTreeMap<&'static str, String>,
    /// Environment variables by name.
    pub environment: BTreeMap<String, String>,
    /// Rows of the database by key, as [`list`](super::list) returns them.
    pub database: BTreeMap<String, Value>,
}

impl Settings {
    /// The value of a setting from the highest source that has one. An empty environment variable counts as unset.
    ///
    /// # Errors
    /// If that source's value is not acceptable, with the source and the next step.
    pub fn get<T: SettingValue>(&self, setting: &Setting<T>) -> Result<Resolved<T>, ResolveError> {
        if let Some(text) = self.flags.get(setting.key) {
            return check(setting, T::from_text(text), Source::Flag, text);
        }
        let variable = self.environment.get(setting.environment);
        if let Some(text) = variable.filter(|text| !text.is_empty()) {
            return check(setting, T::from_text(text), Source::Environment, text);
        }
        if let Some(value) = self.database.get(setting.key) {
            return check(setting, T::from_json(value), Source::Database, value);
        }
        Ok(Resolved {
            value: (setting.default)(),
            source: Source::Default,
        })
    }
}

fn check<T>(
    setting: &Setting<T>,
    parsed: Option<T>,
    source: Source,
    given: &dyn fmt::Display,
) -> Result<Resolved<T>, ResolveError> {
    match parsed.filter(|value| (setting.accepts)(value)) {
        Some(value) => Ok(Resolved { value, source }),
        None => Err(ResolveError {
            key: setting.key,
            environment: setting.environment,
            value: given.to_string(),
            source,
            expects: setting.expects,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DAYS: Setting<u64> = Setting {
        key: "days",
        environment: "MLXM_DAYS",
        description: "Days of the test",
        needs_restart: false,
        expects: "a number from 1 to 10",
        default: || 7,
        accepts: |days| (1..=10).contains(days),
    };

    fn settings(flag: Option<&str>, variable: Option<&str>, row: Option<Value>) -> Settings {
        Settings {
            flags: flag
                .map(|text| ("days", text.to_owned()))
                .into_iter()
                .collect(),
            environment: variable
                .map(|text| ("MLXM_DAYS".to_owned(), text.to_owned()))
                .into_iter()
                .collect(),
            database: row
                .map(|value| ("days".to_owned(), value))
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn the_highest_source_wins_in_every_combination() {
        for bits in 0..8 {
            let (flag, variable, row) = (bits & 4 != 0, bits & 2 != 0, bits & 1 != 0);
            let resolved = settings(
                flag.then_some("1"),
                variable.then_some("2"),
                row.then(|| json!(3)),
            )
            .get(&DAYS)
            .unwrap();
            let expected = match (flag, variable, row) {
                (true, ..) => (1, Source::Flag),
                (_, true, _) => (2, Source::Environment),
                (.., true) => (3, Source::Database),
                _ => (7, Source::Default),
            };
            assert_eq!((resolved.value, resolved.source), expected);
            assert_eq!(resolved.source.locks(), flag || variable);
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let resolved = settings(None, Some(""), Some(json!(3))).get(&DAYS).unwrap();
        assert_eq!(resolved.source, Source::Database);
    }

    #[test]
    fn a_bad_value_is_an_error_and_not_replaced_by_a_lower_source() {
        let cases = [
            (
                settings(Some("many"), None, Some(json!(3))),
                "command line",
                "omit the option",
            ),
            (
                settings(None, Some("11"), Some(json!(3))),
                "MLXM_DAYS is `11`",
                "unset it",
            ),
            (
                settings(None, None, Some(json!("3"))),
                "in the database",
                "mlxm config set days",
            ),
        ];
        for (settings, origin, remedy) in cases {
            let message = settings.get(&DAYS).unwrap_err().to_string();
            for part in [origin, remedy, "a number from 1 to 10"] {
                assert!(message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn values_of_each_type_are_read_from_text_and_json() {
        assert_eq!(bool::from_text("on"), Some(true));
        assert_eq!(bool::from_text("0"), Some(false));
        assert_eq!(bool::from_text("maybe"), None);
        assert_eq!(bool::from_json(&json!(true)), Some(true));
        let list = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(Vec::from_text("a, b,"), Some(list.clone()));
        assert_eq!(Vec::from_json(&json!(["a", "b"])), Some(list));
        assert_eq!(Vec::<String>::from_json(&json!(["a", 1])), None);
        assert_eq!(String::from_json(&json!("x")), Some("x".to_owned()));
        assert_eq!(u64::from_text("-1"), None);
        assert_eq!(i64::from_text("-1"), Some(-1));
        assert_eq!(i64::from_json(&json!(-1)), Some(-1));
    }
}
