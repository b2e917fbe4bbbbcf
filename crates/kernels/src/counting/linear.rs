//! Dispatches of linear layers.

use super::{Encoder, scratch};
use crate::{KernelError, Linear, Norm, Rows, Weight, op::Epilogue};

/// Up to this many rows, a kernel for few rows normalizes them while it reads them.
const FEW_ROWS: usize = 4;
/// Weights of the same format that one dispatch can multiply.
const MAX_SEGMENTS: usize = 3;

impl Encoder<'_> {
    /// A norm of its own unless the kernel includes it, then a dispatch for each format among the weights. Gate and up
    /// projections of different formats are dispatched one after the other.
    pub(super) fn linear(
        &mut self,
        x: &Rows,
        norm: Option<&Norm>,
        linears: &[&Linear],
        epilogue: Epilogue<'_>,
        out: &Rows,
    ) -> Result<(), KernelError> {
        let normalized = match norm {
            Some(norm) => {
                self.read_norm(norm);
                if is_included(norm, x) {
                    None
                } else {
                    let normalized = scratch(x, x.rows(), x.width())?;
                    self.dispatch(1, &[x], &[&normalized]);
                    Some(normalized)
                }
            }
            None => None,
        };
        let x = normalized.as_ref().unwrap_or(x);
        for Linear { weight, bias } in linears {
            self.read_weight(weight.stored_bytes());
            self.read_param(bias.as_ref());
        }
        let dispatches = dispatches(linears);
        match epilogue {
            Epilogue::Glu(_) if dispatches > 1 => {
                let up = scratch(x, out.rows(), out.width())?;
                self.dispatch(1, &[x], &[&up]);
                self.dispatch(1, &[x, &up], &[out]);
            }
            Epilogue::ResidualAdd { residual, .. } => {
                self.dispatch(dispatches, &[x, residual], &[out]);
            }
            Epilogue::Store | Epilogue::Activation(_) | Epilogue::Glu(_) => {
                self.dispatch(dispatches, &[x], &[out]);
            }
        }
        Ok(())
    }
}

/// Whether the kernel of a linear layer can normalize its input: it needs one factor for the whole row, which it
/// applies to the result.
fn is_included(norm: &Norm, x: &Rows) -> bool {
    let whole_row = norm.normalized_size(x.width()) == x.width();
    matches!(norm, Norm::Rms { .. }) && whole_row && x.rows() <= FEW_ROWS
}

/// Dispatches for the products with these weights.
fn dispatches(linears: &[&Linear]) -> usize {
    let weights: Vec<&Weight> = linears.iter().map(|linear| &linear.weight).collect();
    let mut dispatches = 0;
    for (index, weight) in weights.iter().enumerate() {
        let same = |other: &&&Weight| weight.has_format_of(other);
        let earlier = weights[..index].iter().filter(same).count();
        dispatches += usize::from(earlier.is_multiple_of(MAX_SEGMENTS));
    }
    dispatches
}
