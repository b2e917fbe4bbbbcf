//! Access to the files of `/proc` and `/sys`.

use std::fs;
use std::path::Path;

/// The files below a root directory. Paths are absolute, as if the root were `/`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    root: &'a Path,
}

impl<'a> Files<'a> {
    pub(crate) fn below(root: &'a Path) -> Self {
        Self { root }
    }

    /// The content of the file at `path`, without whitespace at its ends; `None` if it cannot be read.
    pub(crate) fn read(self, path: &str) -> Option<String> {
        let bytes = fs::read(self.root.join(path.trim_start_matches('/'))).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The number in the file at `path`; `None` if it cannot be read or has no number.
    pub(crate) fn number(self, path: &str) -> Option<u64> {
        self.read(path)?.parse().ok()
    }
}

/// The value of `key` in lines such as `key: value kB` or `key value`.
pub(crate) fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        let value = rest
            .strip_prefix(':')
            .or_else(|| rest.starts_with(char::is_whitespace).then_some(rest))?;
        Some(value.trim())
    })
}

/// The first word of a [`field`] as a number.
pub(crate) fn number_field(text: &str, key: &str) -> Option<u64> {
    field(text, key)?.split_whitespace().next()?.parse().ok()
}

/// The numbers of a list such as `0-3,8`. Invalid parts are skipped.
pub(crate) fn number_list(text: &str) -> Vec<usize> {
    /// More than any machine has; a damaged list must not fill the memory.
    const MAX_NUMBERS: usize = 1 << 16;
    text.split(',')
        .filter_map(|part| {
            let part = part.trim();
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
        })
        .flatten()
        .take(MAX_NUMBERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_key() {
        let text = "MemTotalX: 1 kB\nMemTotal:   24684092 kB\nactive_file 7\n";
        assert_eq!(number_field(text, "MemTotal"), Some(24_684_092));
        assert_eq!(number_field(text, "active_file"), Some(7));
        assert_eq!(number_field(text, "active"), None);
        assert_eq!(number_field("MemTotal: much", "MemTotal"), None);
    }

    #[test]
    fn number_list_expands_ranges_and_is_bounded() {
        assert_eq!(number_list("0-2,5,8-9"), [0, 1, 2, 5, 8, 9]);
        assert_eq!(number_list(""), [0; 0]);
        assert_eq!(number_list("x,3-,4"), [4]);
        assert_eq!(number_list("0-18446744073709551615").len(), 1 << 16);
    }
}
