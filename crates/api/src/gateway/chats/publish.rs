//! Events about chats.

use mlxm_store::Uuid;

use crate::gateway::GatewayState;
use crate::wire::chats::{Chat, ChatChange, ChatEvent, ChatsEvent};
use crate::wire::events::Event;
use crate::wire::messages::Message;

/// A chat was added, changed or restored. Temporary ones are in no list.
pub fn changed(state: &GatewayState, chat: &Chat) {
    if !chat.is_temporary {
        state.bus().publish(Event::Chats(ChatsEvent::Changed {
            chat: Box::new(chat.clone()),
        }));
    }
    let changed = ChatChange::Changed {
        chat: Box::new(chat.clone()),
    };
    publish(state, chat.id, changed);
}

/// A chat was deleted.
pub fn deleted(state: &GatewayState, id: Uuid) {
    state
        .bus()
        .publish(Event::Chats(ChatsEvent::Removed { id }));
    publish(state, id, ChatChange::Deleted);
}

/// Messages of a chat were added or restored.
pub fn messages_added(state: &GatewayState, chat: Uuid, messages: Vec<Message>) {
    publish(state, chat, ChatChange::Messages { messages });
}

/// Messages of a chat were deleted.
pub fn messages_removed(state: &GatewayState, chat: Uuid, messages: Vec<Uuid>) {
    publish(state, chat, ChatChange::Removed { messages });
}

fn publish(state: &GatewayState, chat: Uuid, change: ChatChange) {
    state.bus().publish(Event::Chat(ChatEvent { chat, change }));
}
