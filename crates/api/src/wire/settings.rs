//! Settings of the gateway: flag > environment > database > default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Where a value comes from, highest precedence first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The database: a user has set it.
    Database,
    /// The built-in default.
    Default,
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Its name, such as `audit.retention_days`.
    pub key: String,
    /// What it does.
    pub description: String,
    /// The value.
    pub value: Value,
    /// Where the value comes from.
    pub source: SettingSource,
    /// The flag or environment variable sets it: changes are rejected until it is removed there.
    pub locked: bool,
    /// The built-in default.
    pub default: Value,
    /// What a value must be, such as "a number of days from 1 to 3650".
    pub expects: String,
    /// Its environment variable.
    pub environment: String,
    /// A change takes effect only after a restart of the gateway.
    pub needs_restart: bool,
    /// Its value was changed since the start of the gateway, which still uses the earlier one.
    pub restart_pending: bool,
}

/// All settings, by key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingList {
    /// The settings.
    pub settings: Vec<Setting>,
}

/// Settings to change: all of them, or none with an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsPatch {
    /// New values by key. Null resets a setting to its default.
    pub values: BTreeMap<String, Value>,
}

/// Settings to reset to their defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsReset {
    /// Their keys.
    pub keys: Vec<String>,
}
