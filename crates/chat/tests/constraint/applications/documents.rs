//! Schemas of OpenAPI documents, with conditions, and of tool servers.

use serde_json::json;

use super::{Accepted, accepted, property};

pub fn openapi() -> Vec<Accepted> {
    vec![
        property(
            "annotations",
            &json!({"type": "string", "nullable": true, "readOnly": true, "deprecated": true, "example": "x", "examples": ["x"], "xml": {"name": "v"}, "x-internal": true, "externalDocs": {"url": "https://example.com"}}),
            json!("x"),
            json!(1),
        ),
        property(
            "boolean bound",
            &json!({"type": "number", "minimum": 0, "exclusiveMinimum": true}),
            json!(0.5),
            json!(0),
        ),
        property(
            "number formats",
            &json!({"type": "integer", "format": "int64"}),
            json!(5),
            json!("5"),
        ),
        property(
            "byte",
            &json!({"type": "string", "format": "byte"}),
            json!("aGk="),
            json!(5),
        ),
        property(
            "large maxLength",
            &json!({"type": "string", "maxLength": 1_048_576}),
            json!("abc"),
            json!(null),
        ),
        accepted(
            "oneOf distinguished by required properties",
            json!({
                "components": {"schemas": {
                    "Cat": {"type": "object", "required": ["name", "meow"], "properties": {"name": {"type": "string"}, "meow": {"type": "boolean"}}},
                    "Dog": {"type": "object", "required": ["name", "bark"], "properties": {"name": {"type": "string"}, "bark": {"type": "boolean"}}},
                }},
                "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
                "discriminator": {"propertyName": "name"},
            }),
            json!({"name": "Tom", "meow": true}),
            json!({"name": "Tom", "meow": true, "bark": true}),
        ),
        accepted(
            "inheritance",
            json!({
                "definitions": {"Base": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}}}},
                "allOf": [{"$ref": "#/definitions/Base"}, {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}],
                "description": "A child",
            }),
            json!({"id": "12345678-1234-1234-1234-123456789abc", "size": 1}),
            json!({"id": "12345678", "size": 1}),
        ),
        accepted(
            "at least one property",
            json!({"type": "object", "minProperties": 1, "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}}),
            json!({"size": 1}),
            json!({}),
        ),
        accepted(
            "at least two properties",
            json!({"type": "object", "minProperties": 2, "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "additionalProperties": false}),
            json!({"a": null, "c": null}),
            json!({"b": null}),
        ),
        accepted(
            "at most one property",
            json!({"type": "object", "maxProperties": 1, "properties": {"a": {"type": "null"}, "b": {"type": "null"}}}),
            json!({"b": null}),
            json!({"a": null, "b": null}),
        ),
        accepted(
            "at most two properties",
            json!({"type": "object", "maxProperties": 2, "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}}),
            json!({"a": null, "b": null}),
            json!({"a": null, "b": null, "c": null}),
        ),
        accepted(
            "extensions",
            json!({"type": "object", "properties": {"a": {"type": "null"}}, "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": false}),
            json!({"a": null, "x-b": 1}),
            json!({"y-b": 1}),
        ),
    ]
}

pub fn conditions() -> Vec<Accepted> {
    let pair = json!({"a": {"type": "integer"}, "b": {"type": "integer"}});
    vec![
        accepted(
            "either property",
            json!({"type": "object", "properties": pair, "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "additionalProperties": false}),
            json!({"b": 1}),
            json!({"a": 1, "b": 1}),
        ),
        accepted(
            "any property",
            json!({"type": "object", "properties": pair, "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "additionalProperties": false}),
            json!({"a": 1, "b": 1}),
            json!({}),
        ),
        accepted(
            "not both properties",
            json!({"type": "object", "properties": pair, "not": {"required": ["a", "b"]}, "additionalProperties": false}),
            json!({"a": 1}),
            json!({"a": 1, "b": 1}),
        ),
        accepted(
            "dependentRequired",
            json!({"type": "object", "properties": pair, "dependentRequired": {"a": ["b"]}, "additionalProperties": false}),
            json!({"a": 1, "b": 1}),
            json!({"a": 1}),
        ),
        accepted(
            "dependencies",
            json!({"type": "object", "properties": pair, "dependencies": {"b": {"properties": {"a": {"maximum": 3}}, "required": ["a"]}}, "additionalProperties": false}),
            json!({"a": 3, "b": 1}),
            json!({"a": 4, "b": 1}),
        ),
        accepted(
            "if, then, else",
            json!({
                "type": "object", "required": ["country", "code"], "additionalProperties": false,
                "properties": {"country": {"enum": ["us", "nl"]}, "code": {"type": "string"}},
                "if": {"properties": {"country": {"const": "us"}}, "required": ["country"]},
                "then": {"properties": {"code": {"pattern": "^[0-9]{5}$"}}},
                "else": {"properties": {"code": {"pattern": "^[0-9]{4}$"}}},
            }),
            json!({"country": "nl", "code": "1234"}),
            json!({"country": "us", "code": "1234"}),
        ),
        property(
            "not a listed string",
            &json!({"type": "string", "not": {"enum": ["admin", "root"]}}),
            json!("adm"),
            json!("root"),
        ),
        property(
            "not null",
            &json!({"not": {"type": "null"}}),
            json!([1]),
            json!(null),
        ),
        property(
            "not zero",
            &json!({"type": "integer", "not": {"const": 0}}),
            json!(1),
            json!(0),
        ),
        accepted(
            "pattern of a named property",
            json!({"type": "object", "properties": {"score": {"type": "number", "multipleOf": 5}}, "patternProperties": {"^score$": {"type": "integer"}}, "required": ["score"], "additionalProperties": false}),
            json!({"score": 5}),
            json!({"score": 6}),
        ),
        accepted(
            "pattern of a named property in another schema",
            json!({"allOf": [{"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}, {"type": "object", "patternProperties": {"^n$": {"maximum": 3}}, "additionalProperties": false}]}),
            json!({"n": 3}),
            json!({"n": 3, "m": 1}),
        ),
        property(
            "password",
            &json!({"type": "string", "pattern": "^(?=.*[A-Z])(?=.*\\d)[A-Za-z\\d]{4,8}$"}),
            json!("abcD1"),
            json!("abcd1"),
        ),
        property(
            "not starting with a word",
            &json!({"type": "string", "pattern": "^(?!xn)[a-z]+$"}),
            json!("xm"),
            json!("xnm"),
        ),
        property(
            "contentEncoding",
            &json!({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}),
            json!("aGk="),
            json!(1),
        ),
        property(
            "enum with null",
            &json!({"type": ["string", "null"], "enum": ["a", null]}),
            json!(null),
            json!("b"),
        ),
        property(
            "tuple of distinct types",
            &json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false, "minItems": 2, "uniqueItems": true}),
            json!(["a", 1]),
            json!(["a", "a"]),
        ),
    ]
}

pub fn servers() -> Vec<Accepted> {
    vec![
        accepted(
            "null keywords",
            json!({
                "type": "object", "required": null, "additionalProperties": null, "description": null, "$defs": null,
                "properties": {"a": {"type": "string", "enum": null, "pattern": null, "format": null, "default": null}, "b": {"type": "array", "items": null, "minItems": null}},
            }),
            json!({"a": "x", "b": [1]}),
            json!({"a": 1}),
        ),
        accepted(
            "no arguments",
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {}, "additionalProperties": false}),
            json!({}),
            json!({"a": 1}),
        ),
        accepted(
            "edits of a file",
            json!({
                "type": "object", "required": ["path", "edits"], "additionalProperties": false,
                "properties": {
                    "path": {"type": "string"},
                    "edits": {"type": "array", "items": {"type": "object", "properties": {"oldText": {"type": "string", "description": "Text to search for"}, "newText": {"type": "string"}}, "required": ["oldText", "newText"], "additionalProperties": false}},
                    "dryRun": {"type": "boolean", "default": false},
                },
            }),
            json!({"path": "a", "edits": [{"oldText": "b", "newText": "c"}], "dryRun": true}),
            json!({"path": "a", "edits": [{"oldText": "b"}]}),
        ),
        accepted(
            "references by identifier",
            json!({"$id": "T0", "type": "object", "properties": {"nodes": {"type": "array", "items": {"$ref": "T0"}}}, "required": ["nodes"], "additionalProperties": false}),
            json!({"nodes": [{"nodes": []}]}),
            json!({"nodes": [1]}),
        ),
        accepted(
            "anchors",
            json!({"type": "array", "items": {"$ref": "#size"}, "$defs": {"s": {"$anchor": "size", "enum": ["s", "l"]}}}),
            json!(["s", "l"]),
            json!(["m"]),
        ),
        accepted(
            "bundled schemas",
            json!({
                "$id": "https://example.com/order", "type": "object", "properties": {"to": {"$ref": "/address"}}, "required": ["to"], "additionalProperties": false,
                "$defs": {"address": {"$id": "https://example.com/address", "type": "object", "properties": {"zip": {"$ref": "#/$defs/zip"}}, "required": ["zip"], "additionalProperties": false, "$defs": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}}}},
            }),
            json!({"to": {"zip": "12345"}}),
            json!({"to": {"zip": "1234"}}),
        ),
        accepted(
            "recursion in draft 2019-09",
            json!({"type": "object", "properties": {"child": {"$recursiveRef": "#"}}, "additionalProperties": false}),
            json!({"child": {"child": {}}}),
            json!({"child": 1}),
        ),
        accepted(
            "enum at the root",
            json!({"enum": ["yes", "no"]}),
            json!("yes"),
            json!("maybe"),
        ),
        accepted(
            "closed alternatives",
            json!({
                "type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"], "unevaluatedProperties": false,
                "anyOf": [{"properties": {"a": {"type": "null"}}, "required": ["a"]}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}],
            }),
            json!({"id": 1, "b": null}),
            json!({"id": 1, "b": null, "c": null}),
        ),
    ]
}
