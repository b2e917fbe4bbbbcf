//! Grammars in the Lark dialect of llguidance: `%json {…}` stands for a JSON schema, `<name>` and `<[id]>` for tokens.

mod builder;
mod prepare;
mod tool_schema;

pub(crate) use builder::{
    LarkBuilder, Sequence, any_text, enum_strings, json, json_arguments, one_of,
};
pub(crate) use prepare::prepare;
