//! Formatting and parsing of sizes, counts and durations that indicatif does not cover.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Parses a size: `12GB`, `12 GiB`, `500M`, or plain bytes. `K`, `M`, `G` and `T` alone are decimal.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        other => return Err(format!("unknown unit `{other}`: expected 12GB or 12GiB")),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a size: expected 12GB or 12GiB"))?;
    Ok((number * factor) as u64)
}

/// Parses a duration: `90s`, `30m`, `2h`, `7d`, or plain seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid =
        || format!("`{text}` is not a time: expected a number and a unit, such as 30m, 2h or 7d");
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number
        .checked_mul(factor)
        .map(Duration::from_secs)
        .ok_or_else(invalid)
}

/// Text of clients or models, which must not control the terminal: control characters other than line breaks and tabs are escaped.
pub fn printable(text: &str) -> Cow<'_, str> {
    let controls = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(controls) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if controls(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// A time in milliseconds since the Unix epoch, in the time zone of this machine.
pub fn time(at_ms: i64) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S%.3f")
            .to_string(),
        Err(_) => format!("{at_ms} ms"),
    }
}

/// A count with a decimal unit: `134.5 M`.
pub fn count(value: u64) -> String {
    let value_float = value as f64;
    match value {
        0..1_000 => value.to_string(),
        1_000..1_000_000 => format!("{:.1} K", value_float / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", value_float / 1e6),
        _ => format!("{:.2} B", value_float / 1e9),
    }
}

/// A count with its noun: `1 request`, `2 requests`.
pub fn plural(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// A duration in its largest whole unit: `30 s`, `5 min`, `2 h`, `3 d`.
pub fn rough_duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A time in milliseconds since the Unix epoch as a duration before now: `5 min ago`.
pub fn ago(at_ms: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // The clock may have been set back.
    let now_ms = now.map_or(0, |now| now.as_millis() as i64);
    format!(
        "{} ago",
        rough_duration(now_ms.saturating_sub(at_ms).max(0).unsigned_abs() / 1000)
    )
}

/// A duration: `85 ms`, `1.24 s`.
pub fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.0} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_bytes_accepts_decimal_and_binary_units() {
        assert_eq!(parse_bytes("12GB"), Ok(12_000_000_000));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert!(parse_bytes("12 parsecs").is_err());
        assert!(parse_bytes("GB").is_err());
        assert!(parse_bytes("-1GB").is_err());
    }

    #[test]
    fn control_characters_are_escaped_except_line_breaks_and_tabs() {
        assert_eq!(printable("a\tb\né"), "a\tb\né");
        assert_eq!(printable("\u{1b}]0;x\u{7}\r"), r"\u{1b}]0;x\u{7}\r");
    }

    #[test]
    fn parse_duration_accepts_units_of_time() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("30m", 1800),
            ("2 h", 7200),
            ("7d", 604_800),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "h",
            "-1h",
            "1y",
            "1.5h",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_have_nouns_and_durations_one_unit() {
        assert_eq!(plural(1, "request"), "1 request");
        assert_eq!(plural(0, "request"), "0 requests");
        assert_eq!(
            [0, 59, 60, 7199, 86_399, 86_400].map(rough_duration),
            ["0 s", "59 s", "1 min", "1 h", "23 h", "1 d"]
        );
        assert_eq!(ago(i64::MAX), "0 s ago");
        assert!(ago(0).ends_with(" d ago"));
    }

    #[test]
    fn count_and_duration_format_values() {
        assert_eq!(count(999), "999");
        assert_eq!(count(134_515_008), "134.5 M");
        assert_eq!(count(7_240_000_000), "7.24 B");
        assert_eq!(duration(Duration::from_millis(85)), "85 ms");
        assert_eq!(duration(Duration::from_millis(1240)), "1.24 s");
    }
}
