//! The settings of the requests of a chat.

use mlxm_store::chats::ChatConfig;
use mlxm_store::personas;
use serde_json::{Map, Value};

use super::OWNER;
use crate::gateway::GatewayState;
use crate::wire::profiles::RequestSettings;

/// The settings of a request: its own over those of the chat, the persona and the profile.
pub async fn effective(
    state: &GatewayState,
    config: &ChatConfig,
    model: &str,
    own: &RequestSettings,
) -> RequestSettings {
    let snapshot = state.snapshot();
    let resolved = state.catalog().resolve(Some(model));
    let profile = resolved.ok().and_then(|target| target.profile);
    let profile = snapshot.profile(profile.as_deref().unwrap_or(model));
    let profile = profile.map(|profile| RequestSettings::from(profile.config.request.clone()));
    let persona = match config.persona_id {
        // One that was deleted has no settings any more.
        Some(id) => personas::get(state.chats().stored(), OWNER, id).await.ok(),
        None => None,
    };
    let persona = persona.map(|persona| of_persona(persona.config));
    let of_chat = RequestSettings::from(config.settings.clone());
    let prompt = RequestSettings {
        system_prompt: config.system_prompt.clone(),
        ..RequestSettings::default()
    };
    merge(&[
        &profile.unwrap_or_default(),
        &persona.unwrap_or_default(),
        &of_chat,
        &prompt,
        own,
    ])
}

/// The settings of a persona, with its system prompt.
pub fn of_persona(config: personas::PersonaConfig) -> RequestSettings {
    RequestSettings {
        system_prompt: Some(config.system_prompt).filter(|text| !text.is_empty()),
        ..config.settings.into()
    }
}

/// One setting over another: what a later layer sets counts.
pub fn merge(layers: &[&RequestSettings]) -> RequestSettings {
    let mut merged = Map::new();
    for layer in layers {
        if let Ok(Value::Object(fields)) = serde_json::to_value(layer) {
            merged.extend(fields);
        }
    }
    // The fields are those of valid settings.
    serde_json::from_value(Value::Object(merged)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profiles::Thinking;

    #[test]
    fn later_layers_of_settings_count() {
        let profile = RequestSettings {
            temperature: Some(0.5),
            stop: vec!["a".to_owned()],
            system_prompt: Some("profile".to_owned()),
            ..RequestSettings::default()
        };
        let chat = RequestSettings {
            temperature: Some(0.0),
            thinking: Some(Thinking::Enabled(false)),
            ..RequestSettings::default()
        };
        let merged = merge(&[&profile, &chat]);
        assert_eq!(merged.temperature, Some(0.0));
        assert_eq!(merged.stop, ["a"]);
        assert_eq!(merged.system_prompt.as_deref(), Some("profile"));
        assert_eq!(merged.thinking, Some(Thinking::Enabled(false)));
    }
}
