//! Settings of logs.

use std::path::Path;

use mlxm_store::settings::Setting;

/// The least serious level of the lines in the gateway's own log.
pub const LOG_LEVEL: Setting<String> = Setting {
    key: "logs.level",
    environment: "MLXM_LOG_LEVEL",
    description: "The least serious level of the lines in the gateway's own log",
    needs_restart: false,
    expects: "off, error, warn, info, debug or trace",
    default: || "info".to_owned(),
    accepts: |level| LOG_LEVELS.contains(&level.as_str()),
};

/// The file of the gateway's own log; empty is the one in the directory of logs.
pub const LOG_FILE: Setting<String> = Setting {
    key: "logs.file",
    environment: "MLXM_LOG_FILE",
    description: "The file of the gateway's own log; empty is logs/gateway.log in the home directory, off is none",
    needs_restart: true,
    expects: "an absolute path of a file that ends with .log, empty, or off",
    default: String::new,
    // Lines have names that clients choose: they are not added to a file that a program reads as commands.
    accepts: |text| {
        let path = Path::new(text);
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        text.is_empty() || text == NO_LOG_FILE || (path.is_absolute() && is_log)
    },
};

/// Days that logs of models are kept after their last line.
pub const LOG_RETENTION_DAYS: Setting<u64> = Setting {
    key: "logs.retention_days",
    environment: "MLXM_LOG_RETENTION_DAYS",
    description: "Days that the logs of stopped models are kept",
    needs_restart: false,
    expects: "a number of days from 1 to 3650",
    default: || 7,
    accepts: |days| (1..=3650).contains(days),
};

/// The value of [`LOG_FILE`] for no file.
pub(in crate::gateway) const NO_LOG_FILE: &str = "off";

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
