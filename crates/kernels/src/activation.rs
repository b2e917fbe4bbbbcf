//! Element-wise functions and rotary embedding parameters.

/// The non-linearity of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// xIELU, whose parameters are learned.
    Xielu(Xielu),
}

/// The parameters of xIELU (<https://arxiv.org/abs/2411.13010>): `alpha_p · x² + beta · x` for positive `x`, and
/// `alpha_n · (e^min(x, eps) − 1 − x) + beta · x` for others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xielu {
    /// Curvature for positive inputs.
    pub alpha_p: f32,
    /// Weight of the exponential for other inputs.
    pub alpha_n: f32,
    /// Slope at zero.
    pub beta: f32,
    /// Largest argument of the exponential; a negative number close to zero.
    pub eps: f32,
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
    /// Queries and keys are rotated before [`crate::QkNorms`] normalize them instead of after.
    pub before_norms: bool,
    /// Scales the queries by their position.
    pub query_scaling: Option<QueryScaling>,
}

impl Rope {
    /// Values that a pass has for each row: the cosines, the sines, then the factor of the queries if they are scaled.
    pub(crate) fn row_width(&self) -> usize {
        self.dims + usize::from(self.query_scaling.is_some())
    }
}

/// A factor of the queries that grows with their position, `1 + beta · ln(1 + ⌊position / original_length⌋)`, so that
/// attention stays sharp in contexts beyond the trained length (Llama 4, Ministral 3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryScaling {
    /// Weight of the logarithm.
    pub beta: f32,
    /// Trained length in tokens.
    pub original_length: f32,
}

impl QueryScaling {
    pub(crate) fn factor(self, position: u32) -> f32 {
        1.0 + self.beta * (1.0 + (position as f32 / self.original_length).floor()).ln()
    }
}
