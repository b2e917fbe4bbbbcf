//! Defaults that several configurations have in common.

/// `rope_theta`.
pub fn rope_theta() -> f64 {
    10_000.0
}

/// `tie_word_embeddings`.
pub fn tie_word_embeddings() -> bool {
    true
}
