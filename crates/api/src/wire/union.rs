//! Schemas of structs that flatten a union.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// The schema of an id.
pub fn uuid() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(format));
    RefOr::T(Schema::Object(schema.build()))
}

/// The schema of a union whose variants all have further required fields, as `#[serde(flatten)]` adds them. A schema with `allOf`
/// would hide from generators of types which variant it is.
pub fn with_fields(
    union: RefOr<Schema>,
    description: &str,
    fields: &[(&str, RefOr<Schema>)],
) -> RefOr<Schema> {
    match union {
        RefOr::T(Schema::OneOf(mut union)) => {
            for variant in &mut union.items {
                let RefOr::T(Schema::Object(variant)) = variant else {
                    continue;
                };
                for (name, schema) in fields {
                    variant
                        .properties
                        .insert((*name).to_owned(), schema.clone());
                    variant.required.push((*name).to_owned());
                }
            }
            union.description = Some(description.to_owned());
            RefOr::T(Schema::OneOf(union))
        }
        other => other,
    }
}
