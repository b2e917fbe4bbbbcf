//! Excerpts of found texts. Pure.

use super::words::{Words, words};

/// Characters before the first found word.
const CHARS_BEFORE: usize = 60;

/// Characters of an excerpt.
const CHARS: usize = 240;

/// A piece of an excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPart {
    /// The text. "…" stands for what was left out at the ends.
    pub text: String,
    /// Whether it is a word of the search.
    pub is_match: bool,
}

/// The first of the words with some text before and after it, in one line; the beginning of the text without one.
pub(super) fn excerpt(text: &str, searched: &Words) -> Vec<FoundPart> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = searched.find(words(&line)).next().map(|range| range.start);
    let start = first.map_or(0, |first| start(&line, first));
    let end = line[start..]
        .char_indices()
        .nth(CHARS)
        .map_or(line.len(), |(index, _)| start + index);
    let mut parts = Vec::new();
    let mut position = start;
    if start > 0 {
        push(&mut parts, "…", false);
    }
    // Words after the excerpt are not looked at: a text may be long.
    let from = first.unwrap_or(end);
    let shown = words(&line[from..]).take_while(|word| from + word.range.start < end);
    for range in searched.find(shown) {
        let (match_start, match_end) = (from + range.start, (from + range.end).min(end));
        push(&mut parts, &line[position..match_start], false);
        push(&mut parts, &line[match_start..match_end], true);
        position = match_end;
    }
    push(&mut parts, &line[position..end], false);
    if end < line.len() {
        push(&mut parts, "…", false);
    }
    parts
}

/// Where an excerpt begins: at a word, if there is one in front of the match.
fn start(line: &str, first_match: usize) -> usize {
    let before = &line[..first_match];
    let Some((start, _)) = before.char_indices().rev().nth(CHARS_BEFORE) else {
        return 0;
    };
    before[start..]
        .find(' ')
        .map_or(start, |space| start + space + 1)
}

fn push(parts: &mut Vec<FoundPart>, text: &str, is_match: bool) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(part) if !part.is_match && !is_match => part.text.push_str(text),
        _ => parts.push(FoundPart {
            text: text.to_owned(),
            is_match,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marked(text: &str, searched: &str) -> String {
        excerpt(text, &Words::new(searched))
            .iter()
            .map(|part| {
                if part.is_match {
                    format!("[{}]", part.text)
                } else {
                    part.text.clone()
                }
            })
            .collect()
    }

    #[test]
    fn words_are_marked_in_one_line() {
        let text = "The test\n\n  depends on the ORDER of tests";
        assert_eq!(
            marked(text, "order test"),
            "The [test] depends on the [ORDER] of [tests]"
        );
        assert_eq!(
            marked(text, "order test "),
            "The [test] depends on the [ORDER] of tests"
        );
        assert_eq!(
            marked(text, "missing"),
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        assert_eq!(marked("", "word"), "");
    }

    #[test]
    fn a_long_text_is_cut_at_both_ends() {
        let text = format!("{} needle {}", "before ".repeat(100), "after ".repeat(100));
        let excerpt = marked(&text, "needle");
        assert!(excerpt.starts_with("…before "), "{excerpt}");
        assert!(excerpt.contains("before [needle] after"), "{excerpt}");
        assert!(excerpt.ends_with('…'), "{excerpt}");
        assert!(excerpt.chars().count() <= CHARS + 4, "{excerpt}");
    }

    proptest! {
        #[test]
        fn an_excerpt_is_a_piece_of_the_text(text in any::<String>(), searched in any::<String>()) {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let parts = excerpt(&text, &Words::new(&searched));
            let whole: String = parts.iter().map(|part| part.text.as_str()).collect();
            let piece = whole.trim_start_matches('…').trim_end_matches('…');
            prop_assert!(line.contains(piece), "{piece:?} in {line:?}");
        }

        #[test]
        fn a_word_of_the_text_is_marked(text in "\\PC{0,400}", index in any::<prop::sample::Index>()) {
            let all: Vec<_> = words(&text).collect();
            prop_assume!(!all.is_empty());
            let word = &all[index.index(all.len())];
            let parts = excerpt(&text, &Words::new(&text[word.range.clone()]));
            prop_assert!(parts.iter().any(|part| part.is_match), "{word:?}");
        }
    }
}
