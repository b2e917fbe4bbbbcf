//! What of a snapshot is here, and what is still to come.

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

/// Left free for everything else on the disk.
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
    /// The blob's name in the cache.
    pub etag: String,
    /// What the content must hash to.
    pub digest: Digest,
    /// How much of it is on disk.
    pub present_bytes: u64,
    complete: bool,
}

impl PlannedFile {
    pub fn is_present(&self) -> bool {
        self.complete
    }

    fn new(
        folder: &RepoFolder,
        path: String,
        size_bytes: u64,
        etag: String,
        digest: Digest,
    ) -> Self {
        let complete = blob_exists(folder, &etag, size_bytes);
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

/// Whether the content is here. Its digest was checked before it got its name.
pub(super) fn blob_exists(folder: &RepoFolder, etag: &str, size_bytes: u64) -> bool {
    fs::metadata(folder.blob(etag))
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
        let questions = wanted
            .into_iter()
            .map(|file| async move {
                let etag = file.digest.as_str().to_owned();
                let listed =
                    PlannedFile::new(folder, file.path, file.size_bytes, etag, file.digest);
                if listed.is_present() {
                    Ok(listed)
                } else {
                    fetch_file_metadata(api, folder, repo, commit, &listed).await
                }
            })
            .collect();
        Ok(Self {
            files: super::answers(questions, parallel).await?,
        })
    }

    /// Refuses before anything is fetched what cannot fit.
    pub fn check_space(&self, config: &HubConfig, folder: &RepoFolder) -> Result<(), HubError> {
        let needed: u64 = self
            .files
            .iter()
            .map(|file| file.size_bytes - file.present_bytes)
            .sum();
        if needed == 0 {
            return Ok(());
        }
        let path = folder.blobs();
        // A file system that does not tell is not a full one.
        let Ok(available) = config.disk.available_bytes(&path) else {
            return Ok(());
        };
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

/// Asks for a file's etag and size as the place that serves it states them.
pub(super) async fn fetch_file_metadata(
    api: &Api,
    folder: &RepoFolder,
    repo: &RepoId,
    commit: &str,
    listed: &PlannedFile,
) -> Result<PlannedFile, HubError> {
    let request = || async {
        let url = api.http.file_url(repo, commit, &listed.path);
        let answer = api
            .http
            .send(Method::HEAD, url.clone(), None, Redirects::FollowWithinHub)
            .await?;
        let status = answer.response.status();
        if !status.is_success() && !status.is_redirection() {
            let target = RequestTarget {
                repo: repo.as_str(),
                revision: Some(commit),
                file: Some(&listed.path),
            };
            return Err(api.http.error_from_response(answer.response, target).await);
        }
        let headers = &answer.hub_headers;
        // A redirect's own length says nothing about the file.
        let length = header_text(headers, CONTENT_LENGTH.as_str()).filter(|_| status.is_success());
        let size_bytes = header_text(headers, "x-linked-size")
            .or(length)
            .and_then(|text| text.parse().ok());
        let served = match hub_etag(headers) {
            Some(etag) => Digest::from_etag(&etag).ok_or_else(|| HubError::UnexpectedResponse {
                url: url.to_string(),
                reason: format!("an etag that cannot be a file name: {etag}"),
            })?,
            None => listed.digest.clone(),
        };
        let etag = served.as_str().to_owned();
        // A mirror's own etag names the blob, but the listing's digest can still be checked.
        let digest = if matches!(served, Digest::Opaque(_)) {
            listed.digest.clone()
        } else {
            served
        };
        Ok(PlannedFile::new(
            folder,
            listed.path.clone(),
            size_bytes.unwrap_or(listed.size_bytes),
            etag,
            digest,
        ))
    };
    api.with_retries(request).await
}
