//! Chats: conversations that are stored here, and runs that write their responses.
//!
//! # Map
//! - `stores`: where a chat is; temporary ones are in memory only. `convert`: between the store and the API.
//! - `conversations`, `show`, `tree`: the routes of chats, of branches and of deleted messages. `publish`: events about them.
//! - `runs`: the tasks that write responses. `settings`: what their requests are made with.
//! - `title`: titles from first messages. `export`, `markdown`, `import`: chats as files.
//! - `attachments`: files of messages. `library`: personas and prompts. `retention`: what is deleted for good.
//! - `count`: the exact number of tokens of a draft. `tasks`: what is computed apart from its request.
//!
//! # Invariants
//! - A temporary chat is never written to the database, and neither are attachments that were added for one.
//! - All routes see the rows of one user only.

pub(super) mod attachments;
pub(super) mod conversations;
mod convert;
pub(super) mod count;
pub(super) mod export;
mod ids;
pub(super) mod import;
pub(super) mod library;
mod markdown;
mod publish;
mod retention;
pub(super) mod runs;
mod settings;
pub(super) mod show;
mod stores;
mod tasks;
mod title;
pub(super) mod tree;

use axum::routing::MethodRouter;
use mlxm_store::Uuid;

pub use count::TokenCounters;
pub use retention::delete_what_is_old;
pub use runs::Runs;
pub use stores::ChatStores;

use super::GatewayState;

/// Chats without accounts are those of one user.
const OWNER: Uuid = Uuid::nil();

/// The routes of all modules.
pub fn routes() -> Vec<(&'static str, MethodRouter<GatewayState>)> {
    [
        conversations::routes(),
        tree::routes(),
        export::routes(),
        import::routes(),
        count::routes(),
        attachments::routes(),
        library::routes(),
        runs::routes(),
    ]
    .concat()
}
