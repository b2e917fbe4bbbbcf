//! Searching for delimiters in incomplete text.

use std::cmp::Reverse;

/// The first delimiter in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A delimiter was found.
    At {
        /// Offset of its first byte.
        start: usize,
        /// Index of the delimiter.
        which: usize,
    },
    /// None was found. The text before `safe` does not overlap one, whatever follows.
    Nowhere {
        /// Offset where a delimiter may start, or the length of the text.
        safe: usize,
    },
}

/// Finds the first of `delimiters`, the longest if several start at the same offset. `ended`: no text follows.
pub(crate) fn find(text: &str, delimiters: &[&str], ended: bool) -> Found {
    let first = delimiters
        .iter()
        .enumerate()
        .filter_map(|(which, delimiter)| {
            let start = text.find(delimiter)?;
            Some((start, Reverse(delimiter.len()), which))
        })
        .min();
    let safe = if ended {
        text.len()
    } else {
        let held = delimiters
            .iter()
            .map(|delimiter| partial_suffix_length(text, delimiter));
        text.len() - held.max().unwrap_or(0)
    };
    match first {
        Some((start, _, which)) if start <= safe => Found::At { start, which },
        _ => Found::Nowhere { safe },
    }
}

/// Length of the longest suffix of `text` that is a proper prefix of `delimiter`.
fn partial_suffix_length(text: &str, delimiter: &str) -> usize {
    (1..delimiter.len())
        .rev()
        .filter(|length| delimiter.is_char_boundary(*length))
        .find(|length| text.ends_with(&delimiter[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_prefers_the_first_then_the_longest_delimiter() {
        let delimiters = ["</a>", "\n</a>", "<b>"];
        assert_eq!(
            find("x\n</a> <b>", &delimiters, false),
            Found::At { start: 1, which: 1 }
        );
        assert_eq!(
            find("x<b>", &delimiters, false),
            Found::At { start: 1, which: 2 }
        );
    }

    #[test]
    fn find_treats_a_partial_delimiter_as_unsafe() {
        assert_eq!(
            find("a ｜tool▁", &["｜tool▁calls"], false),
            Found::Nowhere { safe: 2 }
        );
        assert_eq!(find("a <t", &["<tool>"], true), Found::Nowhere { safe: 4 });
        assert_eq!(find("a <x", &["<tool>"], false), Found::Nowhere { safe: 4 });
    }
}
