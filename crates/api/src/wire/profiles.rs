//! Profiles: saved configurations of a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// Its id.
    pub id: Uuid,
    /// What a user edits.
    pub config: ProfileConfig,
    /// Creation time.
    pub created_at_ms: i64,
    /// Time of the last change.
    pub updated_at_ms: i64,
}

/// What a user edits of a profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Unique name, which requests name like a model.
    pub name: String,
    /// Repository name or path of the model.
    pub model: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Address of the profile's own port; that of the gateway if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The profile's own port, unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Seconds without requests after which its server stops: 0 at once, -1 never; the gateway's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    /// Seconds that a request waits for the model; the gateway's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_seconds: Option<u64>,
    /// Requests that wait; the gateway's default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<u64>,
    /// Whether its server is never evicted.
    #[serde(default)]
    pub is_pinned: bool,
    /// Whether it is started with the gateway.
    #[serde(default)]
    pub auto_start: bool,
    /// Log level of its server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Its color on the page, from 1 to 8. If absent, a new profile gets the color that is used least, and a changed one keeps
    /// its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 8)]
    pub color: Option<u8>,
    /// Settings of the server. A change restarts it.
    #[serde(default)]
    pub load: LoadSettings,
    /// Defaults of requests. A change applies to the next request.
    #[serde(default)]
    pub request: RequestSettings,
}

/// Settings that define a server: profiles with the same model and equal load settings share one. A missing field is the
/// default of the model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoadSettings {
    /// Tokens, prompt and completion together; the longest that fits if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    /// Maximum number of concurrent sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sequences: Option<u16>,
    /// Size of the KV cache in tokens, shared by all sequences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_pool_tokens: Option<u64>,
    /// Maximum number of tokens per step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch_tokens: Option<u32>,
    /// Data type of the KV cache, as in `--kv-cache-dtype`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_cache_dtype: Option<String>,
    /// Data type of activations, as in `--activation-dtype`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_dtype: Option<String>,
    /// As in `--device`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Model that drafts tokens for speculative decoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft_model: Option<String>,
    /// Adapters, in the order in which they are applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<String>,
    /// File with a chat template in place of the model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template_file: Option<String>,
    /// As in `--tool-call-parser`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_parser: Option<String>,
    /// As in `--reasoning-parser`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_parser: Option<String>,
}

/// Defaults for what a request leaves out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// 0 is greedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Probability mass of nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Number of candidate tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u64>,
    /// Minimum probability, relative to the most likely token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// Factor on the logits of tokens that occurred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Number of last tokens, prompt included, that `repetition_penalty` applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_context_size: Option<u64>,
    /// Subtracted from the logits of tokens that occurred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Subtracted from the logits of tokens for each occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// Added to logits, by token id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<String, f64>,
    /// Seed of sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Stop strings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Maximum number of tokens of a completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// For requests without a system message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Whether the model reasons, or how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// `auto`, `none` or `required`, for requests with tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<String>,
}

/// Whether a model reasons, or how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected true, false or an effort such as low")]
pub enum Thinking {
    /// On or off.
    Enabled(bool),
    /// An effort, such as `low`.
    Effort(String),
}

/// All profiles, by creation time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProfileList {
    /// The profiles.
    pub profiles: Vec<Profile>,
}

/// A copy to make of a profile. It has no port of its own, another color, is not pinned, and is not started with the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DuplicateRequest {
    /// Name of the copy; the first free one of `NAME copy`, `NAME copy 2`, … if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A port that no profile has and no program listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextPort {
    /// The port.
    pub port: u16,
}

/// Text to make a profile from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Name of the profile.
    pub name: String,
    /// What `content` is.
    #[serde(default)]
    pub format: ProfileFormat,
    /// The text.
    pub content: String,
}

/// A format of profiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProfileFormat {
    /// The JSON of a `ProfileConfig`.
    #[default]
    Json,
    /// A Modelfile of Ollama.
    Modelfile,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `json` if absent.
    #[param(inline)]
    pub format: ProfileFormat,
}

/// An imported profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportResponse {
    /// The profile.
    pub profile: Profile,
    /// Parts of the text that have no effect here, each with the reason.
    pub warnings: Vec<String>,
}

/// An exported profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportResponse {
    /// The text.
    pub content: String,
    /// Settings that the format does not have.
    pub warnings: Vec<String>,
}
