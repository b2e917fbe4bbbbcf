//! MLPs, with and without a gate.

use mlxm_kernels::{Activation, GateUp, KernelError, Linear, Pass, Rows};

use super::{DecoderModel, Residual};
use crate::checkpoint::{RowOrder, Scope};
use crate::error::LoadError;

/// The input projections of an MLP.
#[derive(Debug, Clone)]
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

/// The names of the input projections of an MLP, as [`MlpInput`].
#[derive(Debug, Clone, Copy)]
pub enum MlpInputNames {
    /// Gate and up.
    Gated {
        /// The branch with the activation.
        gate: &'static str,
        /// The other branch.
        up: &'static str,
    },
    /// Gate, then up, in one weight.
    FusedGated(&'static str),
    /// Up, then gate, in one weight (OLMo). They are reordered when they are loaded.
    FusedUpGate(&'static str),
    /// Up, without a gate.
    Ungated(&'static str),
}

/// The names of the projections of an MLP.
#[derive(Debug, Clone, Copy)]
pub struct MlpNames {
    /// Input projections.
    pub input: MlpInputNames,
    /// Output projection.
    pub down: &'static str,
}

impl MlpNames {
    /// `gate_proj`, `up_proj` and `down_proj`.
    pub const GATED: Self = Self::gated("gate_proj", "up_proj", "down_proj");

    /// `up_proj` and `down_proj`.
    pub const UNGATED: Self = Self::ungated("up_proj", "down_proj");

    /// `gate_up_proj` and `down_proj`.
    pub const FUSED_GATED: Self = Self {
        input: MlpInputNames::FusedGated("gate_up_proj"),
        down: "down_proj",
    };

    /// `gate`, `up` and `down`, with the activation on `gate`.
    pub const fn gated(gate: &'static str, up: &'static str, down: &'static str) -> Self {
        let input = MlpInputNames::Gated { gate, up };
        Self { input, down }
    }

    /// `up` and `down`, without a gate.
    pub const fn ungated(up: &'static str, down: &'static str) -> Self {
        let input = MlpInputNames::Ungated(up);
        Self { input, down }
    }
}

/// An MLP, `down(input(x))`, with its norms and residual connection.
#[derive(Debug, Clone)]
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
    /// Loads `gate_proj`, `up_proj` and `down_proj` of a layer of `model`, without biases.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn gated(
        model: &impl DecoderModel,
        weights: &Scope<'_>,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        Self::gated_with_optional_bias(model, weights, false, activation, residual)
    }

    /// Loads `gate_proj`, `up_proj` and `down_proj`, with biases if `bias` is set.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn gated_with_optional_bias(
        model: &impl DecoderModel,
        weights: &Scope<'_>,
        bias: bool,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        Self::load(model, weights, MlpNames::GATED, bias, activation, residual)
    }

    /// Loads `gate_up_proj` and `down_proj` without biases.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn fused_gated(
        model: &impl DecoderModel,
        weights: &Scope<'_>,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        Self::load(
            model,
            weights,
            MlpNames::FUSED_GATED,
            false,
            activation,
            residual,
        )
    }

    /// Loads the projections called `names`, with biases.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn with_biases(
        model: &impl DecoderModel,
        weights: &Scope<'_>,
        names: MlpNames,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        Self::load(model, weights, names, true, activation, residual)
    }

    /// Loads the projections called `names`, with biases if `bias` is set.
    ///
    /// # Errors
    /// When a tensor has the wrong shape or element type.
    pub fn load(
        model: &impl DecoderModel,
        weights: &Scope<'_>,
        names: MlpNames,
        bias: bool,
        activation: Activation,
        residual: Residual,
    ) -> Result<Self, LoadError> {
        let dimensions = model.dimensions();
        let (hidden, intermediate) = (dimensions.hidden_size, dimensions.intermediate_size);
        let linear =
            |name, inputs, outputs| weights.linear_with_optional_bias(name, inputs, outputs, bias);
        let input = match names.input {
            MlpInputNames::Gated { gate, up } => MlpInput::Gated {
                gate: linear(gate, hidden, intermediate)?,
                up: linear(up, hidden, intermediate)?,
            },
            MlpInputNames::FusedGated(name) => {
                MlpInput::FusedGated(linear(name, hidden, 2 * intermediate)?)
            }
            MlpInputNames::FusedUpGate(name) => {
                let outputs = 2 * intermediate;
                let gate_first = RowOrder { blocks: vec![1, 0] };
                MlpInput::FusedGated(weights.reordered_linear(
                    name,
                    hidden,
                    outputs,
                    bias,
                    &gate_first,
                )?)
            }
            MlpInputNames::Ungated(name) => MlpInput::Ungated(linear(name, hidden, intermediate)?),
        };
        Ok(Self {
            residual,
            input,
            down: linear(names.down, intermediate, hidden)?,
            activation,
        })
    }

    /// The MLP of `x`, added to `stream`, which is `x` unless the residual is parallel to that of the attention. All are
    /// `[T, hidden]`.
    ///
    /// # Errors
    /// When a width does not match.
    pub fn forward(
        &self,
        x: &Rows,
        stream: &Rows,
        pass: &mut Pass<'_>,
    ) -> Result<Rows, KernelError> {
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
        self.residual.add(stream, &h, &self.down, pass)
    }
}
