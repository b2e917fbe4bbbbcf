//! Titles of chats, from their first message.

use mlxm_store::messages::Part;

/// The longest title that is made from a message, in characters.
const MAX_CHARS: usize = 60;

/// The longest title that a user gives, in characters.
pub const MAX_GIVEN_CHARS: usize = 200;

/// A title for a chat that begins with these parts: the first line with words, without the markup of Markdown, or the name of a
/// file. Empty if there is neither.
pub fn of_message(parts: &[Part]) -> String {
    let lines = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.lines()),
        Part::Attachment { .. } => None,
    });
    let mut titles = lines
        .flatten()
        .filter(|line| !line.trim_start().starts_with("```"))
        .map(|line| shorten(&plain(line)));
    let from_text = titles.find(|title| title.chars().any(char::is_alphanumeric));
    let name = || {
        parts.iter().find_map(|part| match part {
            Part::Attachment { name, .. } => Some(shorten(name)),
            Part::Text { .. } => None,
        })
    };
    from_text.or_else(name).unwrap_or_default()
}

/// A title for a copy of a chat.
pub fn of_copy(title: &str) -> String {
    const SUFFIX: &str = " (fork)";
    if title.is_empty() {
        return String::new();
    }
    let kept: String = title
        .trim_end_matches(SUFFIX)
        .chars()
        .take(MAX_GIVEN_CHARS - SUFFIX.len())
        .collect();
    format!("{}{SUFFIX}", kept.trim_end())
}

/// A line in words with one space between them, without the markup at its beginning and around words.
fn plain(line: &str) -> String {
    let line = line
        .trim()
        .trim_start_matches(['#', '>', '-', '*', '`', ' ']);
    let line: String = line
        .chars()
        .filter(|character| !matches!(character, '*' | '`'))
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most [`MAX_CHARS`] characters, cut between words if there is one in the second half.
fn shorten(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_CHARS) else {
        return text.to_owned();
    };
    let cut = text.get(..end).unwrap_or_default();
    let words = cut.rsplit_once(' ').map(|(words, _)| words);
    let words = words.filter(|words| words.chars().count() * 2 >= MAX_CHARS);
    let kept = words
        .unwrap_or(cut)
        .trim_end_matches([' ', ',', ';', ':', '.']);
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text {
            text: text.to_owned(),
        }
    }

    #[test]
    fn first_line_with_words_is_the_title() {
        for (message, title) in [
            ("Why is the sky blue?", "Why is the sky blue?"),
            ("\n\n## Fix **this**:\n`x`", "Fix this:"),
            ("```rust\nfn main() {}", "fn main() {}"),
            ("---\n你好", "你好"),
            ("  a\t b  ", "a b"),
            ("...", ""),
        ] {
            assert_eq!(of_message(&[text(message)]), title, "{message}");
        }
    }

    #[test]
    fn long_titles_are_cut_between_words() {
        let title = of_message(&[text(&"word ".repeat(40))]);
        assert!(title.ends_with("word…"), "{title}");
        assert!(title.chars().count() <= MAX_CHARS + 1);
        let title = of_message(&[text(&"é".repeat(100))]);
        assert_eq!(title.chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn a_message_without_words_has_the_name_of_its_file() {
        let file = Part::Attachment {
            hash: String::new(),
            name: "test.rs".to_owned(),
            media_type: "text/x-rust".to_owned(),
            size_bytes: 1,
        };
        assert_eq!(of_message(&[text(" "), file]), "test.rs");
        assert_eq!(of_message(&[]), "");
    }

    #[test]
    fn copies_are_marked_once() {
        assert_eq!(of_copy("a"), "a (fork)");
        assert_eq!(of_copy("a (fork)"), "a (fork)");
        assert_eq!(of_copy(""), "");
        assert!(of_copy(&"é".repeat(300)).chars().count() <= MAX_GIVEN_CHARS);
    }
}
