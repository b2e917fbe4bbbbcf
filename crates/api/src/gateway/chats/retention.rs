//! What is deleted for good: chats and messages some time after a user deleted them, attachments that nothing refers to, and
//! tokenizers that are not used.

use std::time::Duration;

use mlxm_store::{Store, StoreError, attachments, chats, now_ms};
use tokio::time::{MissedTickBehavior, interval};

use super::stores::{BATCH, UPLOAD_GRACE_MS};
use crate::gateway::GatewayState;

/// Time between two looks at unused tokenizers.
const TICK: Duration = Duration::from_mins(1);

/// Looks between two deletions: once an hour.
const TICKS_PER_DELETION: u32 = 60;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long a deletion can be undone.
const UNDO_MS: i64 = 30 * DAY_MS;

/// How long a draft may have an attachment before it is sent.
const DRAFT_MS: i64 = DAY_MS;

/// Deletes at the start, and then once an hour, until it is dropped.
pub async fn delete_what_is_old(state: GatewayState) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = 0_u32;
    loop {
        ticks.tick().await;
        state.token_counters().free_idle();
        if tick.is_multiple_of(TICKS_PER_DELETION) {
            let chats = state.chats();
            let stored = Some((chats.stored(), DRAFT_MS));
            let temporary = chats.in_memory().map(|store| (store, UPLOAD_GRACE_MS));
            for (store, draft_ms) in [stored, temporary].into_iter().flatten() {
                if let Err(error) = delete(store, draft_ms).await {
                    tracing::warn!(%error, "deleted chats and unused attachments are not removed");
                }
            }
        }
        tick = tick.wrapping_add(1);
    }
}

async fn delete(store: &Store, draft_ms: i64) -> Result<(), StoreError> {
    let rows = chats::purge(store, now_ms() - UNDO_MS, BATCH).await?;
    let files = attachments::collect(store, now_ms() - draft_ms, BATCH).await?;
    if rows + files > 0 {
        tracing::info!(rows, files, "removed deleted chats and unused attachments");
    }
    Ok(())
}
