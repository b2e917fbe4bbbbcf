//! Several answers to one request.

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::select_all;

use super::{Chunk, CollectedCompletion, Completion};
use crate::error::ApiError;

/// The chunks of all answers as they come, each with the index of its answer.
pub fn merge(
    answers: Vec<Completion>,
) -> impl Stream<Item = (usize, Result<Chunk, ApiError>)> + Send + Unpin {
    let indexed = answers.into_iter().enumerate();
    select_all(indexed.map(|(index, answer)| answer.map(move |chunk| (index, chunk)).boxed()))
}

/// All answers once they are complete; the first failure drops the others.
pub async fn collect_all(answers: Vec<Completion>) -> Result<Vec<CollectedCompletion>, ApiError> {
    futures_util::future::try_join_all(answers.into_iter().map(Completion::collected)).await
}
