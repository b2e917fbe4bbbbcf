//! Writing the arguments of a call, where they are read one by one.

use super::quote;

/// The members of a JSON object, one after the other.
#[derive(Debug, Default)]
pub(crate) struct ObjectWriter {
    members: usize,
}

impl ObjectWriter {
    /// What stands in front of the next member's value.
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

    /// The end of the object. The next member belongs to another one.
    pub fn end(&mut self) -> &'static str {
        match std::mem::take(&mut self.members) {
            0 => "{}",
            _ => "}",
        }
    }
}
