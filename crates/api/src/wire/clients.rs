//! Clients: programs that use the gateway, and how each is configured.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::aliases::AliasRequest;

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// A coding agent in a terminal.
    Agent,
    /// An editor, or an extension of one.
    Editor,
    /// A chat application.
    App,
    /// A library for programs.
    Sdk,
    /// A program for HTTP requests.
    Http,
}

/// The API that a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientProtocol {
    /// OpenAI's `/v1/chat/completions`.
    OpenaiChat,
    /// OpenAI's `/v1/responses`.
    OpenaiResponses,
    /// Anthropic's `/v1/messages`.
    AnthropicMessages,
}

/// A client that the gateway can describe a configuration for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// Its id, such as `claude-code`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ClientKind,
    /// The API that it uses.
    pub protocol: ClientProtocol,
    /// What it does, in a sentence.
    pub description: String,
    /// Pages of its documentation that describe the configuration.
    pub documentation: Vec<String>,
    /// The command that installs it, if there is one.
    pub install: Option<String>,
    /// The context length in tokens that it needs for more than short tasks.
    pub context_length: Option<u64>,
    /// Whether it uses a second, fast model for small tasks.
    pub has_fast_model: bool,
    /// Whether its requests are recognized, so that `activity` is its own. Otherwise see the activity of `other`.
    pub is_recognized: bool,
    /// Whether `mlxm launch` starts it.
    pub can_start: bool,
}

/// All clients, and what they have done since the gateway was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientList {
    /// The clients, in the order in which they are shown.
    pub clients: Vec<Client>,
    /// Of those that have sent a request. Programs that are not recognized are together `other`, and its own ones `mlxm`.
    pub activity: Vec<ClientActivity>,
}

/// What a client has done since the gateway was started. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientActivity {
    /// The client's id, `other` or `mlxm`.
    pub client: String,
    /// Requests that have ended.
    pub requests: u64,
    /// Of these, with a status of 400 or more.
    pub errors: u64,
    /// Arrival of the first request.
    pub first_at_ms: i64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: u64,
    /// Tokens of the longest prompt.
    pub longest_prompt_tokens: u64,
    /// The request that ended last.
    pub last: ClientRequest,
}

/// A request of a client, without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientRequest {
    /// Its `x-request-id`.
    pub request_id: String,
    /// Time of its arrival.
    pub at_ms: i64,
    /// Route, such as `/v1/messages`.
    pub endpoint: String,
    /// The profile or model that it was for.
    pub model: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code of the error.
    pub error_kind: Option<String>,
    /// Tokens of the prompt; null if nothing was computed.
    pub prompt_tokens: Option<u64>,
    /// Of these, tokens that were in the prefix cache.
    pub cached_tokens: Option<u64>,
    /// Generated tokens.
    pub completion_tokens: Option<u64>,
}

/// What a client is to be configured for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClientQuery {
    /// Profile or model. If absent, one that is in memory, else the first profile or model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Profile or model for small tasks, where the client has such a role; `model` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<String>,
    /// Address of the gateway without `/v1`, as the client reaches it. If absent, the host of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// How a client is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientSetup {
    /// The client.
    pub client: Client,
    /// Address of the gateway, without `/v1`.
    pub url: String,
    /// The profile or model that is configured; null if there is none on this machine, and texts then have `MODEL` in its place.
    pub model: Option<String>,
    /// The profile or model for small tasks.
    pub fast: Option<String>,
    /// Context length of `model` in tokens, if it is known.
    pub context_length: Option<u64>,
    /// Context length of `fast` in tokens, if it is known.
    pub fast_context_length: Option<u64>,
    /// The API key.
    pub key: ClientKey,
    /// Files to write.
    pub files: Vec<ClientFile>,
    /// Environment variables for its process.
    pub environment: Vec<ClientVariable>,
    /// Commands that configure it, to be run once.
    pub setup: Vec<Vec<String>>,
    /// The command that starts it.
    pub start: Option<Vec<String>>,
    /// Other names for the models, which the client requests by itself.
    pub aliases: Vec<AliasRequest>,
    /// Code that uses the gateway.
    pub snippets: Vec<ClientSnippet>,
    /// What else to know.
    pub notes: Vec<String>,
    /// What does not fit, most important first.
    pub problems: Vec<ClientProblem>,
}

/// The API key in the texts of a configuration. The key itself is never part of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientKey {
    /// Whether the gateway has a key. If not, any text will do.
    pub is_required: bool,
    /// The text that stands for it, to be replaced if it is required.
    pub placeholder: String,
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientFileFormat {
    /// JSON, with comments if the client accepts them.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

/// A file of a client's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientFile {
    /// Its directory, with `~` for the home directory.
    pub directory: String,
    /// The environment variable that names another directory in place of the first part of `directory`.
    pub directory_variable: Option<DirectoryVariable>,
    /// Its name in the directory.
    pub name: String,
    /// Its format.
    pub format: ClientFileFormat,
    /// The whole file, or the part of it that `changes` describes.
    pub content: String,
    /// Values to set in a file that can have others, which remain. If empty, the file belongs to mlxm and has `content`.
    pub changes: Vec<FileChange>,
    /// Whether a command of `setup` writes it, so that it only has to be backed up.
    pub is_written_by_setup: bool,
}

/// An environment variable with a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryVariable {
    /// Its name.
    pub name: String,
    /// The start of the file's directory that its value replaces.
    pub replaces: String,
    /// Whether the client reads it on Linux only.
    #[serde(default)]
    pub is_linux_only: bool,
}

/// A value to set in a JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileChange {
    /// Names of the members from the outermost object inwards.
    pub path: Vec<String>,
    /// The value.
    pub value: Value,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Code to copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientSnippet {
    /// What it is.
    pub title: String,
    /// Its language, such as `python`.
    pub language: String,
    /// The code.
    pub text: String,
}

/// Why a client will not work well with the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientProblem {
    /// Stable name: `no_model`, `context_too_small` or `no_tools`.
    pub code: String,
    /// The profile or model that it is about; null if there is none on this machine.
    pub model: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub advice: String,
    /// The context length in tokens that would do.
    pub context_length: Option<u64>,
}
