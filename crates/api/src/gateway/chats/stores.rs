//! Where chats are: in the database, or in memory if they are temporary.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mlxm_store::chats::{self, Chat, ChatConfig};
use mlxm_store::gateways::{self, NewGateway};
use mlxm_store::{Store, StoreError, Uuid, attachments, now_ms};
use tokio::sync::OnceCell;

use super::OWNER;
use crate::gateway::problem::ApiProblem;

/// Temporary chats at a time. With one more, the oldest is deleted.
const MAX_TEMPORARY: usize = 32;

/// How long a draft may have an attachment in memory before it is sent.
pub const UPLOAD_GRACE_MS: i64 = 60 * 60 * 1000;

/// Rows that are deleted in a transaction.
pub const BATCH: NonZeroU64 = NonZeroU64::new(1000).unwrap();

/// The stores of chats; clones share them.
#[derive(Clone)]
pub struct ChatStores(Arc<Shared>);

struct Shared {
    stored: Store,
    gateway: NewGateway,
    /// It is opened for the first temporary chat or attachment.
    temporary: OnceCell<Store>,
    ids: Mutex<BTreeSet<Uuid>>,
    /// Held while a configuration is read and written, so that no change is lost.
    editing: tokio::sync::Mutex<()>,
}

impl ChatStores {
    /// The chats of `stored`. `gateway` has an id, under which it is registered there.
    pub fn new(stored: Store, gateway: NewGateway) -> Self {
        Self(Arc::new(Shared {
            stored,
            gateway,
            temporary: OnceCell::new(),
            ids: Mutex::default(),
            editing: tokio::sync::Mutex::default(),
        }))
    }

    /// The store of a chat. An unknown chat is not found there.
    pub fn of(&self, chat: Uuid) -> &Store {
        self.in_memory()
            .filter(|_| self.is_temporary(chat))
            .unwrap_or(&self.0.stored)
    }

    /// The store of what belongs to no chat: attachments of drafts, personas and prompts.
    pub fn stored(&self) -> &Store {
        &self.0.stored
    }

    /// The store in memory; `None` if nothing was temporary yet.
    pub fn in_memory(&self) -> Option<&Store> {
        self.0.temporary.get()
    }

    /// The database, and that in memory if there is one.
    pub fn all(&self) -> impl Iterator<Item = &Store> {
        [Some(&self.0.stored), self.in_memory()]
            .into_iter()
            .flatten()
    }

    /// Whether a chat is in memory only.
    pub fn is_temporary(&self, chat: Uuid) -> bool {
        self.ids().contains(&chat)
    }

    /// Creates a chat in memory. If there are too many, the id of the oldest is returned, too: it is to be deleted.
    ///
    /// # Errors
    /// As [`chats::create_temporary`].
    pub async fn create_temporary(
        &self,
        config: ChatConfig,
    ) -> Result<(Chat, Option<Uuid>), StoreError> {
        let store = self.temporary().await?;
        let chat = chats::create_temporary(store, OWNER, config).await?;
        let oldest = self.add_temporary(chat.id);
        Ok((chat, oldest))
    }

    /// Notes that a chat was created in memory, such as a copy of a temporary one. If there are too many, the id of the oldest is
    /// returned: it is to be deleted.
    pub fn add_temporary(&self, chat: Uuid) -> Option<Uuid> {
        let mut ids = self.ids();
        ids.insert(chat);
        // Ids grow with time.
        ids.first().copied().filter(|_| ids.len() > MAX_TEMPORARY)
    }

    /// Deletes a temporary chat for good.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn delete_temporary(&self, chat: Uuid) -> Result<(), StoreError> {
        let store = self.of(chat);
        chats::erase(store, OWNER, chat).await?;
        self.ids().remove(&chat);
        attachments::collect(store, now_ms() - UPLOAD_GRACE_MS, BATCH).await?;
        Ok(())
    }

    /// Changes what a user edits of a chat. Changes at the same time are made one after the other.
    ///
    /// # Errors
    /// That of `change`, after which nothing is changed, and as [`chats::update`].
    pub async fn edit(
        &self,
        chat: Uuid,
        change: impl FnOnce(&mut ChatConfig) -> Result<(), ApiProblem>,
    ) -> Result<Chat, ApiProblem> {
        let store = self.of(chat);
        let _editing = self.0.editing.lock().await;
        let mut config = chats::get(store, OWNER, chat).await?.config;
        change(&mut config)?;
        Ok(chats::update(store, OWNER, chat, config).await?)
    }

    /// The store in memory, which is opened if nothing was temporary yet.
    ///
    /// # Errors
    /// [`StoreError::Open`] if there is no memory for it.
    pub async fn temporary(&self) -> Result<&Store, StoreError> {
        let open = || async {
            let store = self.0.stored.in_memory().await?;
            // Runs refer to it.
            gateways::register(&store, self.0.gateway.clone()).await?;
            Ok(store)
        };
        self.0.temporary.get_or_try_init(open).await
    }

    fn ids(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.0.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
