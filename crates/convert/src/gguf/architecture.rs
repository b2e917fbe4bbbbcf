//! How an architecture names and stores its tensors in GGUF.

use super::architectures::ARCHITECTURES;
use super::renamed_architectures::RENAMED_ARCHITECTURES;
use crate::ConvertError;

/// Names of modules in GGUF and in MLX.
pub(super) type Modules = &'static [(&'static str, &'static str)];

/// An architecture in GGUF and in `config.json`.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`.
    pub(super) gguf: &'static str,
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// The class in `architectures` of `config.json`.
    pub(super) class: &'static str,
    /// Added to the weights of norms in GGUF.
    pub(super) norm_offset: f32,
    /// A key of the metadata, without the name of the architecture, that only files of this one among those with its GGUF
    /// name have.
    pub(super) marker: Option<&'static str>,
    /// The modules of the model that are in no block.
    pub(super) names: Names,
    /// Modules of a block: names in GGUF and in MLX. The first of several with the same name in GGUF counts. Those with the
    /// same name in MLX are parts of one module.
    pub(super) modules: &'static [Modules],
    /// The layouts that are not [`Layout::Same`], by the name in GGUF.
    pub(super) layouts: &'static [(&'static str, Layout)],
}

/// The modules of a model that are in no block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) token_embd: &'static str,
    pub(super) position_embd: Option<&'static str>,
    pub(super) output_norm: &'static str,
    /// `None` if the model always uses the embedding.
    pub(super) output: Option<&'static str>,
    /// The modules of the blocks, without their number.
    pub(super) blocks: &'static str,
}

impl Names {
    pub(super) const LLAMA: Self = Self {
        token_embd: "model.embed_tokens",
        position_embd: None,
        output_norm: "model.norm",
        output: Some("lm_head"),
        blocks: "model.layers",
    };
}

/// How the rows of a tensor correspond to those of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// The same rows.
    Same,
    /// The rows of each head are in the order for interleaved RoPE (`permute` in llama.cpp's conversion scripts).
    InterleavedRope(Heads),
    /// Query heads are ordered by the key and value head that they read, [`super::order::Order::by_key_value_head`].
    ByKeyValueHead,
    /// The columns are ordered as the rows of [`Layout::ByKeyValueHead`].
    ColumnsByKeyValueHead,
    /// Queries, keys and values one after the other. The module has those of each key and value head together.
    QkvToGroups,
    /// Queries, keys or values of a module that has those of each key and value head together. Queries and keys are in the
    /// order for interleaved RoPE.
    InQkvGroups(Qkv),
    /// Queries, keys and values one after the other, which are modules of their own in the named module.
    QkvToModules,
    /// Queries, keys or values of a module that has them one after the other. Queries and keys are in the order for interleaved
    /// RoPE.
    InQkv(Qkv),
    /// The gate or the other input of an MLP, which one module has one after the other.
    Stacked(Input),
    /// The same, with the gate last.
    StackedGateLast(Input),
    /// A row for each head, which are modules of their own in the named module.
    HeadsToModules(Heads),
    /// The output of the attention, or the linear layer that replaces attention if the block has no key and value heads.
    OutputOrLinear,
}

/// The kind of heads that the rows of a projection belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    Query,
    KeyValue,
}

/// A part of the input projection of attention, in the order in which a module has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qkv {
    Query,
    Key,
    Value,
}

/// A part of the input projection of an MLP, in the order in which a module has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Gate,
    Up,
}

impl Layout {
    /// The number of this part, and of all, of a module with several parts.
    pub(super) fn part(self) -> Option<(usize, usize)> {
        match self {
            Self::InQkvGroups(part) | Self::InQkv(part) => Some((part as usize, 3)),
            Self::Stacked(part) => Some((part as usize, 2)),
            Self::StackedGateLast(part) => Some((1 - part as usize, 2)),
            _ => None,
        }
    }
}

/// The use of a tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Parameters of the module at path `module`.
    Parameter {
        module: String,
        /// `weight` or `bias`.
        leaf: &'static str,
        /// The number of its block.
        block: Option<usize>,
        layout: Layout,
        is_norm: bool,
    },
    /// RoPE frequency factors, which become part of the configuration.
    RopeFactors,
    /// A copy of the embedding as the output layer.
    TiedOutput,
}

/// All architectures that are converted.
fn all() -> impl Iterator<Item = &'static Architecture> {
    ARCHITECTURES.iter().chain(RENAMED_ARCHITECTURES)
}

/// The architectures of GGUF files that are converted: `general.architecture` and the `model_type` of the checkpoint.
pub fn gguf_architectures() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().map(|architecture| (architecture.gguf, architecture.model_type))
}

impl Architecture {
    /// An architecture whose tensors have the layout and the values of the model.
    pub(super) const fn new(
        gguf: &'static str,
        model_type: &'static str,
        class: &'static str,
        names: Names,
        modules: &'static [Modules],
    ) -> Self {
        Self {
            gguf,
            model_type,
            class,
            norm_offset: 0.0,
            marker: None,
            names,
            modules,
            layouts: &[],
        }
    }

    /// The architecture of files with this name and metadata.
    pub(super) fn find(
        name: &str,
        has_key: impl Fn(&str) -> bool,
    ) -> Result<&'static Self, ConvertError> {
        all()
            .filter(|architecture| architecture.gguf == name)
            .find(|architecture| {
                let marker = architecture.marker;
                marker.is_none_or(|marker| has_key(&format!("{name}.{marker}")))
            })
            .ok_or_else(|| {
                let mut supported: Vec<&str> =
                    all().map(|architecture| architecture.gguf).collect();
                supported.dedup();
                ConvertError::Architecture {
                    found: name.to_owned(),
                    supported,
                }
            })
    }

    /// The role of the tensor `name`; `None` if the architecture does not have it.
    pub(super) fn role(&self, name: &str) -> Option<Role> {
        if matches!(
            name,
            "rope_freqs.weight" | "rope_factors_long.weight" | "rope_factors_short.weight"
        ) {
            return Some(Role::RopeFactors);
        }
        let (module, leaf) = match name.rsplit_once('.')? {
            (module, "weight") => (module, "weight"),
            (module, "bias") => (module, "bias"),
            _ => return None,
        };
        let parameter = |module: String, block, layout| {
            Some(Role::Parameter {
                is_norm: module.ends_with("norm"),
                module,
                leaf,
                block,
                layout,
            })
        };
        let outside = |module: &str| parameter(module.to_owned(), None, Layout::Same);
        match module {
            "token_embd" => return outside(self.names.token_embd),
            "position_embd" => return outside(self.names.position_embd?),
            "output_norm" => return outside(self.names.output_norm),
            "output" => match self.names.output {
                Some(output) => return outside(output),
                None => return Some(Role::TiedOutput),
            },
            _ => {}
        }
        let (block, part) = module.strip_prefix("blk.")?.split_once('.')?;
        let block: usize = block.parse().ok()?;
        let (_, path) = self
            .modules
            .iter()
            .copied()
            .flatten()
            .find(|(gguf, _)| *gguf == part)?;
        let layout = self.layouts.iter().find(|(gguf, _)| *gguf == part);
        parameter(
            format!("{}.{block}.{path}", self.names.blocks),
            Some(block),
            layout.map_or(Layout::Same, |(_, layout)| *layout),
        )
    }
}
