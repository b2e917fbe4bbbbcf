//! Finds stop strings in streamed text.

use super::SamplingError;

/// Output of [`StopMatcher::push`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Text that is certain to be part of the completion.
    pub text: String,
    /// The stop string that was found. It is not part of the text.
    pub stopped: Option<String>,
}

/// Finds the first stop string in a completion, independently of how the text is divided into pieces.
///
/// The first stop string is the one whose last character comes first; of several that end at the same character, the
/// longest. Text that may be the start of a stop string is held back until the following text decides.
#[derive(Debug, Clone, Default)]
pub struct StopMatcher {
    stops: Vec<String>,
    held_back: String,
    stopped: bool,
}

impl StopMatcher {
    /// A matcher for a new completion.
    ///
    /// # Errors
    /// When a stop string is empty.
    pub fn new(stops: Vec<String>) -> Result<Self, SamplingError> {
        if stops.iter().any(String::is_empty) {
            return Err(SamplingError::EmptyStop);
        }
        Ok(Self {
            stops,
            held_back: String::new(),
            stopped: false,
        })
    }

    /// Adds the next piece of text. Text after a stop string is discarded.
    pub fn push(&mut self, text: &str) -> Piece {
        if self.stopped {
            return Piece::default();
        }
        let mut uncertain = std::mem::take(&mut self.held_back);
        uncertain.push_str(text);
        if let Some((start, stop)) = self.find(&uncertain) {
            self.stopped = true;
            uncertain.truncate(start);
            return Piece {
                text: uncertain,
                stopped: Some(stop),
            };
        }
        self.held_back = uncertain.split_off(self.partial_match_start(&uncertain));
        Piece {
            text: uncertain,
            stopped: None,
        }
    }

    /// Returns the text held back; a stop string cannot extend over this point.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held_back)
    }

    /// Ends the completion and returns the text held back.
    pub fn finish(&mut self) -> String {
        self.stopped = true;
        std::mem::take(&mut self.held_back)
    }

    /// The first stop string in `text` and its start.
    fn find(&self, text: &str) -> Option<(usize, String)> {
        let matches = self.stops.iter().filter_map(|stop| {
            let start = text.find(stop.as_str())?;
            Some((start + stop.len(), start, stop))
        });
        let (_, start, stop) = matches.min()?;
        Some((start, stop.clone()))
    }

    /// Start of the longest suffix of `text` that is a proper prefix of a stop string.
    fn partial_match_start(&self, text: &str) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut starts = text
            .char_indices()
            .map(|(start, _)| start)
            .skip_while(|start| text.len() - start >= longest);
        let held = starts.find(|&start| {
            let suffix = &text[start..];
            self.stops.iter().any(|stop| stop.starts_with(suffix))
        });
        held.unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matcher(stops: &[&str]) -> StopMatcher {
        StopMatcher::new(stops.iter().map(ToString::to_string).collect()).unwrap()
    }

    fn piece(text: &str, stopped: Option<&str>) -> Piece {
        Piece {
            text: text.to_owned(),
            stopped: stopped.map(str::to_owned),
        }
    }

    #[test]
    fn flush_separates_texts() {
        let mut matcher = matcher(&["ab"]);
        assert_eq!(matcher.push("xa").text, "x");
        assert_eq!(matcher.flush(), "a");
        assert_eq!(matcher.push("b").text, "b");
        assert_eq!(matcher.push("ab").stopped.as_deref(), Some("ab"));
    }

    #[test]
    fn partial_match_is_held_back_until_decided() {
        let mut matcher = matcher(&["</end>"]);
        assert_eq!(matcher.push("text <"), piece("text ", None));
        assert_eq!(matcher.push("/en"), piece("", None));
        assert_eq!(matcher.push("try"), piece("</entry", None));
        assert_eq!(matcher.push(" <<"), piece(" <", None));
        assert_eq!(matcher.push("/end> more"), piece("", Some("</end>")));
        assert_eq!(matcher.push("more"), piece("", None));
        assert_eq!(matcher.finish(), "");
    }

    #[test]
    fn finish_returns_an_incomplete_match() {
        let mut matcher = matcher(&["stop"]);
        assert_eq!(matcher.push("st"), piece("", None));
        assert_eq!(matcher.finish(), "st");
    }

    #[test]
    fn earliest_end_wins_then_the_longest() {
        assert_eq!(
            matcher(&["abcd", "bc"]).push("abcd"),
            piece("a", Some("bc"))
        );
        assert_eq!(
            matcher(&["bc", "abc"]).push("xabc"),
            piece("x", Some("abc"))
        );
    }

    #[test]
    fn text_is_unchanged_without_stop_strings() {
        let mut matcher = matcher(&[]);
        assert_eq!(matcher.push("anything"), piece("anything", None));
    }

    #[test]
    fn empty_stop_string_is_rejected() {
        let result = StopMatcher::new(vec![String::new()]);
        assert_eq!(result.err(), Some(SamplingError::EmptyStop));
    }

    /// Reference implementation on the whole text.
    fn reference(stops: &[String], text: &str) -> (String, Option<String>) {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        for end in ends {
            let complete = stops.iter().filter(|stop| text[..end].ends_with(*stop));
            if let Some(stop) = complete.max_by_key(|stop| stop.len()) {
                return (text[..end - stop.len()].to_owned(), Some(stop.clone()));
            }
        }
        (text.to_owned(), None)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn pieces_match_like_the_whole_text(
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            pieces in prop::collection::vec("[abé☂]{0,5}", 0..8),
        ) {
            let mut matcher = StopMatcher::new(stops.clone()).unwrap();
            let mut text = String::new();
            let mut stopped = None;
            let mut seen = String::new();
            for piece in &pieces {
                seen.push_str(piece);
                let Piece { text: certain, stopped: stop } = matcher.push(piece);
                text.push_str(&certain);
                stopped = stopped.or(stop);
                if stopped.is_none() {
                    // Nothing is held back that cannot become a stop string.
                    let held = &seen[text.len()..];
                    let needed = stops.iter().any(|stop| stop.starts_with(held));
                    prop_assert!(held.is_empty() || needed);
                }
            }
            text.push_str(&matcher.finish());
            prop_assert_eq!((text, stopped), reference(&stops, &pieces.concat()));
        }
    }
}
