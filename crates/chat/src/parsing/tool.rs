//! Tools.

use serde_json::Value;

/// A function the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// JSON schema of its arguments; if it is not an object, any arguments are accepted.
    pub parameters: Value,
}

impl Tool {
    /// Schemas of the arguments by name, in the order of the schema.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.parameters["properties"]
            .as_object()
            .into_iter()
            .flatten()
    }

    /// Names of the required arguments.
    pub(crate) fn required(&self) -> impl Iterator<Item = &str> {
        let required = self.parameters["required"].as_array();
        required.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Schema of one argument.
    pub(crate) fn property(&self, name: &str) -> Option<&Value> {
        self.parameters["properties"].get(name)
    }
}
