//! Numbers as people read and write them.

use std::time::Duration;

const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];

/// A size in decimal units, as the hub and disk tools write it: `271.4 MB`.
pub fn bytes(size_bytes: u64) -> String {
    let mut value = size_bytes as f64;
    let mut unit = 0;
    // 999.95 would be printed as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{size_bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Reads a size: `12GB`, `12 GiB`, `500M`, or plain bytes. `K`, `M`, `G` and `T` alone are decimal.
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

/// A large count: `134.5 M`.
pub fn count(value: u64) -> String {
    let value_float = value as f64;
    match value {
        0..1_000 => value.to_string(),
        1_000..1_000_000 => format!("{:.1} K", value_float / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", value_float / 1e6),
        _ => format!("{:.2} B", value_float / 1e9),
    }
}

/// A duration: `85 ms`, `1.24 s`.
pub fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.0} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

/// How long ago: `5 minutes ago`.
pub fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    let (amount, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..2_592_000 => (seconds / 86_400, "day"),
        2_592_000..31_536_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{amount} {unit}{} ago", if amount == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_switches_units_at_powers_of_1000() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 KB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(16_000_000_000), "16.0 GB");
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
    }

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
    fn count_duration_and_ago_format_values() {
        assert_eq!(count(999), "999");
        assert_eq!(count(134_515_008), "134.5 M");
        assert_eq!(count(7_240_000_000), "7.24 B");
        assert_eq!(duration(Duration::from_millis(85)), "85 ms");
        assert_eq!(duration(Duration::from_millis(1240)), "1.24 s");
        assert_eq!(ago(Duration::from_secs(59)), "just now");
        assert_eq!(ago(Duration::from_mins(1)), "1 minute ago");
        assert_eq!(ago(Duration::from_hours(2)), "2 hours ago");
    }
}
