//! `anyOf` and `oneOf`.
//!
//! Libraries give the property that tells the schemas of a union apart a default, so that it is not required. Output always has
//! it: otherwise an object could satisfy several schemas, and validators could not choose one.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use super::types::Types;
use super::walk::Walk;
use super::{disjoint, negate};
use crate::constraint::error::GrammarError;

/// Keywords next to `$ref` that do not restrict values.
const ANNOTATIONS: [&str; 8] = [
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
];

impl Walk<'_> {
    /// The rewritten schemas of `anyOf`.
    pub(super) fn any_of(
        &mut self,
        keywords: &Map<String, Value>,
        at: &Pointer,
    ) -> Result<Option<Vec<Value>>, GrammarError> {
        let Some(options) = schemas(keywords, "anyOf", at)? else {
            return Ok(None);
        };
        let name = declared_discriminator(keywords)
            .filter(|name| disjoint::is_discriminator(&self.resources, options, name));
        self.options(options, name, &at.child("anyOf")).map(Some)
    }

    /// The rewritten schemas of `oneOf`, which are mutually exclusive.
    pub(super) fn one_of(
        &mut self,
        keywords: &Map<String, Value>,
        types: Types,
        at: &Pointer,
    ) -> Result<Option<Vec<Value>>, GrammarError> {
        let Some(options) = schemas(keywords, "oneOf", at)? else {
            return Ok(None);
        };
        let here = at.child("oneOf");
        let declared = declared_discriminator(keywords)
            .filter(|name| disjoint::is_discriminator(&self.resources, options, name));
        if declared.is_some() {
            return self.options(options, declared, &here).map(Some);
        }
        let exclusions = disjoint::exclusions(&self.resources, options, None, types);
        if exclusions.is_err()
            && let Some(name) = disjoint::inferred_discriminator(&self.resources, options)
        {
            return self.options(options, Some(&name), &here).map(Some);
        }
        let mut prepared = self.options(options, None, &here)?;
        match exclusions {
            // More conditions could make a recursive schema too complex.
            Ok(_) if self.is_best_effort() => {}
            Ok(forbidden) => {
                for (option, names) in prepared.iter_mut().zip(forbidden) {
                    if !names.is_empty() {
                        let without = negate::without(names.iter().map(String::as_str));
                        *option = json!({ "allOf": [option.take(), without] });
                    }
                }
            }
            Err((first, second)) => {
                let reason = format!(
                    "a value may satisfy both number {first} and number {second}; distinguish them by type or by a property with a const of its own, or use anyOf"
                );
                if !self.is_best_effort() {
                    return Err(at.unsupported("oneOf", reason));
                }
                self.note_ignored(&here, &reason);
            }
        }
        Ok(Some(prepared))
    }

    /// The rewritten schemas; objects have the property `required`.
    fn options(
        &mut self,
        schemas: &[Value],
        required: Option<&str>,
        at: &Pointer,
    ) -> Result<Vec<Value>, GrammarError> {
        let schemas = schemas.iter().enumerate();
        let prepared = schemas.map(|(index, schema)| {
            let at = at.child(index);
            match required {
                Some(name) => self.requiring(schema, name, &at),
                None => self.subschema(schema, &at),
            }
        });
        prepared.collect()
    }

    /// The rewritten schema at `at`, where objects have the property `name`.
    pub(super) fn requiring(
        &mut self,
        schema: &Value,
        name: &str,
        at: &Pointer,
    ) -> Result<Value, GrammarError> {
        let Value::Object(keywords) = schema else {
            return self.subschema(schema, at);
        };
        let mut others = keywords.keys().filter(|keyword| *keyword != "$ref");
        if let Some(reference) = keywords.get("$ref")
            && others.all(|keyword| ANNOTATIONS.contains(&keyword.as_str()))
        {
            self.count()?;
            // A condition next to the reference would make a recursive schema too complex.
            let (reference, _) = self.reference("$ref", reference, Some(name), at)?;
            return Ok(json!({ "$ref": reference }));
        }
        let mut keywords = keywords.clone();
        let required = keywords.entry("required").or_insert_with(|| json!([]));
        if required.is_null() {
            *required = json!([]);
        }
        if let Value::Array(names) = required
            && !names.iter().any(|required| required == name)
        {
            names.push(name.into());
        }
        self.subschema(&Value::Object(keywords), at)
    }
}

/// The schemas of a keyword that combines schemas.
pub(super) fn schemas<'k>(
    keywords: &'k Map<String, Value>,
    keyword: &str,
    at: &Pointer,
) -> Result<Option<&'k [Value]>, GrammarError> {
    let Some(value) = keywords.get(keyword) else {
        return Ok(None);
    };
    let schemas = value.as_array().map(Vec::as_slice);
    let schemas = schemas.filter(|schemas| !schemas.is_empty());
    let invalid = || at.child(keyword).invalid("it must be an array of schemas");
    Ok(Some(schemas.ok_or_else(invalid)?))
}

/// The property that tells the schemas apart, as OpenAPI declares it.
fn declared_discriminator(keywords: &Map<String, Value>) -> Option<&str> {
    keywords.get("discriminator")?.get("propertyName")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::super::{Enforcement, prepare};
    use super::*;

    /// A model with a default discriminator, as pydantic writes it.
    fn model(kind: &str, field: &str) -> Value {
        json!({
            "type": "object", "title": kind, "required": [field],
            "properties": {"kind": {"const": kind, "default": kind, "title": "Kind", "type": "string"}, field: {"type": "boolean"}},
        })
    }

    fn definitions() -> Value {
        json!({"Cat": model("cat", "lives"), "Dog": model("dog", "lives")})
    }

    fn union() -> Value {
        json!({
            "discriminator": {"mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}, "propertyName": "kind"},
            "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        })
    }

    fn prepared(schema: &Value) -> Value {
        prepare(schema, Enforcement::Strict).unwrap()
    }

    /// The required properties of the definition that `schema` refers to.
    fn required<'a>(root: &'a Value, schema: &Value) -> &'a Value {
        let reference = schema["$ref"].as_str().unwrap();
        let target = root.pointer(&reference[1..]).unwrap();
        &target["required"]
    }

    #[test]
    fn a_discriminator_with_a_default_is_required() {
        let list = json!({"type": "array", "items": union()});
        for mut schema in [union(), list, json!({"properties": {"pet": union()}})] {
            schema["$defs"] = definitions();
            for enforcement in [Enforcement::Strict, Enforcement::BestEffort] {
                let root = prepare(&schema, enforcement).unwrap();
                let places = ["", "/items", "/properties/pet"];
                let options = places
                    .iter()
                    .find_map(|place| root.pointer(&format!("{place}/anyOf"))?.as_array())
                    .unwrap();
                assert_eq!(options.len(), 2);
                for option in options {
                    assert_eq!(required(&root, option), &json!(["lives", "kind"]));
                }
            }
        }
    }

    #[test]
    fn a_discriminator_need_not_be_declared_for_one_of_and_must_be_for_any_of() {
        let models = || json!([model("cat", "lives"), model("dog", "lives")]);
        let undeclared = prepared(&json!({"oneOf": models()}));
        let declared =
            prepared(&json!({"anyOf": models(), "discriminator": {"propertyName": "kind"}}));
        for root in [undeclared, declared] {
            for option in root["anyOf"].as_array().unwrap() {
                assert_eq!(option["required"], json!(["lives", "kind"]));
            }
        }
        let any = prepared(&json!({"anyOf": models()}));
        assert_eq!(any["anyOf"][0]["required"], json!(["lives"]));
        // Lists of values, and other types, are distinguished, too.
        let mut cat = model("cat", "lives");
        cat["properties"]["kind"] = json!({"enum": ["cat", "lion"], "default": "cat"});
        let options = json!([cat, model("dog", "lives"), {"type": "null"}]);
        let root = prepared(&json!({"oneOf": options}));
        assert_eq!(root["anyOf"][0]["required"], json!(["lives", "kind"]));
        assert_eq!(root["anyOf"][2]["type"], json!("null"));
    }

    #[test]
    fn unions_are_nested_and_recursive() {
        let mut cat = json!({"oneOf": [model("cat", "lives"), model("cat", "lives")], "discriminator": {"propertyName": "color"}});
        for (index, color) in ["black", "white"].into_iter().enumerate() {
            cat["oneOf"][index]["properties"]["color"] =
                json!({"const": color, "default": color, "type": "string"});
        }
        let mut schema = union();
        schema["$defs"] = json!({"Cat": cat, "Dog": model("dog", "lives")});
        let root = prepared(&schema);
        let cat = root["anyOf"][0]["$ref"].as_str().unwrap();
        let cat = root.pointer(&cat[1..]).unwrap();
        assert_eq!(cat["required"], json!(["kind"]));
        assert_eq!(cat["anyOf"][1]["required"], json!(["lives", "color"]));

        let mut schema = union();
        schema["$defs"] = definitions();
        schema["$defs"]["Cat"]["properties"]["friend"] = json!({"$ref": "#"});
        let root = prepared(&schema);
        assert_eq!(
            required(&root, &root["anyOf"][0]),
            &json!(["lives", "kind"])
        );
    }

    #[test]
    fn equal_or_missing_discriminators_are_rejected() {
        let without = json!({"type": "object", "properties": {"lives": {"type": "boolean"}}});
        for options in [
            json!([model("cat", "lives"), model("cat", "lives")]),
            json!([model("cat", "lives"), without]),
        ] {
            let schema = json!({"oneOf": options, "discriminator": {"propertyName": "kind"}});
            let message = prepare(&schema, Enforcement::Strict)
                .unwrap_err()
                .to_string();
            assert!(
                message.starts_with("`oneOf` at #/oneOf cannot be enforced: "),
                "{message}"
            );
        }
    }
}
