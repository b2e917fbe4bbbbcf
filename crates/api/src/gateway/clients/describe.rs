//! The configuration of a client as a function of a few facts.

use super::render::Variables;
use super::template::{Template, find};
use crate::wire::clients::{ClientKey, ClientSetup};

/// Stands for the key in texts.
const KEY_PLACEHOLDER: &str = "YOUR_API_KEY";

/// The key for gateways that have none: clients require one.
const UNUSED_KEY: &str = "mlxm";

/// Stands for the model where there is none.
const MODEL_PLACEHOLDER: &str = "MODEL";

/// What a configuration depends on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Address of the gateway, without `/v1`.
    pub url: String,
    /// The profile or model, if there is one.
    pub model: Option<String>,
    /// That for small tasks.
    pub fast: Option<String>,
    /// Context length of `model` in tokens.
    pub context_length: Option<u64>,
    /// Context length of `fast` in tokens.
    pub fast_context_length: Option<u64>,
    /// Whether the gateway has a key.
    pub is_key_required: bool,
    /// The key; a placeholder is written without it.
    pub key: Option<String>,
}

/// The configuration, without its problems.
pub fn describe(template: &Template, facts: &Facts) -> ClientSetup {
    let placeholder = if facts.is_key_required {
        KEY_PLACEHOLDER
    } else {
        UNUSED_KEY
    };
    let name = |model: Option<&String>| {
        let name = model.map_or(MODEL_PLACEHOLDER, String::as_str);
        name.to_owned()
    };
    let variables = Variables {
        url: facts.url.clone(),
        model: name(facts.model.as_ref()),
        fast: name(facts.fast.as_ref()),
        context: facts.context_length,
        fast_context: facts.fast_context_length,
        key: facts.key.clone().unwrap_or_else(|| placeholder.to_owned()),
        is_key_required: facts.is_key_required,
        file: template.first_path(),
    };
    ClientSetup {
        client: template.client(),
        url: facts.url.clone(),
        model: facts.model.clone(),
        fast: facts.fast.clone(),
        context_length: facts.context_length,
        fast_context_length: facts.fast_context_length,
        key: ClientKey {
            is_required: facts.is_key_required,
            placeholder: placeholder.to_owned(),
        },
        files: template.files(&variables),
        environment: template.environment(&variables),
        setup: template.setup(&variables),
        start: template.start(&variables),
        aliases: match facts.model {
            Some(_) => template.aliases(&variables),
            None => Vec::new(),
        },
        snippets: template.snippets(&variables),
        notes: template.notes.clone(),
        problems: Vec::new(),
    }
}

/// A configuration that a gateway has sent, with `key` in place of its placeholder. `None` if this version of mlxm would describe
/// another one: it names files to write and programs to run, which only mlxm itself may choose.
pub fn with_key(setup: &ClientSetup, key: Option<&str>) -> Option<ClientSetup> {
    let template = find(&setup.client.id)?;
    let mut facts = Facts {
        url: setup.url.clone(),
        model: setup.model.clone(),
        fast: setup.fast.clone(),
        context_length: setup.context_length,
        fast_context_length: setup.fast_context_length,
        is_key_required: setup.key.is_required,
        key: None,
    };
    let expected = ClientSetup {
        problems: setup.problems.clone(),
        ..describe(template, &facts)
    };
    if expected != *setup {
        return None;
    }
    facts.key = key.map(str::to_owned);
    Some(ClientSetup {
        problems: expected.problems,
        ..describe(template, &facts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(id: &str, is_key_required: bool) -> ClientSetup {
        let facts = Facts {
            url: "http://127.0.0.1:8080".to_owned(),
            model: Some("main".to_owned()),
            fast: Some("small".to_owned()),
            context_length: Some(65_536),
            fast_context_length: None,
            is_key_required,
            key: None,
        };
        describe(find(id).unwrap(), &facts)
    }

    #[test]
    fn key_replaces_its_placeholder_everywhere() {
        for id in ["claude-code", "codex", "cline", "goose", "curl"] {
            let described = setup(id, true);
            let with = with_key(&described, Some("the-key")).unwrap();
            let text = format!("{with:?}").replace(&format!("{:?}", with.key), "");
            assert!(!text.contains(KEY_PLACEHOLDER), "{text}");
            assert!(text.contains("the-key"), "{id}");
        }
        assert_eq!(
            with_key(&setup("codex", false), None),
            Some(setup("codex", false))
        );
    }

    #[test]
    fn configuration_of_another_origin_is_not_accepted() {
        let mut changed = setup("codex", false);
        changed.files[0].name = "../.bashrc".to_owned();
        assert_eq!(with_key(&changed, None), None);
        let mut changed = setup("cline", false);
        changed.setup[0][0] = "sh".to_owned();
        assert_eq!(with_key(&changed, None), None);
        let mut changed = setup("claude-code", false);
        changed.client.id = "unknown".to_owned();
        assert_eq!(with_key(&changed, None), None);
    }

    #[test]
    fn configuration_without_a_model_has_no_aliases() {
        let facts = Facts {
            url: "http://127.0.0.1:8080".to_owned(),
            model: None,
            fast: None,
            context_length: None,
            fast_context_length: None,
            is_key_required: false,
            key: None,
        };
        let described = describe(find("claude-code").unwrap(), &facts);
        assert!(described.aliases.is_empty());
        assert!(described.files[0].content.contains("\"MODEL\""));
    }
}
