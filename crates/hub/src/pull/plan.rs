//! Determines which files of a snapshot must be downloaded.

use std::fs;

use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;

use crate::api::Api;
use crate::config::HubConfig;
use crate::error::HubError;
use crate::http::{Redirects, RequestTarget, header_text, hub_etag};
use crate::info::{Digest, RepoFile};
use crate::layout::RepoFolder;
use crate::repo_id::RepoId;

/// Disk space that is left free.
const SPACE_MARGIN_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Plan {
    pub files: Vec<PlannedFile>,
}

/// A file of the snapshot.
#[derive(Debug, Clone)]
pub(super) struct PlannedFile {
    /// Path in the repository.
    pub path: String,
    pub size_bytes: u64,
    /// Blob name in the cache.
    pub etag: String,
    /// Expected digest of the content.
    pub digest: Digest,
    /// Bytes that are already on disk.
    pub present_bytes: u64,
    complete: bool,
}

impl PlannedFile {
    pub fn is_present(&self) -> bool {
        self.complete
    }

    fn new(
        folder: &RepoFolder,
        commit: &str,
        path: String,
        size_bytes: u64,
        etag: String,
        digest: Digest,
    ) -> Self {
        let complete =
            blob_exists(folder, &etag, size_bytes) || is_placed(folder, commit, &path, size_bytes);
        let partial_bytes =
            || fs::metadata(folder.partial(&etag)).map_or(0, |metadata| metadata.len());
        let present_bytes = if complete {
            size_bytes
        } else {
            partial_bytes().min(size_bytes)
        };
        Self {
            path,
            size_bytes,
            etag,
            digest,
            present_bytes,
            complete,
        }
    }
}

/// Whether the blob exists. Its digest was verified before it was renamed to this path.
pub(super) fn blob_exists(folder: &RepoFolder, etag: &str, size_bytes: u64) -> bool {
    fs::metadata(folder.blob(etag))
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size_bytes)
}

/// Whether the snapshot has the file itself, as in a file system without symlinks. Its digest was verified before it was moved.
fn is_placed(folder: &RepoFolder, commit: &str, path: &str, size_bytes: u64) -> bool {
    fs::symlink_metadata(folder.snapshot(commit).join(path))
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size_bytes)
}

impl Plan {
    pub async fn new(
        api: &Api,
        folder: &RepoFolder,
        repo: &RepoId,
        commit: &str,
        wanted: Vec<RepoFile>,
        parallel: usize,
    ) -> Result<Self, HubError> {
        let requests = wanted
            .into_iter()
            .map(|file| async move {
                let etag = file.digest.as_str().to_owned();
                let (path, size_bytes) = (file.path, file.size_bytes);
                let listed = PlannedFile::new(folder, commit, path, size_bytes, etag, file.digest);
                if listed.is_present() {
                    Ok(listed)
                } else {
                    fetch_file_metadata(api, folder, repo, commit, &listed).await
                }
            })
            .collect();
        Ok(Self {
            files: super::buffered(requests, parallel).await?,
        })
    }

    /// Returns [`HubError::DiskFull`] if the download does not fit on the disk in addition to what others will need.
    pub fn check_space(
        &self,
        config: &HubConfig,
        folder: &RepoFolder,
        reserved_bytes: u64,
    ) -> Result<(), HubError> {
        let needed: u64 = self
            .files
            .iter()
            .map(|file| file.size_bytes - file.present_bytes)
            .sum();
        if needed == 0 {
            return Ok(());
        }
        let path = folder.blobs();
        // Continue if the free space is unknown.
        let Ok(available) = config.disk.available_bytes(&path) else {
            return Ok(());
        };
        let available = available.saturating_sub(reserved_bytes);
        let needed = needed + SPACE_MARGIN_BYTES;
        if needed <= available {
            return Ok(());
        }
        Err(HubError::DiskFull {
            path,
            needed_bytes: Some(needed),
            available_bytes: Some(available),
        })
    }
}

/// Requests the current etag and size of a file.
pub(super) async fn fetch_file_metadata(
    api: &Api,
    folder: &RepoFolder,
    repo: &RepoId,
    commit: &str,
    listed: &PlannedFile,
) -> Result<PlannedFile, HubError> {
    let request = || async {
        let url = api.http.file_url(repo, commit, &listed.path);
        let reply = api
            .http
            .send(Method::HEAD, url.clone(), None, Redirects::FollowWithinHub)
            .await?;
        let status = reply.response.status();
        if !status.is_success() && !status.is_redirection() {
            let target = RequestTarget {
                repo: repo.as_str(),
                revision: Some(commit),
                file: Some(&listed.path),
            };
            return Err(api.http.error_from_response(reply.response, target).await);
        }
        let headers = &reply.hub_headers;
        // The content length of a redirect is not that of the file.
        let length = header_text(headers, CONTENT_LENGTH.as_str()).filter(|_| status.is_success());
        let size_bytes = header_text(headers, "x-linked-size")
            .or(length)
            .and_then(|text| text.parse().ok());
        let served = match hub_etag(headers) {
            Some(etag) => Digest::from_etag(&etag).ok_or_else(|| HubError::UnexpectedResponse {
                url: url.to_string(),
                reason: format!("invalid etag: {etag}"),
            })?,
            None => listed.digest.clone(),
        };
        let etag = served.as_str().to_owned();
        // If a mirror returns its own etag, the blob is named after it but verified with the listed digest.
        let digest = if matches!(served, Digest::Opaque(_)) {
            listed.digest.clone()
        } else {
            served
        };
        Ok(PlannedFile::new(
            folder,
            commit,
            listed.path.clone(),
            size_bytes.unwrap_or(listed.size_bytes),
            etag,
            digest,
        ))
    };
    api.with_retries(request).await
}
