//! Lists of chats.

use super::{Chat, Column, Entity, TABLE, rows};
use crate::connect::Store;
use crate::entities::chat_tag;
use crate::error::StoreError;
use crate::search::{self, FoundPart, Words};
use crate::values::{self, check_text};
use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

/// A selection of chats that are not temporary. The default is the first 50.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFilter {
    /// Chats of one of these profiles and models.
    pub models: Option<Vec<String>>,
    /// Chats with this label.
    pub tag: Option<String>,
    /// Pinned ones only, or the others only.
    pub is_pinned: Option<bool>,
    /// Chats with all of these words in the title, or in one message. The last word may be incomplete. A text without words
    /// selects nothing.
    pub search: Option<String>,
    /// Deleted chats that can be restored, in place of the others.
    pub is_deleted: bool,
    /// Chats after this one, the last of the previous page.
    pub after: Option<ChatPosition>,
    /// Maximum number.
    pub limit: u64,
}

impl Default for ChatFilter {
    fn default() -> Self {
        Self {
            models: None,
            tag: None,
            is_pinned: None,
            search: None,
            is_deleted: false,
            after: None,
            limit: 50,
        }
    }
}

/// Where a page of chats ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatPosition {
    /// Whether its last chat is pinned.
    pub is_pinned: bool,
    /// Time of the last activity of its last chat.
    pub active_at_ms: i64,
    /// Id of its last chat.
    pub id: Uuid,
}

impl Chat {
    /// The position after this chat.
    pub const fn position(&self) -> ChatPosition {
        ChatPosition {
            is_pinned: self.config.is_pinned,
            active_at_ms: self.active_at_ms,
            id: self.id,
        }
    }
}

/// A chat of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedChat {
    /// The chat.
    pub chat: Chat,
    /// Where the words of a search are; `None` without a search, and if only the title has them.
    pub found: Option<Found>,
}

/// Where the words of a search are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The newest message with the words.
    pub message_id: Uuid,
    /// The first of the words with some text before and after it.
    pub parts: Vec<FoundPart>,
}

/// A label with the number of chats that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCount {
    /// The label.
    pub tag: String,
    /// Chats in lists.
    pub chats: u64,
}

/// Chats that match the filter: pinned ones first, then those with the latest activity.
///
/// # Errors
/// [`StoreError::Invalid`] for a text with NUL in the filter, and [`StoreError::Unreadable`] for a row that this version cannot
/// read.
pub async fn list(
    store: &Store,
    user_id: Uuid,
    filter: &ChatFilter,
) -> Result<Vec<ListedChat>, StoreError> {
    filter.check()?;
    let words = match filter.search.as_deref().map(Words::new) {
        Some(words) if words.is_empty() => return Ok(Vec::new()),
        words => words,
    };
    let reader = store.reader();
    let condition = filter.condition(user_id, words.as_ref(), reader.get_database_backend());
    let rows = Entity::find()
        .filter(condition)
        .order_by_desc(Column::IsPinned)
        .order_by_desc(Column::ActiveAtMs)
        .order_by_desc(Column::Id)
        .limit(filter.limit)
        .all(reader)
        .await?;
    let chats = rows::read_all(reader, rows).await?;
    let mut found = match &words {
        Some(words) => {
            let ids: Vec<Uuid> = chats.iter().map(|chat| chat.id).collect();
            search::in_messages(reader, &ids, words).await?
        }
        None => search::FoundInChats::new(),
    };
    let listed = chats.into_iter().map(|chat| ListedChat {
        found: found
            .remove(&chat.id)
            .map(|(message_id, parts)| Found { message_id, parts }),
        chat,
    });
    Ok(listed.collect())
}

impl ChatFilter {
    /// SQLite would find nothing, and Postgres reports an error of its own.
    fn check(&self) -> Result<(), StoreError> {
        check_text("tag", self.tag.as_deref().unwrap_or_default())?;
        for model in self.models.iter().flatten() {
            check_text("model", model)?;
        }
        Ok(())
    }

    /// Which rows, apart from their number.
    fn condition(&self, user_id: Uuid, words: Option<&Words>, backend: DbBackend) -> Condition {
        let deleted = if self.is_deleted {
            Column::DeletedAtMs.is_not_null()
        } else {
            Column::DeletedAtMs.is_null()
        };
        let models = self
            .models
            .as_ref()
            .map(|models| Column::Model.is_in(models.iter().map(String::as_str)));
        Condition::all()
            .add(Column::UserId.eq(user_id))
            .add(Column::IsTemporary.eq(false))
            .add(deleted)
            .add_option(models)
            .add_option(self.is_pinned.map(|pinned| Column::IsPinned.eq(pinned)))
            .add_option(
                self.tag
                    .as_deref()
                    .map(|tag| Column::Id.in_subquery(with_tag(tag))),
            )
            .add_option(
                words.map(|words| Column::Id.in_subquery(search::chats_with(words, backend))),
            )
            .add_option(self.after.map(after))
    }
}

fn with_tag(tag: &str) -> SelectStatement {
    Query::select()
        .column(chat_tag::Column::ChatId)
        .from(chat_tag::Entity)
        .and_where(chat_tag::Column::Tag.eq(tag))
        .to_owned()
}

fn after(position: ChatPosition) -> Condition {
    let same_time = Condition::all()
        .add(Column::ActiveAtMs.eq(position.active_at_ms))
        .add(Column::Id.lt(position.id));
    let same_pin = Condition::all()
        .add(Column::IsPinned.eq(position.is_pinned))
        .add(
            Condition::any()
                .add(Column::ActiveAtMs.lt(position.active_at_ms))
                .add(same_time),
        );
    let others = position.is_pinned.then(|| Column::IsPinned.eq(false));
    Condition::any().add_option(others).add(same_pin)
}

/// All labels of the chats in lists, sorted.
pub async fn tags(store: &Store, user_id: Uuid) -> Result<Vec<TagCount>, StoreError> {
    let listed = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::UserId.eq(user_id))
        .and_where(Column::IsTemporary.eq(false))
        .and_where(Column::DeletedAtMs.is_null())
        .to_owned();
    let counts = chat_tag::Entity::find()
        .select_only()
        .column(chat_tag::Column::Tag)
        .expr_as(chat_tag::Column::ChatId.count(), "chats")
        .filter(chat_tag::Column::ChatId.in_subquery(listed))
        .group_by(chat_tag::Column::Tag)
        .into_tuple::<(String, i64)>()
        .all(store.reader())
        .await?;
    let mut tags = counts
        .into_iter()
        .map(|(tag, chats)| {
            let column = values::StoredValue {
                table: TABLE,
                column: "id",
                row: &tag,
            };
            let chats = column.unsigned(chats)?;
            Ok(TagCount { tag, chats })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    tags.sort_unstable_by(|first, second| first.tag.cmp(&second.tag));
    Ok(tags)
}
