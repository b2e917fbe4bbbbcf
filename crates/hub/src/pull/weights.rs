//! Which weights of a repository are downloaded.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::api::Api;
use crate::error::HubError;
use crate::http::{Redirects, network_error};
use crate::info::RepoFile;
use crate::local::{WEIGHTS_EXTENSION, WEIGHTS_INDEX, parse_index, shard_set};
use crate::repo_id::RepoId;

/// Removes weights that the index of the repository does not name, such as the whole model next to its shards. All weights are
/// kept if there is one set of them, or no index whose files all exist.
///
/// # Errors
/// If the hub cannot be reached.
pub(super) async fn remove_left_over(
    api: &Api,
    repo: &RepoId,
    commit: &str,
    wanted: &mut Vec<RepoFile>,
) -> Result<(), HubError> {
    let weights: BTreeSet<String> = wanted
        .iter()
        .map(|file| file.path.clone())
        .filter(|path| path.ends_with(WEIGHTS_EXTENSION))
        .collect();
    let is_one_set = weights.len() < 2
        || weights
            .first()
            .is_some_and(|first| shard_set(first).collect::<BTreeSet<_>>() == weights);
    if is_one_set || !wanted.iter().any(|file| file.path == WEIGHTS_INDEX) {
        return Ok(());
    }
    let indexed = api
        .with_retries(|| fetch_index(api, repo, commit))
        .await?
        .filter(|indexed| indexed.is_subset(&weights));
    if let Some(indexed) = indexed {
        wanted
            .retain(|file| !file.path.ends_with(WEIGHTS_EXTENSION) || indexed.contains(&file.path));
    }
    Ok(())
}

/// The files that the index names; `None` if it is not available or not valid. Planning the download reports what is wrong.
async fn fetch_index(
    api: &Api,
    repo: &RepoId,
    commit: &str,
) -> Result<Option<BTreeSet<String>>, HubError> {
    let url = api.http.file_url(repo, commit, WEIGHTS_INDEX);
    let response = api
        .http
        .send(Method::GET, url.clone(), None, Redirects::Follow)
        .await?
        .response;
    if !response.status().is_success() {
        return Ok(None);
    }
    let content = response
        .bytes()
        .await
        .map_err(|error| network_error(&url, &error))?;
    Ok(parse_index(&content))
}
