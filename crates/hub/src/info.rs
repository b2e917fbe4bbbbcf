//! Model metadata from the hub.

use std::time::Duration;

use crate::layout::is_hidden;
use crate::repo_id::RepoId;

/// A model search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// Text to search for in model names.
    pub text: Option<String>,
    /// Only models of this user or organization.
    pub author: Option<String>,
    /// Only models tagged as MLX.
    pub mlx_only: bool,
    /// Sort order, highest first.
    pub sort: Sort,
    /// Results to skip.
    pub offset: usize,
    /// Maximum number of results.
    pub limit: usize,
}

impl Default for SearchQuery {
    fn default() -> Self {
        Self {
            text: None,
            author: None,
            mlx_only: true,
            sort: Sort::default(),
            offset: 0,
            limit: 20,
        }
    }
}

/// The order of search results, highest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
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

impl Sort {
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Trending => "trendingScore",
            Self::Created => "createdAt",
            Self::Modified => "lastModified",
        }
    }
}

/// One search result.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ModelSummary {
    /// `owner/name`.
    pub repo: String,
    /// Downloads of the last month.
    pub downloads: Option<u64>,
    /// Likes.
    pub likes: Option<u64>,
    /// Time of the last change (RFC 3339).
    pub last_modified: Option<String>,
    /// The task, such as `text-generation`.
    pub pipeline_tag: Option<String>,
    /// The library, such as `mlx`.
    pub library: Option<String>,
    /// All tags.
    pub tags: Vec<String>,
    /// Whether access must be requested.
    pub gated: bool,
    /// Whether the repository is private.
    pub private: bool,
    /// Bytes of its safetensors weights, if the hub knows them.
    pub weights_bytes: Option<u64>,
}

/// A repository at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoInfo {
    /// Canonical name.
    pub repo: RepoId,
    /// The requested revision.
    pub revision: String,
    /// The commit hash of the revision.
    pub commit: String,
    /// Whether access must be requested.
    pub gated: bool,
    /// Whether the repository is private.
    pub private: bool,
    /// Time of the last change (RFC 3339).
    pub last_modified: Option<String>,
    /// The task, such as `text-generation`.
    pub pipeline_tag: Option<String>,
    /// The library, such as `mlx`.
    pub library: Option<String>,
    /// All tags.
    pub tags: Vec<String>,
    /// All files.
    pub files: Vec<RepoFile>,
}

impl RepoInfo {
    /// The weights format of the repository.
    pub fn weights_kind(&self) -> WeightsKind {
        WeightsKind::of(self.files.iter().map(|file| file.path.as_str()))
    }

    /// Total size of all files.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoFile {
    /// Path in the repository, with `/`.
    pub path: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Digest of the content. Also the blob name in the cache.
    pub digest: Digest,
}

/// Digest that identifies the content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256 of the content (large files).
    Sha256(String),
    /// Git blob hash: SHA-1 of `blob {length}\0` followed by the content (small files).
    GitSha1(String),
    /// An etag that is not a digest; only the size of the content can be verified.
    Opaque(String),
}

impl Digest {
    /// Parses an etag; `None` if it is not a valid file name.
    pub(crate) fn from_etag(etag: &str) -> Option<Self> {
        let name = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let is_hex = name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let is_file_name = !name.is_empty()
            && name.len() <= 200
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        match name.len() {
            64 if is_hex => Some(Self::Sha256(name.to_owned())),
            40 if is_hex => Some(Self::GitSha1(name.to_owned())),
            _ if is_file_name => Some(Self::Opaque(name.to_owned())),
            _ => None,
        }
    }

    /// The digest as text, which is the blob name in the cache.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::GitSha1(text) | Self::Opaque(text) => text,
        }
    }
}

/// The weights format of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsKind {
    /// `*.safetensors`, the supported format.
    Safetensors,
    /// Only `*.gguf`.
    GgufOnly,
    /// Only PyTorch pickles (`*.bin`, `*.pth`, `*.pt`).
    PytorchOnly,
    /// No weights at all.
    None,
}

impl WeightsKind {
    /// Determines the format from file names.
    pub(crate) fn of<'a>(files: impl Iterator<Item = &'a str>) -> Self {
        let mut kind = Self::None;
        for file in files.filter(|file| !is_hidden(file)) {
            let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
            match extension {
                "safetensors" => return Self::Safetensors,
                "gguf" => kind = Self::GgufOnly,
                "bin" | "pth" | "pt" if kind == Self::None => kind = Self::PytorchOnly,
                _ => {}
            }
        }
        kind
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Safetensors => "has safetensors weights",
            Self::GgufOnly => {
                "has only GGUF weights, which must be converted first (`mlxm convert`)"
            }
            Self::PytorchOnly => {
                "has only PyTorch pickle weights (.bin, .pth), which are not supported"
            }
            Self::None => "has no model weights",
        }
    }
}

/// Parses a `Retry-After` header: seconds or an HTTP date.
pub(crate) fn parse_retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(
            httpdate::parse_http_date(value)
                .ok()?
                .duration_since(std::time::SystemTime::now())
                .unwrap_or(Duration::ZERO),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_etag_detects_the_digest_type() {
        let sha256 = "a".repeat(64);
        let sha1 = "0".repeat(40);
        assert_eq!(
            Digest::from_etag(&format!("\"{sha256}\"")),
            Some(Digest::Sha256(sha256))
        );
        assert_eq!(
            Digest::from_etag(&format!("W/\"{sha1}\"")),
            Some(Digest::GitSha1(sha1))
        );
        assert_eq!(
            Digest::from_etag("\"abc-12\""),
            Some(Digest::Opaque("abc-12".to_owned()))
        );
        for bad in ["", "\"\"", "\"../../x\"", "\"a/b\"", "\"..\""] {
            assert_eq!(Digest::from_etag(bad), None, "{bad}");
        }
    }

    #[test]
    fn weights_kind_follows_file_names() {
        let kind = |files: &[&str]| WeightsKind::of(files.iter().copied());
        assert_eq!(
            kind(&["config.json", "a.gguf", "model.safetensors"]),
            WeightsKind::Safetensors
        );
        assert_eq!(
            kind(&["pytorch_model.bin", "a.gguf"]),
            WeightsKind::GgufOnly
        );
        assert_eq!(
            kind(&["config.json", "pytorch_model.bin"]),
            WeightsKind::PytorchOnly
        );
        assert_eq!(kind(&["README.md"]), WeightsKind::None);
        assert_eq!(kind(&["._model.safetensors"]), WeightsKind::None);
    }

    #[test]
    fn parse_retry_after_accepts_seconds_and_dates() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(
            parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(parse_retry_after("soon"), None);
    }
}
