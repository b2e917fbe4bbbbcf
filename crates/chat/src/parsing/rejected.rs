//! The text of calls that are content: without the delimiters that truncated calls and delivered calls leave.

/// Whether the end of the output truncates `tag` after `text`.
pub(super) fn is_fragment(text: &str, tag: &str) -> bool {
    text.len() > 1 && text.len() < tag.len() && tag.starts_with(text)
}

/// `text` without the first characters of `tag` at its end.
pub(super) fn without_fragment<'a>(text: &'a str, tag: &str) -> &'a str {
    let starts = text.char_indices().map(|(start, _)| start);
    let fragment = starts
        .rev()
        .take(tag.len())
        .filter(|start| is_fragment(&text[*start..], tag))
        .last();
    fragment.map_or(text, |start| &text[..start])
}

/// `text` without `prefixes` at its start, which may be repeated.
pub(super) fn without_prefixes<'a>(mut text: &'a str, prefixes: &[&str]) -> &'a str {
    while let Some(rest) = prefixes
        .iter()
        .find_map(|prefix| text.strip_prefix(*prefix))
    {
        text = rest.trim_start();
    }
    text
}

/// A JSON object without the end of the list in which it is.
pub(super) fn without_list_end<'a>(text: &'a str, closers: &[&str]) -> &'a str {
    let mut text = text.trim_end();
    while let Some(rest) = closers.iter().find_map(|closer| text.strip_suffix(*closer)) {
        text = rest.trim_end();
    }
    if text.matches(']').count() > text.matches('[').count() {
        text = text.strip_suffix(']').map_or(text, str::trim_end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_of_a_tag_are_removed_at_the_end() {
        for (text, rest) in [
            ("a </x", "a"),
            ("a <</", "a <"),
            ("a <", "a <"),
            ("a </x>", "a </x>"),
            ("ü", "ü"),
            ("", ""),
        ] {
            assert_eq!(without_fragment(text, "</x>").trim_end(), rest);
        }
    }

    #[test]
    fn the_end_of_a_list_is_removed_once() {
        for (text, rest) in [
            ("{\"a\": [1]}] </x>", "{\"a\": [1]}"),
            ("{\"a\": [1]}", "{\"a\": [1]}"),
            ("{\"a\": [1", "{\"a\": [1"),
        ] {
            assert_eq!(without_list_end(text, &["</x>"]), rest);
        }
    }

    #[test]
    fn prefixes_may_be_repeated() {
        assert_eq!(
            without_prefixes("<a>\n<a> <b>c <a>", &["<a>", "<b>"]),
            "c <a>"
        );
    }
}
