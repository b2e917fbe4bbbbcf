//! Deletion of many rows without holding up other writes.

use crate::connect::Store;
use crate::error::StoreError;
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::DeleteStatement;
use std::num::NonZeroU64;

/// Repeats a statement that deletes at most `batch` rows, each time in a transaction of its own, until it deletes fewer;
/// returns the number of rows. An error leaves complete batches deleted.
pub(crate) async fn delete(
    store: &Store,
    statement: &DeleteStatement,
    batch: NonZeroU64,
) -> Result<u64, StoreError> {
    let mut total = 0;
    loop {
        let transaction = store.begin().await?;
        let deleted = transaction.execute(statement).await?.rows_affected();
        transaction.commit().await?;
        total += deleted;
        if deleted < batch.get() {
            return Ok(total);
        }
        // The write connection goes to a waiting writer first.
        tokio::task::yield_now().await;
    }
}
