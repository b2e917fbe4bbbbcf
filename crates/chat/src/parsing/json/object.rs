//! Writing arguments that are parsed one by one.

use super::quote;

/// Writes the members of a JSON object.
#[derive(Debug, Default)]
pub(crate) struct ObjectWriter {
    members: usize,
}

impl ObjectWriter {
    /// The text before the value of the next member.
    pub fn key(&self, key: &str) -> String {
        let start = if self.members == 0 { "{" } else { ", " };
        format!("{start}{}: ", quote(key))
    }

    /// The next member.
    pub fn member(&mut self, key: &str, value: &str) -> String {
        let member = self.key(key) + value;
        self.members += 1;
        member
    }

    /// The end of the object. The next member starts a new object.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.members) {
            0 => "{}",
            _ => "}",
        }
    }
}
