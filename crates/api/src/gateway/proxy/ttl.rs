//! How long a model stays in memory after a request.

use std::time::Duration;

/// Time for which a model stays loaded while it is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Until it is stopped.
    Forever,
    /// For this time; zero stops it when it becomes idle.
    For(Duration),
}

impl KeepAlive {
    /// From a number of seconds; any negative one is forever. `None` if it is not finite or too large.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        if seconds < 0.0 {
            return seconds.is_finite().then_some(Self::Forever);
        }
        Duration::try_from_secs_f64(seconds).ok().map(Self::For)
    }

    /// From a number of seconds, or a time such as `1h30m`; `None` if it is neither. The units are those of Ollama: `ns`, `us`,
    /// `ms`, `s`, `m` and `h`.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, text),
        };
        if !text.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return None;
        }
        let seconds = match text.parse::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => sum_of_units(text)?,
        };
        Self::from_seconds(sign * seconds)
    }
}

/// The seconds of numbers with units.
fn sum_of_units(mut text: &str) -> Option<f64> {
    let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    let mut seconds = 0.0;
    while !text.is_empty() {
        let (number, rest) = text.split_at(text.find(|letter: char| !is_number(letter))?);
        let (unit, rest) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        text = rest;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: u64) -> KeepAlive {
        KeepAlive::For(Duration::from_secs(seconds))
    }

    #[test]
    fn times_have_the_forms_of_ollama_and_lm_studio() {
        for (text, expected) in [
            ("300", Some(time(300))),
            ("5m", Some(time(300))),
            ("1h30m", Some(time(5400))),
            ("1.5h", Some(time(5400))),
            ("1500ms", Some(KeepAlive::For(Duration::from_millis(1500)))),
            ("0", Some(time(0))),
            ("-0s", Some(time(0))),
            ("-1", Some(KeepAlive::Forever)),
            ("-1m", Some(KeepAlive::Forever)),
        ] {
            assert_eq!(KeepAlive::from_text(text), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "m",
            "5 minutes",
            "5x",
            "1h30",
            "inf",
            "nan",
            "-inf",
            "1e999",
            "..s",
            "--1",
            "é",
        ] {
            assert_eq!(KeepAlive::from_text(text), None, "{text}");
        }
        assert_eq!(KeepAlive::from_seconds(f64::NAN), None);
        assert_eq!(KeepAlive::from_seconds(f64::NEG_INFINITY), None);
        assert_eq!(KeepAlive::from_seconds(1e300), None);
    }
}
