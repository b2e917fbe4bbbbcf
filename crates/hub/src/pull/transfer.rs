//! Downloads a file: range requests, retries and verification.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::lock::BlobLock;
use super::partial_file::PartialFile;
use super::plan::{PlannedFile, blob_exists, fetch_file_metadata};
use crate::api::Api;
use crate::config::HubConfig;
use crate::error::HubError;
use crate::http::{
    ByteRange, Redirects, RequestTarget, header_text, hub_etag, is_transient, network_error,
};
use crate::info::{Digest, parse_retry_after};
use crate::layout::RepoFolder;
use crate::progress::{ProgressHandler, PullEvent};
use crate::repo_id::RepoId;

/// Network chunks are small, so they are buffered up to this size before they are written.
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Maximum time between writes, so that a killed process loses little on a slow connection.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// Number of corrupt downloads after which a file counts as corrupt at its source.
const MAX_CORRUPT_DOWNLOADS: u32 = 2;
/// Number of times that a file may change during its download.
const MAX_CONTENT_CHANGES: u32 = 3;

/// Shared state of the downloads of one pull.
pub(super) struct Transfer<'a> {
    pub api: &'a Api,
    pub config: &'a HubConfig,
    pub folder: &'a RepoFolder,
    pub repo: &'a RepoId,
    pub commit: &'a str,
    pub progress: &'a dyn ProgressHandler,
}

/// A downloaded file.
#[derive(Debug)]
pub(super) struct FetchedFile {
    /// Etag in the plan.
    pub planned_etag: String,
    /// Final etag.
    pub etag: String,
    pub bytes_downloaded: u64,
    pub bytes_reused: u64,
}

/// Outcome of downloading specific content.
enum Content {
    Complete {
        bytes_downloaded: u64,
        bytes_reused: u64,
    },
    /// The server now has different content for this file.
    Changed,
}

/// Outcome of a successful attempt.
enum Attempt {
    Complete,
    Changed,
}

/// Why an attempt failed.
enum Failure {
    /// The attempt can be retried.
    Transient {
        reason: String,
        retry_after: Option<Duration>,
    },
    Permanent(HubError),
}

impl Failure {
    fn transient(reason: impl Into<String>) -> Self {
        Self::Transient {
            reason: reason.into(),
            retry_after: None,
        }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Permanent(error)
    }
}

/// A partial file shared with blocking disk tasks.
type SharedPartial = Arc<Mutex<PartialFile>>;

impl Transfer<'_> {
    /// Downloads a file, unless another process completes it first.
    pub async fn fetch(
        &self,
        file: &PlannedFile,
        stop: &CancellationToken,
    ) -> Result<FetchedFile, HubError> {
        let mut current = file.clone();
        for _ in 0..MAX_CONTENT_CHANGES {
            match self.fetch_content(&current, stop).await? {
                Content::Complete {
                    bytes_downloaded,
                    bytes_reused,
                } => {
                    return Ok(FetchedFile {
                        planned_etag: file.etag.clone(),
                        etag: current.etag,
                        bytes_downloaded,
                        bytes_reused,
                    });
                }
                Content::Changed => {
                    current = tokio::select! {
                        () = stop.cancelled() => return Err(HubError::Cancelled),
                        described = fetch_file_metadata(self.api, self.folder, self.repo, self.commit, &current) => described?,
                    };
                }
            }
        }
        Err(HubError::RetriesExhausted {
            file: file.path.clone(),
            attempts: MAX_CONTENT_CHANGES,
            reason: "its content changed during every attempt".to_owned(),
        })
    }

    async fn fetch_content(
        &self,
        file: &PlannedFile,
        stop: &CancellationToken,
    ) -> Result<Content, HubError> {
        let name = || file.path.clone();
        let waiting = || self.progress.on_event(&PullEvent::Waiting { file: name() });
        let lock = BlobLock::acquire(&self.folder.lock(&file.etag), stop, waiting).await?;
        if blob_exists(self.folder, &file.etag, file.size_bytes) {
            self.progress.on_event(&PullEvent::Reused {
                file: name(),
                size_bytes: file.size_bytes,
            });
            return Ok(Content::Complete {
                bytes_downloaded: 0,
                bytes_reused: file.size_bytes,
            });
        }

        let partial_path = self.folder.partial(&file.etag);
        let (path, size_bytes, digest) =
            (partial_path.clone(), file.size_bytes, file.digest.clone());
        let disk = Arc::clone(&self.config.disk);
        let opened = tokio::task::spawn_blocking(move || {
            PartialFile::open(path, size_bytes, digest, disk, lock)
        })
        .await;
        let partial: SharedPartial = Arc::new(Mutex::new(join_result(opened)?));

        let bytes_reused = position(&partial);
        let mut bytes_downloaded = 0;
        let mut furthest = bytes_reused;
        let policy = &self.config.retry;
        let new_backoff = || policy.backoff(policy.max_attempts).build();
        let mut backoff = new_backoff();
        let mut failures = 0;
        let mut corrupt = 0;
        loop {
            let (reason, retry_after) = match self
                .attempt(file, &partial, &mut bytes_downloaded, stop)
                .await
            {
                Ok(Attempt::Changed) => {
                    // This content is no longer available.
                    let _ = fs::remove_file(&partial_path);
                    return Ok(Content::Changed);
                }
                Ok(Attempt::Complete) => {
                    let Some(actual) = run_blocking(&partial, PartialFile::digest_mismatch).await?
                    else {
                        let blob = self.folder.blob(&file.etag);
                        run_blocking(&partial, move |partial| partial.publish(&blob)).await?;
                        self.progress.on_event(&PullEvent::Finished {
                            file: name(),
                            size_bytes: file.size_bytes,
                        });
                        return Ok(Content::Complete {
                            bytes_downloaded,
                            bytes_reused,
                        });
                    };
                    corrupt += 1;
                    if corrupt >= MAX_CORRUPT_DOWNLOADS {
                        let _ = fs::remove_file(&partial_path);
                        let expected = file.digest.as_str().to_owned();
                        return Err(HubError::Corrupt {
                            file: name(),
                            expected,
                            actual,
                        });
                    }
                    run_blocking(&partial, PartialFile::reset).await?;
                    (format!("checksum mismatch (got {actual})"), None)
                }
                Err(Failure::Transient {
                    reason,
                    retry_after,
                }) => (reason, retry_after),
                Err(Failure::Permanent(error)) => return Err(error),
            };

            // Only bytes beyond the furthest position count as progress. Otherwise a server without range support that
            // drops the connection at the same position would be retried forever.
            let reached = position(&partial);
            if reached > furthest {
                furthest = reached;
                failures = 0;
                backoff = new_backoff();
            }
            failures += 1;
            let delay = policy.delay(backoff.next(), retry_after);
            let Some(delay) = delay else {
                return Err(HubError::RetriesExhausted {
                    file: name(),
                    attempts: failures,
                    reason,
                });
            };
            self.progress.on_event(&PullEvent::Retrying {
                file: name(),
                reason,
                attempt: failures,
                delay,
            });
            tokio::select! {
                () = stop.cancelled() => return Err(HubError::Cancelled),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    async fn attempt(
        &self,
        file: &PlannedFile,
        partial: &SharedPartial,
        bytes_downloaded: &mut u64,
        stop: &CancellationToken,
    ) -> Result<Attempt, Failure> {
        let from = position(partial);
        self.started(file, from);
        if from == file.size_bytes {
            return Ok(Attempt::Complete);
        }
        let url = self.api.http.file_url(self.repo, self.commit, &file.path);
        let range = (from > 0).then_some(ByteRange {
            start: from,
            etag: &file.etag,
        });
        let reply = tokio::select! {
            () = stop.cancelled() => return Err(HubError::Cancelled.into()),
            reply = self.api.http.send(Method::GET, url, range, Redirects::Follow) => reply,
        };
        let reply = reply.map_err(|error| match error {
            HubError::Network { reason, .. } => Failure::transient(reason),
            other => Failure::Permanent(other),
        })?;

        let response = reply.response;
        let status = response.status();
        if status.is_success() {
            let etag = hub_etag(&reply.hub_headers).and_then(|etag| Digest::from_etag(&etag));
            if etag.is_some_and(|etag| etag.as_str() != file.etag) {
                return Ok(Attempt::Changed);
            }
        }
        match status {
            StatusCode::PARTIAL_CONTENT
                if resumes_at(response.headers(), from, file.size_bytes) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                run_blocking(partial, PartialFile::reset).await?;
                return Err(Failure::transient(
                    "the server could not resume the download",
                ));
            }
            StatusCode::OK => {
                // The server ignored the range and sends the whole file, so it must not be appended.
                if from > 0 {
                    run_blocking(partial, PartialFile::reset).await?;
                    self.started(file, 0);
                }
                let length = header_text(response.headers(), CONTENT_LENGTH.as_str());
                if length.is_some_and(|length| length != file.size_bytes.to_string()) {
                    return Err(Failure::transient(
                        "the server sends a file of a different size",
                    ));
                }
            }
            _ if reply.from_hub => return Err(self.hub_failure(response, file).await),
            // Signed storage URLs expire. The next attempt gets a new one.
            _ => {
                let retry_after = header_text(response.headers(), RETRY_AFTER.as_str());
                return Err(Failure::Transient {
                    reason: format!("the storage host returned {status}"),
                    retry_after: retry_after.and_then(|text| parse_retry_after(&text)),
                });
            }
        }
        self.receive(response, file, partial, bytes_downloaded, stop)
            .await
    }

    async fn hub_failure(&self, response: Response, file: &PlannedFile) -> Failure {
        let target = RequestTarget {
            repo: self.repo.as_str(),
            revision: Some(self.commit),
            file: Some(&file.path),
        };
        let error = self.api.http.error_from_response(response, target).await;
        match error {
            HubError::Server {
                status,
                ref message,
                retry_after,
                ..
            } if is_transient(&error) => {
                let message = message
                    .as_ref()
                    .map(|message| format!(": {message}"))
                    .unwrap_or_default();
                let wait = retry_after
                    .map(|wait| format!(" (retry after {} s)", wait.as_secs()))
                    .unwrap_or_default();
                Failure::Transient {
                    reason: format!("the hub returned {status}{wait}{message}"),
                    retry_after,
                }
            }
            other => Failure::Permanent(other),
        }
    }

    /// Writes the response body to the partial file. All received bytes are on disk when it returns, also after an
    /// error.
    async fn receive(
        &self,
        mut response: Response,
        file: &PlannedFile,
        partial: &SharedPartial,
        bytes_downloaded: &mut u64,
        stop: &CancellationToken,
    ) -> Result<Attempt, Failure> {
        let mut received = position(partial);
        let mut buffer = Vec::with_capacity(WRITE_BUFFER_BYTES);
        let mut written_at = Instant::now();
        let ending = loop {
            let chunk = tokio::select! {
                biased;
                () = stop.cancelled() => break Err(Failure::Permanent(HubError::Cancelled)),
                chunk = response.chunk() => chunk,
            };
            match chunk {
                Ok(Some(chunk)) => {
                    *bytes_downloaded += chunk.len() as u64;
                    received += chunk.len() as u64;
                    if received > file.size_bytes {
                        run_blocking(partial, PartialFile::reset).await?;
                        return Err(Failure::transient(
                            "the server sent more bytes than the file size",
                        ));
                    }
                    buffer.extend_from_slice(&chunk);
                    if buffer.len() >= WRITE_BUFFER_BYTES || written_at.elapsed() >= WRITE_INTERVAL
                    {
                        written_at = Instant::now();
                        let full =
                            std::mem::replace(&mut buffer, Vec::with_capacity(WRITE_BUFFER_BYTES));
                        run_blocking(partial, move |partial| partial.append(&full)).await?;
                    }
                    self.progress.on_event(&PullEvent::Advanced {
                        file: file.path.clone(),
                        position_bytes: received,
                    });
                    let wait = self.config.bandwidth.received(chunk.len());
                    if !wait.is_zero() {
                        tokio::select! {
                            () = stop.cancelled() => break Err(Failure::Permanent(HubError::Cancelled)),
                            () = tokio::time::sleep(wait) => {}
                        }
                    }
                }
                Ok(None) if received == file.size_bytes => break Ok(Attempt::Complete),
                Ok(None) => {
                    break Err(Failure::transient(format!(
                        "the connection closed at {received} of {} bytes",
                        file.size_bytes
                    )));
                }
                Err(error) if error.is_timeout() => {
                    let seconds = self.config.read_timeout.as_secs_f32();
                    break Err(Failure::transient(format!(
                        "no data received for {seconds} s"
                    )));
                }
                Err(error) => {
                    break Err(Failure::transient(network_reason(response.url(), &error)));
                }
            }
        };
        if !buffer.is_empty() {
            run_blocking(partial, move |partial| partial.append(&buffer)).await?;
        }
        ending
    }

    fn started(&self, file: &PlannedFile, position_bytes: u64) {
        self.progress.on_event(&PullEvent::Started {
            file: file.path.clone(),
            size_bytes: file.size_bytes,
            position_bytes,
        });
    }
}

fn network_reason(url: &reqwest::Url, error: &reqwest::Error) -> String {
    match network_error(url, error) {
        HubError::Network { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// Whether `Content-Range: bytes {from}-{last}/{size}` starts where the partial file ends.
fn resumes_at(headers: &HeaderMap, from: u64, size_bytes: u64) -> bool {
    let parse = || {
        let range = header_text(headers, CONTENT_RANGE.as_str())?;
        let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let start: u64 = range.split_once('-')?.0.parse().ok()?;
        Some((start, total == "*" || total == size_bytes.to_string()))
    };
    parse() == Some((from, true))
}

fn lock_partial(partial: &SharedPartial) -> std::sync::MutexGuard<'_, PartialFile> {
    partial.lock().unwrap_or_else(PoisonError::into_inner)
}

fn position(partial: &SharedPartial) -> u64 {
    lock_partial(partial).position_bytes()
}

/// Runs a disk operation on the blocking thread pool.
async fn run_blocking<T: Send + 'static>(
    partial: &SharedPartial,
    work: impl FnOnce(&mut PartialFile) -> Result<T, HubError> + Send + 'static,
) -> Result<T, HubError> {
    let partial = Arc::clone(partial);
    join_result(tokio::task::spawn_blocking(move || work(&mut lock_partial(&partial))).await)
}

/// Unwraps the result of a blocking task and propagates panics.
fn join_result<T>(
    outcome: Result<Result<T, HubError>, tokio::task::JoinError>,
) -> Result<T, HubError> {
    match outcome {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(HubError::Cancelled),
    }
}
