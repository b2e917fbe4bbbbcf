//! The walk over a schema and its subschemas.

use std::borrow::Cow;

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::numbers::Steps;
use super::pointer::Pointer;
use super::references;
use super::types::{self, Types};
use super::{disjoint, numbers, strings};
use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// Keywords that llguidance cannot enforce, and alternatives.
const UNENFORCEABLE: [(&str, &str); 13] = [
    ("not", "describe the allowed values instead"),
    ("if", "use anyOf with a case for each"),
    ("contains", "use prefixItems or items"),
    ("dependentRequired", "use anyOf with a case for each"),
    ("dependentSchemas", "use anyOf with a case for each"),
    ("dependencies", "use anyOf with a case for each"),
    (
        "propertyNames",
        "use patternProperties with additionalProperties: false",
    ),
    ("unevaluatedItems", "use items"),
    ("unevaluatedProperties", "use additionalProperties"),
    ("uniqueItems", "items cannot be compared with each other"),
    ("$dynamicRef", "use $ref"),
    ("$recursiveRef", "use $ref"),
    ("extends", "use allOf"),
];

/// How keywords that cannot be enforced are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enforcement {
    /// They are errors.
    Strict,
    /// They are ignored.
    BestEffort,
}

/// The state of a walk.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Value,
    enforcement: Enforcement,
    /// Targets of references in order of occurrence.
    targets: Vec<Target<'a>>,
    /// Deduplicated schemas of numbers, because ranges compile to long expressions.
    numbers: IndexSet<Value>,
    pub(super) steps: Steps,
    nodes: usize,
    depth: usize,
}

struct Target<'a> {
    schema: &'a Value,
    at: Pointer,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Value, enforcement: Enforcement) -> Self {
        Self {
            root,
            enforcement,
            targets: Vec::new(),
            numbers: IndexSet::new(),
            steps: Steps::default(),
            nodes: 0,
            depth: 0,
        }
    }

    /// The schemas of numbers, in the order of their names.
    pub(super) fn numbers(self) -> impl Iterator<Item = Value> {
        self.numbers.into_iter()
    }

    /// The targets of references, which may add further references.
    pub(super) fn definitions(&mut self) -> Result<Vec<Value>, GrammarError> {
        let mut definitions = Vec::new();
        while let Some(Target { schema, at }) = self.targets.get(definitions.len()) {
            let (schema, at) = (*schema, at.clone());
            definitions.push(self.subschema(schema, &at)?);
        }
        Ok(definitions)
    }

    /// Counts a subschema or a literal value.
    pub(super) fn count(&mut self) -> Result<(), GrammarError> {
        self.nodes += 1;
        if self.nodes <= limits::SCHEMA_NODES {
            return Ok(());
        }
        Err(GrammarError::TooLarge {
            what: "the JSON schema has too many subschemas and values".into(),
            limit: limits::SCHEMA_NODES,
        })
    }

    /// The rewritten subschema at `at`.
    pub(super) fn subschema(
        &mut self,
        schema: &Value,
        at: &Pointer,
    ) -> Result<Value, GrammarError> {
        self.count()?;
        let keywords = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(keywords) => Cow::Borrowed(keywords),
            _ => return Err(at.invalid("it must be an object, true or false")),
        };
        if self.depth == limits::SCHEMA_DEPTH {
            return Err(GrammarError::TooLarge {
                what: format!("the schema at {at} is nested too deeply"),
                limit: limits::SCHEMA_DEPTH,
            });
        }
        self.depth += 1;
        let prepared = self.enforced_keywords(keywords, at);
        self.depth -= 1;
        let prepared = Value::Object(prepared?);
        if !is_number(&prepared) {
            return Ok(prepared);
        }
        let (index, _) = self.numbers.insert_full(prepared);
        Ok(json!({ "$ref": format!("#/$defs/{}", references::number_name(index)) }))
    }

    /// Rewrites the keywords; with best effort, without those that cannot be enforced.
    fn enforced_keywords(
        &mut self,
        mut keywords: Cow<'_, Map<String, Value>>,
        at: &Pointer,
    ) -> Result<Map<String, Value>, GrammarError> {
        loop {
            let error = match self.keywords(&keywords, at) {
                Err(error) if self.enforcement == Enforcement::BestEffort => error,
                result => return result,
            };
            let GrammarError::Unsupported {
                keyword, pointer, ..
            } = &error
            else {
                return Err(error);
            };
            // Unsupported keywords of subschemas were already removed.
            if *pointer != at.child(keyword).to_string()
                || keywords.to_mut().shift_remove(keyword).is_none()
            {
                return Err(error);
            }
        }
    }

    /// Rewrites simple keywords before those that combine schemas: llguidance depends on their order.
    fn keywords(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
    ) -> Result<Map<String, Value>, GrammarError> {
        reject_unenforceable(keywords, at)?;
        let mut prepared = Map::new();
        let declared = types::declared(keywords, at)?;
        let implied = declared.or_else(|| implied_types(keywords));
        if let Some(value) = keywords.get("type") {
            prepared.insert("type".into(), value.clone());
        } else if implied == Some(Types::OBJECT) {
            prepared.insert("type".into(), "object".into());
        } else if implied == Some(Types::ARRAY) {
            prepared.insert("type".into(), "array".into());
        }
        let types = implied.unwrap_or(Types::ALL);
        if types.has(Types::OBJECT) {
            self.object(keywords, at, &mut prepared)?;
        }
        if types.has(Types::ARRAY) {
            self.array(keywords, at, &mut prepared)?;
        }
        if types.has(Types::NUMBER) {
            numbers::prepare(keywords, types, at, &mut self.steps, &mut prepared)?;
        }
        if types.has(Types::STRING) {
            strings::prepare(keywords, at, &mut prepared)?;
        }
        if let Some(value) = keywords.get("const") {
            self.literals("const", std::slice::from_ref(value), types, at)?;
            prepared.insert("const".into(), value.clone());
        }
        if let Some(value) = keywords.get("enum") {
            let invalid = || at.child("enum").invalid("it must be an array of values");
            let values = value.as_array().ok_or_else(invalid)?;
            self.literals("enum", values, types, at)?;
            prepared.insert("enum".into(), value.clone());
        }
        if let Some(value) = keywords.get("$ref") {
            prepared.insert("$ref".into(), self.reference(value, at)?.into());
        }
        self.combinations(keywords, at, &mut prepared)?;
        Ok(prepared)
    }

    fn reference(&mut self, value: &Value, at: &Pointer) -> Result<String, GrammarError> {
        let invalid = || at.child("$ref").invalid("it must be a string");
        let reference = value.as_str().ok_or_else(invalid)?;
        let schema = references::resolve(self.root, reference).ok_or_else(|| {
            let reason = if reference.starts_with("#/") {
                format!("there is nothing at {reference}")
            } else {
                format!("{reference:?} is not a pointer into this schema, such as #/$defs/name")
            };
            at.unsupported("$ref", reason)
        })?;
        let same = |target: &Target<'_>| std::ptr::eq(target.schema, schema);
        let index = self.targets.iter().position(same).unwrap_or_else(|| {
            self.targets.push(Target {
                schema,
                at: Pointer::of_reference(reference),
            });
            self.targets.len() - 1
        });
        Ok(references::reference(index))
    }

    fn combinations(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        if let Some(mut all) = self.schemas(keywords, "allOf", at)? {
            if let Some(Value::Array(first)) = prepared.remove("allOf") {
                all.splice(0..0, first);
            }
            prepared.insert("allOf".into(), all.into());
        }
        let mut any = self.schemas(keywords, "anyOf", at)?;
        if let Some(one) = self.schemas(keywords, "oneOf", at)? {
            if self.enforcement == Enforcement::Strict
                && let Some(Value::Array(options)) = keywords.get("oneOf")
                && let Some((first, second)) = disjoint::overlap(self.root, options)
            {
                let reason = format!(
                    "a value may satisfy both number {first} and number {second}; distinguish them by type or by a required property with a const, or use anyOf"
                );
                return Err(at.unsupported("oneOf", reason));
            }
            // For mutually exclusive schemas, oneOf is equivalent to anyOf.
            match any.take() {
                None => any = Some(one),
                Some(options) => {
                    let both = [json!({ "anyOf": options }), json!({ "anyOf": one })];
                    let all = prepared.entry("allOf").or_insert_with(|| json!([]));
                    if let Value::Array(all) = all {
                        all.extend(both);
                    }
                }
            }
        }
        if let Some(options) = any {
            prepared.insert("anyOf".into(), options.into());
        }
        Ok(())
    }

    fn schemas(
        &mut self,
        keywords: &Map<String, Value>,
        keyword: &str,
        at: &Pointer,
    ) -> Result<Option<Vec<Value>>, GrammarError> {
        let here = at.child(keyword);
        let Some(value) = keywords.get(keyword) else {
            return Ok(None);
        };
        let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
        let schemas = schemas.ok_or_else(|| here.invalid("it must be an array of schemas"))?;
        let schemas = schemas.iter().enumerate();
        let schemas = schemas.map(|(index, schema)| self.subschema(schema, &here.child(index)));
        schemas.collect::<Result<_, _>>().map(Some)
    }
}

/// Whether a prepared schema consists only of keywords for numbers.
fn is_number(prepared: &Value) -> bool {
    let combined = ["const", "enum", "$ref", "allOf", "anyOf"];
    matches!(prepared["type"].as_str(), Some("integer" | "number"))
        && combined
            .iter()
            .all(|keyword| prepared.get(keyword).is_none())
}

/// A schema without a type that has properties or items is treated as an object or an array.
fn implied_types(keywords: &Map<String, Value>) -> Option<Types> {
    let has = |keyword: &str| keywords.contains_key(keyword);
    if has("const") || has("enum") {
        return None;
    }
    match (has("properties"), has("items") || has("prefixItems")) {
        (true, false) => Some(Types::OBJECT),
        (false, true) => Some(Types::ARRAY),
        _ => None,
    }
}

fn reject_unenforceable(keywords: &Map<String, Value>, at: &Pointer) -> Result<(), GrammarError> {
    for (keyword, reason) in UNENFORCEABLE {
        if let Some(value) = keywords.get(keyword)
            && !is_noop(keyword, value, keywords)
        {
            return Err(at.unsupported(keyword, reason));
        }
    }
    // References below an `$id` are relative to it.
    let renamed = keywords.contains_key("$id") && *at != Pointer::root();
    if renamed && keywords.values().any(has_reference) {
        return Err(at.unsupported("$id", "references are only resolved from the root"));
    }
    Ok(())
}

/// Whether the keyword does not restrict anything.
fn is_noop(keyword: &str, value: &Value, keywords: &Map<String, Value>) -> bool {
    let always = *value == Value::Bool(true) || *value == json!({});
    match keyword {
        "if" => !keywords.contains_key("then") && !keywords.contains_key("else"),
        "not" | "uniqueItems" => *value == Value::Bool(false),
        // Property names are always strings.
        "propertyNames" => always || *value == json!({"type": "string"}),
        "unevaluatedItems" | "unevaluatedProperties" => always,
        "dependencies" | "dependentRequired" | "dependentSchemas" => *value == json!({}),
        _ => false,
    }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key("$ref") || members.values().any(has_reference)
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// The value of a keyword that is a non-negative integer.
pub(super) fn count(
    keywords: &Map<String, Value>,
    keyword: &str,
    at: &Pointer,
) -> Result<Option<usize>, GrammarError> {
    let Some(value) = keywords.get(keyword) else {
        return Ok(None);
    };
    let number = value
        .as_f64()
        .filter(|count| *count >= 0.0 && count.fract() == 0.0)
        .ok_or_else(|| {
            at.child(keyword)
                .invalid("it must be a non-negative integer")
        })?;
    if number > limits::COUNT as f64 {
        let reason = format!("the limit is {}", limits::COUNT);
        return Err(at.unsupported(keyword, reason));
    }
    Ok(Some(number as usize))
}
