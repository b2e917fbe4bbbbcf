//! Architectures that do not load: what the engine lacks for them, and the closest one that loads.

use super::supported;

/// What is known about an architecture that does not load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// A `model_type` that loads.
    pub closest: &'static str,
    /// What the engine lacks, if it is known.
    pub missing: Option<&'static str>,
}

const EXPERTS: &str = "mixture-of-experts layers";
const LATENT: &str = "multi-head latent attention";
const EXPERTS_LATENT: &str = "mixture-of-experts layers and multi-head latent attention";
const LINEAR: &str = "linear attention layers with a recurrent state";
const EXPERTS_LINEAR: &str =
    "mixture-of-experts layers and linear attention layers with a recurrent state";
const STATE_SPACE: &str = "state-space layers";
const EXPERTS_STATE_SPACE: &str = "mixture-of-experts layers and state-space layers";
const CONVOLUTION: &str = "convolution layers with a recurrent state";
const SHARED_KV: &str = "layers that share a KV cache";
const SPARSE: &str = "sparse attention";

/// `model_type`, closest supported one, what is missing.
const KNOWN: &[(&str, &str, &str)] = &[
    ("Klear", "qwen3", EXPERTS),
    ("afm7", "qwen3", SHARED_KV),
    ("afmoe", "qwen3", EXPERTS),
    ("baichuan_m1", "llama", CONVOLUTION),
    ("bailing_hybrid", "llama", EXPERTS_LINEAR),
    ("bailing_moe", "llama", EXPERTS),
    ("bailing_moe_linear", "llama", EXPERTS_LINEAR),
    ("bailing_moe_v3", "llama", EXPERTS_LINEAR),
    ("bitnet", "llama", "ternary weights"),
    ("dbrx", "llama", EXPERTS),
    ("deepseek", "llama", EXPERTS),
    ("deepseek_v2", "llama", EXPERTS_LATENT),
    ("deepseek_v3", "llama", EXPERTS_LATENT),
    ("deepseek_v32", "llama", EXPERTS_LATENT),
    ("deepseek_v41", "llama", EXPERTS_LATENT),
    ("dots1", "qwen3", EXPERTS),
    ("ernie4_5_moe", "ernie4_5", EXPERTS),
    ("exaone_moe", "exaone4", EXPERTS),
    ("falcon_h1", "llama", STATE_SPACE),
    ("falcon_mamba", "llama", STATE_SPACE),
    ("gear", "gemma3_text", CONVOLUTION),
    (
        "gemma3n",
        "gemma3_text",
        "layers that share a KV cache and per-layer embeddings",
    ),
    (
        "gemma4",
        "gemma3",
        "layers that share a KV cache and per-layer embeddings",
    ),
    (
        "gemma4_text",
        "gemma3_text",
        "layers that share a KV cache and per-layer embeddings",
    ),
    (
        "gemma4_unified",
        "gemma3",
        "layers that share a KV cache and per-layer embeddings",
    ),
    ("glm4_moe", "glm4", EXPERTS),
    ("glm4_moe_lite", "glm4", EXPERTS_LATENT),
    ("glm_moe_dsa", "glm4", EXPERTS_LATENT),
    (
        "gpt_oss",
        "qwen2",
        "mixture-of-experts layers with attention sinks",
    ),
    ("granitemoe", "granite", EXPERTS),
    ("granitemoehybrid", "granite", EXPERTS_STATE_SPACE),
    ("hunyuan", "hunyuan_v1_dense", EXPERTS),
    (
        "iquestloopcoder",
        "nanbeige",
        "attention to two KV caches at once",
    ),
    ("jamba", "llama", EXPERTS_STATE_SPACE),
    ("joyai_llm_flash", "llama", EXPERTS_LATENT),
    ("kimi_k2", "llama", EXPERTS_LATENT),
    ("kimi_k25", "llama", EXPERTS_LATENT),
    ("kimi_k3", "llama", EXPERTS_LINEAR),
    ("kimi_linear", "llama", EXPERTS_LINEAR),
    ("kimi_vl", "llama", EXPERTS_LATENT),
    ("laguna", "qwen3", EXPERTS),
    ("lfm2", "qwen3", CONVOLUTION),
    ("lfm2-vl", "qwen3", CONVOLUTION),
    (
        "lfm2_moe",
        "qwen3",
        "mixture-of-experts layers and convolution layers",
    ),
    ("llama4", "llama", EXPERTS),
    (
        "llama4_text",
        "llama",
        "norms of queries and keys without weights",
    ),
    ("longcat_flash", "llama", EXPERTS_LATENT),
    ("longcat_flash_ngram", "llama", EXPERTS_LATENT),
    ("mamba", "llama", STATE_SPACE),
    ("mamba2", "llama", STATE_SPACE),
    ("mellum", "qwen3", EXPERTS),
    ("mimo_v2_flash", "mimo", EXPERTS),
    ("minicpm3", "minicpm", LATENT),
    ("minimax", "qwen3", EXPERTS),
    ("minimax_m2", "qwen3", EXPERTS),
    ("minimax_m3_vl", "qwen3", EXPERTS),
    ("mistral4", "ministral3", EXPERTS_LATENT),
    ("mixtral", "llama", EXPERTS),
    ("muse_glimmer", "qwen3", "an output gate of attention"),
    ("muse_spark", "qwen3", EXPERTS),
    ("nanochat", "llama", "norms without weights"),
    ("nemotron_h", "nemotron", EXPERTS_STATE_SPACE),
    ("olmo_hybrid", "olmo3", LINEAR),
    ("olmoe", "olmo2", EXPERTS),
    ("phi3small", "phi3", SPARSE),
    ("phimoe", "phi3", EXPERTS),
    ("phixtral", "phi", EXPERTS),
    ("phi-msft", "phi", EXPERTS),
    ("plamo2", "plamo3", STATE_SPACE),
    ("prism_hadamard_qwen35", "qwen3", LINEAR),
    ("qwen2_moe", "qwen2", EXPERTS),
    ("qwen3_5", "qwen3", LINEAR),
    ("qwen3_5_moe", "qwen3", EXPERTS_LINEAR),
    ("qwen3_moe", "qwen3", EXPERTS),
    ("qwen3_next", "qwen3", EXPERTS_LINEAR),
    ("qwen3_vl_moe", "qwen3_vl", EXPERTS),
    ("recurrent_gemma", "gemma2", LINEAR),
    ("rwkv7", "llama", LINEAR),
    ("solar_open", "llama", EXPERTS),
    ("step3p5", "qwen3", EXPERTS),
    (
        "talkie",
        "llama",
        "norms of queries and keys after RoPE and a skip connection of the embeddings",
    ),
    ("youtu_llm", "llama", LATENT),
];

/// Names that are less similar have nothing in common.
const SIMILAR: f64 = 0.85;

/// What to say about a `model_type` that does not load; `None` if nothing is like it.
pub fn describe(model_type: &str) -> Option<Unsupported> {
    let known = KNOWN.iter().find(|(name, ..)| *name == model_type);
    if let Some((_, closest, missing)) = known {
        return Some(Unsupported {
            closest,
            missing: Some(missing),
        });
    }
    let similarity = |name: &str| strsim::jaro_winkler(model_type, name);
    let names = supported().into_iter();
    let closest = names.max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(closest) >= SIMILAR).then_some(Unsupported {
        closest,
        missing: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_ones_load_and_the_others_do_not() {
        let supported = supported();
        for (model_type, closest, _) in KNOWN {
            assert!(supported.contains(closest), "{model_type}: {closest}");
            assert!(!supported.contains(model_type), "{model_type} loads");
        }
    }

    #[test]
    fn similar_name_is_found() {
        let found = describe("qwen3_tiny").unwrap();
        assert_eq!((found.closest, found.missing), ("qwen3", None));
        assert_eq!(describe("zzz"), None);
    }
}
