//! Fields that differ when they are null and when they are absent.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a request does to a field that can be null. It needs
/// `#[serde(default, skip_serializing_if = "Change::is_keep")]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The field is absent, and its value stays.
    #[default]
    Keep,
    /// The field is null, and has no value any more.
    Clear,
    /// The field has a new value.
    Set(T),
}

impl<T> Change<T> {
    /// Whether the value stays.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value after the change.
    pub fn apply(self, value: Option<T>) -> Option<T> {
        match self {
            Self::Keep => value,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(value.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Changes {
        #[serde(skip_serializing_if = "Change::is_keep")]
        title: Change<String>,
    }

    #[test]
    fn absent_null_and_value_differ() {
        let cases = [
            ("{}", Change::Keep, Some("old")),
            (r#"{"title":null}"#, Change::Clear, None),
            (
                r#"{"title":"new"}"#,
                Change::Set("new".to_owned()),
                Some("new"),
            ),
        ];
        for (json, title, after) in cases {
            let changes: Changes = serde_json::from_str(json).unwrap();
            assert_eq!(changes, Changes { title });
            assert_eq!(serde_json::to_string(&changes).unwrap(), json);
            let old = Some("old".to_owned());
            assert_eq!(changes.title.apply(old).as_deref(), after);
        }
    }
}
