//! Conversions between plain structs and columns.

use crate::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Where a value is stored, for messages.
#[derive(Clone, Copy)]
pub(crate) struct StoredValue<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// The row's id or key.
    pub row: &'a dyn ToString,
}

impl StoredValue<'_> {
    pub(crate) fn unreadable(&self, reason: impl ToString) -> StoreError {
        StoreError::Unreadable {
            table: self.table,
            column: self.column,
            row: self.row.to_string(),
            reason: reason.to_string(),
        }
    }

    /// A count or size, which a column holds as a signed number.
    pub(crate) fn unsigned<T: TryFrom<i64>>(&self, value: i64) -> Result<T, StoreError> {
        T::try_from(value).map_err(|_| self.unreadable(format!("{value} is out of range")))
    }

    /// A typed value from its JSON text.
    pub(crate) fn json<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.unreadable(error))
    }

    /// A typed value from its JSON text, if there is one.
    pub(crate) fn optional_json<T: DeserializeOwned>(
        &self,
        text: Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.json(text)).transpose()
    }

    /// A variant of an enum from its stored name.
    pub(crate) fn variant<T>(&self, parsed: Option<T>, text: &str) -> Result<T, StoreError> {
        parsed.ok_or_else(|| self.unreadable(format!("unknown value `{text}`")))
    }
}

/// The JSON text of a value. JSON is stored as text: unlike `jsonb`, it keeps `\u0000`.
pub(crate) fn to_json<T: Serialize>(field: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Invalid {
        field,
        reason: error.to_string(),
    })
}

/// A count or size as a column holds it.
pub(crate) fn signed(field: &'static str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Invalid {
        field,
        reason: format!("{value} is too large, the maximum is {}", i64::MAX),
    })
}

/// A name that a user gives: not empty, at most 200 characters, no control characters (Postgres cannot store NUL), and
/// without spaces at its ends.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), StoreError> {
    let reason = if name.is_empty() {
        "must not be empty".to_owned()
    } else if name.trim() != name {
        format!("`{name}` must not begin or end with a space")
    } else if name.chars().any(char::is_control) {
        "must not contain control characters".to_owned()
    } else if name.chars().count() > MAX_NAME_CHARS {
        format!("must have at most {MAX_NAME_CHARS} characters")
    } else {
        return Ok(());
    };
    Err(StoreError::Invalid { field, reason })
}

/// A text of any length without NUL, which Postgres cannot store.
pub(crate) fn check_text(field: &'static str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') {
        return Err(StoreError::Invalid {
            field,
            reason: "must not contain the character U+0000".to_owned(),
        });
    }
    Ok(())
}

/// A text from another program that must not make the write fail: NUL becomes U+FFFD, and it is cut after
/// [`MAX_LABEL_BYTES`] bytes.
pub(crate) fn label(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_LABEL_BYTES);
    text.get(..end)
        .unwrap_or_default()
        .replace('\0', "\u{fffd}")
}

/// The longest name of a profile or alias.
const MAX_NAME_CHARS: usize = 200;

/// The longest stored part of a text from another program.
pub(crate) const MAX_LABEL_BYTES: usize = 512;

/// An enum with a stored name per variant, which is also its name in JSON.
macro_rules! stored_enum {
    ($(#[$attribute:meta])* $name:ident { $($(#[$variant_attribute:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_attribute])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The name in the database and in JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            pub(crate) fn from_stored(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

pub(crate) use stored_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(check_name("name", "Qwen3 4B").is_ok());
        assert!(check_name("name", &"ü".repeat(MAX_NAME_CHARS)).is_ok());
        for name in [
            "",
            " a",
            "a ",
            "a\nb",
            "a\0b",
            &"a".repeat(MAX_NAME_CHARS + 1),
        ] {
            assert!(check_name("name", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn labels_are_cut_at_a_character_and_have_no_nul() {
        assert_eq!(label("a\0b"), "a\u{fffd}b");
        let cut = label(&"€".repeat(MAX_LABEL_BYTES));
        assert!(cut.len() <= MAX_LABEL_BYTES);
        assert!(cut.chars().all(|letter| letter == '€'));
    }
}
