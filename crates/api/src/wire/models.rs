//! Models: those on this machine, and those on the hub.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pool::ServerSize;

/// What a model is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Text in, text out.
    #[default]
    Text,
    /// Images, and text out.
    Vision,
    /// Speech or sound.
    Audio,
    /// Vectors of texts.
    Embeddings,
    /// Scores of pairs of texts.
    Rerank,
}

/// A property that is worth a badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Badge {
    /// Reads images.
    Vision,
    /// Reads videos.
    Video,
    /// Reads or writes sound.
    Audio,
    /// Calls tools.
    Tools,
    /// Reasons before it responds.
    Thinking,
    /// Computes vectors of texts.
    Embeddings,
    /// Was made for code.
    Code,
    /// Activates a part of its parameters per token.
    MixtureOfExperts,
}

/// How weights are quantized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quantization {
    /// Bits per weight.
    pub bits: u32,
    /// Weights that share a scale.
    pub group_size: Option<u32>,
    /// Such as `affine` or `mxfp4`.
    pub mode: Option<String>,
}

/// What the configuration of a model says, without its weights. Unknown values are null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Characteristics {
    /// Such as `Qwen` or `Llama`.
    pub family: Option<String>,
    /// `model_type` of its configuration.
    pub architecture: Option<String>,
    /// What it is for.
    pub kind: ModelKind,
    /// Number of parameters.
    pub parameters: Option<u64>,
    /// Tokens, prompt and completion together.
    pub context_length: Option<u64>,
    /// Null for weights that are not quantized.
    pub quantization: Option<Quantization>,
    /// Bytes of KV cache per token, with its default data type.
    pub kv_bytes_per_token: Option<u64>,
    /// Dimensions of its embeddings.
    pub embedding_dimensions: Option<u64>,
    /// Name of the parser of its tool calls.
    pub tool_call_parser: Option<String>,
    /// Name of the parser of its reasoning.
    pub reasoning_parser: Option<String>,
    /// Whether its chat template reads `enable_thinking`, so that reasoning can be turned off and on.
    #[serde(default)]
    pub has_thinking_switch: bool,
    /// Whether its chat template reads `reasoning_effort`.
    #[serde(default)]
    pub has_reasoning_effort: bool,
    /// Whether this version of mlxm can load the architecture.
    pub supported: Option<bool>,
    /// Why it cannot.
    #[serde(default)]
    pub unsupported_reason: Option<String>,
    /// Properties worth a badge.
    pub badges: Vec<Badge>,
}

/// Where a local model is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// The cache shared with `huggingface_hub`.
    HubCache,
    /// A directory of local models.
    ModelsDir,
    /// The directory of another program, which is read and never changed.
    External,
}

/// A revision of a local model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelRevision {
    /// Commit hash.
    pub commit: String,
    /// Branches and tags that point to it.
    pub refs: Vec<String>,
    /// Size of its files.
    pub size_bytes: u64,
    /// Whether all files that are needed to load it exist.
    pub complete: bool,
    /// Time of the last change.
    pub modified_at_ms: i64,
}

/// A model on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocalModel {
    /// Repository name, or path below the directory of local models.
    pub name: String,
    /// Where it is stored.
    pub source: ModelSource,
    /// The directory that is loaded; null if only partial files exist.
    pub path: Option<String>,
    /// Disk usage.
    pub size_bytes: u64,
    /// Time of the last change.
    pub modified_at_ms: i64,
    /// Whether all files that are needed to load it exist.
    pub complete: bool,
    /// The files that are missing.
    pub missing_files: Vec<String>,
    /// Revisions in the cache, best first.
    pub revisions: Vec<ModelRevision>,
    /// Whether a server has it in memory.
    pub loaded: bool,
    /// Names of the profiles of this model.
    pub profiles: Vec<String>,
    /// What its configuration says; null if it is not readable.
    pub characteristics: Option<Characteristics>,
}

/// All models on this machine, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// The models.
    pub models: Vec<LocalModel>,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelFile {
    /// Path in the repository.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
}

/// All about a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelDetails {
    /// Repository name, or path below the directory of local models.
    pub name: String,
    /// The model on this machine, if it is there.
    pub local: Option<LocalModel>,
    /// The repository on the hub; null if it is not on the hub, or the hub is not reachable.
    pub remote: Option<RemoteModel>,
    /// What its configuration says.
    pub characteristics: Option<Characteristics>,
    /// Its files.
    pub files: Vec<ModelFile>,
    /// Size of the cache and memory plan for each context length that it can be loaded with, if it is on this machine.
    pub sizes: Vec<ServerSize>,
    /// The model card, as Markdown.
    pub readme: Option<String>,
}

/// A repository on the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoteModel {
    /// `owner/name`.
    pub repo_id: String,
    /// Downloads of the last month.
    pub downloads: Option<u64>,
    /// Likes.
    pub likes: Option<u64>,
    /// Time of the last change (RFC 3339).
    pub last_modified: Option<String>,
    /// The task, such as `text-generation`.
    pub pipeline_tag: Option<String>,
    /// All tags.
    pub tags: Vec<String>,
    /// Whether access must be requested.
    pub gated: bool,
    /// Size of its files, if it is known.
    pub size_bytes: Option<u64>,
    /// Whether it is on this machine.
    pub downloaded: bool,
    /// What its name, tags and configuration say.
    pub characteristics: Characteristics,
}

/// The order of search results, highest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchSort {
    /// Downloads of the last month.
    #[default]
    Downloads,
    /// Likes.
    Likes,
    /// Trending score.
    Trending,
    /// Newest first.
    Created,
    /// Most recently modified first.
    Modified,
}

/// A search on the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Text in the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Only models of this user or organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Only models of at most this size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size_bytes: Option<u64>,
    /// The order.
    #[param(inline)]
    pub sort: SearchSort,
    /// From 1; 1 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
    /// Results per page: 20 if absent, at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Also models in other formats than MLX.
    pub all: bool,
}

/// A page of search results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchPage {
    /// The results.
    pub models: Vec<RemoteModel>,
    /// The number of the next page; null on the last.
    pub next_page: Option<u64>,
}

/// What is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveOptions {
    /// One revision of a model in the cache: a commit, branch or tag. All if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Removes it also if profiles or servers use it; the servers are stopped.
    pub force: bool,
}

/// What a removal has freed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedModel {
    /// The name of the model.
    pub name: String,
    /// Freed disk space.
    pub freed_bytes: u64,
}

/// The result of a check of a model's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedModel {
    /// The name of the model.
    pub name: String,
    /// Whether every file is there and has the content of the hub.
    pub intact: bool,
    /// Checked bytes.
    pub checked_bytes: u64,
    /// Files that are missing or have other content.
    pub damaged: Vec<String>,
}
