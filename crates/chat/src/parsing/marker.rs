//! Finding delimiters in text whose end has not come yet.

use std::cmp::Reverse;

/// Where the first marker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A marker begins at this byte.
    At {
        /// Its first byte.
        start: usize,
        /// Its place among the delimiters looked for.
        which: usize,
    },
    /// No marker is certain; the text before `safe` holds none, whatever follows.
    Nowhere {
        /// Where a marker may begin, or the length of the text.
        safe: usize,
    },
}

/// Finds the first of `delimiters`, the longest where several begin at the same place. `ended` says that no text follows.
pub(crate) fn find(text: &str, delimiters: &[&str], ended: bool) -> Found {
    let first = delimiters
        .iter()
        .enumerate()
        .filter_map(|(which, marker)| {
            let start = text.find(marker)?;
            Some((start, Reverse(marker.len()), which))
        })
        .min();
    let safe = if ended {
        text.len()
    } else {
        let held = delimiters
            .iter()
            .map(|marker| beginning_at_end(text, marker));
        text.len() - held.max().unwrap_or(0)
    };
    match first {
        Some((start, _, which)) if start <= safe => Found::At { start, which },
        _ => Found::Nowhere { safe },
    }
}

/// Length of the longest end of `text` that begins `marker` without being all of it.
fn beginning_at_end(text: &str, marker: &str) -> usize {
    (1..marker.len())
        .rev()
        .filter(|length| marker.is_char_boundary(*length))
        .find(|length| text.ends_with(&marker[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_marker_wins_and_the_longest_of_a_place() {
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
    fn what_may_begin_a_marker_is_not_safe() {
        assert_eq!(
            find("a ｜tool▁", &["｜tool▁calls"], false),
            Found::Nowhere { safe: 2 }
        );
        assert_eq!(find("a <t", &["<tool>"], true), Found::Nowhere { safe: 4 });
        assert_eq!(find("a <x", &["<tool>"], false), Found::Nowhere { safe: 4 });
    }
}
