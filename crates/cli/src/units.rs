//! Formatting and parsing of sizes, counts and durations that indicatif does not cover.

use std::time::Duration;

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
    fn count_and_duration_format_values() {
        assert_eq!(count(999), "999");
        assert_eq!(count(134_515_008), "134.5 M");
        assert_eq!(count(7_240_000_000), "7.24 B");
        assert_eq!(duration(Duration::from_millis(85)), "85 ms");
        assert_eq!(duration(Duration::from_millis(1240)), "1.24 s");
    }
}
