//! Element-wise functions and rotary embedding parameters.

/// The non-linearity of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x · sigmoid(x)`, also called swish.
    Silu,
    /// `x · (1 + erf(x / √2)) / 2`.
    Gelu,
    /// The approximation `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`.
    GeluTanh,
    /// The approximation `x · sigmoid(1.702 x)`.
    GeluSigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    Relu2,
}

/// A rotary position embedding.
///
/// Pair `i` of a head is rotated by the angle `position · inverse_frequencies[i]`, computed in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Leading elements of each head that are rotated; the others are unchanged.
    pub dims: usize,
    /// Pairs are `(2i, 2i + 1)` when set, `(i, i + dims / 2)` otherwise.
    pub traditional: bool,
    /// One frequency per pair: `dims / 2`.
    pub inverse_frequencies: Vec<f32>,
    /// Factor of the rotated elements (1 except for YaRN and LongRoPE).
    pub attention_factor: f32,
}
