//! MLPs, with and without a gate.

use mlxm_kernels::{Activation, GateUp, KernelError, Linear, Pass, Rows};

use super::Residual;
use crate::checkpoint::Scope;
use crate::error::LoadError;
use crate::forward::Dimensions;

/// The input projections of an MLP.
#[derive(Debug)]
pub enum MlpInput {
    /// Gated (GLU): `act(gate(x)) · up(x)`.
    Gated {
        /// The branch with the activation.
        gate: Linear,
        /// The other branch.
        up: Linear,
    },
    /// Gated, with one weight whose outputs are those of `gate`, then those of `up` (Phi-3).
    FusedGated(Linear),
    /// Without a gate: `act(up(x))`.
    Ungated(Linear),
}

/// An MLP, `down(input(x))`, with its norms and residual connection.
#[derive(Debug)]
pub struct Mlp {
    /// Norms and residual connection.
    pub residual: Residual,
    /// Input projections.
    pub input: MlpInput,
    /// Output projection.
    pub down: Linear,
    /// Activation function.
    pub activation: Activation,
}

impl Mlp {
    /// Loads `gate_proj`, `up_proj` and `down_proj` without biases.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn gated(
        weights: &Scope<'_>,
        dimensions: &Dimensions,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        Self::gated_with_optional_bias(weights, dimensions, false, activation, residual)
    }

    /// Loads `gate_proj`, `up_proj` and `down_proj`, with biases if `bias` is set.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn gated_with_optional_bias(
        weights: &Scope<'_>,
        dimensions: &Dimensions,
        bias: bool,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let (hidden, intermediate) = (dimensions.hidden_size, dimensions.intermediate_size);
        let linear =
            |name, inputs, outputs| weights.linear_with_optional_bias(name, inputs, outputs, bias);
        Ok(Self {
            residual,
            input: MlpInput::Gated {
                gate: linear("gate_proj", hidden, intermediate)?,
                up: linear("up_proj", hidden, intermediate)?,
            },
            down: linear("down_proj", intermediate, hidden)?,
            activation,
        })
    }

    /// Loads `gate_up_proj` and `down_proj` without biases.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn fused_gated(
        weights: &Scope<'_>,
        dimensions: &Dimensions,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let (hidden, intermediate) = (dimensions.hidden_size, dimensions.intermediate_size);
        let gate_up = weights.linear("gate_up_proj", hidden, 2 * intermediate)?;
        Ok(Self {
            residual,
            input: MlpInput::FusedGated(gate_up),
            down: weights.linear("down_proj", intermediate, hidden)?,
            activation,
        })
    }

    /// `[T, hidden]` → `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(&self, x: &Rows, pass: &mut Pass<'_>) -> Result<Rows, KernelError> {
        let (norm, activation) = (self.residual.pre(), self.activation);
        let h = match &self.input {
            MlpInput::Gated { gate, up } => {
                pass.gated_linear(x, norm, GateUp::Separate(gate, up), activation)?
            }
            MlpInput::FusedGated(gate_up) => {
                pass.gated_linear(x, norm, GateUp::Fused(gate_up), activation)?
            }
            MlpInput::Ungated(up) => pass.linear_act(x, norm, up, activation)?,
        };
        self.residual.add(x, &h, &self.down, pass)
    }
}
