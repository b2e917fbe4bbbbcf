//! Aliases: other names for profiles and models.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alias {
    /// Its id.
    pub id: Uuid,
    /// The unique name that clients send; a glob such as `claude-*haiku*` is possible.
    pub name: String,
    /// Name of a profile or model.
    pub target: String,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// An alias to add, or to change if one with this name exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AliasRequest {
    /// The name that clients send.
    pub name: String,
    /// Name of a profile or model.
    pub target: String,
}

/// All aliases, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AliasList {
    /// The aliases.
    pub aliases: Vec<Alias>,
}
