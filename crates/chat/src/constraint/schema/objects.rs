//! Keywords about objects.

use indexmap::IndexSet;
use serde_json::{Map, Value};

use super::pattern;
use super::pointer::Pointer;
use super::walk::{Walk, count};
use crate::constraint::error::GrammarError;

impl Walk<'_> {
    /// Writes the keywords of a schema that takes objects.
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
                return Err(at.child("required").impossible(problem));
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
            Some(_) => Err(here.invalid("it has to be an object of schemas")),
        }
    }
}

/// What the number of properties depends on.
struct Shape {
    required: usize,
    /// Whether there are named properties that are not required.
    optional: bool,
    /// Whether there are no others.
    closed: bool,
}

fn property_counts(
    keywords: &Map<String, Value>,
    at: &Pointer,
    shape: &Shape,
    prepared: &mut Map<String, Value>,
) -> Result<(), GrammarError> {
    let fewest = count(keywords, "minProperties", at)?.unwrap_or(0);
    let most = count(keywords, "maxProperties", at)?;
    if let Some(most) = most {
        if fewest > most {
            let problem = format!("minProperties {fewest} is greater than maxProperties {most}");
            return Err(at.child("minProperties").impossible(problem));
        }
        if shape.required > most {
            let problem = format!("{} properties are required", shape.required);
            return Err(at.child("maxProperties").impossible(problem));
        }
    }
    let more = fewest.saturating_sub(shape.required);
    let room = most.map(|most| most - shape.required);
    // Where names are free, one may be written twice, and then counts once.
    if more > 1 {
        let reason = "at most one property more than `required` lists can be asked for";
        return Err(at.unsupported("minProperties", reason));
    }
    let keyword = if most.is_some() {
        "maxProperties"
    } else {
        "minProperties"
    };
    if shape.optional && (more > 0 || room.is_some()) {
        let one = room.unwrap_or(1) == 1;
        if !(one && shape.closed) {
            let reason = "with optional `properties` it can only be enforced where one of them is asked for and additionalProperties is false; require them, or leave it out";
            return Err(at.unsupported(keyword, reason));
        }
    }
    if fewest > 0 {
        prepared.insert("minProperties".into(), fewest.into());
    }
    if let Some(most) = most {
        prepared.insert("maxProperties".into(), most.into());
    }
    Ok(())
}

fn required(keywords: &Map<String, Value>, at: &Pointer) -> Result<IndexSet<String>, GrammarError> {
    let invalid = || {
        at.child("required")
            .invalid("it has to be an array of names")
    };
    let names = match keywords.get("required") {
        None => return Ok(IndexSet::new()),
        Some(value) => value.as_array().ok_or_else(invalid)?,
    };
    let names = names.iter();
    names
        .map(|name| name.as_str().map(str::to_owned).ok_or_else(invalid))
        .collect()
}
