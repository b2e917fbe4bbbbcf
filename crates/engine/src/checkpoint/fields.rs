//! Typed fields of a configuration, with errors that name the key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::json;

/// A flag that mlx-lm takes as false if it is null, and some models as true if it is absent.
const FALSE_IF_NULL: &str = "tie_word_embeddings";

/// The value of `key`. Null means that it is absent.
pub(super) fn present<'a>(values: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    values.get(key).filter(|value| !value.is_null())
}

/// Parses the fields of a configuration. Null means that a key is absent, as in Python configurations, where it is the default of
/// most keys.
///
/// # Errors
/// A message that names the key.
pub fn parse_fields<C: DeserializeOwned>(values: &Map<String, Value>) -> Result<C, String> {
    let values = without_nulls(values);
    let error = match serde_path_to_error::deserialize(Value::Object(values.clone())) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    let path = error.path();
    let problem = error.inner().to_string();
    let key = if path.iter().next().is_some() {
        path.to_string()
    } else if names_key(&problem) {
        return Err(problem);
    } else {
        match key_of::<C>(&problem, &values) {
            Some(key) => key.to_owned(),
            None => return Err(problem),
        }
    };
    let top_level = key.split(['.', '[']).next().unwrap_or_default();
    Err(match values.get(top_level).and_then(json::non_finite) {
        Some(word) => format!("`{key}` must be finite, not {word}"),
        None => format!("`{key}`: {problem}"),
    })
}

fn without_nulls(values: &Map<String, Value>) -> Map<String, Value> {
    values
        .iter()
        .filter_map(|(key, value)| {
            let value = match value {
                Value::Null if key == FALSE_IF_NULL => Value::Bool(false),
                Value::Null => return None,
                Value::Object(fields) => Value::Object(without_nulls(fields)),
                other => other.clone(),
            };
            Some((key.clone(), value))
        })
        .collect()
}

/// Whether the message is that of a missing field, or of a nested call of [`parse_fields`].
fn names_key(problem: &str) -> bool {
    ["missing field", "in `", "`"]
        .iter()
        .any(|start| problem.starts_with(start))
}

/// The key that causes `problem`. serde does not track the path of flattened structs, so this tries: without the key, the problem
/// is another one or none. That is true of required keys, too, unlike that the problem cites their value.
fn key_of<'a, C: DeserializeOwned>(
    problem: &str,
    values: &'a Map<String, Value>,
) -> Option<&'a str> {
    let persists_without = |key: &str| {
        let mut others = values.clone();
        others.shift_remove(key);
        serde_json::from_value::<C>(Value::Object(others))
            .is_err_and(|error| error.to_string() == problem)
    };
    let cited = |value: &Value| match value {
        Value::Null => problem.contains("null"),
        Value::Bool(flag) => problem.contains(&format!("boolean `{flag}`")),
        Value::Number(number) => problem.contains(&format!("`{number}`")),
        Value::String(text) => problem.contains(&format!("{text:?}")),
        Value::Array(_) => problem.contains("sequence"),
        Value::Object(_) => problem.contains("map"),
    };
    let mut candidates = values
        .iter()
        .filter(|(_, value)| cited(value))
        .map(|(key, _)| key.as_str());
    let first = candidates.clone().next();
    candidates.find(|key| !persists_without(key)).or(first)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Sizes {
        width: usize,
        #[serde(default)]
        bias: bool,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        #[serde(flatten)]
        sizes: Sizes,
        theta: f64,
        limit: Option<usize>,
        #[serde(default)]
        tie_word_embeddings: bool,
        scaling: Option<Scaling>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Scaling {
        factor: f64,
        low: Option<f64>,
    }

    fn parse(values: Value) -> Result<Outer, String> {
        parse_fields(values.as_object().unwrap())
    }

    #[test]
    fn null_is_absent_at_every_level() {
        let outer = parse(json!({
            "width": 4, "bias": null, "theta": 1, "limit": null, "tie_word_embeddings": null,
            "scaling": {"factor": 2.0, "low": null}, "unknown": null,
        }));
        let expected = Outer {
            sizes: Sizes {
                width: 4,
                bias: false,
            },
            theta: 1.0,
            limit: None,
            tie_word_embeddings: false,
            scaling: Some(Scaling {
                factor: 2.0,
                low: None,
            }),
        };
        assert_eq!(outer, Ok(expected));
    }

    #[test]
    fn errors_name_the_key() {
        for (key, value, found) in [
            ("theta", json!("1e4"), "string \"1e4\""),
            ("limit", json!(2048.5), "2048.5"),
            ("width", json!("4"), "string \"4\""),
            ("width", json!(-4), "-4"),
            ("width", json!([4]), "sequence"),
            ("bias", json!("no"), "string \"no\""),
            ("bias", json!(1), "1"),
            ("scaling", json!(2), "2"),
        ] {
            let mut values = json!({"other": "4", "width": 4, "theta": 1.0, "more": [1, -4]});
            values[key] = value;
            let error = parse(values).unwrap_err();
            assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
            assert!(error.contains(found), "{key}: {error}");
        }
    }

    #[test]
    fn errors_name_missing_nested_and_infinite_keys() {
        let error = |values| parse(values).unwrap_err();
        assert_eq!(error(json!({"width": 4})), "missing field `theta`");
        assert_eq!(error(json!({"theta": 1})), "missing field `width`");
        assert_eq!(
            error(json!({"theta": 1, "width": null})),
            "missing field `width`"
        );
        let nested = error(json!({"theta": 1, "width": 4, "scaling": {"factor": true}}));
        assert!(nested.starts_with("`scaling.factor`: "), "{nested}");
        let infinite = json::from_slice(br#"{"theta": Infinity, "width": 4}"#).unwrap();
        assert_eq!(error(infinite), "`theta` must be finite, not Infinity");
        let infinite = json::from_slice(br#"{"theta": 1, "width": NaN}"#).unwrap();
        assert_eq!(error(infinite), "`width` must be finite, not NaN");
    }
}
