//! Personas and prompts: what a user chooses instead of writing it again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::profiles::RequestSettings;

/// A persona.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Persona {
    /// Its id.
    pub id: Uuid,
    /// What a user edits.
    pub config: PersonaConfig,
    /// Whether it came with the program.
    pub is_built_in: bool,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// What a user edits of a persona.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonaConfig {
    /// Unique name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The system prompt.
    pub system_prompt: String,
    /// Settings of requests.
    #[serde(default)]
    pub settings: RequestSettings,
}

/// All personas, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PersonaList {
    /// The personas.
    pub personas: Vec<Persona>,
}

/// A template of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prompt {
    /// Its id.
    pub id: Uuid,
    /// What a user edits.
    pub config: PromptConfig,
    /// The variables of its text, in the order of their first use.
    pub variables: Vec<String>,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// What a user edits of a prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptConfig {
    /// Unique name, which is typed after `/`: letters, digits, `-` and `_`.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The text, with variables such as `{{language}}`.
    pub text: String,
}

/// All prompts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromptList {
    /// The prompts.
    pub prompts: Vec<Prompt>,
}
