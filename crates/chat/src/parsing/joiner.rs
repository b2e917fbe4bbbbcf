//! Text of one kind that calls or text of another kind interrupt.

/// Tracks the text of one kind. White space between two pieces that was dropped separates them.
#[derive(Debug, Clone)]
pub(crate) struct Joiner {
    last: Option<char>,
    /// The first white space that was dropped since.
    dropped: String,
    /// Whether the last line has only white space.
    is_line_blank: bool,
    /// Backticks in a row at the end.
    backticks: usize,
    in_code_block: bool,
}

impl Default for Joiner {
    fn default() -> Self {
        Self {
            last: None,
            dropped: String::new(),
            is_line_blank: true,
            backticks: 0,
            in_code_block: false,
        }
    }
}

impl Joiner {
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Whether the text so far ends with a visible character.
    fn ends_in_word(&self) -> bool {
        self.last.is_some_and(|last| !last.is_whitespace())
    }

    /// White space that follows the text so far is dropped.
    pub fn drop_space(&mut self, space: &str) {
        if self.ends_in_word() && self.dropped.is_empty() {
            self.dropped.push_str(space);
        }
    }

    /// Adds `text`, and returns the white space that separates it from the text before.
    pub fn push(&mut self, text: &str) -> String {
        let mut separator = std::mem::take(&mut self.dropped);
        if text.starts_with(char::is_whitespace) {
            separator.clear();
        }
        self.add(&separator);
        self.add(text);
        separator
    }

    /// A call follows: the next text starts on a new line.
    pub fn start_line(&mut self) {
        self.is_line_blank = true;
    }

    /// Whether a line starts after the text so far and `text`, outside of a Markdown code block.
    pub fn starts_line_after(&self, text: &str) -> bool {
        let mut joined = self.clone();
        joined.add(text);
        joined.is_line_blank && !joined.in_code_block
    }

    fn add(&mut self, text: &str) {
        for character in text.chars() {
            self.last = Some(character);
            self.is_line_blank =
                character == '\n' || (self.is_line_blank && character.is_whitespace());
            self.backticks = if character == '`' {
                self.backticks + 1
            } else {
                0
            };
            self.in_code_block ^= self.backticks == 3;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_space_separates_words() {
        let mut joiner = Joiner::default();
        joiner.drop_space("\n");
        assert_eq!(joiner.push("One."), "");
        joiner.drop_space("\n\n");
        joiner.drop_space(" ");
        assert_eq!(joiner.push("Two. "), "\n\n");
        joiner.drop_space("\n");
        assert_eq!(joiner.push("Three."), "");
        joiner.drop_space("\n");
        assert_eq!(joiner.push(" Four."), "");
    }

    #[test]
    fn lines_start_outside_of_code_blocks() {
        let mut joiner = Joiner::default();
        assert!(joiner.starts_line_after("  "));
        assert!(!joiner.starts_line_after("a "));
        assert!(joiner.starts_line_after("a\n "));
        joiner.push("a ``");
        joiner.push("`\n");
        assert!(!joiner.starts_line_after(""));
        assert!(joiner.starts_line_after("```\n"));
    }
}
