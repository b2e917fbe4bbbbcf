//! Finds stop strings in text that arrives in pieces.

use super::SamplingError;

/// What became certain with a piece of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Text that is part of the answer.
    pub text: String,
    /// The stop string that ended the answer; it is not part of the text.
    pub stopped: Option<String>,
}

/// Finds the first stop string in an answer, however the answer is cut into pieces.
///
/// The first one is the one that is complete first, as if the text came character by character;
/// of several that are complete at the same character, the longest. Text that may be the beginning
/// of a stop string is held back until it is certain.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<String>,
    held_back: String,
    stopped: bool,
}

impl StopMatcher {
    /// A matcher at the beginning of an answer.
    ///
    /// # Errors
    /// If a stop string is empty.
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

    /// Takes the next piece of text. After a stop string everything is dropped.
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
        self.held_back = uncertain.split_off(self.start_of_prefix(&uncertain));
        Piece {
            text: uncertain,
            stopped: None,
        }
    }

    /// Ends the answer and returns what was held back.
    pub fn finish(&mut self) -> String {
        self.stopped = true;
        std::mem::take(&mut self.held_back)
    }

    /// Where the stop string that is complete first starts, and which it is.
    fn find(&self, text: &str) -> Option<(usize, String)> {
        let matches = self.stops.iter().filter_map(|stop| {
            let start = text.find(stop.as_str())?;
            Some((start + stop.len(), start, stop))
        });
        let (_, start, stop) = matches.min()?;
        Some((start, stop.clone()))
    }

    /// Where the longest end of `text` begins that is the beginning of a stop string.
    fn start_of_prefix(&self, text: &str) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut starts = text
            .char_indices()
            .map(|(start, _)| start)
            .skip_while(|start| text.len() - start >= longest);
        let held = starts.find(|&start| {
            let end = &text[start..];
            self.stops.iter().any(|stop| stop.starts_with(end))
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
    fn a_beginning_is_held_back_until_it_is_certain() {
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
    fn what_never_completes_comes_at_the_end() {
        let mut matcher = matcher(&["stop"]);
        assert_eq!(matcher.push("st"), piece("", None));
        assert_eq!(matcher.finish(), "st");
    }

    #[test]
    fn the_one_complete_first_wins_and_the_longer_of_two() {
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
    fn without_stop_strings_text_passes() {
        let mut matcher = matcher(&[]);
        assert_eq!(matcher.push("anything"), piece("anything", None));
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        let refused = StopMatcher::new(vec![String::new()]);
        assert_eq!(refused.err(), Some(SamplingError::EmptyStop));
    }

    /// The definition, on the whole text.
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
        fn pieces_give_the_same_as_the_whole_text(
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
                    // No more is held back than could still become a stop string.
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
