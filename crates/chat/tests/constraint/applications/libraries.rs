//! Schemas that pydantic and zod generate.

use serde_json::json;

use super::{Accepted, accepted, property};

pub fn pydantic() -> Vec<Accepted> {
    let address = json!({
        "properties": {"city": {"title": "City", "type": "string"}}, "required": ["city"], "title": "Address", "type": "object",
    });
    let level = json!({"enum": ["low", "high"], "title": "Level", "type": "string"});
    let decimal = json!({
        "anyOf": [{"type": "number"}, {"pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", "type": "string"}], "title": "Price",
    });
    vec![
        accepted(
            "reference with a description",
            json!({
                "$defs": {"Address": address},
                "properties": {"home": {"$ref": "#/$defs/Address", "description": "Where"}},
                "required": ["home"], "title": "Person", "type": "object",
            }),
            json!({"home": {"city": "Ulm"}}),
            json!({"home": {"town": "Ulm"}}),
        ),
        accepted(
            "allOf with one reference and siblings",
            json!({
                "$defs": {"Level": level},
                "properties": {"level": {"allOf": [{"$ref": "#/$defs/Level"}], "default": "low", "title": "Level", "description": "How"}},
                "title": "Task", "type": "object", "additionalProperties": false,
            }),
            json!({"level": "high"}),
            json!({"level": "medium"}),
        ),
        accepted(
            "optional field with a default",
            json!({
                "properties": {"age": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null, "title": "Age"}},
                "required": ["age"], "title": "Person", "type": "object",
            }),
            json!({"age": null}),
            json!({"age": "old"}),
        ),
        accepted(
            "discriminated union",
            json!({
                "$defs": {
                    "Cat": {"properties": {"kind": {"const": "cat", "default": "cat", "title": "Kind", "type": "string"}, "lives": {"type": "integer"}}, "required": ["kind", "lives"], "type": "object"},
                    "Dog": {"properties": {"kind": {"const": "dog", "default": "dog", "title": "Kind", "type": "string"}}, "required": ["kind"], "type": "object"},
                },
                "discriminator": {"mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}, "propertyName": "kind"},
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
            }),
            json!({"kind": "cat", "lives": 9}),
            json!({"kind": "cow"}),
        ),
        property("Decimal", &decimal, json!("12.50"), json!("-.")),
        property(
            "set of an enum",
            &json!({"type": "array", "items": {"enum": ["read", "write", "admin"]}, "uniqueItems": true}),
            json!(["write", "read"]),
            json!(["read", "read"]),
        ),
        accepted(
            "dictionary with enum keys",
            json!({
                "$defs": {"Level": level},
                "type": "object", "propertyNames": {"$ref": "#/$defs/Level"}, "additionalProperties": {"type": "integer"},
            }),
            json!({"low": 1, "high": 2}),
            json!({"medium": 1}),
        ),
        accepted(
            "dictionary with constrained keys",
            json!({"type": "object", "propertyNames": {"minLength": 1, "maxLength": 3}, "additionalProperties": {"type": "integer"}}),
            json!({"abc": 1}),
            json!({"abcd": 1}),
        ),
        accepted(
            "dictionary with keys of a format",
            json!({"type": "object", "propertyNames": {"format": "date"}, "additionalProperties": {"type": "boolean"}}),
            json!({"2024-02-29": true}),
            json!({"2023-02-29": true}),
        ),
        accepted(
            "dictionary with a key pattern",
            json!({"type": "object", "patternProperties": {"^[a-z]+$": {"type": "integer"}}, "additionalProperties": false}),
            json!({"ab": 1}),
            json!({"AB": 1}),
        ),
        property(
            "SecretStr",
            &json!({"format": "password", "type": "string", "writeOnly": true}),
            json!("x y"),
            json!(1),
        ),
        property(
            "bytes",
            &json!({"format": "binary", "type": "string"}),
            json!("x"),
            json!(null),
        ),
        property(
            "Path",
            &json!({"format": "path", "type": "string"}),
            json!("/tmp/x"),
            json!([]),
        ),
        property(
            "datetime",
            &json!({"format": "date-time", "type": "string"}),
            json!("2024-05-06T07:08:09Z"),
            json!("2024-05-06"),
        ),
        property(
            "date",
            &json!({"format": "date", "type": "string"}),
            json!("2024-05-06"),
            json!("2024-5-6"),
        ),
        property(
            "time",
            &json!({"format": "time", "type": "string"}),
            json!("07:08:09+02:00"),
            json!("7:08"),
        ),
        property(
            "timedelta",
            &json!({"format": "duration", "type": "string"}),
            json!("P3DT4H"),
            json!("3 days"),
        ),
        property(
            "UUID4",
            &json!({"format": "uuid4", "type": "string"}),
            json!("12345678-1234-4234-8234-123456789abc"),
            json!("12345678-1234-1234-8234-123456789abc"),
        ),
        property(
            "EmailStr",
            &json!({"format": "email", "type": "string"}),
            json!("jo.doe@example.com"),
            json!("jo.doe"),
        ),
        property(
            "HttpUrl",
            &json!({"format": "uri", "maxLength": 2083, "minLength": 1, "type": "string"}),
            json!("https://example.com/a?b=c"),
            json!("example.com"),
        ),
        property(
            "IPvAnyAddress",
            &json!({"format": "ipvanyaddress", "type": "string"}),
            json!("::1"),
            json!("1.2.3"),
        ),
        property(
            "IPv4Address",
            &json!({"format": "ipv4", "type": "string"}),
            json!("127.0.0.1"),
            json!("256.0.0.1"),
        ),
        property(
            "Literal",
            &json!({"const": "a", "title": "V", "type": "string"}),
            json!("a"),
            json!("b"),
        ),
        property(
            "tuple",
            &json!({"type": "array", "maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}]}),
            json!([1, "a"]),
            json!(["a", 1]),
        ),
        property(
            "conint",
            &json!({"type": "integer", "exclusiveMinimum": 0, "multipleOf": 5}),
            json!(15),
            json!(-5),
        ),
        accepted(
            "recursive model",
            json!({
                "$defs": {"Node": {"properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}], "default": null}}, "required": ["value"], "title": "Node", "type": "object"}},
                "$ref": "#/$defs/Node",
            }),
            json!({"value": 1, "next": {"value": 2, "next": null}}),
            json!({"value": 1, "next": {"value": "2"}}),
        ),
        accepted(
            "list at the root",
            json!({"type": "array", "items": {"type": "string"}, "title": "Names"}),
            json!(["a", "b"]),
            json!("a"),
        ),
    ]
}

pub fn zod() -> Vec<Accepted> {
    let email = "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";
    let duration = "^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$";
    let time = "^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$";
    vec![
        accepted(
            "nullable in draft 7",
            json!({
                "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
                "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"], "additionalProperties": false,
            }),
            json!({"a": null}),
            json!({"a": 1}),
        ),
        accepted(
            "named schema",
            json!({
                "$ref": "#/definitions/Event",
                "definitions": {"Event": {"type": "object", "properties": {"id": {"type": "number"}, "parent": {"$ref": "#/definitions/Event/properties/id"}}, "required": ["id"], "additionalProperties": false}},
                "$schema": "http://json-schema.org/draft-07/schema#",
            }),
            json!({"id": 1, "parent": 2}),
            json!({"id": 1, "parent": "x"}),
        ),
        accepted(
            "strict intersection",
            json!({
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
                ],
                "unevaluatedProperties": false,
            }),
            json!({"a": "x", "b": "y"}),
            json!({"a": "x", "b": "y", "c": "z"}),
        ),
        accepted(
            "never",
            json!({"type": "object", "properties": {"a": {"not": {}}, "b": {"type": "null"}}, "additionalProperties": false}),
            json!({"b": null}),
            json!({"a": 1}),
        ),
        accepted(
            "record with enum keys",
            json!({"type": "object", "additionalProperties": {"type": "number"}, "propertyNames": {"type": "string", "enum": ["a", "b"]}, "required": ["a", "b"]}),
            json!({"a": 1, "b": 2.5}),
            json!({"a": 1, "c": 2}),
        ),
        accepted(
            "record with any keys",
            json!({"type": "object", "propertyNames": {"type": "string", "minLength": 0}, "additionalProperties": {"type": "number"}}),
            json!({"": 1}),
            json!({"a": "b"}),
        ),
        property(
            "z.email",
            &json!({"type": "string", "format": "email", "pattern": email}),
            json!("jo@example.com"),
            json!(".jo@example.com"),
        ),
        property(
            "z.iso.duration",
            &json!({"type": "string", "format": "duration", "pattern": duration}),
            json!("PT5M"),
            json!("P"),
        ),
        property(
            "z.iso.time",
            &json!({"type": "string", "format": "time", "pattern": time}),
            json!("07:08:09"),
            json!("25:00"),
        ),
        property(
            "z.e164",
            &json!({"type": "string", "format": "e164", "pattern": "^\\+[1-9]\\d{6,14}$"}),
            json!("+4915112345678"),
            json!("015112345678"),
        ),
        property(
            "z.nanoid",
            &json!({"type": "string", "format": "nanoid", "pattern": "^[a-zA-Z0-9_-]{21}$"}),
            json!("V1StGXR8_Z5jdHi6B-myT"),
            json!("short"),
        ),
        property(
            "z.cuid2",
            &json!({"type": "string", "format": "cuid2", "pattern": "^[0-9a-z]+$"}),
            json!("tz4a98xxat96iws9zmbrgj3a"),
            json!("A-B"),
        ),
        property(
            "z.base64",
            &json!({"type": "string", "format": "base64", "contentEncoding": "base64", "pattern": "^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$"}),
            json!("aGk="),
            json!("a"),
        ),
        property(
            "z.url",
            &json!({"type": "string", "format": "uri"}),
            json!("mailto:jo@example.com"),
            json!("no scheme"),
        ),
        property(
            "z.jwt",
            &json!({"type": "string", "format": "jwt"}),
            json!("a.b.c"),
            json!(false),
        ),
        property(
            "z.int",
            &json!({"type": "integer", "minimum": -9_007_199_254_740_991_i64, "maximum": 9_007_199_254_740_991_i64}),
            json!(7),
            json!(7.5),
        ),
        property(
            "z.literal union",
            &json!({"anyOf": [{"type": "string", "const": "a"}, {"type": "number", "const": 1}, {"type": "null"}]}),
            json!(1),
            json!(2),
        ),
        property(
            "z.set",
            &json!({"type": "array", "uniqueItems": true, "items": {"type": "boolean"}, "minItems": 1}),
            json!([true, false]),
            json!([false, false]),
        ),
        property(
            "tuple in draft 7",
            &json!({"type": "array", "minItems": 2, "maxItems": 2, "items": [{"type": "string"}, {"type": "number"}], "additionalItems": false}),
            json!(["a", 1]),
            json!(["a", 1, 2]),
        ),
    ]
}
