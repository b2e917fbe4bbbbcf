//! The download queue.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The state of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DownloadState {
    /// Not started yet.
    Queued,
    /// Reading the list of files, and the disk space.
    Checking,
    /// Transferring.
    Running,
    /// Comparing checksums.
    Verifying,
    /// Waiting for disk space, the network, or another program's lock.
    Waiting,
    /// Paused by a user.
    Paused,
    /// Complete and verified.
    Done,
    /// Given up; a user can retry.
    Failed,
    /// Cancelled by a user.
    Cancelled,
}

/// What a waiting download waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Disk space.
    Disk,
    /// The network or the hub.
    Network,
    /// Another program that is downloading the same files.
    Lock,
}

/// A download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Download {
    /// Its id.
    pub id: Uuid,
    /// Repository on the hub, `owner/name`.
    pub repo_id: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Patterns of the files to download; empty for those that are needed to run the model.
    #[serde(default)]
    pub files: Vec<String>,
    /// Its state.
    pub state: DownloadState,
    /// What it waits for, if it is waiting.
    #[serde(default)]
    pub waiting_for: Option<WaitReason>,
    /// Bytes of all files, once they are known.
    pub total_bytes: Option<u64>,
    /// Bytes that are on the disk.
    pub done_bytes: u64,
    /// Speed of the last seconds, while it is running.
    pub bytes_per_second: Option<u64>,
    /// Expected time to its end at this speed.
    pub remaining_seconds: Option<u64>,
    /// Why it waits or failed, and what to do next.
    pub error: Option<String>,
    /// Time of the request.
    pub created_at_ms: i64,
    /// First time that it ran.
    pub started_at_ms: Option<i64>,
    /// Time at which it was done, failed or cancelled.
    pub finished_at_ms: Option<i64>,
}

/// A model to download. A second request for the same repository, revision and files returns the existing download, unless that
/// is done or cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadRequest {
    /// Repository on the hub, `owner/name`.
    pub repo_id: String,
    /// Branch, tag or commit; `main` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Patterns of the files to download, such as `*.gguf`; if empty, the files that are needed to run the model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// All downloads, in the order of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DownloadList {
    /// The downloads.
    pub downloads: Vec<Download>,
}

/// A new order of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadOrder {
    /// The downloads that come first, in this order. The others follow in theirs.
    pub first: Vec<Uuid>,
}

/// What happens to the files of a cancelled download.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CancelOptions {
    /// Keeps partial files, so that a later download continues with them.
    #[serde(default)]
    pub keep_partial: bool,
}
