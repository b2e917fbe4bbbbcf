//! Receipts of responses, and the comparison of a response with one that is computed again.

use mlxm_gateway::ServerRecord;
use mlxm_store::messages::join_texts;

use super::request::RunRequest;
use crate::gateway::proxy::Target;
use crate::gateway::{GatewayState, Snapshot};
use crate::wire::messages::{Message, Part};
use crate::wire::profiles::LoadSettings;
use crate::wire::runs::{Difference, Receipt, ReceiptChange};

/// Most characters of a difference.
const MAX_SHOWN: usize = 80;

/// The receipt of a request that `server` has. `continued_at` is the length of the text that it continues.
pub fn receipt(
    state: &GatewayState,
    request: &RunRequest,
    target: &Target,
    server: Option<&ServerRecord>,
    continued_at: u64,
) -> Receipt {
    let snapshot = state.snapshot();
    let profile = snapshot.profile_of(target);
    let version = server.and_then(|server| server.version.clone());
    let mut settings = request.settings.clone();
    Receipt {
        model: request.model.clone(),
        profile: target.profile.clone(),
        repository: target.model.clone(),
        revision: revision(&snapshot, &target.model),
        engine_version: version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        protocol: request.protocol,
        load: match (server, profile) {
            (Some(server), _) => load_settings(server),
            (None, Some(profile)) => profile.config.load.clone().into(),
            (None, None) => LoadSettings::default(),
        },
        system_prompt: settings.system_prompt.take(),
        seed: settings.seed.unwrap_or_default(),
        request: settings,
        continued_at,
    }
}

/// What a server was loaded with, with the sizes that fit when it was started in place of those that were left to it.
fn load_settings(server: &ServerRecord) -> LoadSettings {
    let (settings, size) = (&server.settings, server.size);
    LoadSettings {
        context_length: u32::try_from(size.context_length).ok(),
        max_sequences: Some(settings.max_sequences),
        kv_pool_tokens: Some(size.kv_pool_tokens),
        max_batch_tokens: settings.max_batch_tokens,
        kv_cache_dtype: settings.kv_cache_dtype.clone(),
        activation_dtype: settings.activation_dtype.clone(),
        device: settings.device.clone(),
        tool_call_parser: settings.tool_call_parser.clone(),
        reasoning_parser: settings.reasoning_parser.clone(),
        ..LoadSettings::default()
    }
}

/// The commit of the files of a model that are loaded.
fn revision(snapshot: &Snapshot, model: &str) -> Option<String> {
    let model = snapshot.models.iter().find(|local| local.name == model)?;
    let directory = model.path.as_ref()?;
    let loaded = model
        .revisions
        .iter()
        .find(|revision| revision.snapshot == *directory)?;
    Some(loaded.commit.clone())
}

/// What differs between the receipts of a response and of the same response computed again.
pub fn changes(stored: &Receipt, current: &Receipt) -> Vec<ReceiptChange> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let json = |load: &LoadSettings| serde_json::to_string(load).unwrap_or_default();
    let fields = [
        (
            "repository",
            stored.repository.clone(),
            current.repository.clone(),
        ),
        ("revision", text(&stored.revision), text(&current.revision)),
        (
            "engine_version",
            stored.engine_version.clone(),
            current.engine_version.clone(),
        ),
        ("load", json(&stored.load), json(&current.load)),
    ];
    fields
        .into_iter()
        .filter(|(_, stored, current)| stored != current)
        .map(|(field, stored, current)| ReceiptChange {
            field: field.to_owned(),
            stored,
            current,
        })
        .collect()
}

/// The first difference between two responses, in the order in which a model writes them.
pub fn difference(stored: &Message, reproduced: &Message) -> Option<Difference> {
    let reasoning = |message: &Message| message.reasoning.clone().unwrap_or_default();
    // Ids of calls are random.
    let calls = |message: &Message| {
        let calls = message.tool_calls.iter();
        let calls = calls.map(|call| format!("{}({})", call.name, call.arguments));
        calls.collect::<Vec<_>>().join("\n")
    };
    let reason = |message: &Message| {
        let reason = serde_json::to_value(message.finish_reason).unwrap_or_default();
        reason.as_str().unwrap_or_default().to_owned()
    };
    [
        ("reasoning", reasoning(stored), reasoning(reproduced)),
        ("text", text(stored), text(reproduced)),
        ("tool_calls", calls(stored), calls(reproduced)),
        ("finish_reason", reason(stored), reason(reproduced)),
    ]
    .into_iter()
    .find_map(|(field, stored, reproduced)| first_difference(field, &stored, &reproduced))
}

fn first_difference(field: &str, stored: &str, reproduced: &str) -> Option<Difference> {
    if stored == reproduced {
        return None;
    }
    let equal = stored
        .chars()
        .zip(reproduced.chars())
        .take_while(|(one, other)| one == other)
        .count();
    let shown = |text: &str| text.chars().skip(equal).take(MAX_SHOWN).collect();
    Some(Difference {
        field: field.to_owned(),
        position: equal as u64,
        stored: shown(stored),
        reproduced: shown(reproduced),
    })
}

/// The text of a message as prompts have it, without files.
pub fn text(message: &Message) -> String {
    let texts = message.content.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        Part::Attachment { .. } => None,
    });
    join_texts(&texts.collect::<Vec<_>>())
}

/// Characters of the text of a message.
pub fn text_length(message: &Message) -> u64 {
    text(message).chars().count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_is_after_what_is_equal() {
        assert_eq!(first_difference("text", "añb", "añb"), None);
        let found = first_difference("text", "añb", "añc").unwrap();
        assert_eq!((found.position, &*found.stored), (2, "b"));
        assert_eq!(found.reproduced, "c");
        let longer = first_difference("text", "a", &format!("a{}", "x".repeat(200))).unwrap();
        assert_eq!((longer.position, &*longer.stored), (1, ""));
        assert_eq!(longer.reproduced.len(), MAX_SHOWN);
    }
}
