//! The parameters of the model, and where the file has them.

use std::collections::HashMap;

use super::architecture::{Heads, Layout, Role};
use super::config::Metadata;
use super::dimensions::{Dimensions, LayerSizes};
use super::order::Order;
use super::reader::Tensor;
use super::rows::{ParameterRows, TensorRows};
use super::types::TensorType;
use crate::ConvertError;

/// A parameter of the model.
pub(super) struct Parameter<'a> {
    /// The name of its tensor in the file, or of one of them.
    pub(super) source: &'a str,
    pub(super) module: String,
    pub(super) leaf: &'static str,
    pub(super) shape: Vec<usize>,
    pub(super) rows: ParameterRows<'a>,
}

impl Parameter<'_> {
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.module, self.leaf)
    }

    pub(super) fn values(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64
    }
}

/// The parameters of a file.
pub(super) struct Parameters<'a> {
    pub(super) parameters: Vec<Parameter<'a>>,
    pub(super) notes: Vec<String>,
}

/// The heads of a block.
#[derive(Debug, Clone, Copy)]
struct BlockHeads {
    heads: usize,
    key_value_heads: usize,
}

impl BlockHeads {
    /// The numbers of rows of queries, keys and values in `rows` rows of all of them.
    fn sections(self, rows: usize) -> Option<[usize; 3]> {
        let heads = self.heads + 2 * self.key_value_heads;
        if heads == 0 || !rows.is_multiple_of(heads) {
            return None;
        }
        let head_dim = rows / heads;
        let keys = self.key_value_heads * head_dim;
        Some([self.heads * head_dim, keys, keys])
    }

    fn of(self, kind: Heads) -> usize {
        match kind {
            Heads::Query => self.heads,
            Heads::KeyValue => self.key_value_heads,
        }
    }
}

/// A tensor of the file and its use.
struct Source<'a, 't> {
    tensor: &'t Tensor<'a>,
    module: String,
    leaf: &'static str,
    heads: BlockHeads,
    /// Added to every value.
    offset: f32,
}

/// The parameters stored in all tensors.
pub(super) fn parameters<'a>(
    metadata: &Metadata<'a>,
    dimensions: Dimensions,
) -> Result<Parameters<'a>, ConvertError> {
    let sizes = LayerSizes::read(metadata)?;
    let heads = |block: Option<usize>| {
        let size = |sizes: &[u64], default: u64| {
            let size = block.and_then(|block| sizes.get(block));
            size.copied().unwrap_or(default) as usize
        };
        BlockHeads {
            heads: size(&sizes.heads, dimensions.heads),
            key_value_heads: size(&sizes.key_value_heads, dimensions.key_value_heads),
        }
    };
    let architecture = metadata.architecture;
    let mut found = Parameters {
        parameters: Vec::new(),
        notes: Vec::new(),
    };
    // The tensors of modules with several parts, by the name of the parameter, until all are found.
    let mut incomplete: HashMap<String, Vec<Option<Source<'a, '_>>>> = HashMap::new();
    for tensor in metadata.gguf.tensors() {
        let role = architecture.role(tensor.name).ok_or_else(|| {
            ConvertError::tensor(
                tensor.name,
                format!("it is not part of {} models", architecture.gguf),
            )
        })?;
        let (module, leaf, block, layout, is_norm) = match role {
            Role::RopeFactors => continue,
            Role::TiedOutput => {
                found.notes.push(tied_output(metadata, tensor)?);
                continue;
            }
            Role::Parameter {
                module,
                leaf,
                block,
                layout,
                is_norm,
            } => (module, leaf, block, layout, is_norm),
        };
        check_type(tensor)?;
        let source = Source {
            tensor,
            module,
            leaf,
            heads: heads(block),
            offset: if is_norm && leaf == "weight" {
                -architecture.norm_offset
            } else {
                0.0
            },
        };
        let Some((part, count)) = layout.part() else {
            source.add(layout, &mut found.parameters)?;
            continue;
        };
        let name = format!("{}.{leaf}", source.module);
        let parts = incomplete
            .entry(name.clone())
            .or_insert_with(|| (0..count).map(|_| None).collect());
        parts[part] = Some(source);
        if parts.iter().all(Option::is_some) {
            let parts = incomplete.remove(&name).into_iter().flatten().flatten();
            found.parameters.push(join(layout, parts.collect())?);
        }
    }
    match incomplete.values().flatten().flatten().next() {
        None => Ok(found),
        Some(source) => Err(ConvertError::tensor(
            source.tensor.name,
            format!(
                "it is a part of {}.{}, but the file lacks the others",
                source.module, source.leaf
            ),
        )),
    }
}

/// An output layer that the model does not have: it uses the embedding.
fn tied_output(metadata: &Metadata<'_>, output: &Tensor<'_>) -> Result<String, ConvertError> {
    let model_type = metadata.architecture.model_type;
    let embedding = metadata.gguf.tensor("token_embd.weight");
    if let Some(embedding) = embedding
        && embedding.kind == output.kind
        && embedding.data != output.data
    {
        return Err(ConvertError::tensor(
            output.name,
            format!("it is not the embedding, which is the output layer of {model_type}"),
        ));
    }
    Ok(format!(
        "{} is not converted: the output layer of {model_type} is the embedding",
        output.name
    ))
}

fn check_type(tensor: &Tensor<'_>) -> Result<(), ConvertError> {
    if matches!(tensor.kind, TensorType::Other(..)) {
        return Err(ConvertError::tensor(
            tensor.name,
            format!(
                "its type {} cannot be converted; use a file with another type (Q8_0, Q4_K, F16, …)",
                tensor.kind.name()
            ),
        ));
    }
    match tensor.shape.len() {
        1 | 2 => Ok(()),
        dimensions => Err(ConvertError::tensor(
            tensor.name,
            format!("it has {dimensions} dimensions, expected 1 or 2"),
        )),
    }
}

impl<'a> Source<'a, '_> {
    fn error(&self, reason: String) -> ConvertError {
        ConvertError::tensor(self.tensor.name, reason)
    }

    fn dense_only(&self) -> Result<(), ConvertError> {
        if self.tensor.kind.is_dense() {
            return Ok(());
        }
        Err(self.error(format!(
            "a vector of type {} cannot be converted",
            self.tensor.kind.name()
        )))
    }

    /// The rows in the order of the file. Those of a vector have one value.
    fn rows(&self) -> Result<TensorRows<'a>, ConvertError> {
        let Tensor { kind, data, .. } = *self.tensor;
        let columns = if let [_, columns] = self.tensor.shape.as_slice() {
            *columns
        } else {
            self.dense_only()?;
            1
        };
        Ok(TensorRows::new(kind, data, columns).with_offset(self.offset))
    }

    fn row_count(&self) -> usize {
        self.tensor.shape[0]
    }

    /// The order of rows for interleaved RoPE.
    fn interleaved_rope(&self, heads: usize) -> Result<Order, ConvertError> {
        let rows = self.row_count();
        let divides = heads > 0 && rows.is_multiple_of(heads);
        divides
            .then(|| Order::interleaved_rope(rows / heads))
            .flatten()
            .ok_or_else(|| {
                self.error(format!(
                    "its {rows} rows are not a multiple of twice the {heads} heads"
                ))
            })
    }

    /// The order of `size` rows or columns of query heads by the key and value head that they read.
    fn by_key_value_head(&self, size: usize) -> Result<Order, ConvertError> {
        let BlockHeads {
            heads,
            key_value_heads,
        } = self.heads;
        let divides = heads > 0 && size.is_multiple_of(heads);
        divides
            .then(|| Order::by_key_value_head(heads, key_value_heads, size / heads))
            .flatten()
            .ok_or_else(|| {
                self.error(format!(
                    "{size} is not a multiple of {heads} heads, or these are not a multiple of {key_value_heads} heads for \
                     keys and values"
                ))
            })
    }

    /// Rows of queries, keys and values.
    fn qkv(&self) -> Result<[TensorRows<'a>; 3], ConvertError> {
        let rows = self.rows()?;
        let count = self.row_count();
        let [queries, keys, values] = self.heads.sections(count).ok_or_else(|| {
            self.error(format!(
                "its {count} rows are not a multiple of {} heads and twice {} heads for keys and values",
                self.heads.heads, self.heads.key_value_heads
            ))
        })?;
        Ok([
            rows.section(0, queries),
            rows.section(queries, keys),
            rows.section(queries + keys, values),
        ])
    }

    /// Adds the parameters of the tensor.
    fn add(self, layout: Layout, parameters: &mut Vec<Parameter<'a>>) -> Result<(), ConvertError> {
        match layout {
            // Parts of modules are joined.
            Layout::Same
            | Layout::InQkvGroups(_)
            | Layout::InQkv(_)
            | Layout::Stacked(_)
            | Layout::StackedGateLast(_) => {
                parameters.push(self.parameter(self.rows()?));
            }
            Layout::OutputOrLinear => {
                let rows = self.rows()?;
                let mut parameter = self.parameter(rows);
                if self.heads.key_value_heads == 0 {
                    let block = parameter.module.strip_suffix("o_proj");
                    parameter.module = format!("{}linear", block.unwrap_or_default());
                }
                parameters.push(parameter);
            }
            Layout::InterleavedRope(kind) => {
                let order = self.interleaved_rope(self.heads.of(kind))?;
                let rows = self.rows()?.with_row_order(order);
                parameters.push(self.parameter(rows));
            }
            Layout::ByKeyValueHead => {
                let order = self.by_key_value_head(self.row_count())?;
                let rows = self.rows()?.with_row_order(order);
                parameters.push(self.parameter(rows));
            }
            Layout::ColumnsByKeyValueHead => {
                let mut rows = self.rows()?;
                if let [_, columns] = self.tensor.shape.as_slice() {
                    rows = rows.with_column_order(self.by_key_value_head(*columns)?);
                }
                parameters.push(self.parameter(rows));
            }
            Layout::QkvToGroups => {
                let groups = self.heads.key_value_heads;
                let parts = self.qkv()?;
                if groups == 0 || !self.heads.heads.is_multiple_of(groups) {
                    return Err(self.error(format!(
                        "its {} heads are not a multiple of {groups} heads for keys and values",
                        self.heads.heads
                    )));
                }
                let rows = ParameterRows::new(parts.into(), groups);
                parameters.push(self.with_rows(rows, self.tensor.shape.clone()));
            }
            Layout::QkvToModules => {
                for (name, rows) in ["q_proj", "k_proj", "v_proj"].into_iter().zip(self.qkv()?) {
                    let mut shape = self.tensor.shape.clone();
                    shape[0] = rows.rows();
                    let rows = ParameterRows::new(vec![rows], 1);
                    let mut parameter = self.with_rows(rows, shape);
                    parameter.module = format!("{}.{name}", self.module);
                    parameters.push(parameter);
                }
            }
            Layout::HeadsToModules(kind) => {
                self.dense_only()?;
                let rows = self.rows()?;
                let heads = self.heads.of(kind);
                let head_dim = match *self.tensor.shape.as_slice() {
                    [rows, columns] if rows == heads => columns,
                    ref shape => {
                        return Err(self.error(format!(
                            "its shape is {shape:?}, expected a row for each of {heads} heads"
                        )));
                    }
                };
                for head in 0..heads {
                    let rows = ParameterRows::new(vec![rows.section(head, 1).transposed()], 1);
                    let mut parameter = self.with_rows(rows, vec![head_dim]);
                    parameter.module = format!("{}.{head}", self.module);
                    parameters.push(parameter);
                }
            }
        }
        Ok(())
    }

    /// A parameter with the shape of the tensor.
    fn parameter(&self, rows: TensorRows<'a>) -> Parameter<'a> {
        self.with_rows(ParameterRows::new(vec![rows], 1), self.tensor.shape.clone())
    }

    fn with_rows(&self, rows: ParameterRows<'a>, shape: Vec<usize>) -> Parameter<'a> {
        Parameter {
            source: self.tensor.name,
            module: self.module.clone(),
            leaf: self.leaf,
            shape,
            rows,
        }
    }
}

/// The parameter with these parts.
fn join<'a>(layout: Layout, parts: Vec<Source<'a, '_>>) -> Result<Parameter<'a>, ConvertError> {
    let first = &parts[0];
    let columns = |part: &Source<'_, '_>| part.tensor.shape[1..].to_vec();
    if let Some(other) = parts.iter().find(|part| columns(part) != columns(first)) {
        return Err(other.error(format!(
            "its shape {:?} does not match {:?} of {}, with which it is {}.{}",
            other.tensor.shape, first.tensor.shape, first.tensor.name, other.module, other.leaf
        )));
    }
    let groups = match layout {
        Layout::InQkvGroups(_) => first.heads.key_value_heads,
        _ => 1,
    };
    let mut rows = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        if groups == 0 || !part.row_count().is_multiple_of(groups) {
            return Err(part.error(format!(
                "its {} rows are not a multiple of {groups} heads for keys and values",
                part.row_count()
            )));
        }
        let part_rows = part.rows()?;
        rows.push(match (layout, index) {
            (Layout::InQkvGroups(_) | Layout::InQkv(_), 0) => {
                part_rows.with_row_order(part.interleaved_rope(part.heads.heads)?)
            }
            (Layout::InQkvGroups(_) | Layout::InQkv(_), 1) => {
                part_rows.with_row_order(part.interleaved_rope(part.heads.key_value_heads)?)
            }
            _ => part_rows,
        });
    }
    let mut shape = first.tensor.shape.clone();
    shape[0] = rows.iter().map(TensorRows::rows).sum();
    Ok(first.with_rows(ParameterRows::new(rows, groups), shape))
}
