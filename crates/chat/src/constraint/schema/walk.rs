//! The walk over a schema and its subschemas.

use std::borrow::Cow;

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::numbers::Steps;
use super::pointer::Pointer;
use super::references::{self, Resources};
use super::types::{self, Types};
use super::{numbers, unions};
use crate::constraint::error::GrammarError;
use crate::constraint::limits;

/// Keywords that cannot be enforced, and alternatives.
const UNENFORCEABLE: [(&str, &str); 3] = [
    ("contains", "use prefixItems or items"),
    ("unevaluatedItems", "use items"),
    ("extends", "use allOf"),
];

/// References; the others are equivalent to `$ref` in a schema without embedded resources.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

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
    pub(super) resources: Resources<'a>,
    enforcement: Enforcement,
    /// Targets of references in order of occurrence.
    targets: Vec<Target<'a>>,
    /// Deduplicated schemas of numbers, because ranges compile to long expressions.
    numbers: IndexSet<Value>,
    pub(super) steps: Steps,
    /// What is not enforced, and why.
    ignored: IndexSet<String>,
    nodes: usize,
    depth: usize,
}

struct Target<'a> {
    schema: &'a Value,
    at: Pointer,
    /// A property that its objects have, whether or not the schema requires it.
    required: Option<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Value, enforcement: Enforcement) -> Self {
        Self {
            resources: Resources::new(root),
            enforcement,
            targets: Vec::new(),
            numbers: IndexSet::new(),
            steps: Steps::default(),
            ignored: IndexSet::new(),
            nodes: 0,
            depth: 0,
        }
    }

    /// The schemas of numbers, in the order of their names, and notes on what is not enforced.
    pub(super) fn finish(self) -> (IndexSet<Value>, IndexSet<String>) {
        (self.numbers, self.ignored)
    }

    /// Whether keywords that cannot be enforced are ignored.
    pub(super) fn is_best_effort(&self) -> bool {
        self.enforcement == Enforcement::BestEffort
    }

    /// Notes that the keyword at `at` is not enforced.
    pub(super) fn note_ignored(&mut self, at: &Pointer, reason: &str) {
        self.ignored
            .insert(format!("{at} is not enforced: {reason}"));
    }

    /// The targets of references, which may add further references.
    pub(super) fn definitions(&mut self) -> Result<Vec<Value>, GrammarError> {
        let mut definitions = Vec::new();
        while let Some(target) = self.targets.get(definitions.len()) {
            let (schema, at) = (target.schema, target.at.clone());
            definitions.push(match target.required.clone() {
                Some(name) => self.requiring(schema, &name, &at)?,
                None => self.subschema(schema, &at)?,
            });
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
            Value::Object(keywords) => without_nulls(keywords),
            _ if self.is_best_effort() => {
                self.note_ignored(at, "it is not a schema");
                return Ok(Value::Bool(true));
            }
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
                Err(error) if self.is_best_effort() => error,
                result => return result,
            };
            let (pointer, reason) = match &error {
                GrammarError::Unsupported {
                    pointer, reason, ..
                } => (pointer, reason),
                GrammarError::Invalid { pointer, problem } => (pointer, problem),
                _ => return Err(error),
            };
            // Unsupported keywords of subschemas were already removed.
            let keyword = keywords
                .keys()
                .find(|keyword| at.child(keyword).to_string() == *pointer)
                .cloned();
            let Some(keyword) = keyword else {
                return Err(error);
            };
            self.note_ignored(&at.child(&keyword), reason);
            keywords.to_mut().shift_remove(&keyword);
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
            self.object(keywords, types, at, &mut prepared)?;
        }
        if types.has(Types::ARRAY) {
            self.array(keywords, types, at, &mut prepared)?;
        }
        if types.has(Types::NUMBER) {
            numbers::prepare(keywords, types, at, &mut self.steps, &mut prepared)?;
        }
        if types.has(Types::STRING) {
            self.string(keywords, at, &mut prepared)?;
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
        self.references(keywords, at, &mut prepared)?;
        self.combinations(keywords, types, at, &mut prepared)?;
        self.conditions(keywords, types, at, &mut prepared)?;
        // Conditions were added before other keywords.
        if let Some(all) = prepared.shift_remove("allOf") {
            prepared.insert("allOf".into(), all);
        }
        if let Some(any) = prepared.shift_remove("anyOf") {
            prepared.insert("anyOf".into(), any);
        }
        Ok(prepared)
    }

    fn references(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        for keyword in REFERENCES {
            let Some(value) = keywords.get(keyword) else {
                continue;
            };
            if keyword != "$ref" && (self.resources.has_embedded() || prepared.contains_key("$ref"))
            {
                return Err(at.unsupported(keyword, "use $ref"));
            }
            let (name, target) = self.reference(keyword, value, None, at)?;
            // llguidance does not combine recursive references with other keywords.
            let declared = types::declared(keywords, at)?;
            let own = target.as_object().map(|target| types::declared(target, at));
            if prepared.len() == 1
                && let Some(declared) = declared
                && let Some(Ok(Some(own))) = own
                && own.within(declared)
            {
                prepared.shift_remove("type");
            }
            prepared.insert("$ref".into(), name.into());
        }
        Ok(())
    }

    /// The name of the referenced schema in the prepared one, where its objects have the property `required`; and the schema.
    pub(super) fn reference(
        &mut self,
        keyword: &str,
        value: &Value,
        required: Option<&str>,
        at: &Pointer,
    ) -> Result<(String, &'a Value), GrammarError> {
        let invalid = || at.child(keyword).invalid("it must be a string");
        let reference = value.as_str().ok_or_else(invalid)?;
        let (schema, at) = self.resources.resolve(reference, at).ok_or_else(|| {
            let reason = if reference.starts_with('#') {
                format!("there is nothing at {reference}")
            } else {
                format!("{reference:?} is not a part of this schema, such as #/$defs/name")
            };
            at.unsupported(keyword, reason)
        })?;
        let same = |target: &Target<'_>| {
            std::ptr::eq(target.schema, schema) && target.required.as_deref() == required
        };
        let index = self.targets.iter().position(same).unwrap_or_else(|| {
            let required = required.map(str::to_owned);
            self.targets.push(Target {
                schema,
                at,
                required,
            });
            self.targets.len() - 1
        });
        Ok((references::reference(index), schema))
    }

    fn combinations(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let all = unions::schemas(keywords, "allOf", at)?.unwrap_or_default();
        for (index, schema) in all.iter().enumerate() {
            let schema = self.subschema(schema, &at.child("allOf").child(index))?;
            require(prepared, schema);
        }
        let mut any = self.any_of(keywords, at)?;
        if let Some(one) = self.one_of(keywords, types, at)? {
            // For mutually exclusive schemas, oneOf is equivalent to anyOf.
            match any.take() {
                None => any = Some(one),
                Some(options) => {
                    require(prepared, json!({ "anyOf": options }));
                    require(prepared, json!({ "anyOf": one }));
                }
            }
        }
        if let Some(options) = any {
            prepared.insert("anyOf".into(), options.into());
        }
        Ok(())
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

/// Adds a schema that all values must satisfy.
pub(super) fn require(prepared: &mut Map<String, Value>, schema: Value) {
    if schema == Value::Bool(true) {
        return;
    }
    let all = prepared.entry("allOf").or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.push(schema);
    }
}

/// The keywords without those that are null, which serializers write for absent ones.
fn without_nulls(keywords: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let is_absent = |keyword: &str, value: &Value| value.is_null() && keyword != "const";
    if !keywords
        .iter()
        .any(|(keyword, value)| is_absent(keyword, value))
    {
        return Cow::Borrowed(keywords);
    }
    let present = keywords
        .iter()
        .filter(|(keyword, value)| !is_absent(keyword, value));
    Cow::Owned(
        present
            .map(|(keyword, value)| (keyword.clone(), value.clone()))
            .collect(),
    )
}

/// A schema without a type that has properties or items is treated as an object or an array.
pub(super) fn implied_types(keywords: &Map<String, Value>) -> Option<Types> {
    let has = |keyword: &str| keywords.get(keyword).is_some_and(|value| !value.is_null());
    if keywords.contains_key("const") || has("enum") {
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
    Ok(())
}

/// Whether the keyword does not restrict anything.
fn is_noop(keyword: &str, value: &Value, keywords: &Map<String, Value>) -> bool {
    // All items are evaluated by `items`, unless it is a list.
    let all_evaluated = || keywords.get("items").is_some_and(|items| !items.is_array());
    let always = *value == Value::Bool(true) || *value == json!({});
    keyword == "unevaluatedItems" && (always || all_evaluated())
}

/// The value of a keyword that is a non-negative integer, up to a limit.
pub(super) fn count(
    keywords: &Map<String, Value>,
    keyword: &str,
    at: &Pointer,
) -> Result<Option<usize>, GrammarError> {
    match integer(keywords, keyword, at)? {
        Some(number) if number > limits::COUNT => {
            let reason = format!("the limit is {}", limits::COUNT);
            Err(at.unsupported(keyword, reason))
        }
        number => Ok(number),
    }
}

/// The value of a keyword that is an upper bound. Higher ones than the limit are lowered to it.
pub(super) fn limit(
    keywords: &Map<String, Value>,
    keyword: &str,
    at: &Pointer,
) -> Result<Option<usize>, GrammarError> {
    let number = integer(keywords, keyword, at)?;
    Ok(number.map(|number| number.min(limits::COUNT)))
}

fn integer(
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
    Ok(Some(number as usize))
}
