//! Half surrogate pairs in JSON strings, which clients produce when they cut a text within an emoji.

/// Replaces escapes of lone surrogates, such as `\ud83d`, by that of the replacement character. Pairs are left alone.
pub fn replace_lone(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                out.push_str("\\ufffd");
                rest = &escape[6..];
                continue;
            }
            (Some(_), _) => 6,
            // `\\`, `\"` and the like; the character after the backslash may have several bytes in invalid JSON.
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out.push_str(rest);
    out
}

/// The code unit of an escape `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_become_the_replacement_character() {
        for (json, expected) in [
            (r#""x \ud83d y""#, r#""x \ufffd y""#),
            (r#""\ude00""#, r#""\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\uD83D""#, r#""\ufffd""#),
        ] {
            assert_eq!(replace_lone(json), expected);
        }
    }

    #[test]
    fn other_text_is_unchanged() {
        for json in [
            r#""\ud83d\ude00 \\ud83d \u00e9 \" é""#,
            r#""\ud8""#,
            "\\",
            "\\é",
            "",
        ] {
            assert_eq!(replace_lone(json), json);
        }
    }
}
