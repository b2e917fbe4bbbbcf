//! Quantization overrides for modules that match a pattern.

use std::str::FromStr;

use mlxm_kernels::quant::{QuantMode, QuantSpec};

use super::ConvertError;
use super::options::quantization;

/// The format of the modules whose path matches a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// A module path in which `*` matches any number of characters and `?` matches one.
    pub pattern: String,
    /// `None` for dense.
    pub quantization: Option<QuantSpec>,
}

impl Override {
    pub(super) fn matches(&self, path: &str) -> bool {
        pattern_matches(self.pattern.as_bytes(), path.as_bytes())
    }
}

impl FromStr for Override {
    type Err = ConvertError;

    /// `PATTERN=BITS`, `PATTERN=BITS:GROUP`, `PATTERN=BITS:GROUP:MODE` or `PATTERN=dense`.
    fn from_str(text: &str) -> Result<Self, ConvertError> {
        let invalid = || {
            ConvertError::Options(format!(
                "{text:?} is not an override: write PATTERN=BITS, PATTERN=BITS:GROUP, PATTERN=BITS:GROUP:MODE or \
                 PATTERN=dense, such as 'model.layers.*.mlp.down_proj=6:64'"
            ))
        };
        let (pattern, format) = text.split_once('=').ok_or_else(invalid)?;
        if pattern.is_empty() {
            return Err(invalid());
        }
        let quantization = if format == "dense" {
            None
        } else {
            let mut parts = format.split(':');
            let bits = parts.next().and_then(|bits| bits.parse().ok());
            let bits = bits.ok_or_else(invalid)?;
            let group_size = parts
                .next()
                .map(|group| group.parse().map_err(|_| invalid()))
                .transpose()?;
            let mode = match parts.next() {
                None => QuantMode::Affine,
                Some(mode) => mode
                    .parse()
                    .map_err(|error| ConvertError::Options(format!("{text:?}: {error}")))?,
            };
            if parts.next().is_some() {
                return Err(invalid());
            }
            Some(quantization(mode, Some(bits), group_size)?)
        };
        Ok(Self {
            pattern: pattern.to_owned(),
            quantization,
        })
    }
}

/// Whether the whole `path` matches `pattern`.
fn pattern_matches(pattern: &[u8], path: &[u8]) -> bool {
    // Where to resume after a mismatch: after the last `*`, which then matches one more character.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == path[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, matched_to)) => {
                    star = Some((after, matched_to + 1));
                    (p, t) = (after, matched_to + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        pattern_matches(pattern.as_bytes(), path.as_bytes())
    }

    #[test]
    fn pattern_matches_whole_path() {
        assert!(matches("*.down_proj", "model.layers.3.mlp.down_proj"));
        assert!(matches(
            "model.layers.?.mlp.*",
            "model.layers.3.mlp.up_proj"
        ));
        assert!(!matches(
            "model.layers.?.mlp.*",
            "model.layers.13.mlp.up_proj"
        ));
        assert!(matches("*layers*proj", "model.layers.13.mlp.up_proj"));
        assert!(!matches("layers", "model.layers"));
        assert!(!matches("*.v_proj", "a.v_proj.b"));
        assert!(matches("*", ""));
        assert!(!matches("?", ""));
    }

    #[test]
    fn override_parses_each_form() {
        let parse = |text: &str| text.parse::<Override>().unwrap().quantization;
        let affine = |bits, group_size| {
            Some(QuantSpec {
                mode: QuantMode::Affine,
                group_size,
                bits,
            })
        };
        assert_eq!(parse("lm_head=dense"), None);
        assert_eq!(parse("lm_head=8"), affine(8, 64));
        assert_eq!(parse("lm_head=5:128"), affine(5, 128));
        assert_eq!(parse("lm_head=4:32:affine"), affine(4, 32));
        assert_eq!(
            parse("lm_head=4:16:nvfp4"),
            Some(QuantSpec::default_for(QuantMode::Nvfp4))
        );
    }

    #[test]
    fn invalid_override_is_rejected() {
        for text in ["lm_head", "=4", "a=", "a=x", "a=4:y", "a=4:64:affine:1"] {
            let message = text.parse::<Override>().unwrap_err().to_string();
            assert!(message.contains("is not an override"), "{text}: {message}");
        }
        for text in ["a=7", "a=4:16", "a=4:32:fp12", "a=8:32:mxfp4"] {
            assert!(text.parse::<Override>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn star_matches_any_substring(path in "[a-c.]{1,12}", start in 0_usize..12, length in 0_usize..12) {
            let start = start.min(path.len());
            let end = (start + length).min(path.len());
            let pattern = format!("{}*{}", &path[..start], &path[end..]);
            prop_assert!(matches(&pattern, &path));
        }
    }
}
