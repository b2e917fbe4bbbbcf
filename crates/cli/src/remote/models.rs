//! Model names of a server.

use serde_json::Value;

use super::client::Client;
use super::error::RemoteError;

/// The model names of a server; `None` if it does not list them.
#[derive(Debug)]
pub struct ServedModels {
    url: String,
    names: Option<Vec<String>>,
    /// Whether all names belong to one model.
    single: bool,
}

impl ServedModels {
    /// Lists the models of the server.
    pub fn fetch(client: &Client) -> Result<Self, RemoteError> {
        let url = client.url();
        let list = match client.get("v1/models") {
            Ok(list) => list,
            Err(RemoteError::Status {
                status: 404 | 405 | 501,
                ..
            }) => {
                return Ok(Self {
                    url,
                    names: None,
                    single: false,
                });
            }
            Err(error) => return Err(error),
        };
        match names(&list) {
            Some(names) => Ok(Self {
                url,
                names: Some(names),
                single: is_single(&list),
            }),
            None => Err(RemoteError::Malformed {
                url,
                expected: "a list of models",
                reason: "expected `data` with an `id` in each entry".to_owned(),
            }),
        }
    }

    /// The only model, by the first of its names; an error if there is not exactly one.
    pub fn only(&self) -> Result<String, RemoteError> {
        match self.names.as_deref() {
            Some([name]) => Ok(name.clone()),
            Some([name, ..]) if self.single => Ok(name.clone()),
            Some([]) => Err(RemoteError::NoModel(self.url.clone())),
            Some(names) => Err(RemoteError::SeveralModels {
                url: self.url.clone(),
                models: names.to_vec(),
            }),
            None => Err(RemoteError::UnknownModels(self.url.clone())),
        }
    }

    /// Finds a model by name, with or without its owner.
    pub fn find(&self, name: &str) -> Option<String> {
        let names = self.names.as_deref()?;
        let is_equal = |known: &&String| known.eq_ignore_ascii_case(name);
        let has_base_name = |known: &&String| {
            known
                .rsplit('/')
                .next()
                .is_some_and(|base| base.eq_ignore_ascii_case(name))
        };
        names
            .iter()
            .find(is_equal)
            .or_else(|| unique(names.iter().filter(has_base_name)))
            .cloned()
    }

    /// Finds a model by name or unique part of one.
    pub fn lookup(&self, name: &str) -> Option<String> {
        let lower = name.to_lowercase();
        let names = self.names.as_deref().unwrap_or_default();
        let contains = |known: &&String| known.to_lowercase().contains(&lower);
        self.find(name)
            .or_else(|| unique(names.iter().filter(contains)).cloned())
    }

    /// As [`lookup`](Self::lookup), but unlisted names are passed through, as the server may accept aliases.
    pub fn resolve(&self, name: &str) -> String {
        self.lookup(name).unwrap_or_else(|| name.to_owned())
    }
}

fn unique<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let first = names.next();
    first.filter(|_| names.next().is_none())
}

fn names(list: &Value) -> Option<Vec<String>> {
    let entries = list["data"].as_array()?;
    entries
        .iter()
        .map(|entry| entry["id"].as_str().map(str::to_owned))
        .collect()
}

/// Whether the entries are names of one model: they have the same `root`, as in vLLM.
fn is_single(list: &Value) -> bool {
    let mut roots = list["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| entry["root"].as_str());
    let Some(Some(first)) = roots.next() else {
        return false;
    };
    roots.all(|root| root == Some(first))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served(names: &[&str]) -> ServedModels {
        ServedModels {
            url: "http://host".to_owned(),
            names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            single: false,
        }
    }

    #[test]
    fn resolve_accepts_unique_parts_of_names() {
        let two = served(&["org/Tiny-4bit", "org/Tiny-8bit", "other"]);
        assert_eq!(two.find("tiny-4BIT").as_deref(), Some("org/Tiny-4bit"));
        assert_eq!(two.find("4bit"), None);
        assert_eq!(two.lookup("4bit").as_deref(), Some("org/Tiny-4bit"));
        assert_eq!(two.lookup("Tiny"), None);
        assert_eq!(two.resolve("4bit"), "org/Tiny-4bit");
        assert_eq!(two.resolve("Tiny"), "Tiny");
        assert_eq!(two.resolve("new"), "new");
    }

    #[test]
    fn only_requires_exactly_one_model() {
        assert_eq!(served(&["a"]).only().unwrap(), "a");
        let error = served(&["a", "b"]).only().unwrap_err().to_string();
        assert!(
            error.contains("2 models") && error.contains("a, b"),
            "{error}"
        );
        assert!(served(&[]).only().is_err());
        let aliases = ServedModels {
            single: true,
            ..served(&["a", "b"])
        };
        assert_eq!(aliases.only().unwrap(), "a");
        assert_eq!(aliases.find("b").as_deref(), Some("b"));
    }

    #[test]
    fn names_with_the_same_root_are_one_model() {
        let list = |entries: Value| is_single(&json!({"data": entries}));
        assert!(list(
            json!([{"id": "a", "root": "a"}, {"id": "b", "root": "a"}])
        ));
        assert!(!list(
            json!([{"id": "a", "root": "a"}, {"id": "b", "root": "b"}])
        ));
        assert!(!list(json!([{"id": "a", "root": "a"}, {"id": "b"}])));
        assert!(!list(json!([{"id": "a"}, {"id": "b"}])));
        assert!(!list(json!([])));
    }

    #[test]
    fn names_rejects_other_formats() {
        assert_eq!(names(&json!({"data": [{"id": "x"}]})).unwrap(), ["x"]);
        assert!(names(&json!({"data": [{"name": "x"}]})).is_none());
        assert!(names(&json!({"models": []})).is_none());
    }
}
