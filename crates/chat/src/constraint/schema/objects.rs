//! Keywords for objects.

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::names::Properties;
use super::pointer::Pointer;
use super::types::Types;
use super::walk::{Walk, count, limit, require};
use super::{language, pattern};
use crate::constraint::error::GrammarError;

/// Most cases that a number of optional properties is expanded to.
const MAX_CASES: usize = 128;

impl Walk<'_> {
    /// Rewrites the keywords for objects; `types` are the types that the schema allows.
    pub(super) fn object(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let required = required(keywords, at)?;
        let named = self.named_schemas(keywords, "properties", at)?;
        let patterns = self.named_schemas(keywords, "patternProperties", at)?;
        let others = keywords
            .get("additionalProperties")
            .map(|schema| self.subschema(schema, &at.child("additionalProperties")))
            .transpose()?;
        let mut properties = Properties {
            named,
            patterns: Map::new(),
            others,
        };
        for (name, schema) in patterns {
            let name = pattern::translate(&name, "patternProperties", at)?;
            add_pattern(&mut properties, &required, name, schema);
        }
        self.allowed_names(keywords, at)?
            .restrict(&mut properties, at)?;
        let closed =
            properties.others == Some(Value::Bool(false)) && properties.patterns.is_empty();
        for name in &required {
            let missing = match properties.named.get(name) {
                Some(schema) => *schema == Value::Bool(false),
                None => closed,
            };
            if missing {
                let problem = format!("the required property {name:?} is not allowed");
                return Err(at.child("required").unsatisfiable(problem));
            }
        }
        let optional = properties.named.iter();
        let optional = optional
            .filter(|(name, schema)| !required.contains(*name) && **schema != Value::Bool(false))
            .map(|(name, _)| name.as_str())
            .collect();
        let shape = Shape {
            required: required.len(),
            optional,
            closed,
            types,
        };
        if property_counts(keywords, at, &shape, prepared)? == Others::Excluded {
            properties.patterns.clear();
            properties.others = Some(Value::Bool(false));
        }
        let Properties {
            named,
            patterns,
            others,
        } = properties;
        if !named.is_empty() {
            prepared.insert("properties".into(), named.into());
        }
        if !patterns.is_empty() {
            prepared.insert("patternProperties".into(), patterns.into());
        }
        if let Some(others) = others {
            prepared.insert("additionalProperties".into(), others);
        }
        if !required.is_empty() {
            prepared.insert("required".into(), required.into_iter().collect());
        }
        Ok(())
    }

    fn named_schemas(
        &mut self,
        keywords: &Map<String, Value>,
        keyword: &str,
        at: &Pointer,
    ) -> Result<Map<String, Value>, GrammarError> {
        let here = at.child(keyword);
        match keywords.get(keyword) {
            None => Ok(Map::new()),
            Some(Value::Object(schemas)) => schemas
                .iter()
                .map(|(name, schema)| {
                    let schema = self.subschema(schema, &here.child(name))?;
                    Ok((name.clone(), schema))
                })
                .collect(),
            Some(_) => Err(here.invalid("it must be an object of schemas")),
        }
    }
}

/// Adds a schema of `patternProperties`. If only a few names match, they become named properties: llguidance would offer
/// another property where none is left.
fn add_pattern(
    properties: &mut Properties,
    required: &IndexSet<String>,
    pattern: String,
    schema: Value,
) {
    let names = language::words(&pattern).or_else(|| {
        let named = properties.named.keys().chain(required);
        let matching = named.filter(|name| language::matches(&pattern, name) == Some(true));
        let matching: IndexSet<&str> = matching.map(String::as_str).collect();
        let texts: Vec<&str> = matching.into_iter().collect();
        let only = language::matches_only(&pattern, &texts);
        only.then(|| texts.into_iter().map(str::to_owned).collect())
    });
    let Some(names) = names else {
        properties.patterns.insert(pattern, schema);
        return;
    };
    let names: IndexSet<String> = names.into_iter().collect();
    for name in names {
        let schema = match properties.named.get(&name) {
            Some(own) => json!({ "allOf": [own, schema] }),
            None => schema.clone(),
        };
        properties.named.insert(name, schema);
    }
}

/// What limits the number of properties.
struct Shape<'a> {
    required: usize,
    /// Named properties that are not required.
    optional: Vec<&'a str>,
    /// Whether other properties are not allowed.
    closed: bool,
    types: Types,
}

/// Whether an object may have properties that are not named.
#[derive(PartialEq, Eq)]
enum Others {
    Unchanged,
    Excluded,
}

fn property_counts(
    keywords: &Map<String, Value>,
    at: &Pointer,
    shape: &Shape<'_>,
    prepared: &mut Map<String, Value>,
) -> Result<Others, GrammarError> {
    let min = count(keywords, "minProperties", at)?.unwrap_or(0);
    let max = limit(keywords, "maxProperties", at)?;
    if let Some(max) = max {
        if min > max {
            let problem = format!("minProperties {min} is greater than maxProperties {max}");
            return Err(at.child("minProperties").unsatisfiable(problem));
        }
        if shape.required > max {
            let problem = format!("{} properties are required", shape.required);
            return Err(at.child("maxProperties").unsatisfiable(problem));
        }
    }
    let additional_min = min.saturating_sub(shape.required);
    let additional_max = max.map(|max| max - shape.required);
    let optional = shape.optional.len();
    let unrestricted = additional_min == 0 && additional_max.is_none();
    // llguidance distinguishes the cases of one optional property itself.
    let single = shape.closed && additional_min <= 1 && additional_max.unwrap_or(1) == 1;
    if optional == 0 || unrestricted || single {
        // The model could repeat a name that is not named, which would then count once.
        if additional_min > 1 {
            let reason = "it may exceed the number of named properties by at most one";
            return Err(at.unsupported("minProperties", reason));
        }
        if min > 0 {
            prepared.insert("minProperties".into(), min.into());
        }
        if let Some(max) = max {
            prepared.insert("maxProperties".into(), max.into());
        }
        return Ok(Others::Unchanged);
    }
    if additional_min > 0 {
        if additional_min > optional && shape.closed {
            let problem = format!("it has {} properties", shape.required + optional);
            return Err(at.child("minProperties").unsatisfiable(problem));
        }
        if additional_min > optional {
            let reason = "it may exceed the number of named properties by at most one";
            return Err(at.unsupported("minProperties", reason));
        }
        let cases = choices(&shape.optional, additional_min);
        let cases = cases.ok_or_else(|| at.unsupported("minProperties", TOO_MANY))?;
        let cases = cases.into_iter();
        let cases = cases.map(|names| json!({"type": "object", "required": names}));
        require(prepared, shape.types.or_others(cases.collect()));
    }
    let Some(additional_max) = additional_max else {
        return Ok(Others::Unchanged);
    };
    if additional_max < optional {
        let cases = choices(&shape.optional, optional - additional_max);
        let cases = cases.ok_or_else(|| at.unsupported("maxProperties", TOO_MANY))?;
        let cases = cases.into_iter().map(|names| {
            let absent = names
                .into_iter()
                .map(|name| (name.to_owned(), Value::Bool(false)));
            json!({"type": "object", "properties": absent.collect::<Map<_, _>>()})
        });
        require(prepared, shape.types.or_others(cases.collect()));
    }
    Ok(Others::Excluded)
}

const TOO_MANY: &str = "there are too many combinations of optional properties";

/// All choices of `count` names in their order; `None` if there are too many.
fn choices<'a>(names: &[&'a str], count: usize) -> Option<Vec<Vec<&'a str>>> {
    let mut choices: Vec<Vec<&str>> = vec![Vec::new()];
    for (index, name) in names.iter().enumerate() {
        let left = names.len() - index - 1;
        let mut extended = Vec::new();
        for choice in choices {
            if choice.len() < count {
                let mut with = choice.clone();
                with.push(*name);
                extended.push(with);
            }
            if choice.len() + left >= count {
                extended.push(choice);
            }
        }
        choices = extended;
        if choices.len() > MAX_CASES {
            return None;
        }
    }
    Some(choices)
}

fn required(keywords: &Map<String, Value>, at: &Pointer) -> Result<IndexSet<String>, GrammarError> {
    let invalid = || at.child("required").invalid("it must be an array of names");
    let names = match keywords.get("required") {
        // Draft 3 has a boolean in the schema of the property.
        None | Some(Value::Bool(_)) => return Ok(IndexSet::new()),
        Some(value) => value.as_array().ok_or_else(invalid)?,
    };
    let names = names.iter();
    names
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(invalid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_complete_and_bounded() {
        assert_eq!(
            choices(&["a", "b", "c"], 2).unwrap(),
            [vec!["a", "b"], vec!["a", "c"], vec!["b", "c"]]
        );
        assert_eq!(choices(&["a"], 1).unwrap(), [["a"]]);
        let names: Vec<String> = (0..20).map(|name| name.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(choices(&names, 1).map(|cases| cases.len()), Some(20));
        assert_eq!(choices(&names, 10), None);
    }
}
