//! `<|tool_call_start|>[name(key=value)]<|tool_call_end|>`.

use super::pythonic::Pythonic;

pub(super) const OPEN: &str = "<|tool_call_start|>";
pub(super) const CLOSE: &str = "<|tool_call_end|>";

/// Reads what follows the marker: a Python list of calls.
pub(super) fn reader() -> Pythonic {
    Pythonic::closed_by(CLOSE)
}
