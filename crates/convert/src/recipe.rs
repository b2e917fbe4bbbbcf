//! The mixed-bit recipes of mlx-lm's `--quant-predicate`.

use std::fmt;
use std::str::FromStr;

use super::ConvertError;

/// Low bits for most layers and high bits for sensitive ones: `lm_head`, and `v_proj` and `down_proj` in the first and
/// last eighth of the blocks and in every third block between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// 2 and 6 bits.
    Mixed2To6,
    /// 3 and 4 bits.
    Mixed3To4,
    /// 3 and 6 bits.
    Mixed3To6,
    /// 4 and 6 bits.
    Mixed4To6,
}

impl Recipe {
    /// Every recipe.
    pub const ALL: [Self; 4] = [
        Self::Mixed2To6,
        Self::Mixed3To4,
        Self::Mixed3To6,
        Self::Mixed4To6,
    ];

    fn bits(self) -> (u32, u32) {
        match self {
            Self::Mixed2To6 => (2, 6),
            Self::Mixed3To4 => (3, 4),
            Self::Mixed3To6 => (3, 6),
            Self::Mixed4To6 => (4, 6),
        }
    }

    /// Bits of the layer at `path` in a model of `layers` blocks.
    pub(super) fn bits_of(self, path: &str, layers: usize) -> u32 {
        let (low, high) = self.bits();
        let eighth = layers / 8;
        let index = layer_index(path).unwrap_or(0);
        let sensitive_block = index < eighth
            || index >= 7 * layers / 8
            || index.checked_sub(eighth).is_some_and(|i| i % 3 == 2);
        let sensitive_layer = ["v_proj", "v_a_proj", "v_b_proj", "down_proj"]
            .iter()
            .any(|name| path.contains(name));
        if path.contains("lm_head") || (sensitive_block && sensitive_layer) {
            high
        } else {
            low
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.bits();
        write!(f, "mixed_{low}_{high}")
    }
}

impl FromStr for Recipe {
    type Err = ConvertError;

    fn from_str(name: &str) -> Result<Self, ConvertError> {
        Self::ALL
            .into_iter()
            .find(|recipe| recipe.to_string() == name)
            .ok_or_else(|| {
                let known: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
                ConvertError::Options(format!(
                    "unknown recipe {name:?}: expected {}",
                    known.join(", ")
                ))
            })
    }
}

/// The first number in a module path, such as `model.layers.7.mlp` or `model.layers.layers.7.mlp`.
fn layer_index(path: &str) -> Option<usize> {
    path.split('.').find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipe_name_round_trips() {
        for recipe in Recipe::ALL {
            assert_eq!(recipe.to_string().parse::<Recipe>().unwrap(), recipe);
        }
        let message = "mixed_1_2".parse::<Recipe>().unwrap_err().to_string();
        assert!(message.contains("mixed_3_6"), "{message}");
    }

    #[test]
    fn sensitive_layers_get_more_bits() {
        let high: Vec<usize> = (0..16)
            .filter(|layer| {
                let path = format!("model.layers.{layer}.mlp.down_proj");
                Recipe::Mixed2To6.bits_of(&path, 16) == 6
            })
            .collect();
        assert_eq!(high, [0, 1, 4, 7, 10, 13, 14, 15]);
        let bits = |path: &str| Recipe::Mixed3To4.bits_of(path, 16);
        assert_eq!(bits("model.layers.0.self_attn.v_proj"), 4);
        assert_eq!(bits("model.layers.0.self_attn.q_proj"), 3);
        assert_eq!(bits("model.layers.2.self_attn.v_proj"), 3);
        assert_eq!(bits("lm_head"), 4);
        assert_eq!(bits("model.embed_tokens"), 3);
        assert_eq!(bits("language_model.model.layers.15.mlp.down_proj"), 4);
        assert_eq!(bits("model.layers.layers.15.mlp.down_proj"), 4);
        assert_eq!(bits("model.layers.layers.2.mlp.down_proj"), 3);
    }
}
