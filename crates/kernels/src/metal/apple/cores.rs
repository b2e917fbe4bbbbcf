//! Numbers of GPU cores.

/// About how many cores a GPU has, by the name of its architecture: `applegpu_g13s` is the GPU of the M1 Max. Metal does not
/// tell; the number only decides into how many parts the attention over a long context is split.
pub(super) fn estimate(architecture: &str) -> u32 {
    match architecture.chars().last() {
        Some('p') => 5,
        Some('s') => 32,
        Some('d') => 64,
        // M1 to M5 and their Pro versions have 8 to 20; virtual GPUs have other names.
        _ => 10,
    }
}
