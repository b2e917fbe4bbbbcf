//! The templates: one file for each client, with what its documentation says about configuration.
//!
//! To add a client, add a file to `templates/` and a line to [`TEMPLATES`]. The names of placeholders are those of `render`.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::render::Variables;
use crate::wire::aliases::AliasRequest;
use crate::wire::clients::{
    Client, ClientFile, ClientFileFormat, ClientKind, ClientProtocol, ClientSnippet,
    ClientVariable, DirectoryVariable, FileChange,
};

macro_rules! sources {
    ($($id:literal),+ $(,)?) => {
        [$(($id, include_str!(concat!("templates/", $id, ".json")))),+]
    };
}

/// The files, in the order in which clients are shown.
const SOURCES: [(&str, &str); 13] = sources![
    "claude-code",
    "codex",
    "opencode",
    "zed",
    "continue",
    "cline",
    "goose",
    "open-webui",
    "openai-python",
    "openai-typescript",
    "anthropic-python",
    "anthropic-typescript",
    "curl",
];

/// All templates.
pub static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let parse = |(id, text): (&str, &str)| {
        serde_json::from_str(text)
            .inspect_err(|error| tracing::error!(id, %error, "a client is left out"))
            .ok()
    };
    SOURCES.into_iter().filter_map(parse).collect()
});

/// How a client is configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its id.
    pub id: String,
    name: String,
    kind: ClientKind,
    protocol: ClientProtocol,
    description: String,
    documentation: Vec<String>,
    install: Option<String>,
    /// Starts of the names of its programs in `user-agent` headers, in lower case.
    #[serde(default)]
    pub user_agents: Vec<String>,
    /// Whether its configuration makes it send the header `x-mlxm-client`.
    #[serde(default)]
    sends_header: bool,
    /// The context length in tokens that it needs.
    pub context_length: Option<u64>,
    /// Whether it is of no use without tools.
    #[serde(default)]
    pub needs_tools: bool,
    /// Whether it uses a second model for small tasks.
    #[serde(default)]
    pub has_fast_model: bool,
    #[serde(default)]
    aliases: Vec<AliasRequest>,
    #[serde(default)]
    files: Vec<FileTemplate>,
    #[serde(default)]
    environment: Vec<ClientVariable>,
    #[serde(default)]
    setup: Vec<Vec<String>>,
    start: Option<Vec<String>>,
    #[serde(default)]
    snippets: Vec<SnippetTemplate>,
    /// What else to know.
    #[serde(default)]
    pub notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTemplate {
    directory: String,
    directory_variable: Option<DirectoryVariable>,
    name: String,
    format: ClientFileFormat,
    /// Of a file that can have other values.
    #[serde(default)]
    changes: Vec<FileChange>,
    /// Of a file of its own: lines, or a JSON value.
    #[serde(default)]
    text: Vec<String>,
    json: Option<Value>,
    #[serde(default)]
    is_written_by_setup: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SnippetTemplate {
    title: String,
    language: String,
    text: Vec<String>,
}

/// The template of a client.
pub fn find(id: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.id == id)
}

impl Template {
    /// The client without its configuration.
    pub fn client(&self) -> Client {
        Client {
            id: self.id.clone(),
            name: self.name.clone(),
            kind: self.kind,
            protocol: self.protocol,
            description: self.description.clone(),
            documentation: self.documentation.clone(),
            install: self.install.clone(),
            context_length: self.context_length,
            has_fast_model: self.has_fast_model,
            is_recognized: self.sends_header || !self.user_agents.is_empty(),
            can_start: self.start.is_some(),
        }
    }

    /// The name of the client.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Path of its first file, with `~` for the home directory.
    pub fn first_path(&self) -> Option<String> {
        let file = self.files.first()?;
        Some(format!("{}/{}", file.directory, file.name))
    }

    /// The files to write.
    pub fn files(&self, variables: &Variables) -> Vec<ClientFile> {
        self.files
            .iter()
            .map(|file| file.render(variables))
            .collect()
    }

    /// The environment variables.
    pub fn environment(&self, variables: &Variables) -> Vec<ClientVariable> {
        let render = |variable: &ClientVariable| {
            Some(ClientVariable {
                name: variables.text(&variable.name)?,
                value: variables.text(&variable.value)?,
            })
        };
        self.environment.iter().filter_map(render).collect()
    }

    /// The commands that configure it.
    pub fn setup(&self, variables: &Variables) -> Vec<Vec<String>> {
        let setup = self.setup.iter();
        setup.map(|command| words(command, variables)).collect()
    }

    /// The command that starts it.
    pub fn start(&self, variables: &Variables) -> Option<Vec<String>> {
        self.start.as_ref().map(|command| words(command, variables))
    }

    /// Other names for the models.
    pub fn aliases(&self, variables: &Variables) -> Vec<AliasRequest> {
        let render = |alias: &AliasRequest| {
            Some(AliasRequest {
                name: alias.name.clone(),
                target: variables.text(&alias.target)?,
            })
        };
        self.aliases.iter().filter_map(render).collect()
    }

    /// Code to copy.
    pub fn snippets(&self, variables: &Variables) -> Vec<ClientSnippet> {
        let render = |snippet: &SnippetTemplate| ClientSnippet {
            title: snippet.title.clone(),
            language: snippet.language.clone(),
            text: variables.lines(&snippet.text),
        };
        self.snippets.iter().map(render).collect()
    }
}

fn words(command: &[String], variables: &Variables) -> Vec<String> {
    let words = command.iter();
    words.filter_map(|word| variables.text(word)).collect()
}

impl FileTemplate {
    fn render(&self, variables: &Variables) -> ClientFile {
        let render = |change: &FileChange| {
            Some(FileChange {
                path: change.path.clone(),
                value: variables.value(&change.value)?,
            })
        };
        let changes: Vec<FileChange> = self.changes.iter().filter_map(render).collect();
        let content = if let Some(json) = &self.json {
            pretty(&variables.value(json).unwrap_or_default())
        } else if changes.is_empty() {
            variables.lines(&self.text)
        } else {
            pretty(&merged(&changes))
        };
        ClientFile {
            directory: self.directory.clone(),
            directory_variable: self.directory_variable.clone(),
            name: self.name.clone(),
            format: self.format,
            content,
            changes,
            is_written_by_setup: self.is_written_by_setup,
        }
    }
}

/// An object with these values and no others.
fn merged(changes: &[FileChange]) -> Value {
    let mut merged = Value::Object(Map::new());
    for change in changes {
        let mut place = &mut merged;
        for name in &change.path {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[name.as_str()];
        }
        *place = change.value.clone();
    }
    merged
}

/// JSON with an end of line.
fn pretty(value: &Value) -> String {
    // A value is always valid JSON.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn variables(is_key_required: bool, context: Option<u64>) -> Variables {
        Variables {
            url: "http://127.0.0.1:8080".to_owned(),
            model: "org/Model-4bit".to_owned(),
            fast: "org/Small-4bit".to_owned(),
            context,
            fast_context: context,
            key: "the-key".to_owned(),
            is_key_required,
            file: None,
        }
    }

    #[test]
    fn every_file_is_a_template_of_its_name() {
        for (id, text) in SOURCES {
            let template = serde_json::from_str::<Template>(text);
            let template = template.unwrap_or_else(|error| panic!("{id}: {error}"));
            assert_eq!(template.id, id);
            assert!(!template.documentation.is_empty(), "{id}");
            assert!(
                template
                    .documentation
                    .iter()
                    .all(|url| url.starts_with("https://")),
                "{id}"
            );
        }
        let ids: BTreeSet<&str> = TEMPLATES.iter().map(|template| &*template.id).collect();
        assert_eq!(ids.len(), SOURCES.len());
    }

    #[test]
    fn every_placeholder_has_a_value() {
        for (id, text) in SOURCES {
            let mut variables = variables(true, Some(65_536));
            variables.file = Some("~/file".to_owned());
            let names = text
                .split("{{")
                .skip(1)
                .map(|rest| rest.split_once("}}").unwrap().0);
            for name in names {
                let placeholder = format!("{{{{{name}}}}}");
                assert!(
                    variables.text(&placeholder).is_some(),
                    "{id}: {placeholder}"
                );
            }
        }
    }

    #[test]
    fn files_of_json_are_valid_with_and_without_a_key_and_a_context() {
        for is_key_required in [false, true] {
            for context in [None, Some(8192)] {
                let variables = variables(is_key_required, context);
                for template in TEMPLATES.iter() {
                    for file in template.files(&variables) {
                        assert!(!file.content.contains("{{"), "{file:?}");
                        if file.format == ClientFileFormat::Json && !file.is_written_by_setup {
                            let value = serde_json::from_str::<Value>(&file.content);
                            assert!(value.unwrap().is_object(), "{file:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_client_gets_the_address_and_the_model() {
        let variables = variables(false, Some(65_536));
        for template in TEMPLATES.iter() {
            let all = format!(
                "{:?}{:?}{:?}{:?}{:?}",
                template.files(&variables),
                template.environment(&variables),
                template.setup(&variables),
                template.start(&variables),
                template.snippets(&variables),
            );
            assert!(all.contains("http://127.0.0.1:8080"), "{}", template.id);
            // Open WebUI lists the models itself.
            assert!(
                all.contains("org/Model-4bit") || template.id == "open-webui",
                "{}",
                template.id
            );
        }
    }

    #[test]
    fn key_is_in_the_configuration_only_if_it_is_required() {
        let codex = find("codex").unwrap();
        let without = variables(false, Some(65_536));
        let file = &codex.files(&without)[0];
        assert!(!file.content.contains("env_key"), "{}", file.content);
        assert!(codex.environment(&without).is_empty());
        let with = variables(true, None);
        let file = &codex.files(&with)[0];
        assert!(
            file.content.contains("env_key = \"MLXM_API_KEY\"\n"),
            "{}",
            file.content
        );
        assert!(!file.content.contains("context_window"), "{}", file.content);
        assert_eq!(
            codex.environment(&with),
            [ClientVariable {
                name: "MLXM_API_KEY".to_owned(),
                value: "the-key".to_owned(),
            }]
        );
        let curl = find("curl").unwrap();
        assert!(!curl.snippets(&without)[0].text.contains("Bearer"));
        assert!(curl.snippets(&with)[0].text.contains("Bearer the-key"));
    }

    #[test]
    fn changes_of_a_shared_file_are_shown_as_one_object() {
        let claude = find("claude-code").unwrap();
        let file = &claude.files(&variables(false, Some(65_536)))[0];
        let shown: Value = serde_json::from_str(&file.content).unwrap();
        let environment = shown["env"].as_object().unwrap();
        assert_eq!(environment.len(), file.changes.len());
        assert_eq!(shown["env"]["ANTHROPIC_BASE_URL"], "http://127.0.0.1:8080");
        assert_eq!(
            shown["env"]["ANTHROPIC_DEFAULT_HAIKU_MODEL"],
            "org/Small-4bit"
        );
        assert_eq!(shown["env"]["CLAUDE_CODE_AUTO_COMPACT_WINDOW"], "65536");
        let zed = find("zed").unwrap();
        let change = &zed.files(&variables(false, None))[0].changes[0];
        assert_eq!(
            change.value["available_models"][0]["max_tokens"],
            json!(32_768)
        );
    }
}
