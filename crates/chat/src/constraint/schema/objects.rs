//! Keywords for objects.

use indexmap::IndexSet;
use serde_json::{Map, Value};

use super::pattern;
use super::pointer::Pointer;
use super::walk::{Walk, count};
use crate::constraint::error::GrammarError;

impl Walk<'_> {
    /// Rewrites the keywords for objects.
    pub(super) fn object(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let properties = self.named_schemas(keywords, "properties", at)?;
        let patterns = self.named_schemas(keywords, "patternProperties", at)?;
        let mut translated = Map::new();
        for (name, schema) in patterns {
            let name = pattern::translate(&name, "patternProperties", at)?;
            translated.insert(name, schema);
        }
        let others = keywords
            .get("additionalProperties")
            .map(|schema| self.subschema(schema, &at.child("additionalProperties")))
            .transpose()?;
        let required = required(keywords, at)?;
        let closed = others == Some(Value::Bool(false));
        for name in &required {
            let missing = match properties.get(name) {
                Some(schema) => *schema == Value::Bool(false),
                None => closed && translated.is_empty(),
            };
            if missing {
                let problem = format!("the required property {name:?} is not allowed");
                return Err(at.child("required").unsatisfiable(problem));
            }
        }
        let optional = properties
            .iter()
            .any(|(name, schema)| !required.contains(name) && *schema != Value::Bool(false));
        let shape = Shape {
            required: required.len(),
            optional,
            closed: closed && translated.is_empty(),
        };
        property_counts(keywords, at, &shape, prepared)?;
        if !properties.is_empty() {
            prepared.insert("properties".into(), properties.into());
        }
        if !translated.is_empty() {
            prepared.insert("patternProperties".into(), translated.into());
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

/// What limits the number of properties.
struct Shape {
    required: usize,
    /// Whether there are named properties that are not required.
    optional: bool,
    /// Whether other properties are not allowed.
    closed: bool,
}

fn property_counts(
    keywords: &Map<String, Value>,
    at: &Pointer,
    shape: &Shape,
    prepared: &mut Map<String, Value>,
) -> Result<(), GrammarError> {
    let min = count(keywords, "minProperties", at)?.unwrap_or(0);
    let max = count(keywords, "maxProperties", at)?;
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
    // The model could repeat a name that is not required, which would then count once.
    if additional_min > 1 {
        let reason = "it may exceed the number of required properties by at most one";
        return Err(at.unsupported("minProperties", reason));
    }
    let keyword = if max.is_some() {
        "maxProperties"
    } else {
        "minProperties"
    };
    if shape.optional && (additional_min > 0 || additional_max.is_some()) {
        let one = additional_max.unwrap_or(1) == 1;
        if !(one && shape.closed) {
            let reason = "with optional `properties` it can only be enforced for one of them and with additionalProperties: false; make them required, or remove it";
            return Err(at.unsupported(keyword, reason));
        }
    }
    if min > 0 {
        prepared.insert("minProperties".into(), min.into());
    }
    if let Some(max) = max {
        prepared.insert("maxProperties".into(), max.into());
    }
    Ok(())
}

fn required(keywords: &Map<String, Value>, at: &Pointer) -> Result<IndexSet<String>, GrammarError> {
    let invalid = || at.child("required").invalid("it must be an array of names");
    let names = match keywords.get("required") {
        None => return Ok(IndexSet::new()),
        Some(value) => value.as_array().ok_or_else(invalid)?,
    };
    let names = names.iter();
    names
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(invalid))
        .collect()
}
