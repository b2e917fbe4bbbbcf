//! Fills the placeholders of templates.
//!
//! `{{name}}` stands for a value of [`Variables`], and `{{name|filter}}` for it in another form: `json` is a string literal, as in
//! TOML, YAML, Python and TypeScript, `shell` a word of a shell, `json_in_shell` a string literal between the single quotes of a
//! shell, `text` a string in place of a number, and `or_empty` nothing if there is no value. Otherwise the line or the member with
//! a placeholder that has no value is left out.

use serde_json::{Map, Value};

/// The environment variable of clients that read the key from one.
const KEY_VARIABLE: &str = "MLXM_API_KEY";

/// The context length that is written where a client needs one and it is not known.
const DEFAULT_WINDOW: u64 = 32_768;

/// The part of the context that is left for the completion, and its limit in tokens.
const OUTPUT_PART: u64 = 4;
const MAX_OUTPUT: u64 = 32_768;

/// What placeholders stand for.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Address of the gateway without `/v1`: `url`, and `v1` with it.
    pub url: String,
    /// The profile or model: `model`.
    pub model: String,
    /// That for small tasks: `fast`.
    pub fast: String,
    /// Context length of the model: `context`; `window` is the same with a default, and `output` a part of it.
    pub context: Option<u64>,
    /// As `context`, of the model for small tasks: `fast_context` and `fast_output`.
    pub fast_context: Option<u64>,
    /// What stands for the API key: `key`.
    pub key: String,
    /// Whether the key is needed: `is_key_required`. Only then there are `key_variable` and `bearer`.
    pub is_key_required: bool,
    /// Path of the first file of the client: `file`.
    pub file: Option<String>,
}

impl Variables {
    /// The text; `None` if one of its placeholders has no value.
    pub fn text(&self, template: &str) -> Option<String> {
        let mut rendered = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (placeholder, following) = after.split_once("}}")?;
            rendered.push_str(before);
            rendered.push_str(&self.filtered(placeholder)?);
            rest = following;
        }
        rendered.push_str(rest);
        Some(rendered)
    }

    /// The lines whose placeholders have values, each with its end.
    pub fn lines(&self, lines: &[String]) -> String {
        let mut rendered = String::new();
        for line in lines.iter().filter_map(|line| self.text(line)) {
            rendered.push_str(&line);
            rendered.push('\n');
        }
        rendered
    }

    /// The value with all its strings and names of members filled; `None` if nothing of it has a value.
    pub fn value(&self, template: &Value) -> Option<Value> {
        Some(match template {
            Value::String(text) => match exact(text).and_then(|name| self.typed(name)) {
                Some(Value::Null) => return None,
                Some(value) => value,
                None => self.text(text)?.into(),
            },
            Value::Array(items) => {
                let rendered: Vec<Value> =
                    items.iter().filter_map(|item| self.value(item)).collect();
                if rendered.is_empty() && !items.is_empty() {
                    return None;
                }
                rendered.into()
            }
            Value::Object(members) => {
                let rendered: Map<String, Value> = members
                    .iter()
                    .filter_map(|(name, value)| Some((self.text(name)?, self.value(value)?)))
                    .collect();
                if rendered.is_empty() && !members.is_empty() {
                    return None;
                }
                rendered.into()
            }
            other => other.clone(),
        })
    }

    fn filtered(&self, placeholder: &str) -> Option<String> {
        let (name, filter) = placeholder
            .split_once('|')
            .map_or((placeholder, None), |(name, filter)| (name, Some(filter)));
        let value = self.named(name);
        match filter {
            None | Some("text") => value,
            Some("or_empty") => Some(value.unwrap_or_default()),
            Some("json") => value.map(|value| json(&value)),
            Some("shell") => value.map(|value| shell(&value)),
            Some("json_in_shell") => value.map(|value| json(&value).replace('\'', r"'\''")),
            Some(_) => None,
        }
    }

    fn named(&self, name: &str) -> Option<String> {
        Some(match name {
            "url" => self.url.clone(),
            "v1" => format!("{}/v1", self.url),
            "model" => self.model.clone(),
            "fast" => self.fast.clone(),
            "key" => self.key.clone(),
            "key_variable" => self.is_key_required.then(|| KEY_VARIABLE.to_owned())?,
            "bearer" => self
                .is_key_required
                .then(|| format!("Authorization: Bearer {}", self.key))?,
            "file" => self.file.clone()?,
            _ => match self.typed(name)? {
                Value::Null => return None,
                value => value.to_string(),
            },
        })
    }

    /// A value that is no string in JSON, and null if it is not known; `None` if there is no such name.
    fn typed(&self, name: &str) -> Option<Value> {
        let output = |context: u64| (context / OUTPUT_PART).clamp(1, MAX_OUTPUT);
        Some(match name {
            "context" => self.context.into(),
            "fast_context" => self.fast_context.into(),
            "window" => self.context.unwrap_or(DEFAULT_WINDOW).into(),
            "output" => self.context.map(output).into(),
            "fast_output" => self.fast_context.map(output).into(),
            "is_key_required" => self.is_key_required.into(),
            _ => return None,
        })
    }
}

/// The name, if the text is nothing but its placeholder.
fn exact(text: &str) -> Option<&str> {
    let name = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!name.contains(['{', '|'])).then_some(name)
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}

fn shell(text: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:@%+,=".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        Variables {
            url: "http://127.0.0.1:8080".to_owned(),
            model: "it's \"big\"".to_owned(),
            fast: "small".to_owned(),
            context: Some(65_536),
            fast_context: None,
            key: "secret".to_owned(),
            is_key_required: false,
            file: None,
        }
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        let text = |template: &str| variables().text(template).unwrap();
        assert_eq!(text("m = {{model|json}}"), r#"m = "it's \"big\"""#);
        assert_eq!(
            text("{{model|shell}} {{fast|shell}}"),
            r#"'it'\''s "big"' small"#
        );
        assert_eq!(text("'{{model|json_in_shell}}'"), r#"'"it'\''s \"big\""'"#);
        assert_eq!(text("{{v1}}/x"), "http://127.0.0.1:8080/v1/x");
    }

    #[test]
    fn what_has_no_value_is_left_out() {
        let mut variables = variables();
        let lines = [
            "a = {{context}}",
            "b = {{fast_context}}",
            "{{bearer|shell}}",
        ];
        let lines = lines.map(str::to_owned);
        assert_eq!(variables.lines(&lines), "a = 65536\n");
        let template = json!({
            "limit": {"context": "{{fast_context}}", "output": "{{fast_output}}"},
            "{{key_variable}}": 1,
            "{{fast}}": ["{{context}}", "{{context|text}}", "{{fast_context}}"],
            "requires": "{{is_key_required}}",
            "variable": "{{key_variable|or_empty}}",
            "empty": {},
        });
        let rendered = variables.value(&template).unwrap();
        assert_eq!(
            rendered,
            json!({"small": [65_536, "65536"], "requires": false, "variable": "", "empty": {}})
        );
        variables.is_key_required = true;
        assert_eq!(
            variables.lines(&lines),
            "a = 65536\n'Authorization: Bearer secret'\n"
        );
        assert_eq!(variables.text("{{unknown}}"), None);
        assert_eq!(variables.text("{{url|unknown}}"), None);
        assert_eq!(variables.text("{{url"), None);
    }

    #[test]
    fn completion_gets_a_part_of_the_context() {
        let output = |context: u64| {
            let variables = Variables {
                context: Some(context),
                ..Variables::default()
            };
            variables.value(&json!("{{output}}")).unwrap()
        };
        assert_eq!(output(8192), 2048);
        assert_eq!(output(1 << 20), 32_768);
        let unknown = Variables::default();
        assert_eq!(unknown.value(&json!("{{window}}")), Some(json!(32_768)));
        assert_eq!(unknown.value(&json!("{{output}}")), None);
    }
}
