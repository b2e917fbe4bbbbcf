//! The calls of Jamba. A response without calls is between `<answer>` tags.

use super::jamba;

/// Tags around the content.
pub(super) const ANSWER: [&str; 2] = ["<answer>", "</answer>"];
pub(super) const STARTS: [&str; 3] = [jamba::OPEN, ANSWER[0], ANSWER[1]];
