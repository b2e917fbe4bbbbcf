//! Feed-forward blocks.

use candle_core::Tensor;
use mlxm_kernels::{self as kernels, Activation, KernelError, Kernels, Linear};

use super::{DecoderConfig, Residual};
use crate::checkpoint::Scope;
use crate::error::LoadError;

/// The two input projections of a gated MLP.
#[derive(Debug)]
pub enum GateUp {
    /// Two weights.
    Separate {
        /// The branch with the activation.
        gate: Linear,
        /// The other branch.
        up: Linear,
    },
    /// One weight whose outputs are the gate branch, then the other branch (Phi-3).
    Fused(Linear),
}

/// A gated MLP (GLU), `down(act(gate(x)) · up(x))`, with its norms and residual connection.
#[derive(Debug)]
pub struct GatedMlp {
    /// Norms and residual connection.
    pub residual: Residual,
    /// Input projections.
    pub gate_up: GateUp,
    /// Output projection.
    pub down: Linear,
    /// Activation of the gate.
    pub activation: Activation,
}

impl GatedMlp {
    /// Loads `gate_proj`, `up_proj` and `down_proj`.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        weights: &Scope<'_>,
        config: &DecoderConfig,
        bias: bool,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let linear =
            |name, inputs, outputs| weights.linear_with_optional_bias(name, inputs, outputs, bias);
        Ok(Self {
            residual,
            gate_up: GateUp::Separate {
                gate: linear("gate_proj", hidden, intermediate)?,
                up: linear("up_proj", hidden, intermediate)?,
            },
            down: linear("down_proj", intermediate, hidden)?,
            activation,
        })
    }

    /// Loads `gate_up_proj` and `down_proj`, without biases.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load_fused(
        weights: &Scope<'_>,
        config: &DecoderConfig,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            residual,
            gate_up: GateUp::Fused(weights.linear("gate_up_proj", hidden, 2 * intermediate)?),
            down: weights.linear("down_proj", intermediate, hidden)?,
            activation,
        })
    }

    /// `[T, hidden]` → `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        let gate_up = match &self.gate_up {
            GateUp::Separate { gate, up } => kernels::GateUp::Separate(gate, up),
            GateUp::Fused(both) => kernels::GateUp::Fused(both),
        };
        let h = kernels.gated_linear(x, self.residual.pre(), gate_up, self.activation)?;
        self.residual.add(x, &h, &self.down, kernels)
    }
}

/// An MLP without a gate, `down(act(up(x)))`, with its norms and residual connection.
#[derive(Debug)]
pub struct Mlp {
    /// Norms and residual connection.
    pub residual: Residual,
    /// Input projection.
    pub up: Linear,
    /// Output projection.
    pub down: Linear,
    /// Activation between the projections.
    pub activation: Activation,
}

impl Mlp {
    /// `[T, hidden]` → `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Tensor, kernels: &Kernels) -> Result<Tensor, KernelError> {
        let h = kernels.linear_act(x, self.residual.pre(), &self.up, self.activation)?;
        self.residual.add(x, &h, &self.down, kernels)
    }
}
