//! Keywords that are expressed by alternatives: `not`, `if`, dependencies and `unevaluatedProperties`.

use serde_json::{Map, Value, json};

use super::negate::{negated, without};
use super::pointer::Pointer;
use super::types::Types;
use super::walk::{Walk, require};
use crate::constraint::error::GrammarError;

/// Depth to which references are followed.
const DEPTH: usize = 12;

/// All keywords of this module.
const KEYWORDS: [&str; 6] = [
    "not",
    "if",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
];

impl Walk<'_> {
    /// Adds what these keywords require; `types` are the types that the schema allows.
    pub(super) fn conditions(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        if self.is_best_effort() {
            // Alternatives can make a schema too complex, which would prevent a tool call.
            for keyword in KEYWORDS
                .iter()
                .filter(|keyword| keywords.contains_key(**keyword))
            {
                self.note_ignored(&at.child(keyword), "conditions need strict enforcement");
            }
            return Ok(());
        }
        if let Some(schema) = keywords.get("not") {
            let other = negated(schema);
            let reason = "describe the allowed values instead";
            require(
                prepared,
                other.ok_or_else(|| at.unsupported("not", reason))?,
            );
        }
        self.cases(keywords, at, prepared)?;
        if types.has(Types::OBJECT) {
            self.dependencies(keywords, types, at, prepared)?;
            self.unevaluated_properties(keywords, types, at, prepared)?;
        }
        Ok(())
    }

    /// `if`, `then` and `else`.
    fn cases(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        let Some(condition) = keywords.get("if") else {
            return Ok(());
        };
        let branches = [keywords.get("then"), keywords.get("else")];
        if branches.iter().all(Option::is_none) {
            return Ok(());
        }
        let violated = negated(condition);
        let reason = "its negation is not known; use anyOf with a case for each";
        let violated = violated.ok_or_else(|| at.unsupported("if", reason))?;
        let satisfied = self.subschema(condition, &at.child("if"))?;
        let mut cases = Vec::new();
        for (start, keyword) in [(satisfied, "then"), (violated, "else")] {
            let branch = keywords.get(keyword);
            let branch = branch.map(|schema| self.subschema(schema, &at.child(keyword)));
            cases.push(match branch.transpose()? {
                Some(branch) => json!({ "allOf": [start, branch] }),
                None => start,
            });
        }
        require(prepared, json!({ "anyOf": cases }));
        Ok(())
    }

    /// `dependentRequired`, `dependentSchemas` and their common form before draft 2019-09.
    fn dependencies(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        for keyword in ["dependentRequired", "dependentSchemas", "dependencies"] {
            let here = at.child(keyword);
            let dependents = match keywords.get(keyword) {
                None => continue,
                Some(Value::Object(dependents)) => dependents,
                Some(_) => return Err(here.invalid("it must be an object")),
            };
            for (name, dependency) in dependents {
                let present = if let Value::Array(names) = dependency {
                    let mut required = vec![json!(name)];
                    required.extend(names.iter().cloned());
                    json!({"type": "object", "required": required})
                } else {
                    let schema = self.subschema(dependency, &here.child(name))?;
                    json!({"allOf": [{"type": "object", "required": [name]}, schema]})
                };
                require(
                    prepared,
                    types.or_others(vec![without([name.as_str()]), present]),
                );
            }
        }
        Ok(())
    }

    /// `unevaluatedProperties: false`, where all other properties are named.
    fn unevaluated_properties(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
        prepared: &mut Map<String, Value>,
    ) -> Result<(), GrammarError> {
        const KEYWORD: &str = "unevaluatedProperties";
        match keywords.get(KEYWORD) {
            None | Some(Value::Bool(true)) => return Ok(()),
            Some(Value::Object(schema)) if schema.is_empty() => return Ok(()),
            Some(_) => {}
        }
        let unsupported = || at.unsupported(KEYWORD, "use additionalProperties");
        if keywords.get(KEYWORD) != Some(&Value::Bool(false)) {
            return Err(unsupported());
        }
        let mut known = Known::default();
        self.known_properties(keywords, at, DEPTH, &mut known)
            .ok_or_else(unsupported)?;
        let mut cases = vec![known];
        for keyword in ["anyOf", "oneOf"] {
            let Some(options) = keywords.get(keyword).and_then(Value::as_array) else {
                continue;
            };
            if cases.len() > 1 {
                return Err(unsupported());
            }
            let shared = cases.remove(0);
            for option in options {
                let mut known = shared.clone();
                let option = option.as_object().ok_or_else(unsupported)?;
                let combined = option.contains_key("anyOf") || option.contains_key("oneOf");
                self.known_properties(option, &at.child(keyword), DEPTH, &mut known)
                    .filter(|()| !combined)
                    .ok_or_else(unsupported)?;
                cases.push(known);
            }
            let Some(Value::Array(prepared_options)) = prepared.get_mut("anyOf") else {
                return Err(unsupported());
            };
            if prepared_options.len() != cases.len() {
                return Err(unsupported());
            }
            for (option, known) in prepared_options.iter_mut().zip(&cases) {
                let closed = types.or_others(vec![known.closed()]);
                *option = json!({ "allOf": [option.take(), closed] });
            }
        }
        if let [known] = cases.as_slice()
            && !known.open
        {
            require(prepared, types.or_others(vec![known.closed()]));
        }
        Ok(())
    }

    /// Adds the properties that a schema, its references and its `allOf` evaluate. `None` if they depend on the value.
    fn known_properties(
        &self,
        keywords: &Map<String, Value>,
        at: &Pointer,
        depth: usize,
        known: &mut Known,
    ) -> Option<()> {
        let conditional = [
            "if",
            "dependentSchemas",
            "dependencies",
            "patternProperties",
        ];
        if depth == 0
            || conditional
                .iter()
                .any(|keyword| keywords.contains_key(*keyword))
        {
            return None;
        }
        if let Some(properties) = keywords.get("properties").and_then(Value::as_object) {
            known.names.extend(properties.keys().cloned());
        }
        let others = keywords.get("additionalProperties");
        known.open |= others.is_some_and(|others| *others != Value::Bool(false));
        if let Some(reference) = keywords.get("$ref").and_then(Value::as_str) {
            let (schema, at) = self.resources.resolve(reference, at)?;
            self.known_part(schema, &at, depth, known)?;
        }
        let parts = keywords.get("allOf").and_then(Value::as_array);
        for (index, schema) in parts.into_iter().flatten().enumerate() {
            self.known_part(schema, &at.child("allOf").child(index), depth, known)?;
        }
        Some(())
    }

    fn known_part(
        &self,
        schema: &Value,
        at: &Pointer,
        depth: usize,
        known: &mut Known,
    ) -> Option<()> {
        let keywords = schema.as_object()?;
        if keywords.contains_key("anyOf") || keywords.contains_key("oneOf") {
            return None;
        }
        self.known_properties(keywords, at, depth - 1, known)
    }
}

/// The properties that a schema evaluates.
#[derive(Clone, Default)]
struct Known {
    names: Vec<String>,
    /// Whether it evaluates all others.
    open: bool,
}

impl Known {
    /// Objects that have only these properties.
    fn closed(&self) -> Value {
        if self.open {
            return Value::Bool(true);
        }
        let names = self
            .names
            .iter()
            .map(|name| (name.clone(), Value::Bool(true)));
        json!({"type": "object", "properties": names.collect::<Map<_, _>>(), "additionalProperties": false})
    }
}
